// SPDX-License-Identifier: MIT
// A worker ends: its server is told once, nobody waits for it for ever, and
// nothing of it stays linked.
#include <pthread.h>

#include "memory.hpp"

namespace umcg_test {
namespace {

class Exit : public Conformance {};

TEST_F(Exit, RegisteredWorkerIsReportedOnce) {
    Group g;
    Worker& w = g.worker([](Worker&) {});
    EXPECT_EQ(g.next(), runnable(w));
    EXPECT_EQ(g.run(w), 0);
    g.run_to_exit(w);
    EXPECT_EQ(g.log.back(), blocked(w));
    EXPECT_EQ(g.log.back().state, UMCG_TASK_NONE | UMCG_TF_EXITED);
    w.join();
    EXPECT_EQ(g.task()->running_tid, 0U);
    EXPECT_TRUE(umcg_task_unlinked(w.task()));
    EXPECT_EQ(g.run(w), -ESRCH) << "a worker that is gone";
    EXPECT_EQ(g.collect(), 0) << "reported twice";
}

TEST_F(Exit, PthreadExit) {
    Group g;
    Worker& w = g.worker([](Worker&) { pthread_exit(nullptr); });
    EXPECT_EQ(g.next(), runnable(w));
    EXPECT_EQ(g.run(w), 0);
    g.run_to_exit(w);
}

// Woken, but told nothing: the thread lives on as an ordinary one.
TEST_F(Exit, UnregisterWakesTheServerAndPushesNothing) {
    Gate gate;
    Group g;
    std::atomic<bool> plain{false};
    Worker& w = g.worker([&](Worker& me) {
        EXPECT_EQ(umcg_unregister(me.task()), 0);
        plain = true;
        plain.notify_all();
        EXPECT_EQ(me.yield(), -ESRCH);
        gate.wait();  // a block that nobody is told about
    });
    EXPECT_EQ(g.next(), runnable(w));
    EXPECT_EQ(g.run(w), 0);
    EXPECT_EQ(w.state(), UMCG_TASK_NONE) << task_text(w.task());
    EXPECT_EQ(g.task()->running_tid, 0U);
    plain.wait(false);
    EVENTUALLY(asleep(w.tid()));
    EXPECT_EQ(g.run(w), -ESRCH);
    gate.open();
    w.join();
    EXPECT_EQ(g.collect(), 0);
}

// A thread that has left may come back, as anything.
TEST_F(Exit, RegisterAgainAfterUnregister) {
    Group g;
    Worker& w = g.worker([&](Worker& me) {
        for (int i = 0; i < 20; i++) {
            EXPECT_EQ(umcg_unregister(me.task()), 0);
            EXPECT_EQ(umcg_register(me.task(), UMCG_REG_SERVER), 0);
            EXPECT_EQ(umcg_wait(0, 1), -ETIMEDOUT);
            EXPECT_EQ(umcg_unregister(me.task()), 0);
            EXPECT_EQ(umcg_register(me.task(), UMCG_REG_WORKER), 0);
        }
    });
    for (int i = 0; i < 21; i++) {
        ASSERT_EQ(g.next(), runnable(w)) << i;
        ASSERT_EQ(g.run(w), 0) << i;
    }
    g.run_to_exit(w);
}

// The worker ends while the server does something else: the next wait says so.
TEST_F(Exit, WhileTheServerDoesNotWait) {
    Group g;
    std::atomic<bool> go{false};
    Worker& w = g.worker([&](Worker&) {
        while (!go) __builtin_ia32_pause();
    });
    EXPECT_EQ(g.next(), runnable(w));
    EXPECT_EQ(g.run(w, 0, now_ns() + 1000000), -ETIMEDOUT);
    EXPECT_EQ(g.task()->running_tid, static_cast<uint32_t>(w.tid()));
    go = true;
    EVENTUALLY(umcg_has_news(g.task()));
    EXPECT_EQ(umcg_wait(0, hard_deadline()), -EAGAIN);
    g.run_to_exit(w);
}

// next_tid names a worker that has exited: the word stays, the server is told.
TEST_F(Exit, SuccessorThatIsGone) {
    Gate gate;
    Group g;
    pid_t gone = 0;
    in_thread([&] { gone = gettid(); });
    std::atomic<bool> go{false};
    Worker& w = g.worker([&](Worker&) {
        while (!go) __builtin_ia32_pause();
        gate.wait();
    });
    EXPECT_EQ(g.next(), runnable(w));
    EXPECT_EQ(g.run(w, 0, now_ns() + 1000000), -ETIMEDOUT);
    g.task()->next_tid = gone;
    std::thread later([&] {
        EVENTUALLY((umcg_state(g.task()) & UMCG_TASK_MASK) == UMCG_TASK_RUNNABLE);
        go = true;
    });
    EXPECT_EQ(umcg_wait(0, hard_deadline()), 0) << "the server has to hear of the block";
    later.join();
    EXPECT_EQ(g.task()->next_tid, static_cast<uint32_t>(gone));
    g.task()->next_tid = 0;
    EXPECT_EQ(g.next(), blocked(w));
    gate.open();
    EXPECT_EQ(g.next(), runnable(w));
}

// An exit hands over to the successor without the server; it hears of both.
TEST_F(Exit, HandsOverToTheSuccessor) {
    Group g;
    std::atomic<bool> go{false}, second{false};
    Worker& a = g.worker([&](Worker&) {
        while (!go) __builtin_ia32_pause();
    });
    EXPECT_EQ(g.next(), runnable(a));
    Worker& b = g.worker([&](Worker&) { second = true; });
    EXPECT_EQ(g.next(), runnable(b));
    EXPECT_EQ(g.run(a, 0, now_ns() + 1000000), -ETIMEDOUT);
    g.task()->next_tid = b.tid();
    std::thread later([&] {
        EVENTUALLY((umcg_state(g.task()) & UMCG_TASK_MASK) == UMCG_TASK_RUNNABLE);
        go = true;
    });
    EXPECT_EQ(umcg_wait(0, hard_deadline()), 0);
    later.join();
    EXPECT_TRUE(second);
    EXPECT_EQ(g.task()->next_tid, 0U);
    // either may block once more inside its exit, and has to be let go again
    for (int exits = 0; exits < 2;) {
        const Event e = g.next();
        ASSERT_TRUE(e);
        if (e.exited()) {
            exits++;
        } else if (e == runnable(a) || e == runnable(b)) {
            EXPECT_EQ(g.run(e == runnable(a) ? a : b), 0);
        }
    }
}

// Many at once, on two servers: each is reported exactly once.
TEST_F(Exit, StormIsReportedExactlyOnce) {
    const int n = scaled(300, 40);
    std::atomic<int> exits{0}, ran{0};
    const auto count = [&](const Event& e) {
        if (e.kind == Event::kBlocked && e.exited()) exits++;
    };
    FifoServer a(0, count), b(0, count);
    for (int round = 0; round < 2; round++) {
        exits = ran = 0;
        std::vector<std::unique_ptr<Worker>> workers;
        for (int i = 0; i < n; i++)
            workers.push_back(std::make_unique<Worker>(
                [&, i](Worker& w) {
                    ran++;
                    if (i % 3 == 0) nap_us(i);
                    if (i % 5 == 0) {
                        EXPECT_EQ(w.yield(), 0);
                    }
                },
                Worker::Options{.home = i & 1 ? a.tid() : b.tid(),
                                .unregister = round == 1 && i % 2 == 0}));
        for (auto& w : workers) w->join();
        const int expected = round == 1 ? n / 2 : n;
        EVENTUALLY(exits >= expected);
        EXPECT_EQ(ran, n);
        EXPECT_EQ(exits, expected);
    }
}

}  // namespace
}  // namespace umcg_test
