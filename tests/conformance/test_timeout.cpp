// SPDX-License-Identifier: MIT
// umcg_wait() with a timeout, without UMCG_WAIT_PREEMPT.
#include "blocks.hpp"

namespace umcg_test {
namespace {

using Timeout = Conformance;

void expect_awake(const Group& g, pid_t next, pid_t running) {
    EXPECT_EQ(umcg_state(g.task()), UMCG_TASK_RUNNING);
    EXPECT_EQ(g.task()->next_tid, uint32_t(next));
    EXPECT_EQ(g.task()->running_tid, uint32_t(running));
}

TEST_F(Timeout, NothingToRun) {
    Group g;
    for (const uint64_t ns : {uint64_t{1}, now_ns(), in_ms(2)}) {
        EXPECT_EQ(umcg_wait(0, ns), -ETIMEDOUT);
        EXPECT_GE(now_ns(), ns) << "too early";
        expect_awake(g, 0, 0);
    }
    EXPECT_EQ(umcg_wait(UMCG_WAIT_PREEMPT, in_ms(1)), -ETIMEDOUT) << "there is none to stop";
    EXPECT_EQ(umcg_wait(0, uint64_t{INT64_MAX} + 1), -EINVAL);
    EXPECT_EQ(umcg_wait(0, UINT64_MAX), -EINVAL);
    EXPECT_EQ(umcg_wait(UMCG_WAIT_ENQUEUE, 0), -EINVAL);
    expect_awake(g, 0, 0);
}

TEST_F(Timeout, WorkerRunsOn) {
    Group g;
    std::atomic<uint64_t> spins{0};
    Worker& w = g.worker([&](Worker&) {
        while (!g.stopping()) spins++;
    });
    ASSERT_EQ(g.next(), runnable(w));
    // -ETIMEDOUT may come at once, but next_tid is consumed then
    ASSERT_EQ(g.run(w, 0, in_ms(1)), -ETIMEDOUT);
    expect_awake(g, 0, w.tid());
    EXPECT_EQ(w.state(), UMCG_TASK_RUNNING);
    const uint64_t then = spins;
    EVENTUALLY(spins > then);
    EXPECT_EQ(umcg_wait(0, in_ms(1)), -ETIMEDOUT);
    expect_awake(g, 0, w.tid());
    EXPECT_FALSE(g.poll());
}

// R22: after a timeout a worker still runs; a second one must not join it.
TEST_F(Timeout, NextIsSuccessorWhileOneRuns) {
    Group g;
    std::atomic<bool> leave{false}, second{false}, together{false};
    Worker& a = g.worker([&](Worker&) {
        while (!leave) {
            if (second) together = true;
        }
        if (second) together = true;
    });
    Worker& b = g.worker([&](Worker&) { second = true; });
    ASSERT_TRUE(g.next());
    ASSERT_TRUE(g.next());
    ASSERT_EQ(g.run(a, 0, in_ms(1)), -ETIMEDOUT);
    g.task()->next_tid = uint32_t(b.tid());
    EXPECT_EQ(umcg_wait(0, in_ms(3)), -ETIMEDOUT);
    expect_awake(g, b.tid(), a.tid());
    EXPECT_TRUE(b.held());
    std::thread later([&] {
        poll_until([&] { return umcg_state(g.task()) & UMCG_TASK_RUNNABLE; });
        leave = true;
    });
    EXPECT_EQ(g.wait(), 0) << "b has run as a's successor and ended";
    later.join();
    EXPECT_TRUE(second);
    EXPECT_FALSE(together);
    expect_awake(g, 0, 0);
}

// A timeout and a kick at the same moment: each kick is told exactly once, by 0
// or by the next call's -EAGAIN, and a timeout is told with state RUNNING.
TEST_F(Timeout, AgainstKicks) {
    const int kicks = scaled(5000, 300);
    Group g;
    std::atomic<int> told{0}, sent{0};
    const pid_t tid = g.tid();
    std::thread kicker([&] {
        auto r = rng(1);
        for (int i = 0; i < kicks; i++) {
            for (unsigned n = r() % 400; n; n--) __builtin_ia32_pause();
            sent++;
            EXPECT_EQ(umcg_kick(0, tid), 0);
            while (told <= i) sched_yield();
        }
    });
    auto r = rng(2);
    int timeouts = 0;
    while (told < kicks) {
        const int rc = umcg_wait(0, now_ns() + r() % 30000);
        ASSERT_EQ(umcg_state(g.task()), UMCG_TASK_RUNNING);
        if (rc == -ETIMEDOUT) {
            timeouts++;
            continue;
        }
        ASSERT_TRUE(rc == 0 || rc == -EAGAIN) << rc;
        ASSERT_EQ(sent, told + 1) << "woken without a kick";
        told++;
    }
    kicker.join();
    EXPECT_EQ(umcg_wait(0, now_ns() + 1000), -ETIMEDOUT) << "one kick too many";
    RecordProperty("timeouts", timeouts);
}

// The same against a worker's events: it yields and blocks at random moments
// and every one of its stops is reported once.
TEST_F(Timeout, AgainstBlocksAndYields) {
    const int turns = scaled(4000, 200);
    Group g;
    int yields = 0;
    std::atomic<bool> ending{false};
    Worker& w = g.worker([&](Worker& me) {
        auto r = rng(3);
        for (int i = 0; i < turns; i++) {
            for (unsigned n = r() % 300; n; n--) __builtin_ia32_pause();
            if (r() % 4) {
                EXPECT_EQ(me.yield(), 0);
                yields++;
            } else {
                nap_us(long(r() % 40));  // a block, unless it is over too soon
            }
        }
        ending = true;
    });
    auto r = rng(4);
    int seen = 0;
    bool over = false;
    while (!over) {
        while (const Event e = g.poll()) {
            if (e.kind == Event::kRunnable) {
                ASSERT_TRUE(w.held()) << "reported runnable, but it is not";
                if (!ending) seen++;  // it may block once more on its way out
                g.task()->next_tid = uint32_t(w.tid());
            }
            if (e.exited()) over = true;
        }
        if (over) break;
        const int rc = umcg_wait(0, now_ns() + r() % 40000);
        ASSERT_TRUE(rc == 0 || rc == -EAGAIN || rc == -ETIMEDOUT) << rc;
        ASSERT_EQ(umcg_state(g.task()), UMCG_TASK_RUNNING);
        const uint32_t left = g.task()->next_tid;
        // a worker that is still on its way to its stop is succeeded, not dispatched
        ASSERT_TRUE(left == 0 || rc == -EAGAIN || rc == -ETIMEDOUT) << rc;
    }
    EXPECT_GE(seen, yields + 1);
    EXPECT_LE(seen, turns + 1);
}

}  // namespace
}  // namespace umcg_test
