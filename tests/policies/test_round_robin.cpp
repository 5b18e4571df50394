// SPDX-License-Identifier: MIT
//
// round_robin: in turn, and for how long.
#include <algorithm>

#include "fixture.hpp"
#include "policy_simulator.hpp"

namespace {

TEST(RoundRobin, InTurn) {
    by_hand p("round_robin");
    umcg_policy_task* tasks[] = {&p.make(), &p.make(), &p.make()};
    for (auto* t : tasks) p.enqueue(0, *t, UMCG_ENQUEUE_SPAWN);
    for (int turn = 0; turn < 10; turn++) {
        for (uint64_t id = 1; id <= 3; id++) {
            EXPECT_EQ(p.pick(), id);
            p.enqueue(0, *tasks[id - 1], turn % 2 ? UMCG_ENQUEUE_PREEMPTED : UMCG_ENQUEUE_YIELD);
        }
    }
}

TEST(RoundRobin, TheSliceIsItsOwn) {
    for (const auto& [spec, slice] : {std::pair{"round_robin", 4'000'000U}, {"round_robin:slice=100us", 100'000U}}) {
        by_hand p(spec);
        p.enqueue(0, p.make(), UMCG_ENQUEUE_SPAWN);
        EXPECT_EQ(p.pick(), 1U);
        EXPECT_EQ(p.slice, slice);
    }
}

TEST(RoundRobin, NewOnesInTurnWokenOnesWhereTheyWere) {
    by_hand p("round_robin", 2);
    for (int i = 0; i < 4; i++) p.wake(p.make(), UMCG_ENQUEUE_SPAWN, 0);
    for (uint64_t id : {1, 3, 0}) EXPECT_EQ(p.pick(0), id);
    umcg_policy_task& t = p.make();
    t.server = 1;
    p.wake(t, UMCG_ENQUEUE_WAKE, 0);
    for (uint64_t id : {2, 4, 5}) EXPECT_EQ(p.pick(1), id);
    EXPECT_EQ(p.ops().steal, nullptr);
}

// Whoever computes for ever gets the same as each of the others, to a slice; nobody waits for longer
// than a slice of each of the others.
TEST(RoundRobin, SharesAreEqualToASlice) {
    constexpr uint64_t slice = 1'000'000;
    std::vector<umcg::detail::sim_arrival> arrivals(7);
    for (auto& a : arrivals) a.service = 1'000'000'000'000;
    umcg::detail::sim_options o;
    o.until = 3'000'000'000;
    const auto r = umcg::detail::simulate(umcg::detail::parse_policy_spec("round_robin:slice=1ms"), arrivals, o);
    ASSERT_EQ(r.wrong, "");
    const auto [least, most] = std::minmax_element(r.ran.begin(), r.ran.end());
    EXPECT_GT(*least, 0U);
    EXPECT_LE(*most - *least, slice);
    EXPECT_LE(r.longest_wait, 6 * slice);
}

}  // namespace
