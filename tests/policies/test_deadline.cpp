// SPDX-License-Identifier: MIT
//
// deadline: order, whom it stops, whom it admits, what a changed deadline does.
#include "fixture.hpp"

namespace {

constexpr uint64_t ms = 1'000'000;

umcg_policy_task& due(by_hand& p, uint64_t in_ms) {
    umcg_policy_task& t = p.make();
    t.deadline_ns = in_ms ? p.now + in_ms * ms : 0;
    return t;
}

TEST(Deadline, EarliestFirstOfEqualsTheFirstThenThoseWithout) {
    by_hand p("deadline");
    for (uint64_t in : {30, 0, 10, 20, 0, 10}) p.enqueue(0, due(p, in), UMCG_ENQUEUE_SPAWN);
    for (uint64_t id : {3, 6, 4, 1, 2, 5, 0}) EXPECT_EQ(p.pick(), id);
}

// Many, in an order that has nothing to do with their deadlines; some are taken out.
TEST(Deadline, OrderOfMany) {
    by_hand p("deadline");
    constexpr unsigned n = 1009;  // a prime: 17 i mod n is each number once
    std::vector<umcg_policy_task*> by_deadline(n);
    for (unsigned i = 0; i < n; i++) {
        const unsigned in = i * 17 % n;
        by_deadline[in] = &due(p, 1 + in);
        p.enqueue(0, *by_deadline[in], UMCG_ENQUEUE_SPAWN);
    }
    for (unsigned in = 0; in < n; in += 5) p.dequeue(*by_deadline[in]);
    for (unsigned in = 0; in < n; in++) {
        if (in % 5 == 0) continue;
        ASSERT_EQ(p.pick(), by_deadline[in]->id);
    }
    EXPECT_EQ(p.pick(), 0U);
}

TEST(Deadline, AnEarlierOneStopsWhoRuns) {
    by_hand p("deadline");
    p.enqueue(0, due(p, 20), UMCG_ENQUEUE_SPAWN);
    EXPECT_EQ(p.pick(), 1U);
    p.kicks.clear();
    p.enqueue(0, due(p, 30), UMCG_ENQUEUE_SPAWN);
    p.enqueue(0, due(p, 0), UMCG_ENQUEUE_SPAWN);
    p.enqueue(0, due(p, 20), UMCG_ENQUEUE_SPAWN);
    EXPECT_TRUE(p.kicks.empty());
    p.enqueue(0, due(p, 10), UMCG_ENQUEUE_SPAWN);
    EXPECT_EQ(p.kicks, std::vector<unsigned>{0});
}

TEST(Deadline, AnEarlierOneOnItsWayStopsWhoRuns) {
    by_hand p("deadline");
    p.enqueue(0, due(p, 20), UMCG_ENQUEUE_SPAWN);
    EXPECT_EQ(p.pick(), 1U);
    for (unsigned later : {20, 30, 0}) EXPECT_FALSE(p.preempts(due(p, later), 0)) << later;
    EXPECT_TRUE(p.preempts(due(p, 19), 0));
}

TEST(Deadline, WhereNobodyRunsNobodyIsStopped) {
    by_hand p("deadline");
    umcg_policy_task& t = due(p, 20);
    p.enqueue(0, t, UMCG_ENQUEUE_SPAWN);
    EXPECT_EQ(p.pick(), t.id);
    p.ops().blocked(p.p(), 0, &t, UMCG_BLOCKED_PARK);
    p.kicks.clear();
    p.enqueue(0, due(p, 1), UMCG_ENQUEUE_SPAWN);
    EXPECT_TRUE(p.kicks.empty());
}

// Costs of 2 ms on one server: the n-th is admitted if it is due in 2 n ms, and not a ns earlier.
TEST(Deadline, AdmissionIsExact) {
    by_hand p("deadline:cost=2ms");
    std::vector<umcg_policy_task*> in;
    for (uint64_t n = 1; n <= 50; n++) {
        umcg_policy_task& early = due(p, 2 * n);
        early.deadline_ns--;
        EXPECT_EQ(p.attach(early), -EBUSY) << n;
        umcg_policy_task& t = due(p, 2 * n);
        EXPECT_EQ(p.attach(t), 0) << n;
        in.push_back(&t);
    }
    // each that ends makes room for one
    p.ops().detach(p.p(), in[0]);
    EXPECT_EQ(p.attach(due(p, 100)), 0);
    EXPECT_EQ(p.attach(due(p, 100)), -EBUSY);
    EXPECT_EQ(p.attach(due(p, 0)), 0) << "without a deadline";
}

TEST(Deadline, AdmissionLeavesRoomForOthers) {
    by_hand p("deadline:cost=1ms,most=50");
    EXPECT_EQ(p.attach(due(p, 1)), -EBUSY);
    EXPECT_EQ(p.attach(due(p, 2)), 0);
    EXPECT_EQ(p.attach(due(p, 3)), -EBUSY);
}

TEST(Deadline, AdmittedOnTheServerWithTheFewest) {
    by_hand p("deadline:cost=1ms", 3);
    unsigned n[3] = {};
    for (int i = 0; i < 30; i++) {
        umcg_policy_task& t = due(p, 10);
        ASSERT_EQ(p.attach(t), 0);
        const uint32_t s = p.ops().select(p.p(), &t, 0, UMCG_ENQUEUE_SPAWN);
        n[s]++;
        p.enqueue(s, t, UMCG_ENQUEUE_SPAWN);
    }
    for (unsigned each : n) EXPECT_EQ(each, 10U);
    EXPECT_EQ(p.attach(due(p, 10)), -EBUSY);
}

TEST(Deadline, WhoRunsAndHasTimeNowMakesRoom) {
    by_hand p("deadline");
    umcg_policy_task& t = due(p, 10);
    p.enqueue(0, t, UMCG_ENQUEUE_SPAWN);
    EXPECT_EQ(p.pick(), t.id);
    p.enqueue(0, due(p, 20), UMCG_ENQUEUE_SPAWN);
    p.kicks.clear();
    t.deadline_ns = p.now + 15 * ms;
    p.ops().attr_changed(p.p(), &t);
    EXPECT_TRUE(p.kicks.empty());
    t.deadline_ns = 0;
    p.ops().attr_changed(p.p(), &t);
    EXPECT_EQ(p.kicks, std::vector<unsigned>{0});
    p.enqueue(0, t, UMCG_ENQUEUE_PREEMPTED);
    for (uint64_t id : {2, 1}) EXPECT_EQ(p.pick(), id);
}

TEST(Deadline, WhoIsQueuedAndChangesComesInItsNewTurn) {
    by_hand p("deadline");
    for (uint64_t in : {10, 20, 30}) p.enqueue(0, due(p, in), UMCG_ENQUEUE_SPAWN);
    umcg_policy_task& t = due(p, 40);
    p.enqueue(0, t, UMCG_ENQUEUE_SPAWN);
    t.deadline_ns = p.now + 15 * ms;
    p.ops().attr_changed(p.p(), &t);
    for (uint64_t id : {1, 4, 2, 3, 0}) EXPECT_EQ(p.pick(), id);
}

}  // namespace
