// SPDX-License-Identifier: MIT
// UMCG_WAIT_PREEMPT: at the timeout the running worker is stopped, whoever it
// is by then.
#include "blocks.hpp"

namespace umcg_test {
namespace {

class Slice : public Conformance {
  protected:
    void SetUp() override {
        Conformance::SetUp();
        if (IsSkipped()) return;
        REQUIRE_CAP(UMCG_CAP_PREEMPT);
    }
};

TEST_F(Slice, StopsASpinLoop) {
    const int slices = scaled(200, 20);
    Group g;
    std::atomic<uint64_t> spins{0};
    Worker& w = g.worker([&](Worker&) {
        while (!g.stopping()) spins = spins + 1;
    });
    ASSERT_EQ(g.next(), runnable(w));
    for (int i = 0; i < slices; i++) {
        const uint64_t end = now_ns() + 100000;
        ASSERT_EQ(g.run(w, UMCG_WAIT_PREEMPT, end), 0);
        EXPECT_GE(now_ns(), end);
        EXPECT_EQ(umcg_state(g.task()), UMCG_TASK_RUNNING);
        EXPECT_EQ(g.task()->running_tid, 0u);
        const uint64_t then = spins;
        const Event e = g.next();
        ASSERT_EQ(e, runnable(w));
        ASSERT_TRUE(e.preempted());
        ASSERT_FALSE(g.poll());
        sleep_us(100);
        ASSERT_EQ(spins, then) << "stopped, and runs on";
    }
}

// R20: the slice of a pair that hands over to and fro.
TEST_F(Slice, StopsAPair) {
    const int slices = scaled(150, 20);
    Group g;
    Worker* pair[2];
    std::atomic<uint64_t> passes{0};
    std::atomic<int> inside{0};
    for (int i = 0; i < 2; i++)
        pair[i] = &g.worker([&, i](Worker& me) {
            while (!g.stopping()) {
                passes = passes + 1;
                EXPECT_EQ(inside.fetch_add(1), 0);
                inside.fetch_sub(1);
                const int rc = me.hand_to(pair[1 - i]->tid());
                // -EAGAIN: the other was stopped by a slice and the server has it
                EXPECT_TRUE(rc == 0 || rc == -EAGAIN) << rc;
            }
        });
    ASSERT_TRUE(g.next());
    ASSERT_TRUE(g.next());
    Worker* first = pair[0];
    for (int i = 0; i < slices; i++) {
        const uint64_t before = passes;
        ASSERT_EQ(g.run(*first, UMCG_WAIT_PREEMPT, now_ns() + 300000), 0);
        ASSERT_EQ(g.task()->running_tid, 0u);
        const uint64_t then = passes;
        const Event e = g.next();
        ASSERT_EQ(e.kind, Event::kRunnable);
        ASSERT_TRUE(e.preempted());
        ASSERT_FALSE(g.poll()) << "only one of them can have been stopped";
        sleep_us(100);
        ASSERT_EQ(passes, then) << "the pair goes on";
        ASSERT_TRUE(pair[0]->held() && pair[1]->held());
        ASSERT_GE(then, before);
        first = e.task == pair[0]->task() ? pair[0] : pair[1];
    }
}

// The worker that the slice was for has blocked and its successor runs: the
// successor is stopped. (Or the slice is over first: then nobody succeeds.)
TEST_F(Slice, StopsTheSuccessor) {
    const int slices = scaled(200, 20);
    Pipe p;  // outlives the group: a read that was cut short is made again when its worker is let go at the end
    Group g;
    std::atomic<uint64_t> spins{0};
    Worker* pb = nullptr;
    Worker& a = g.worker([&](Worker&) {
        while (!g.stopping()) {
            uint32_t none = 0;
            __atomic_compare_exchange_n(&g.task()->next_tid, &none, uint32_t(pb->tid()), false,
                                        __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
            p.get();
        }
    });
    Worker& b = g.worker([&](Worker&) {
        while (!g.stopping()) spins = spins + 1;
    });
    pb = &b;
    ASSERT_TRUE(g.next());
    ASSERT_TRUE(g.next());
    int succeeded = 0;
    // longer slices where those are over before the successor has run
    for (int i = 0; i < slices || !succeeded; i++) {
        const uint64_t before = spins;
        ASSERT_EQ(g.run(a, UMCG_WAIT_PREEMPT, now_ns() + 200000ull * uint64_t(1 + i / slices)), 0);
        ASSERT_EQ(g.task()->running_tid, 0u);
        const uint64_t then = spins;
        if (then != before) succeeded++;
        sleep_us(100);
        ASSERT_EQ(spins, then);
        ASSERT_TRUE(b.held());
        g.collect();
        if (a.low_state() == UMCG_TASK_BLOCKED) {
            p.put();
            ASSERT_EVENTUALLY(a.held());
        }
        g.collect();
    }
    p.put();
    p.put();
}

TEST_F(Slice, WithQuietTheServerIsStillTold) {
    Group g;
    g.task()->user_flags = UMCG_UF_QUIET;
    Worker& w = g.worker([&](Worker&) {
        while (!g.stopping()) __builtin_ia32_pause();
    });
    ASSERT_EQ(g.next(), runnable(w));
    ASSERT_EQ(g.run(w, UMCG_WAIT_PREEMPT, in_ms(1)), 0);
    const Event e = g.next();
    EXPECT_EQ(e, runnable(w));
    EXPECT_TRUE(e.preempted());
    g.task()->user_flags = 0;
}

// QUIET, and the worker has blocked before the slice ends: nobody to stop.
TEST_F(Slice, QuietAndBlockedMeansTimedOut) {
    Pipe p;
    Group g;
    g.task()->user_flags = UMCG_UF_QUIET;
    std::atomic<bool> over{false};
    Worker& w = g.worker([&](Worker&) {
        while (!over) p.get();
    });
    ASSERT_EQ(g.next(), runnable(w));
    // The slice may end before it gets as far as the pipe, or while it goes to sleep
    // there, and a block under an expired slice is told: 0, and again.
    int rc;
    while ((rc = g.run(w, UMCG_WAIT_PREEMPT, in_ms(5))) == 0) {
        Event e = g.next();
        if (e == blocked(w)) {
            p.put();
            e = g.next();
            ASSERT_EQ(e, runnable(w));
            continue;
        }
        ASSERT_TRUE(e == runnable(w) && e.preempted());
    }
    EXPECT_EQ(rc, -ETIMEDOUT);
    EXPECT_EQ(w.state(), UMCG_TASK_BLOCKED);
    EXPECT_EQ(umcg_state(g.task()), UMCG_TASK_RUNNING);
    EXPECT_EQ(g.task()->running_tid, 0u);
    g.task()->user_flags = 0;
    over = true;
    p.put();
}

// The end of the slice races a block, under QUIET and without. The server must
// come back each time: stopped, blocked or timed out, never asleep for ever.
TEST_F(Slice, RacesABlock) {
    const int slices = scaled(1000, 100);
    for (const uint32_t flags : {0u, UMCG_UF_QUIET, UMCG_UF_QUIET | UMCG_UF_DIRECT_RESUME}) {
        SCOPED_TRACE(flags);
        Group g;
        g.task()->user_flags = flags;
        Worker& w = g.worker([&](Worker&) {
            auto r = rng(1);
            while (!g.stopping()) {
                for (unsigned n = r() % 200; n; n--) __builtin_ia32_pause();
                nap_us(long(r() % 30));
            }
        });
        ASSERT_EQ(g.next(), runnable(w));
        auto r = rng(2);
        int stops = 0, timeouts = 0;
        for (int i = 0; i < slices; i++) {
            const uint64_t end = now_ns() + r() % 60000;
            while (const Event e = g.poll()) {
                if (e.preempted()) stops++;
            }
            if (w.held() && !g.task()->running_tid) g.task()->next_tid = uint32_t(w.tid());
            const int rc = umcg_wait(UMCG_WAIT_PREEMPT, end);
            ASSERT_TRUE(rc == 0 || rc == -EAGAIN || rc == -ETIMEDOUT) << rc;
            if (rc == -ETIMEDOUT) {
                timeouts++;
                EXPECT_GE(now_ns(), end);
            }
            ASSERT_EQ(umcg_state(g.task()), UMCG_TASK_RUNNING);
            uint32_t mine = uint32_t(w.tid());
            __atomic_compare_exchange_n(&g.task()->next_tid, &mine, 0, false, __ATOMIC_SEQ_CST,
                                        __ATOMIC_SEQ_CST);
        }
        g.task()->user_flags = 0;
        RecordProperty("stops" + std::to_string(flags), stops);
        RecordProperty("timeouts" + std::to_string(flags), timeouts);
    }
}

// P3: a kick that said 0 is seen by the server, even if the worker blocked before
// it could be stopped, and although the server is QUIET. -EAGAIN: it may sleep on.
TEST_F(Slice, KickAgainstABlockUnderQuiet) {
    const int rounds = scaled(2000, 100);
    Pipe p;
    Group g;
    std::atomic<int> started{0}, returned{0}, hits{0};
    g.task()->user_flags = UMCG_UF_QUIET;
    Worker& w = g.worker([&](Worker&) {
        auto r = rng(1);
        for (int i = 1; i <= rounds; i++) {
            started = i;
            for (unsigned n = r() % 300; n; n--) __builtin_ia32_pause();
            p.get();
        }
    });
    std::thread kicker([&] {
        auto r = rng(2);
        for (int i = 1; i <= rounds; i++) {
            while (started < i) __builtin_ia32_pause();
            for (unsigned n = r() % 300; n; n--) __builtin_ia32_pause();
            const int before = returned;
            if (umcg_kick(0, w.tid()) == 0) {
                hits++;
                // nobody else wakes the server: if it is not told, this is the end
                EVENTUALLY(returned > before);
            }
            p.put();
        }
    });
    ASSERT_EQ(g.next(), runnable(w));
    for (bool over = false; !over;) {
        while (const Event e = g.poll()) over |= e.exited();
        if (over) break;
        const int rc = !g.task()->running_tid && w.held() ? g.run(w) : g.wait();
        returned++;
        ASSERT_TRUE(rc == 0 || rc == -EAGAIN) << rc;
    }
    kicker.join();
    g.task()->user_flags = 0;
    RecordProperty("hits", hits);
}

// LOCKED: the worker is told, not stopped; it stops itself when it can.
TEST_F(Slice, LockedIsPending) {
    Group g;
    std::atomic<bool> pending_seen{false};
    Worker& w = g.worker([&](Worker& me) {
        __atomic_store_n(&me.task()->user_flags, UMCG_UF_LOCKED, __ATOMIC_SEQ_CST);
        while (!(me.state() & UMCG_TF_PREEMPT_PENDING)) __builtin_ia32_pause();
        EXPECT_EQ(me.state(), UMCG_TASK_RUNNING | UMCG_TF_PREEMPT_PENDING);
        EXPECT_EQ(umcg_state(g.task()) & UMCG_TASK_MASK, UMCG_TASK_RUNNABLE) << "it waits on";
        pending_seen = true;
        __atomic_store_n(&me.task()->user_flags, 0, __ATOMIC_SEQ_CST);
        EXPECT_EQ(me.yield(), 0);
        EXPECT_EQ(me.state(), UMCG_TASK_RUNNING) << "PREEMPT_PENDING is gone";
    });
    ASSERT_EQ(g.next(), runnable(w));
    // A slice may end before LOCKED is set; then it is stopped and runs again.
    for (bool yielded = false; !yielded;) {
        ASSERT_EQ(g.run(w, UMCG_WAIT_PREEMPT, in_ms(1)), 0);
        const Event e = g.next();
        ASSERT_EQ(e, runnable(w));
        yielded = !e.preempted();
    }
    EXPECT_TRUE(pending_seen);
    EXPECT_EQ(g.run(w), 0);
    EXPECT_TRUE(g.next_exit());
}

}  // namespace
}  // namespace umcg_test
