// SPDX-License-Identifier: MIT
// A process that scribbles over every word of its structs while the calls run.
// The kernel never loops on that memory and decides nothing by it: the workers
// go on when the scribbling ends, and the process can be killed at any moment.
#include <signal.h>
#include <sys/wait.h>

#include "crew.hpp"
#include "raw.hpp"

namespace umcg_test {
namespace {

class Hostile : public Guest {};

constexpr int kWorkers = 3;

// Values that mean something to somebody, and noise.
class Poison {
  public:
    Poison(uint64_t stream, std::vector<uint64_t> own)
        : rng_(rng(stream)), values_(std::move(own)) {
        for (const uint64_t v :
             {0x0UL, 0x1UL, 0x2UL, 0x3UL, 0x7fffffffUL, 0xffffffffUL, ~0x0UL,
              0xffff888000000000UL,  // the kernel's direct map
              0xffffffff81000000UL,  // its text
              0x0000800000000000UL,  // non-canonical
              0x8000000000000001UL, 0x7ffffffff000UL, 0x0101UL, 0x0202UL, 0x0302UL, 0x0803UL})
            values_.push_back(v);
    }
    uint64_t next() { return rng_() & 3 ? values_[rng_() % values_.size()] : rng_(); }
    uint64_t number(uint64_t below) { return rng_() % below; }

