// SPDX-License-Identifier: MIT
//
// fifo: order, where tasks go, and that nothing moves.
#include "fixture.hpp"

namespace {

constexpr uint32_t outside = UMCG_POLICY_NO_SERVER;

TEST(Fifo, FirstInFirstOutForWhateverReason) {
    by_hand p("fifo");
    for (auto reason : {UMCG_ENQUEUE_SPAWN, UMCG_ENQUEUE_WAKE, UMCG_ENQUEUE_YIELD, UMCG_ENQUEUE_PREEMPTED,
                        UMCG_ENQUEUE_UNBLOCKED, UMCG_ENQUEUE_MIGRATED})
        p.enqueue(0, p.make(), reason);
    for (uint64_t id : {1, 2, 3, 4, 5, 6, 0}) EXPECT_EQ(p.pick(), id);
}

TEST(Fifo, NeitherPriorityNorDeadlineNorWeightCounts) {
    by_hand p("fifo");
    p.enqueue(0, p.make(), UMCG_ENQUEUE_SPAWN);
    umcg_policy_task& t = p.make();
    t.priority = 100;
    t.weight = 10000;
    t.deadline_ns = 1;
    p.enqueue(0, t, UMCG_ENQUEUE_SPAWN);
    for (uint64_t id : {1, 2}) EXPECT_EQ(p.pick(), id);
}

TEST(Fifo, NewOnesInTurnWokenOnesWhereTheyWere) {
    by_hand p("fifo", 3);
    for (int i = 0; i < 6; i++) p.wake(p.make(), UMCG_ENQUEUE_SPAWN, i % 2 ? outside : 0);
    for (unsigned s = 0; s < 3; s++) {
        EXPECT_EQ(p.pick(s), s + 1);
        EXPECT_EQ(p.pick(s), s + 4);
        EXPECT_EQ(p.pick(s), 0U);
    }
    umcg_policy_task& t = p.make();
    t.server = 2;
    p.wake(t, UMCG_ENQUEUE_WAKE, 1);
    EXPECT_EQ(p.pick(1), 0U);
    EXPECT_EQ(p.pick(2), t.id);
}

TEST(Fifo, AnyCanBeTakenOut) {
    for (uint64_t gone = 1; gone <= 3; gone++) {
        by_hand p("fifo");
        umcg_policy_task* tasks[] = {&p.make(), &p.make(), &p.make()};
        for (auto* t : tasks) p.enqueue(0, *t, UMCG_ENQUEUE_SPAWN);
        p.dequeue(*tasks[gone - 1]);
        for (uint64_t id = 1; id <= 3; id++) {
            if (id == gone) continue;
            EXPECT_EQ(p.pick(), id);
        }
        EXPECT_EQ(p.pick(), 0U);
        // and come again
        p.enqueue(0, *tasks[gone - 1], UMCG_ENQUEUE_WAKE);
        EXPECT_EQ(p.pick(), gone);
    }
}

TEST(Fifo, TasksStayAndTheSliceIsTheRuntimes) {
    by_hand p("fifo", 2);
    EXPECT_EQ(p.ops().steal, nullptr);
    p.enqueue(0, p.make(), UMCG_ENQUEUE_SPAWN);
    p.pick(0);
    EXPECT_EQ(p.slice, 10'000'000U);
}

}  // namespace
