// SPDX-License-Identifier: MIT
// umcg_kick(): whom it stops, whom it wakes, and what it says otherwise.
#include <algorithm>

#include "blocks.hpp"

namespace umcg_test {
namespace {

using Kick = Conformance;

TEST_F(Kick, SpinningWorkerStops) {
    REQUIRE_CAP(UMCG_CAP_PREEMPT);
    const int kicks = scaled(500, 50);
    Group g;
    std::atomic<uint64_t> spins{0};
    std::atomic<int> turn{0};
    Worker& w = g.worker([&](Worker&) {
        while (!g.stopping()) spins = spins + 1;
    });
    ASSERT_EQ(g.next(), runnable(w));
    std::thread kicker([&] {
        for (int i = 0; i < kicks; i++) {
            // Sampled once it has stopped, so that a change is of this turn.
            if (!poll_until([&] { return turn == i; })) break;
            const uint64_t then = spins;
            if (!poll_until([&] { return spins != then; })) break;
            // EAGAIN: it has stopped before the call looked at it again.
            const int rc = umcg_kick(0, w.tid());
            EXPECT_TRUE(rc == 0 || rc == -EAGAIN) << rc;
        }
    });
    for (int i = 0; i < kicks; i++) {
        ASSERT_EQ(g.run(w), 0);
        EXPECT_EQ(g.task()->running_tid, 0u);
        const Event e = g.next();
        ASSERT_EQ(e, runnable(w));
        ASSERT_TRUE(e.preempted());
        turn = i + 1;
    }
    kicker.join();
}

TEST_F(Kick, ErrnoTable) {
    Pipe p;
    Group g;
    Worker& w = g.worker([&](Worker&) { p.get(); });
    ASSERT_EQ(g.next(), runnable(w));
    EXPECT_EQ(umcg_kick(0, w.tid()), -EAGAIN) << "RUNNABLE";
    ASSERT_EQ(g.run(w), 0);
    ASSERT_EQ(g.next(), blocked(w));
    EXPECT_EQ(umcg_kick(0, w.tid()), -EAGAIN) << "BLOCKED";
    EXPECT_EQ(umcg_kick(1, w.tid()), -EINVAL);
    EXPECT_EQ(umcg_kick(1, g.tid()), -EINVAL);
    EXPECT_EQ(umcg_kick(~0u, 0), -EINVAL);
    EXPECT_EQ(umcg_kick(0, 0), -ESRCH);
    EXPECT_EQ(umcg_kick(0, -1), -ESRCH);
    EXPECT_EQ(umcg_kick(0, 0x7fffffff), -ESRCH);
    EXPECT_EQ(umcg_kick(0, 1), -ESRCH) << "another process";
    std::atomic<pid_t> plain{0};
    std::atomic<bool> leave{false};
    std::thread t([&] {
        plain = gettid();
        while (!leave) sched_yield();
    });
    EVENTUALLY(plain != 0);
    EXPECT_EQ(umcg_kick(0, plain), -ESRCH) << "not registered";
    leave = true;
    t.join();
    EXPECT_EQ(umcg_state(g.task()), UMCG_TASK_RUNNING);
    EXPECT_FALSE(g.poll());
    p.put();
    const Event back = g.next();
    EXPECT_EQ(back, runnable(w));
    EXPECT_FALSE(back.preempted()) << "no refused kick may be left over";
    EXPECT_EQ(g.run(w), 0);
    EXPECT_TRUE(g.next_exit());
}

// A worker that kicks itself is stopped before its next user instruction.
TEST_F(Kick, Itself) {
    REQUIRE_CAP(UMCG_CAP_PREEMPT);
    Group g;
    int after = 0;
    Worker& w = g.worker([&](Worker& me) {
        EXPECT_EQ(umcg_kick(0, me.tid()), 0);
        after++;
    });
    ASSERT_EQ(g.next(), runnable(w));
    ASSERT_EQ(g.run(w), 0);
    EXPECT_EQ(after, 0);
    const Event e = g.next();
    EXPECT_EQ(e, runnable(w));
    EXPECT_TRUE(e.preempted());
    EXPECT_EQ(g.run(w), 0);
    EXPECT_EQ(after, 1);
}

// A kick is for this stop: the same worker, run again, is not stopped by it.
TEST_F(Kick, IsUsedUpByAnyStop) {
    Group g;
    int at = 0;
    Worker& w = g.worker([&](Worker& me) {
        __atomic_store_n(&me.task()->user_flags, UMCG_UF_LOCKED, __ATOMIC_SEQ_CST);
        EXPECT_EQ(umcg_kick(0, me.tid()), 0);
        EXPECT_TRUE(me.state() & UMCG_TF_PREEMPT_PENDING);
        __atomic_store_n(&me.task()->user_flags, 0, __ATOMIC_SEQ_CST);
        at = 1;
        EXPECT_EQ(me.yield(), 0);
        at = 2;
        for (int i = 0; i < 1000; i++) EXPECT_GT(syscall(SYS_getppid), 0);
        at = 3;
    });
    ASSERT_EQ(g.next(), runnable(w));
    ASSERT_EQ(g.run(w), 0);
    EXPECT_EQ(at, 1);
    const Event e = g.next();
    EXPECT_EQ(e, runnable(w));
    EXPECT_FALSE(e.preempted());
    EXPECT_EQ(g.run(w), 0);
    EXPECT_EQ(at, 3);
    EXPECT_TRUE(g.next_exit());
}

TEST_F(Kick, WaitingServer) {
    Group g;
    std::thread kicker([&, tid = g.tid()] {
        EVENTUALLY(umcg_state(g.task()) == (UMCG_TASK_RUNNABLE | UMCG_TF_IDLE));
        EXPECT_EQ(umcg_kick(0, tid), 0) << "from a thread that is not registered";
    });
    EXPECT_EQ(g.wait(), 0);
    EXPECT_EQ(umcg_state(g.task()), UMCG_TASK_RUNNING);
    kicker.join();
    EXPECT_EQ(umcg_wait(0, now_ns()), -ETIMEDOUT) << "nothing is left of it";
}

// A kick before the wait is remembered, once however many there were.
TEST_F(Kick, ServerThatDoesNotWait) {
    Group g;
    for (int i = 0; i < 3; i++) EXPECT_EQ(umcg_kick(0, g.tid()), 0);
    EXPECT_EQ(umcg_state(g.task()), UMCG_TASK_RUNNING);
    EXPECT_EQ(umcg_wait(0, 0), -EAGAIN);
    EXPECT_EQ(umcg_wait(0, now_ns()), -ETIMEDOUT);

    // and it holds back a dispatch: the word stays
    bool ran = false;
    Worker& w = g.worker([&](Worker&) { ran = true; });
    ASSERT_EQ(g.next(), runnable(w));
    EXPECT_EQ(umcg_kick(0, g.tid()), 0);
    g.task()->next_tid = uint32_t(w.tid());
    EXPECT_EQ(umcg_wait(0, 0), -EAGAIN);
    EXPECT_EQ(g.task()->next_tid, uint32_t(w.tid()));
    EXPECT_TRUE(w.held());
    EXPECT_FALSE(ran);
    EXPECT_EQ(umcg_wait(0, 0), 0);
    EXPECT_TRUE(ran);
}

// The server is woken and its worker runs on.
TEST_F(Kick, ServerWhoseWorkerRuns) {
    Group g;
    std::atomic<bool> started{false};
    std::atomic<uint64_t> spins{0};
    Worker& w = g.worker([&](Worker&) {
        started = true;
        while (!g.stopping()) spins = spins + 1;
    });
    ASSERT_EQ(g.next(), runnable(w));
    std::thread kicker([&, tid = g.tid()] {
        EVENTUALLY(started);
        EXPECT_EQ(umcg_kick(0, tid), 0);
    });
    EXPECT_EQ(g.run(w), 0);
    kicker.join();
    EXPECT_EQ(g.task()->running_tid, uint32_t(w.tid()));
    EXPECT_EQ(w.state(), UMCG_TASK_RUNNING);
    const uint64_t then = spins;
    EVENTUALLY(spins != then);
    EXPECT_FALSE(g.poll());
}

// A QUIET server that sleeps with nobody running is woken too.
TEST_F(Kick, QuietServer) {
    Pipe p;
    Group g;
    g.task()->user_flags = UMCG_UF_QUIET;
    Worker& w = g.worker([&](Worker&) { p.get(); });
    ASSERT_EQ(g.next(), runnable(w));
    std::thread kicker([&, tid = g.tid()] {
        EVENTUALLY(w.state() == UMCG_TASK_BLOCKED &&
                   umcg_state(g.task()) == (UMCG_TASK_RUNNABLE | UMCG_TF_IDLE));
        EXPECT_EQ(umcg_kick(0, tid), 0);
    });
    EXPECT_EQ(g.run(w), 0);
    kicker.join();
    EXPECT_EQ(g.task()->running_tid, 0u);
    EXPECT_EQ(w.state(), UMCG_TASK_BLOCKED);
    g.task()->user_flags = 0;
    p.put();
}

// Threads that kick a worker all the time while it computes, yields, hands over
// and blocks: it gets on, and each of its stops is reported once.
TEST_F(Kick, Storm) {
    const int turns = scaled(1500, 100);
    Group g;
    std::atomic<bool> over{false};
    std::atomic<uint64_t> hits{0}, misses{0};
    std::vector<Worker*> w(2);
    std::atomic<int> done{0};
    for (size_t i = 0; i < 2; i++)
        w[i] = &g.worker([&, i](Worker& me) {
            auto r = rng(i);
            for (int t = 0; t < turns || !hits; t++) {  // until one was hit
                for (unsigned n = r() % 100; n; n--) __builtin_ia32_pause();
                switch (r() % 4) {
                    case 0: EXPECT_EQ(me.yield(), 0); break;
                    case 1: nap_us(20); break;
                    case 2: {
                        const int rc = me.hand_to(w[1 - i]->tid(), UMCG_WAIT_ENQUEUE);
                        EXPECT_TRUE(rc == 0 || rc == -EAGAIN || rc == -ESRCH) << rc;
                        break;
                    }
                    default: break;
                }
            }
            done++;
        });
    std::vector<std::thread> kickers;
    for (unsigned k = 0; k < 2; k++)
        kickers.emplace_back([&, k] {
            auto r = rng(10 + k);
            while (!over) {
                const int rc = umcg_kick(0, w[r() % 2]->tid());
                (rc == 0 ? hits : misses)++;
                EXPECT_TRUE(rc == 0 || rc == -EAGAIN || rc == -ESRCH) << rc;
                sleep_us(long(r() % 100));
            }
        });
    std::deque<umcg_task*> queue;
    int exited = 0;
    while (exited < 2) {
        while (const Event e = g.poll()) {
            // On either list: a hand-over may have run it to its end with the entry of an
            // earlier stop still there. For the same reason it may be queued already.
            if (e.exited())
                exited++;
            else if (e.kind == Event::kRunnable &&
                     std::find(queue.begin(), queue.end(), e.task) == queue.end())
                queue.push_back(e.task);
        }
        if (exited == 2) break;
        // it was run by a hand-over, and ended
        while (!queue.empty() && !queue.front()->tid) queue.pop_front();
        if (queue.empty() || g.task()->running_tid) {
            const int rc = g.wait();
            ASSERT_TRUE(rc == 0 || rc == -EAGAIN) << rc;
            continue;
        }
        const uint32_t tid = queue.front()->tid;
        g.task()->next_tid = tid;
        const int rc = g.wait();
        ASSERT_TRUE(rc == 0 || rc == -EAGAIN || rc == -ESRCH) << rc;
        uint32_t mine = tid;
        const bool still = __atomic_compare_exchange_n(&g.task()->next_tid, &mine, 0, false,
                                                       __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
        // Not consumed, and it runs: the other worker has handed over to it, and its
        // next report brings it back. -EAGAIN alone may be a wake-up from before.
        if (!still || (umcg_state(queue.front()) & UMCG_TASK_MASK) != UMCG_TASK_RUNNABLE)
            queue.pop_front();
    }
    over = true;
    for (auto& k : kickers) k.join();
    EXPECT_EQ(done, 2);
    EXPECT_GT(hits, 0u);
}

}  // namespace
}  // namespace umcg_test
