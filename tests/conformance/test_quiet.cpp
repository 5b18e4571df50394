// SPDX-License-Identifier: MIT
// QUIET: the server has nothing queued and asks not to be woken for a block.
#include <algorithm>
#include <sched.h>

#include "blocks.hpp"

namespace umcg_test {
namespace {

using Quiet = Conformance;
constexpr uint32_t kAsleepIdle = UMCG_TASK_RUNNABLE | UMCG_TF_IDLE;

void set_flags(umcg_task* t, uint32_t flags) {
    __atomic_store_n(&t->user_flags, flags, __ATOMIC_SEQ_CST);
}

TEST_F(Quiet, SleepsThroughABlock) {
    Pipe p;
    Group g;
    std::atomic<bool> slept_on{false};
    set_flags(g.task(), UMCG_UF_QUIET);
    Worker& w = g.worker([&](Worker&) { p.get(); });
    ASSERT_EQ(g.next(), runnable(w));
    std::thread watcher([&] {
        EVENTUALLY(w.state() == UMCG_TASK_BLOCKED && umcg_state(g.task()) == kAsleepIdle);
        EXPECT_EQ(g.task()->running_tid, 0u);
        EXPECT_NE(g.task()->blocked_ptr, 0u) << "the block is on the list all the same";
        sleep_us(2000);
        slept_on = umcg_state(g.task()) == kAsleepIdle;
        p.put();
    });
    EXPECT_EQ(g.run(w), 0);
    EXPECT_TRUE(slept_on) << "woken for the block, not for the return";
    watcher.join();
    EXPECT_EQ(g.next(), blocked(w));
    EXPECT_EQ(g.next(), runnable(w));
    set_flags(g.task(), 0);
}

TEST_F(Quiet, ButNotThroughAnExit) {
    Group g;
    set_flags(g.task(), UMCG_UF_QUIET);
    Worker& w = g.worker([](Worker&) {});
    ASSERT_EQ(g.next(), runnable(w));
    EXPECT_EQ(g.run(w), 0);
    EXPECT_TRUE(g.next_exit());
    set_flags(g.task(), 0);
}

TEST_F(Quiet, NorThroughAPark) {
    Group g;
    set_flags(g.task(), UMCG_UF_QUIET);
    Worker& w = g.worker([](Worker&) { EXPECT_EQ(umcg_wait(0, 0), 0); });
    ASSERT_EQ(g.next(), runnable(w));
    EXPECT_EQ(g.run(w), 0);
    EXPECT_FALSE(g.poll());
    EXPECT_TRUE(w.held());
    set_flags(g.task(), 0);
}

// Its entry lies where it blocked last time, with a server that is not concerned any more.
TEST_F(Quiet, NorThroughTheExitOfAWorkerThatWasStolen) {
    Pipe p;
    Group g;
    set_flags(g.task(), UMCG_UF_QUIET);
    Worker& w = g.worker([&](Worker&) { p.get(); });
    ASSERT_EQ(g.next(), runnable(w));
    std::thread thief([&] {
        Server s;
        EVENTUALLY(w.state() == UMCG_TASK_BLOCKED && umcg_state(g.task()) == kAsleepIdle);
        __atomic_store_n(&w.task()->server_tid, static_cast<uint32_t>(s.tid()), __ATOMIC_SEQ_CST);
        p.put();
        while (!w.done()) {
            while (s.poll()) {
            }
            const int rc = w.held() ? s.run(w) : s.wait();
            ASSERT_TRUE(rc == 0 || rc == -EAGAIN) << rc;
        }
    });
    EXPECT_EQ(g.run(w), 0);
    const Event end = g.next();
    thief.join();
    EXPECT_EQ(end, blocked(w));
    EXPECT_TRUE(end.exited());
    set_flags(g.task(), 0);
}

// With somebody on the runnable list there is something to do.
TEST_F(Quiet, NotWithARunnableWorker) {
    Pipe p;
    Group g;
    set_flags(g.task(), UMCG_UF_QUIET);
    std::unique_ptr<Worker> second;
    std::atomic<bool> taken{false};
    Worker& w = g.worker([&](Worker&) {
        second = std::make_unique<Worker>([](Worker&) {}, Worker::Options{.home = g.tid()});
        while (!second->held() || !(g.task()->runnable_ptr || taken)) sched_yield();
        p.get();
    });
    ASSERT_EQ(g.next(), runnable(w));
    ASSERT_EQ(g.run(w), 0);
    // The entry may be taken before w saw it on the list: then this server has something queued,
    // and may not claim otherwise.
    const auto take = [&] {
        g.collect();
        if (std::any_of(g.log.begin(), g.log.end(),
                        [&](const Event& e) { return e.kind == Event::kRunnable && e.task != w.task(); })) {
            set_flags(g.task(), 0);
            taken = true;
        }
    };
    // Creating a thread may block, too: then w comes first. Where a block is noticed from outside,
    // w counts as BLOCKED from there to its next call, and is in its loop all the same.
    while (w.low_state() != UMCG_TASK_BLOCKED || !second || !second->held()) {
        take();
        // not run(): that would take the entry and dispatch w, which waits for `taken`
        g.task()->next_tid = w.held() ? static_cast<uint32_t>(w.tid()) : 0;
        const int rc = g.wait();
        ASSERT_TRUE(rc == 0 || rc == -EAGAIN) << rc;
    }
    EXPECT_EQ(w.state(), UMCG_TASK_BLOCKED);
    EVENTUALLY((take(), taken.load()));
    p.put();
    EXPECT_EQ(g.run(*second), 0);
    while (!w.done()) {
        g.collect();
        w.held() ? g.run(w) : g.wait();
    }
    second->join();
}

// R26, P2: an enqueuer on another CPU: queue, clear QUIET by an atomic RMW,
// full barrier, read the state, kick unless the server's worker runs. The running
// worker: set QUIET, look at the queue, block until the server has served a task.
// No task may be left in the queue while everybody sleeps: then this never ends.
void remote_enqueuer(uint32_t flags) {
    const int tasks = scaled(5000, 300);
    Pipe p;
    Group g;
    std::atomic<int> queue{0}, done{0}, by_server{0};
    std::atomic<bool> over{false};
    set_flags(g.task(), flags);
    Worker& w = g.worker([&](Worker&) {
        auto r = rng(1);
        while (!over) {
            __atomic_fetch_or(&g.task()->user_flags, UMCG_UF_QUIET, __ATOMIC_SEQ_CST);
            if (const int n = queue.exchange(0)) {
                done += n;
                continue;
            }
            // the end is queued like a task: looked for with QUIET set
            if (over) break;
            for (unsigned n = r() % 64; n; n--) __builtin_ia32_pause();
            p.get();
        }
    });
    std::thread enqueuer([&] {
        auto r = rng(2);
        for (int i = 1; i <= tasks; i++) {
            queue++;
            __atomic_fetch_and(&g.task()->user_flags, ~UMCG_UF_QUIET, __ATOMIC_SEQ_CST);
            if (umcg_state(g.task()) != UMCG_TASK_RUNNABLE) {
                EXPECT_EQ(umcg_kick(0, g.tid()), 0);
            }
            while (done < i) sched_yield();
            for (unsigned n = r() % 4096; n; n--) __builtin_ia32_pause();
        }
        over = true;
        __atomic_fetch_and(&g.task()->user_flags, ~UMCG_UF_QUIET, __ATOMIC_SEQ_CST);
        umcg_kick(0, g.tid());
    });
    ASSERT_EQ(g.next(), runnable(w));
    // The server serves the queue, too, whenever it is awake and nobody runs.
    while (!w.done()) {
        while (g.poll()) {
        }
        const uint32_t running = __atomic_load_n(&g.task()->running_tid, __ATOMIC_ACQUIRE);
        if (!running) {
            if (const int n = queue.exchange(0)) {
                done += n;
                by_server += n;
                if (w.low_state() == UMCG_TASK_BLOCKED) p.put();
                continue;
            }
            if (over && w.low_state() == UMCG_TASK_BLOCKED) p.put();
        }
        if (w.done()) break;
        const int rc = !running && w.held() ? g.run(w) : g.wait();
        ASSERT_TRUE(rc == 0 || rc == -EAGAIN) << rc;
    }
    enqueuer.join();
    EXPECT_EQ(done, tasks);
    ::testing::Test::RecordProperty("by_server", by_server);
    set_flags(g.task(), 0);
}

TEST_F(Quiet, RemoteEnqueuer) { remote_enqueuer(0); }
TEST_F(Quiet, RemoteEnqueuerWithDirectResume) { remote_enqueuer(UMCG_UF_DIRECT_RESUME); }

}  // namespace
}  // namespace umcg_test
