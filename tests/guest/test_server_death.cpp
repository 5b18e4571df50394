// SPDX-License-Identifier: MIT
// A server ends with workers running, blocked, queued or held (R11): they run on
// or stay parked, and any other server of the process can go on with them.
#include "memory.hpp"

namespace umcg_test {
namespace {

// A server thread that does one thing at a time, as it is told, and ends when told.
class Puppet {
  public:
    explicit Puppet(bool unregister) : unregister_(unregister), thread_([this] { main(); }) {
        tid_.wait(0);
    }
    ~Puppet() { die(); }
    pid_t tid() const { return tid_; }
    umcg_task* task() const { return page_.task(); }
    // Run the worker, for about a millisecond; then come back.
    void run(const Worker& w) { order(w.tid()); }
    void die() {
        if (!thread_.joinable()) return;
        order(-1);
        thread_.join();
    }

  private:
    void order(int what) {
        order_ = what;
        order_.notify_all();
        if (what > 0) order_.wait(what);
    }
    void main() {
        EXPECT_EQ(umcg_register(task(), UMCG_REG_SERVER), 0);
        tid_ = gettid();
        tid_.notify_all();
        for (;;) {
            order_.wait(0);
            const int what = order_;
            if (what < 0) break;
            take(task());
            task()->next_tid = what;
            int rc;
            // news may come again and again: workers of dead servers run on
            while ((rc = umcg_wait(0, now_ns() + 1000000)) == -EAGAIN) take(task());
            EXPECT_TRUE(rc == 0 || rc == -ETIMEDOUT) << rc;
            order_ = 0;
            order_.notify_all();
        }
        if (unregister_) {
            EXPECT_EQ(umcg_unregister(task()), 0);
        }
    }
    Mapping page_;
    bool unregister_;
    std::atomic<pid_t> tid_{0};
    std::atomic<int> order_{0};
    std::thread thread_;
};

class ServerDeath : public Guest, public ::testing::WithParamInterface<bool> {};
INSTANTIATE_TEST_SUITE_P(By, ServerDeath, ::testing::Values(false, true),
                         [](const auto& p) { return p.param ? "Unregister" : "Exit"; });

TEST_P(ServerDeath, QueuedWorkerIsDispatchedByAnother) {
    Group g;
    bool ran = false;
    auto s = std::make_unique<Puppet>(GetParam());
    Worker& w = g.worker([&](Worker&) { ran = true; }, {.home = s->tid()});
    EVENTUALLY(umcg_has_news(s->task()));
    take(s->task());
    s->die();
    EXPECT_TRUE(w.held());
    EXPECT_EQ(g.run(w), 0);
    g.run_to_exit(w);
    EXPECT_TRUE(ran);
}

TEST_P(ServerDeath, RunningWorkerRunsOn) {
    Gate gate;
    Group g;
    auto s = std::make_unique<Puppet>(GetParam());
    std::atomic<uint64_t> spins{0};
    std::atomic<bool> go{false};
    Worker& w = g.worker(
        [&](Worker&) {
            while (!go) spins++;
            gate.wait();
        },
        {.home = s->tid()});
    EVENTUALLY(umcg_has_news(s->task()));
    s->run(w);
    EVENTUALLY(spins > 0);
    s->die();
    const uint64_t then = spins;
    EVENTUALLY(spins > then + 1000);
    EXPECT_EQ(w.state(), UMCG_TASK_RUNNING);
    go = true;
    EVENTUALLY(w.low_state() == UMCG_TASK_BLOCKED);
    gate.open();
    // blocks and returns with neither dispatcher nor home: parked, told to nobody
    EVENTUALLY(w.held());
    EXPECT_EQ(g.collect(), 0);
    EXPECT_EQ(g.run(w), 0);
    g.run_to_exit(w);
}

TEST_P(ServerDeath, BlockedWorkerComesBackToAHomeThatLives) {
    Group g;
    auto s = std::make_unique<Puppet>(GetParam());
    Gate gate;
    Worker& w = g.worker(
        [&](Worker& me) {
            me.task()->server_tid = g.tid();  // a new home, while the old server runs it
            gate.wait();
        },
        {.home = s->tid()});
    EVENTUALLY(umcg_has_news(s->task()));
    s->run(w);
    EVENTUALLY(w.low_state() == UMCG_TASK_BLOCKED);
    take(s->task());
    s->die();
    gate.open();
    EXPECT_EQ(g.next(), runnable(w));
    EXPECT_EQ(g.run(w), 0);
    g.run_to_exit(w);
}

TEST_P(ServerDeath, BlockedWorkerWithADeadHomeComesBackToItsDispatcher) {
    Group g;
    auto s = std::make_unique<Puppet>(GetParam());
    Gate gate;
    Worker& w = g.worker([&](Worker&) { gate.wait(); }, {.home = s->tid()});
    EVENTUALLY(umcg_has_news(s->task()));
    take(s->task());
    EXPECT_EQ(g.run(w), 0);
    EXPECT_EQ(g.next(), blocked(w));
    s->die();
    gate.open();
    EXPECT_EQ(g.next(), runnable(w));
    EXPECT_EQ(g.run(w), 0);
    g.run_to_exit(w);
}

// A spinning worker of a dead server can still be stopped, and run elsewhere.
TEST_P(ServerDeath, RunningWorkerCanBePreempted) {
    Group g;
    auto s = std::make_unique<Puppet>(GetParam());
    std::atomic<bool> go{false}, started{false};
    Worker& w = g.worker(
        [&](Worker&) {
            started = true;
            while (!go) __builtin_ia32_pause();
        },
        {.home = s->tid()});
    EVENTUALLY(umcg_has_news(s->task()));
    s->run(w);
    EVENTUALLY(started);
    s->die();
    EXPECT_EQ(umcg_kick(0, w.tid()), 0);
    EVENTUALLY(w.held());
    EXPECT_TRUE(w.state() & UMCG_TF_PREEMPTED);
    go = true;
    EXPECT_EQ(g.run(w), 0);
    g.run_to_exit(w);
}

// Servers come and go all the time; the workers are found by their states.
TEST_P(ServerDeath, WorkersOutliveManyServers) {
    constexpr int kWorkers = 8;
    Group g;
    std::atomic<int> turns[kWorkers] = {};
    pid_t home = 0;
    std::vector<Worker*> workers;
    for (int i = 0; i < kWorkers; i++) {
        workers.push_back(&g.worker([&, i](Worker& me) {
            while (!g.stopping()) {
                turns[i]++;
                me.task()->server_tid = __atomic_load_n(&home, __ATOMIC_RELAXED);
                if (i & 1)
                    sleep_us(50);
                else
                    me.yield();
            }
        }));
    }
    const auto all = [&] {
        int sum = 0;
        for (const auto& t : turns) sum += t;
        return sum;
    };
    // a server's millisecond may be over before anybody has made a turn
    for (int round = 0; round < scaled(60, 10) || all() <= kWorkers; round++) {
        Puppet s(GetParam());
        __atomic_store_n(&home, s.tid(), __ATOMIC_RELAXED);
        for (int i = 0; i < kWorkers; i++) {
            Worker& w = *workers[(round + i) % kWorkers];
            if (w.held()) s.run(w);
        }
    }
    __atomic_store_n(&home, g.tid(), __ATOMIC_RELAXED);
    g.finish();
}

}  // namespace
}  // namespace umcg_test