  private:
    std::mt19937_64 rng_;
    std::vector<uint64_t> values_;
};

// A server's page and the workers' page, and a crew on them.
struct Victims {
    Mapping server, workers;
    std::vector<umcg_task*> all;
    Victims() {
        for (int i = 0; i < kWorkers; i++) all.push_back(workers.task(i));
    }
    // Addresses and tids that would make cycles and wrong targets.
    std::vector<uint64_t> own(const Crew& crew) const {
        std::vector<uint64_t> out;
        for (const umcg_task* t : all) {
            out.push_back(reinterpret_cast<uint64_t>(t));
            out.push_back(reinterpret_cast<uint64_t>(t) + 1);
        }
        out.push_back(reinterpret_cast<uint64_t>(server.task()));
        for (const auto& tid : crew.tids()) out.push_back(tid);
        out.push_back(crew.server_tid());
        return out;
    }
};

// All that a worker can do.
void any_turn(int i) {
    thread_local auto random = rng(1000 + i);
    switch (random() % 4) {
        case 0:
            sleep_us(20);
            break;
        case 1:
            raw::wait(UMCG_WAIT_ENQUEUE, 0);
            break;
        case 2:
            raw::wait(0, 0);
            break;
        default:
            getppid();
    }
}

// `size` bytes at `offset` of any struct, scribbled on while the crew runs.
void hammer(size_t offset, size_t size, int writes) {
    Victims v;
    Crew crew(v.server.task(), v.all, any_turn);
    v.all.push_back(v.server.task());
    std::vector<std::thread> threads;
    for (int n = 0; n < 2; n++)
        threads.emplace_back([&, n] {
            Poison poison(n, v.own(crew));
            for (int i = 0; i < writes; i++) {
                char* t = reinterpret_cast<char*>(v.all[poison.number(v.all.size())]);
                const size_t at = offset + poison.number((size + 3) / 4) * 4;
                const uint64_t value = poison.next();
                if (size - (at - offset) >= 8 && at % 8 == 0)
                    __atomic_store_n(reinterpret_cast<uint64_t*>(t + at), value, __ATOMIC_RELAXED);
                else
                    __atomic_store_n(reinterpret_cast<uint32_t*>(t + at),
                                     static_cast<uint32_t>(value), __ATOMIC_RELAXED);
                if (i % 64 == 0) {
                    raw::kick(0, crew.tids()[poison.number(kWorkers)]);
                    raw::kick(0, static_cast<pid_t>(value));
                    sched_yield();
                }
            }
        });
    for (auto& t : threads) t.join();
    // what is left would be the program's own doing: LOCKED for ever, a foreign home
    for (umcg_task* t : v.all) t->user_flags = 0;
    const uint64_t before = crew.successes;
    crew.expect_progress(5);
    // a worker that does not stop within the server's 2 ms is no success; some do
    EVENTUALLY(crew.successes > before);
}

#define HAMMER(Name, field)                                                                \
    TEST_F(Hostile, Name) {                                                                \
        hammer(offsetof(umcg_task, field), sizeof(umcg_task::field), scaled(30000, 2000)); \
    }
HAMMER(State, state)
HAMMER(Tid, tid)
HAMMER(Home, server_tid)
HAMMER(Next, next_tid)
HAMMER(BlockedHeadsAndLinks, blocked_ptr)
HAMMER(RunnableHeadsAndLinks, runnable_ptr)
HAMMER(UserFlags, user_flags)
HAMMER(Peer, peer_tid)
HAMMER(Running, running_tid)
HAMMER(Seq, seq)

TEST_F(Hostile, EveryField) {
    hammer(0, sizeof(umcg_task), scaled(300000, 20000));
}

// A worker cannot let itself go, nor can its friends, by writing its state.
TEST_F(Hostile, HeldWorkerStaysHeldWhateverItsStateSays) {
    static std::atomic<int> handled;
    handled = 0;
    signal(SIGUSR1, [](int) { handled++; });
    Group g;
    std::atomic<bool> ran{false};
    Worker& held = g.worker([&](Worker&) { ran = true; });
    EXPECT_EQ(g.next(), runnable(held));
    Worker& other = g.worker([&](Worker& w) {
        while (!g.stopping()) {
            EXPECT_EQ(w.yield(), 0);
        }
    });
    EXPECT_EQ(g.next(), runnable(other));
    for (int i = 0; i < scaled(300, 50); i++) {
        static const uint32_t kStates[] = {UMCG_TASK_RUNNING, UMCG_TASK_NONE, UMCG_TASK_BLOCKED,
                                           UMCG_TASK_RUNNING | UMCG_TF_PREEMPTED, ~0U};
        __atomic_store_n(&held.task()->state, kStates[i % 5], __ATOMIC_SEQ_CST);
        if (i == 20) {
            ASSERT_EQ(syscall(SYS_tgkill, getpid(), held.tid(), SIGUSR1), 0);
        }
        ASSERT_EQ(g.run(other), 0);
        ASSERT_EQ(g.next(), runnable(other));
        ASSERT_FALSE(ran);
        ASSERT_EQ(handled, 0) << "a signal handler ran in a held worker";
    }
    EXPECT_EQ(g.run(held), 0) << "its own word decides, not what is scribbled there";
    g.finish();
    EXPECT_TRUE(ran);
    EXPECT_EQ(handled, 1);
    signal(SIGUSR1, SIG_DFL);
}

// One struct for everybody: nonsense, but bounded nonsense.
TEST_F(Hostile, OneStructForAServerAndItsWorkers) {
    for (int round = 0; round < scaled(10, 2); round++) {
        Child child([] {
            Mapping m;
            umcg_task* t = m.task();
            std::vector<std::thread> threads;
            for (int i = 0; i < 5; i++)
                threads.emplace_back([=] {
                    if (i < 2) {
                        raw::reg(t, UMCG_REG_SERVER);
                        for (;;) raw::wait(0, now_ns() + 100000);
                    }
                    t->server_tid = gettid() - i;
                    raw::reg(t, UMCG_REG_WORKER);
                    for (;;) any_turn(i);
                });
            pause();
        });
        sleep_us(20000);
        const int status = child.kill_and_wait();
        EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << status;
    }
    EVENTUALLY(pins_balanced());
}

// Killed in the middle of it all.
TEST_F(Hostile, KilledWhileScribbling) {
    auto random = rng(77);
    for (int round = 0; round < scaled(30, 4); round++) {
        Child child([&] {
            Victims v;
            Crew crew(v.server.task(), v.all, any_turn);
            v.all.push_back(v.server.task());
            Poison poison(round, v.own(crew));
            for (;;) {
                auto* words = reinterpret_cast<uint64_t*>(v.all[poison.number(v.all.size())]);
                __atomic_store_n(words + poison.number(8), poison.next(), __ATOMIC_RELAXED);
            }
        });
        sleep_us(static_cast<long>(random() % 30000));
        const int status = child.kill_and_wait();
        EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << status;
    }
    EVENTUALLY(pins_balanced());
}

// Registering and leaving while the struct is scribbled on.
TEST_F(Hostile, RegisterAndUnregisterUnderFire) {
    Mapping m;
    FifoServer alive;
    std::atomic<bool> stop{false};
    std::thread fire([&] {
        Poison poison(5,
                      {static_cast<uint64_t>(alive.tid()), reinterpret_cast<uint64_t>(m.data())});
        while (!stop) {
            auto* words = reinterpret_cast<uint64_t*>(m.data()) + poison.number(8);
            __atomic_store_n(words, poison.next(), __ATOMIC_RELAXED);
            sched_yield();
        }
    });
    // a server leaves after a grace period: few rounds take long enough
    for (int i = 0; i < scaled(200, 20); i++) {
        const int rc = raw::reg(m.task(), UMCG_REG_SERVER);
        ASSERT_EQ(rc, 0);
        raw::wait(i & 1, now_ns());
        ASSERT_EQ(raw::unreg(m.task()), 0);
    }
    stop = true;
    fire.join();
}

}  // namespace
}  // namespace umcg_test
