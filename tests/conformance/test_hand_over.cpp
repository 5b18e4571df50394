// SPDX-License-Identifier: MIT
// umcg_wait() on a worker: the CPU goes from worker to worker, the server sleeps.
#include "blocks.hpp"

namespace umcg_test {
namespace {

using HandOver = Conformance;

TEST_F(HandOver, ToAWorkerAndBack) {
    Group g;
    Worker *pa = nullptr, *pb = nullptr;
    std::vector<int> order;
    uint32_t next_after = 1, b_runs_on = 0;
    Worker& a = g.worker([&](Worker& me) {
        order.push_back(1);
        EXPECT_EQ(me.hand_to(pb->tid()), 0);
        next_after = me.task()->next_tid;
        order.push_back(3);
    });
    Worker& b = g.worker([&](Worker& me) {
        order.push_back(2);
        b_runs_on = me.task()->running_tid;
        EXPECT_EQ(g.task()->running_tid, uint32_t(me.tid()));
        EXPECT_EQ(me.hand_to(pa->tid()), 0);
        order.push_back(4);
    });
    pa = &a;
    pb = &b;
    g.next();
    g.next();
    ASSERT_EQ(g.run(a), 0);
    // The server slept through both hand-overs: a's end is the first news.
    EXPECT_EQ(g.next(), blocked(a));
    EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
    EXPECT_EQ(next_after, 0u);
    EXPECT_EQ(b_runs_on, uint32_t(g.tid()));
    EXPECT_TRUE(b.held());
    EXPECT_FALSE(g.poll()) << "who hands over without ENQUEUE is on no list";
    EXPECT_EQ(g.run(b), 0);
    EXPECT_EQ(order.back(), 4);
}

// A ring: each passes to the one after it. Nobody but the running one moves.
TEST_F(HandOver, RingOfAThousandHops) {
    constexpr int kWorkers = 10;
    const int hops = scaled(1000, 100);
    Group g;
    int hop = 0;
    std::atomic<int> inside{0};
    std::vector<Worker*> ring;
    for (int i = 0; i < kWorkers; i++) {
        ring.push_back(&g.worker([&, i](Worker& me) {
            while (hop < hops) {
                EXPECT_EQ(inside.fetch_add(1), 0);
                EXPECT_EQ(hop % kWorkers, i);
                hop++;
                inside.fetch_sub(1);
                if (hop == hops) break;
                EXPECT_EQ(me.hand_to(ring[size_t(i + 1) % kWorkers]->tid()), 0);
            }
        }));
    }
    for (int i = 0; i < kWorkers; i++) ASSERT_TRUE(g.next());
    ASSERT_EQ(g.run(*ring[0]), 0);
    EXPECT_EQ(hop, hops);
    EXPECT_TRUE(g.next_exit());
    EXPECT_FALSE(g.poll()) << "the server is told of the end alone";
}

// Hundreds of workers, each once.
TEST_F(HandOver, EachWorkerOnce) {
    const int n = scaled(400, 100);
    Group g;
    std::vector<Worker*> all;
    int passed = 0;
    for (int i = 0; i < n; i++)
        all.push_back(&g.worker([&, i](Worker& me) {
            EXPECT_EQ(passed++, i);
            if (i + 1 == n) return;
            EXPECT_EQ(me.hand_to(all[size_t(i) + 1]->tid()), 0);
        }));
    for (int i = 0; i < n; i++) ASSERT_TRUE(g.next());
    ASSERT_EQ(g.run(*all[0]), 0);
    EXPECT_EQ(passed, n);
    EXPECT_TRUE(g.next_exit());
}

// Errors of a hand-over: the caller goes on running, nothing has changed.
TEST_F(HandOver, Errors) {
    Pipe p;
    Group g;
    Worker& sleeper = g.worker([&](Worker&) { p.get(); });
    Worker& gone = g.worker([](Worker&) {});
    ASSERT_TRUE(g.next());
    ASSERT_TRUE(g.next());
    ASSERT_EQ(g.run(sleeper), 0);
    ASSERT_EQ(g.next(), blocked(sleeper));
    const pid_t gone_tid = gone.tid();
    ASSERT_EQ(g.run(gone), 0);
    ASSERT_TRUE(g.next_exit());
    gone.join();

    std::atomic<bool> leave{false};
    std::atomic<pid_t> spins{0};
    Group* other = nullptr;
    std::atomic<bool> other_up{false};
    std::thread second([&] {
        Group o;
        other = &o;
        Worker& s = o.worker([&](Worker& me) {
            spins = me.tid();
            while (!leave) __builtin_ia32_pause();
        });
        EXPECT_EQ(o.next(), runnable(s));
        other_up = true;
        EXPECT_EQ(o.run(s), 0);
    });
    ASSERT_EVENTUALLY(spins != 0);

    Worker& w = g.worker([&](Worker& me) {
        const auto expect = [&](pid_t tid, int rc, const char* what) {
            SCOPED_TRACE(what);
            const uint32_t seq = me.task()->seq;
            EXPECT_EQ(me.hand_to(tid), rc);
            EXPECT_EQ(me.state(), UMCG_TASK_RUNNING);
            EXPECT_EQ(me.task()->next_tid, uint32_t(tid));
            EXPECT_EQ(me.task()->seq, seq);
            EXPECT_EQ(g.task()->running_tid, uint32_t(me.tid()));
            EXPECT_EQ(me.hand_to(tid, UMCG_WAIT_ENQUEUE), rc);
            EXPECT_EQ(me.task()->runnable_ptr, 0u) << "not even with ENQUEUE";
        };
        expect(me.tid(), -EAGAIN, "itself");
        expect(spins, -EAGAIN, "running elsewhere");
        expect(sleeper.tid(), -EAGAIN, "blocked");
        expect(gone_tid, -ESRCH, "exited");
        expect(g.tid(), -ESRCH, "a server");
        expect(0x7fffffff, -ESRCH, "no such thread");
        me.task()->next_tid = 0;
        EXPECT_EQ(umcg_wait(UMCG_WAIT_PREEMPT, 0), -EINVAL);
        EXPECT_EQ(umcg_wait(4, 0), -EINVAL);
        EXPECT_EQ(umcg_wait(0, 1), -EINVAL);
        EXPECT_EQ(me.state(), UMCG_TASK_RUNNING);
    });
    ASSERT_EQ(g.next(), runnable(w));
    ASSERT_EQ(g.run(w), 0);
    EXPECT_TRUE(g.next_exit());
    leave = true;
    second.join();
    p.put();
    (void)other;
}

// Yield with a target: the target runs at once, the caller is queued.
TEST_F(HandOver, WithEnqueue) {
    Group g;
    Worker* pb = nullptr;
    bool b_ran = false;
    Worker& a = g.worker([&](Worker& me) {
        EXPECT_EQ(me.hand_to(pb->tid(), UMCG_WAIT_ENQUEUE), 0);
        EXPECT_TRUE(b_ran);
    });
    Worker& b = g.worker([&](Worker&) {
        b_ran = true;
        EXPECT_TRUE(umcg_has_news(g.task())) << "a is there before b runs";
    });
    pb = &b;
    g.next();
    g.next();
    ASSERT_EQ(g.run(a), 0);
    EXPECT_TRUE(b_ran);
    Event e = g.next();
    EXPECT_TRUE(e == blocked(b) && e.exited());
    EXPECT_EQ(g.next(), runnable(a));
}

// The one a worker hands to is taken by a server at the same moment, again and
// again: one of them gets it, the other is told, nobody is lost.
TEST_F(HandOver, TargetTakenMeanwhile) {
    const int turns = scaled(2000, 200);
    Group g;
    std::atomic<int> ball_runs{0}, handed{0}, refused{0}, stolen{0};
    std::atomic<bool> stop{false};
    Worker& ball = g.worker([&](Worker&) {
        while (!g.stopping()) {
            ball_runs++;
            EXPECT_EQ(umcg_wait(0, 0), 0);
        }
    });
    ASSERT_EQ(g.next(), runnable(ball));
    Worker& w = g.worker([&](Worker& me) {
        for (int i = 0; i < turns; i++) {
            const int rc = me.hand_to(ball.tid(), UMCG_WAIT_ENQUEUE);
            if (rc == 0)
                handed++;
            else {
                EXPECT_EQ(rc, -EAGAIN);
                refused++;
                EXPECT_EQ(me.yield(), 0);
            }
        }
        stop = true;
    });
    ASSERT_EQ(g.next(), runnable(w));
    std::thread thief([&] {
        Server s;
        while (!stop) {
            const int rc = s.run(ball);
            if (rc == 0)
                stolen++;
            else
                EXPECT_EQ(rc, -EAGAIN);
        }
    });
    while (!stop) {
        const int rc = g.run(w);
        EXPECT_TRUE(rc == 0 || rc == -EAGAIN) << rc;
        while (g.poll()) {
        }
    }
    thief.join();
    EXPECT_EQ(handed + refused, turns);
    EXPECT_EQ(ball_runs, handed + stolen);
}

}  // namespace
}  // namespace umcg_test
