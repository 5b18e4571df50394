// SPDX-License-Identifier: MIT
//
// two_level: who is short, who is long, when a long one runs, whom it stops, whom a thief gets.
#include "fixture.hpp"

namespace {

constexpr uint64_t us = 1000;
constexpr uint32_t outside = UMCG_POLICY_NO_SERVER;

// Runs for `ran` and is stopped.
void demote(by_hand& p, umcg_policy_task& t, unsigned s = 0) {
    p.enqueue(s, t, UMCG_ENQUEUE_PREEMPTED, 20 * us);
}

TEST(TwoLevel, ShortOnesFirst) {
    by_hand p("two_level");
    umcg_policy_task& big = p.make();
    p.enqueue(0, big, UMCG_ENQUEUE_SPAWN);
    EXPECT_EQ(p.pick(), 1U);
    EXPECT_EQ(p.slice, 20 * us);
    demote(p, big);
    p.enqueue(0, p.make(), UMCG_ENQUEUE_SPAWN);
    p.enqueue(0, p.make(), UMCG_ENQUEUE_WAKE);
    for (uint64_t id : {2, 3, 1, 0}) EXPECT_EQ(p.pick(), id);
}

// Stopped before its slice was over, by a kick that was meant for another one: that makes it not long.
TEST(TwoLevel, WhoWasStoppedEarlyIsShort) {
    by_hand p("two_level");
    umcg_policy_task& t = p.make();
    p.enqueue(0, t, UMCG_ENQUEUE_PREEMPTED, 1 * us);
    demote(p, p.make());
    EXPECT_EQ(p.pick(), t.id);
    EXPECT_EQ(p.slice, 19 * us);
    p.enqueue(0, t, UMCG_ENQUEUE_PREEMPTED, 19 * us);
    for (uint64_t id : {2, 1}) EXPECT_EQ(p.pick(), id);
    EXPECT_EQ(p.slice, 1000 * us);  // long_slice
}

// What it has used counts together until it is woken; a yield is no new request.
TEST(TwoLevel, SmallPiecesAddUp) {
    by_hand p("two_level:slice=100us");
    umcg_policy_task& t = p.make();
    p.enqueue(0, t, UMCG_ENQUEUE_SPAWN);
    for (uint64_t used = 0; used < 100; used += 30) {
        EXPECT_EQ(p.pick(), t.id);
        EXPECT_EQ(p.slice, (100 - used) * us);
        p.enqueue(0, t, UMCG_ENQUEUE_YIELD, 30 * us);
    }
    p.enqueue(0, p.make(), UMCG_ENQUEUE_SPAWN);
    EXPECT_EQ(p.pick(), 2U);
    EXPECT_EQ(p.pick(), t.id);
}

TEST(TwoLevel, ABlockInTheKernelIsNoNewRequestAWakeIs) {
    by_hand p("two_level");
    umcg_policy_task& t = p.make();
    p.enqueue(0, t, UMCG_ENQUEUE_SPAWN);
    EXPECT_EQ(p.pick(), t.id);
    t.ran_ns = 20 * us;
    p.ops().blocked(p.p(), 0, &t, UMCG_BLOCKED_SYSCALL);
    p.enqueue(0, t, UMCG_ENQUEUE_UNBLOCKED);
    EXPECT_EQ(p.pick(), t.id);
    EXPECT_EQ(p.slice, 1000 * us);
    p.enqueue(0, t, UMCG_ENQUEUE_WAKE);
    EXPECT_EQ(p.pick(), t.id);
    EXPECT_EQ(p.slice, 20 * us);
}

TEST(TwoLevel, LongOnesCannotStarve) {
    by_hand p("two_level:every=5");
    umcg_policy_task& big = p.make();
    demote(p, big);
    unsigned in_row = 0, turns = 0;
    for (int i = 0; i < 60; i++) {
        p.enqueue(0, p.make(), UMCG_ENQUEUE_SPAWN);
        p.enqueue(0, p.make(), UMCG_ENQUEUE_SPAWN);
        if (p.pick() != big.id) {
            ASSERT_LE(++in_row, 5U);
            continue;
        }
        // in its turn it gets no more than a short one, and is not stopped for one
        EXPECT_EQ(p.slice, 20 * us);
        p.kicks.clear();
        p.enqueue(0, p.make(), UMCG_ENQUEUE_SPAWN);
        EXPECT_TRUE(p.kicks.empty());
        demote(p, big);
        in_row = 0;
        turns++;
    }
    EXPECT_EQ(turns, 10U);
}

TEST(TwoLevel, AShortOneStopsALongOneOnce) {
    by_hand p("two_level", 2);
    umcg_policy_task& big = p.make();
    demote(p, big, 1);
    EXPECT_EQ(p.pick(1), big.id);
    p.enqueue(0, p.make(), UMCG_ENQUEUE_SPAWN);
    EXPECT_TRUE(p.kicks.empty());
    p.enqueue(1, p.make(), UMCG_ENQUEUE_UNBLOCKED, 20 * us);  // a long one does not
    EXPECT_TRUE(p.kicks.empty());
    p.enqueue(1, p.make(), UMCG_ENQUEUE_SPAWN);
    p.enqueue(1, p.make(), UMCG_ENQUEUE_SPAWN);
    EXPECT_EQ(p.kicks, std::vector<unsigned>{1});
}

// Somebody elsewhere has made a short one runnable.
TEST(TwoLevel, AShortOneOnItsWayStopsWhoHasUsedUpItsSlice) {
    by_hand p("two_level:every=1");
    umcg_policy_task &big = p.make(), &comes = p.make();
    p.enqueue(0, big, UMCG_ENQUEUE_SPAWN);
    EXPECT_EQ(p.pick(), big.id);
    EXPECT_FALSE(p.preempts(comes, 19 * us));
    EXPECT_TRUE(p.preempts(comes, 20 * us));
    p.enqueue(0, big, UMCG_ENQUEUE_YIELD, 15 * us);
    EXPECT_EQ(p.pick(), big.id);
    EXPECT_FALSE(p.preempts(comes, 4 * us)) << "15 us were used before";
    EXPECT_TRUE(p.preempts(comes, 5 * us));
    demote(p, big);
    EXPECT_EQ(p.pick(), big.id);
    EXPECT_TRUE(p.preempts(comes, 0));
    // in its turn it has as long as a short one
    demote(p, big);
    p.enqueue(0, p.make(), UMCG_ENQUEUE_SPAWN);
    p.enqueue(0, p.make(), UMCG_ENQUEUE_SPAWN);
    EXPECT_EQ(p.pick(), 3U);
    EXPECT_EQ(p.pick(), big.id);
    EXPECT_FALSE(p.preempts(comes, 19 * us));
    EXPECT_TRUE(p.preempts(comes, 20 * us));
}

TEST(TwoLevel, ALongOneRunsForItsLeast) {
    by_hand p("two_level:least=50us");
    umcg_policy_task &big = p.make(), &comes = p.make();
    demote(p, big);
    EXPECT_EQ(p.pick(), big.id);
    EXPECT_FALSE(p.preempts(comes, 49 * us));
    EXPECT_TRUE(p.preempts(comes, 50 * us));
}

TEST(TwoLevel, NewOnesStayWithWhoSpawnsThem) {
    by_hand p("two_level", 2);
    for (int i = 0; i < 2; i++) p.wake(p.make(), UMCG_ENQUEUE_SPAWN, 1);
    for (uint64_t id : {1, 2, 0}) EXPECT_EQ(p.pick(1), id);
    for (int i = 0; i < 2; i++) p.wake(p.make(), UMCG_ENQUEUE_SPAWN, outside);
    for (unsigned s : {0, 1}) EXPECT_EQ(p.pick(s), 3U + s);
}

TEST(TwoLevel, AThiefGetsShortOnesFirstAndNoneThatMayNotMove) {
    by_hand p("two_level", 2);
    umcg_policy_task& stays = p.make();
    stays.flags = 0;
    p.enqueue(0, stays, UMCG_ENQUEUE_SPAWN);
    demote(p, p.make());
    p.enqueue(0, p.make(), UMCG_ENQUEUE_SPAWN);
    for (uint64_t id : {3, 2, 0}) EXPECT_EQ(p.steal(1, 0), id);
    EXPECT_EQ(p.pick(0), stays.id);
}

TEST(TwoLevel, BothQueuesGiveBackWhoIsTakenOut) {
    by_hand p("two_level");
    umcg_policy_task& a = p.make();
    umcg_policy_task& b = p.make();
    p.enqueue(0, a, UMCG_ENQUEUE_SPAWN);
    demote(p, b);
    p.dequeue(b);
    p.dequeue(a);
    EXPECT_EQ(p.pick(), 0U);
}

}  // namespace
