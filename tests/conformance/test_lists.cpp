// SPDX-License-Identifier: MIT
// The two lists: who is on them, how often, in which order; seq and stamp.
#include <algorithm>
#include <map>

#include "blocks.hpp"

namespace umcg_test {
namespace {

using Lists = Conformance;

TEST_F(Lists, YieldIsRunnableOncePerPark) {
    constexpr unsigned kTurns = 50;
    Group g;
    Worker& w = g.worker([](Worker& me) {
        for (unsigned i = 0; i < kTurns; i++) EXPECT_EQ(me.yield(), 0);
    });
    Event e = g.next();
    for (unsigned i = 0; i < kTurns; i++) {
        ASSERT_EQ(e, runnable(w));
        EXPECT_EQ(e.state, UMCG_TASK_RUNNABLE);
        ASSERT_FALSE(g.poll());
        const uint32_t seq = e.seq;
        ASSERT_EQ(g.run(w), 0);
        e = g.next();
        EXPECT_EQ(e.seq - seq, 2u) << "picked, parked";
    }
    ASSERT_EQ(g.run(w), 0);
    EXPECT_TRUE(g.next_exit());
    EXPECT_GE(g.log.size(), kTurns + 2) << "more if it blocked on its way out";
}

// Parking without ENQUEUE is silent: whoever parks a worker knows where it is.
TEST_F(Lists, ParkWithoutEnqueueIsOnNoList) {
    Group g;
    Worker& w = g.worker([](Worker&) { EXPECT_EQ(umcg_wait(0, 0), 0); });
    ASSERT_EQ(g.next(), runnable(w));
    ASSERT_EQ(g.run(w), 0) << "the server gets the CPU back";
    EXPECT_FALSE(g.poll());
    EXPECT_TRUE(w.held());
    EXPECT_TRUE(umcg_task_unlinked(w.task()));
    EXPECT_EQ(g.run(w), 0);
}

// take() reverses the kernel's newest-first into arrival order.
TEST_F(Lists, NewestFirst) {
    constexpr int kWorkers = 20;
    Group g;
    std::vector<pid_t> born;
    for (int i = 0; i < kWorkers; i++) {
        Worker& w = g.worker([](Worker&) {});
        ASSERT_EVENTUALLY(w.held() && w.task()->runnable_ptr);
        born.push_back(w.tid());
    }
    std::vector<pid_t> seen;
    for (const Event& e : take(g.task())) seen.push_back(pid_t(e.task->tid));
    EXPECT_EQ(seen, born);
}

// Whoever was blocked and has come back before the server looked: the blocked
// entry is there to be seen first, and tells the newest state.
TEST_F(Lists, BlockedBeforeRunnable) {
    Pipe p;
    Group g;
    Worker& a = g.worker([&](Worker&) { p.get(); });
    ASSERT_EQ(g.next(), runnable(a));
    ASSERT_EQ(g.run(a), 0);  // it has blocked; the entry is not taken
    p.put();
    ASSERT_EVENTUALLY(a.held());
    ASSERT_EVENTUALLY(a.task()->runnable_ptr > UMCG_LINK_PENDING);
    const Event first = g.next(), second = g.next();
    EXPECT_EQ(first, blocked(a));
    EXPECT_EQ(first.state, UMCG_TASK_RUNNABLE) << "what has become of it";
    EXPECT_EQ(second, runnable(a));
    EXPECT_EQ(first.seq, second.seq);
}

// A worker whose first blocked entry nobody takes, run by other servers that
// pass it on, blocks again: one entry, on the list where it first was.
TEST_F(Lists, BlockedEntriesCoalesce) {
    Pipe p;
    Group home;
    Worker& w = home.worker([&](Worker&) {
        for (int i = 0; i < 3; i++) p.get();
    });
    ASSERT_EQ(home.next(), runnable(w));
    ASSERT_EQ(home.run(w), 0);
    ASSERT_EQ(w.state(), UMCG_TASK_BLOCKED);
    const uint64_t link = w.task()->blocked_ptr;
    EXPECT_NE(link, UMCG_LINK_NONE);
    std::thread([&] {
        Server other;
        for (int i = 0; i < 2; i++) {
            w.task()->server_tid = uint32_t(other.tid());
            p.put();
            EXPECT_EQ(other.next(), runnable(w));
            EXPECT_EQ(other.run(w), 0) << "woken although nothing could be pushed";
            EXPECT_FALSE(other.poll());
            EXPECT_EQ(w.state(), UMCG_TASK_BLOCKED);
            EXPECT_EQ(w.task()->blocked_ptr, link) << "still queued where it was";
        }
    }).join();
    const Event e = home.next();
    EXPECT_EQ(e, blocked(w));
    EXPECT_EQ(e.state, UMCG_TASK_BLOCKED);
    EXPECT_FALSE(home.poll());
    EXPECT_TRUE(umcg_task_unlinked(w.task()));
    w.task()->server_tid = uint32_t(home.tid());
    p.put();
    EXPECT_EQ(home.next(), runnable(w));
}

// seq and stamp only grow, and every change of state is one step of seq.
TEST_F(Lists, SeqAndStampAreMonotonic) {
    constexpr int kWorkers = 8;
    Group g;
    for (int i = 0; i < kWorkers; i++)
        g.worker([](Worker& me) {
            for (int k = 0; k < 30; k++) {
                if (k % 3)
                    EXPECT_EQ(me.yield(), 0);
                else
                    nap_us(50);
            }
        });
    std::map<umcg_task*, Event> last;
    std::map<umcg_task*, int> queued;
    int exited = 0;
    while (exited < kWorkers) {
        const Event e = g.next();
        ASSERT_TRUE(e);
        const auto it = last.find(e.task);
        if (it != last.end()) {
            EXPECT_GE(int32_t(e.seq - it->second.seq), 0);
            EXPECT_GE(e.stamp, it->second.stamp);
        }
        last[e.task] = e;
        if (e.exited()) exited++;
        if (e.kind == Event::kRunnable) {
            EXPECT_EQ(e.state & UMCG_TASK_MASK, UMCG_TASK_RUNNABLE);
            // run it at once: whoever is reported can be dispatched
            EXPECT_EQ(g.run(pid_t(e.task->tid)), 0);
        }
    }
}

// server_tid 0: at first on nobody's list, found by its state.
TEST_F(Lists, NoHome) {
    Server s;
    Worker w([](Worker& me) { EXPECT_EQ(me.yield(), 0); }, {});
    ASSERT_EVENTUALLY(w.held());
    EXPECT_FALSE(s.poll());
    EXPECT_EQ(s.run(w), 0);
    EXPECT_TRUE(w.held());
    EXPECT_EQ(s.next(), runnable(w)) << "without a home it goes to who dispatched it";
    EXPECT_EQ(s.run(w), 0);
    EXPECT_TRUE(s.next_exit()) << "its end goes to who dispatched it";
    w.join();
}

}  // namespace
}  // namespace umcg_test
