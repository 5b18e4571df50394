// SPDX-License-Identifier: MIT
//
// The built-in policies in the simulator: conformance, and what each is for.
#include <gtest/gtest.h>

#include <algorithm>

#include "policy_simulator.hpp"

namespace {

using namespace umcg::detail;

class Conformance : public testing::TestWithParam<const char*> {};

TEST_P(Conformance, Holds) {
    for (uint64_t seed : {7, 8, 9}) EXPECT_EQ(check_policy(parse_policy_spec(GetParam()), seed), "");
}

INSTANTIATE_TEST_SUITE_P(, Conformance,
                         testing::Values("fifo", "work_stealing", "round_robin", "round_robin:slice=1ms", "fair",
                                         "fair:groups=1/0:200+2/1:50", "deadline", "two_level",
                                         "two_level:slice=50us,every=3"));

double slowdown(const sim_result& r, unsigned klass, double part) {
    std::vector<double> all;
    for (const sim_done& d : r.done)
        if (d.klass == klass) all.push_back(static_cast<double>(d.latency) / static_cast<double>(d.service));
    std::sort(all.begin(), all.end());
    return all.at(static_cast<size_t>(static_cast<double>(all.size()) * part));
}

TEST(Simulator, SameSeedSameRun) {
    const auto arrivals = bimodal_arrivals(3, 0.8, 2, 500'000'000, 10'000, 5'000'000, 5);
    sim_options o;
    o.servers = 2;
    const auto a = simulate(parse_policy_spec("two_level"), arrivals, o);
    EXPECT_EQ(a.trace, simulate(parse_policy_spec("two_level"), arrivals, o).trace);
    EXPECT_NE(a.trace, simulate(parse_policy_spec("two_level"),
                                bimodal_arrivals(4, 0.8, 2, 500'000'000, 10'000, 5'000'000, 5), o).trace);
}

// One server, one task after the other: latency is what arithmetic says.
TEST(Simulator, KnowsTime) {
    std::vector<sim_arrival> arrivals(3);
    for (auto& a : arrivals) a.service = 1000;
    sim_options o;
    o.switch_ns = 10;
    const auto r = simulate(parse_policy_spec("fifo"), arrivals, o);
    ASSERT_EQ(r.done.size(), 3U);
    EXPECT_EQ(r.done[0].latency, 1010U);
    EXPECT_EQ(r.done[2].latency, 3030U);
    EXPECT_EQ(r.longest_wait, 2020U);
}

TEST(TwoLevel, KeepsShortRequestsShort) {
    // GET and SCAN: 99.5 % of 10 us, 0.5 % of 5 ms, at 70 % load
    const auto arrivals = bimodal_arrivals(1, 0.7, 1, 10'000'000'000, 10'000, 5'000'000, 5);
    sim_options o;
    o.switch_ns = 100;
    o.preempt_ns = 1000;
    const auto fifo = simulate(parse_policy_spec("fifo"), arrivals, o);
    const auto two = simulate(parse_policy_spec("two_level:slice=20us"), arrivals, o);
    EXPECT_GT(slowdown(fifo, 0, .999), 100);
    EXPECT_LT(slowdown(two, 0, .999), 10);
    // and the long ones end, too
    EXPECT_EQ(two.done.size(), arrivals.size());
}

TEST(Fair, SharesByWeightAndGroup) {
    // root: group 1 (200), group 2 (100), a task of weight 100; in group 1 two tasks of 100 and 300
    std::vector<sim_arrival> arrivals(4);
    for (auto& a : arrivals) a.service = 1'000'000'000'000;
    arrivals[0].group = 1;
    arrivals[1].group = 1;
    arrivals[1].weight = 300;
    arrivals[2].group = 2;
    sim_options o;
    o.until = 20'000'000'000;
    const auto r = simulate(parse_policy_spec("fair:groups=1/0:200+2/0:100,slice=1ms"), arrivals, o);
    ASSERT_EQ(r.wrong, "");
    const double shares[] = {.5 * .25, .5 * .75, .25, .25};
    for (int i = 0; i < 4; i++) EXPECT_NEAR(static_cast<double>(r.ran[i]) / 2e10, shares[i], .01) << i;
}

TEST(Deadline, MeetsWhatFifoMisses) {
    // pairs: one that has time, before one that has not
    std::vector<sim_arrival> arrivals;
    for (uint64_t i = 0; i < 200; i++) {
        sim_arrival slow, soon;
        slow.at = i * 10'000'000;
        slow.service = 5'000'000;
        slow.deadline = 30'000'000;
        soon.at = slow.at + 1000;
        soon.service = 1'000'000;
        soon.deadline = 2'000'000;
        arrivals.push_back(slow);
        arrivals.push_back(soon);
    }
    const auto late = [&](const char* policy) {
        const auto r = simulate(parse_policy_spec(policy), arrivals, {});
        EXPECT_EQ(r.done.size(), arrivals.size());
        return std::count_if(r.done.begin(), r.done.end(), [](const sim_done& d) { return d.late; });
    };
    EXPECT_EQ(late("deadline"), 0);
    EXPECT_EQ(late("fifo"), 200);
}

TEST(Deadline, AdmitsWhatItCanMeet) {
    // three times too much
    std::vector<sim_arrival> arrivals;
    for (uint64_t i = 0; i < 3000; i++) {
        sim_arrival a;
        a.at = i * 1'000'000;
        a.service = 3'000'000;
        a.deadline = 20'000'000;
        arrivals.push_back(a);
    }
    const auto r = simulate(parse_policy_spec("deadline:cost=3ms"), arrivals, {});
    EXPECT_GT(r.refused, 0U);
    EXPECT_GT(r.done.size(), 900U);
    EXPECT_EQ(std::count_if(r.done.begin(), r.done.end(), [](const sim_done& d) { return d.late; }), 0);
}

TEST(WorkStealing, WhoIsWokenDoesNotStarveTheRest) {
    // some that are woken again and again, beside ones that only compute
    std::vector<sim_arrival> arrivals(6);
    for (int i = 0; i < 6; i++) {
        arrivals[i].service = 1'000'000'000'000;
        if (i < 4) {
            arrivals[i].blocks = 100'000'000;
            arrivals[i].block_ns = 10;
            arrivals[i].parks = true;
        }
    }
    sim_options o;
    o.until = 1'000'000'000;
    o.slice_ns = 100'000;
    const auto r = simulate(parse_policy_spec("work_stealing"), arrivals, o);
    EXPECT_GT(r.ran[4], 100'000'000U);
    EXPECT_GT(r.ran[5], 100'000'000U);
}

}  // namespace
