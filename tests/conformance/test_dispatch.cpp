// SPDX-License-Identifier: MIT
// umcg_wait() on a server: whom it runs, and what it says when it cannot.
#include <sched.h>

#include "blocks.hpp"

namespace umcg_test {
namespace {

using Dispatch = Conformance;

// A failed call changes nothing.
void expect_untouched(const Group& g, pid_t next) {
    EXPECT_EQ(umcg_state(g.task()), UMCG_TASK_RUNNING);
    EXPECT_EQ(g.task()->next_tid, uint32_t(next));
    EXPECT_EQ(g.task()->running_tid, 0u);
    g.task()->next_tid = 0;
}

TEST_F(Dispatch, RunsTheWorkerAndConsumesTheWord) {
    Group g;
    uint32_t seen_state = 0, seen_server = 0, seen_next = 1, seen_running = 0;
    Worker& w = g.worker([&](Worker& me) {
        seen_state = me.state();
        seen_server = me.task()->running_tid;
        seen_next = g.task()->next_tid;
        seen_running = g.task()->running_tid;
    });
    ASSERT_EQ(g.next(), runnable(w));
    ASSERT_EVENTUALLY(asleep(w.tid()));  // its server runs before it is: that sleep must not count as a block
    ASSERT_EQ(g.run(w), 0);
    EXPECT_EQ(seen_state, UMCG_TASK_RUNNING);
    EXPECT_EQ(seen_server, uint32_t(g.tid()));
    EXPECT_EQ(seen_next, 0u);
    EXPECT_EQ(seen_running, uint32_t(w.tid()));
    EXPECT_EQ(g.task()->running_tid, 0u);
    EXPECT_EQ(umcg_state(g.task()), UMCG_TASK_RUNNING);
}

TEST_F(Dispatch, BlockedTarget) {
    Pipe p;
    Group g;
    Worker& w = g.worker([&](Worker&) { p.get(); });
    ASSERT_EQ(g.next(), runnable(w));
    ASSERT_EQ(g.run(w), 0);
    ASSERT_EQ(g.next(), blocked(w));
    EXPECT_EQ(g.run(w), -EAGAIN);
    g.task()->next_tid = uint32_t(w.tid());
    EXPECT_EQ(umcg_wait(0, 0), -EAGAIN);
    expect_untouched(g, w.tid());
    EXPECT_EQ(w.state(), UMCG_TASK_BLOCKED);
    p.put();
}

TEST_F(Dispatch, ExitedTarget) {
    Group g;
    Worker& w = g.worker([](Worker&) {});
    ASSERT_EQ(g.next(), runnable(w));
    const pid_t tid = w.tid();
    ASSERT_EQ(g.run(w), 0);
    ASSERT_TRUE(g.next_exit());
    w.join();
    g.task()->next_tid = uint32_t(tid);
    EXPECT_EQ(umcg_wait(0, 0), -ESRCH);
    expect_untouched(g, tid);
}

TEST_F(Dispatch, NoWorker) {
    Group g;
    for (const pid_t tid : {g.tid(), getpid(), pid_t{1}, pid_t{0x7fffffff}, pid_t{-1}}) {
        SCOPED_TRACE(tid);
        g.task()->next_tid = uint32_t(tid);
        EXPECT_EQ(umcg_wait(0, 0), -ESRCH);
        expect_untouched(g, tid);
    }
}

TEST_F(Dispatch, ListsComeFirst) {
    Group g;
    Worker& a = g.worker([](Worker&) {});
    ASSERT_EVENTUALLY(a.held() && umcg_has_news(g.task()));
    // Not taken yet: both waiting and running are refused, for ever.
    EXPECT_EQ(umcg_wait(0, 0), -EAGAIN);
    g.task()->next_tid = uint32_t(a.tid());
    EXPECT_EQ(umcg_wait(0, 0), -EAGAIN);
    expect_untouched(g, a.tid());
    EXPECT_EQ(a.state(), UMCG_TASK_RUNNABLE) << "the claim was undone";
    EXPECT_EQ(g.next(), runnable(a));
    EXPECT_EQ(g.run(a), 0);
}

// Any server of the process may run any worker that is RUNNABLE; its events
// then go to the one that did, and RUNNABLE after a block goes home.
TEST_F(Dispatch, ByAnotherServer) {
    Pipe p;
    Group home;
    Worker& w = home.worker([&](Worker&) { p.get(); });
    ASSERT_EQ(home.next(), runnable(w));
    std::thread([&] {
        Server other;
        EXPECT_EQ(other.run(w), 0);
        const Event e = other.next();
        EXPECT_EQ(e, blocked(w));
        EXPECT_FALSE(home.poll());
    }).join();
    p.put();
    EXPECT_EQ(home.next(), runnable(w));
    EXPECT_EQ(home.run(w), 0);
    EXPECT_TRUE(home.next_exit());
}

// Two servers after the same worker: one gets it, or one after the other; who
// does not changes nothing.
TEST_F(Dispatch, RaceForOneWorker) {
    const int rounds = scaled(300, 30);
    std::atomic<int> runs{0}, losses{0}, wins{0}, go{0}, arrived{0};
    Group g;
    Worker& w = g.worker([&](Worker&) {
        while (!g.stopping()) {
            runs++;
            EXPECT_EQ(umcg_wait(0, 0), 0);
        }
    });
    ASSERT_EQ(g.next(), runnable(w));
    const auto racer = [&] {
        Server s;
        for (int round = 1; round <= rounds; round++) {
            arrived++;
            while (go < round) sched_yield();
            s.task()->next_tid = uint32_t(w.tid());
            const int rc = umcg_wait(0, hard_deadline());
            if (rc == 0) {
                wins++;
                EXPECT_EQ(s.task()->next_tid, 0u);
            } else {
                losses++;
                EXPECT_EQ(rc, -EAGAIN);
                EXPECT_EQ(s.task()->next_tid, uint32_t(w.tid()));
                s.task()->next_tid = 0;
            }
            EXPECT_EQ(umcg_state(s.task()), UMCG_TASK_RUNNING);
        }
    };
    std::thread a(racer), b(racer);
    for (int round = 1; round <= rounds; round++) {
        EVENTUALLY(arrived == 2 * round);
        EXPECT_TRUE(w.held());
        const int before = wins;
        go = round;
        EVENTUALLY(wins + losses == 2 * round);
        EXPECT_GT(wins, before);
        EXPECT_EQ(runs, wins);
    }
    a.join();
    b.join();
    RecordProperty("losses", losses);
}

}  // namespace
}  // namespace umcg_test
