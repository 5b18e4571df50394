// SPDX-License-Identifier: MIT
//
// fair: shares in virtual time, with the bound of their error; nested groups; who has waited.
#include <cmath>

#include "fixture.hpp"
#include "policy_simulator.hpp"

namespace {

using umcg::detail::sim_arrival;

constexpr uint64_t ms = 1'000'000;

void queue_new(by_hand& p, umcg_policy_task& t) {
    EXPECT_EQ(p.attach(t), 0);
    p.enqueue(0, t, UMCG_ENQUEUE_SPAWN);
}

// Tasks that compute for ever, on one server, until `until`: what each got, ns.
std::vector<uint64_t> shares(const std::string& spec, std::vector<sim_arrival> arrivals, uint64_t until) {
    for (auto& a : arrivals) a.service = 1'000'000'000'000;
    umcg::detail::sim_options o;
    o.until = until;
    const auto r = umcg::detail::simulate(umcg::detail::parse_policy_spec(spec), arrivals, o);
    EXPECT_EQ(r.wrong, "");
    return r.ran;
}

// At any time nobody is more than two slices from what it is due: the error does not grow with time.
TEST(Fair, ErrorIsBoundedByTwoSlicesAtAnyTime) {
    const unsigned weights[] = {1, 7, 50, 100, 100, 1000, 3000};
    std::vector<sim_arrival> arrivals;
    double sum = 0;
    for (unsigned w : weights) {
        arrivals.emplace_back().weight = w;
        sum += w;
    }
    for (uint64_t until : {500, 1000, 3333, 10000, 50000}) {
        const auto ran = shares("fair:slice=1ms", arrivals, until * ms);
        for (size_t i = 0; i < arrivals.size(); i++)
            EXPECT_NEAR(static_cast<double>(ran[i]), static_cast<double>(until * ms) * weights[i] / sum,
                        2.0 * ms) << "weight " << weights[i] << " after " << until << " ms";
    }
}

// Three levels; a group's share does not depend on how many are in it.
TEST(Fair, NestedGroups) {
    std::vector<sim_arrival> arrivals(24);
    // root: group 1 (300), group 2 (100). In 1: group 3 (100), group 4 (200).
    arrivals[0].group = 3;
    arrivals[1].group = 4;
    for (size_t i = 2; i < 22; i++) arrivals[i].group = 4;
    arrivals[22].group = arrivals[23].group = 2;
    arrivals[23].weight = 300;
    const auto ran = shares("fair:groups=1/0:300+2/0:100+3/1:100+4/1:200,slice=1ms", arrivals, 20'000 * ms);
    double four = 0;
    for (size_t i = 1; i < 22; i++) {
        four += static_cast<double>(ran[i]);
        EXPECT_NEAR(static_cast<double>(ran[i]), 20'000.0 * ms / 2 / 21, 4.0 * ms) << i;
    }
    EXPECT_NEAR(static_cast<double>(ran[0]), 20'000.0 * ms / 4, 4.0 * ms);
    EXPECT_NEAR(four, 20'000.0 * ms / 2, 4.0 * ms);
    EXPECT_NEAR(static_cast<double>(ran[22]), 20'000.0 * ms / 16, 4.0 * ms);
    EXPECT_NEAR(static_cast<double>(ran[23]), 20'000.0 * ms * 3 / 16, 4.0 * ms);
}

// One that comes late shares from then on, and gets nothing for the time before, in which the first was
// alone and never stopped.
TEST(Fair, WhoComesLateHasNoClaim) {
    std::vector<sim_arrival> arrivals(2);
    arrivals[1].at = 1000 * ms;
    const auto ran = shares("fair:slice=1ms", arrivals, 2000 * ms);
    EXPECT_NEAR(static_cast<double>(ran[0]), 1500.0 * ms, 2.0 * ms);
    EXPECT_NEAR(static_cast<double>(ran[1]), 500.0 * ms, 2.0 * ms);
}

// The same between groups.
TEST(Fair, AGroupThatComesLateHasNoClaim) {
    std::vector<sim_arrival> arrivals(2);
    arrivals[0].group = 2;
    arrivals[1].group = 3;
    arrivals[1].at = 1000 * ms;
    const auto ran = shares("fair:groups=1/0:100+2/1:100+3/0:300,slice=1ms", arrivals, 2000 * ms);
    EXPECT_NEAR(static_cast<double>(ran[0]), 1250.0 * ms, 4.0 * ms);
    EXPECT_NEAR(static_cast<double>(ran[1]), 750.0 * ms, 4.0 * ms);
}

TEST(Fair, WhoHasSleptHasNoClaim) {
    by_hand p("fair");
    umcg_policy_task& sleeper = p.make();
    umcg_policy_task& other = p.make();
    for (auto* t : {&sleeper, &other}) queue_new(p, *t);
    EXPECT_EQ(p.pick(), sleeper.id);  // and waits
    for (int i = 0; i < 1000; i++) {
        EXPECT_EQ(p.pick(), other.id);
        p.enqueue(0, other, UMCG_ENQUEUE_PREEMPTED, ms);
    }
    p.enqueue(0, sleeper, UMCG_ENQUEUE_WAKE);
    // in turn, not a thousand times
    unsigned in_row = 0;
    for (int i = 0; i < 100; i++) {
        const uint64_t id = p.pick();
        in_row = id == sleeper.id ? in_row + 1 : 0;
        ASSERT_LE(in_row, 2U);
        p.enqueue(0, id == sleeper.id ? sleeper : other, UMCG_ENQUEUE_PREEMPTED, ms);
    }
}

// Who yields early pays for what it used, not for a slice.
TEST(Fair, TimeCountsNotTurns) {
    by_hand p("fair");
    umcg_policy_task* t[] = {&p.make(), &p.make()};
    for (auto* one : t) queue_new(p, *one);
    uint64_t turns[2] = {};
    for (int i = 0; i < 1100; i++) {
        const uint64_t who = p.pick() - 1;
        ASSERT_LT(who, 2U);
        turns[who]++;
        p.enqueue(0, *t[who], UMCG_ENQUEUE_YIELD, who ? 10 * ms : ms);
    }
    EXPECT_NEAR(static_cast<double>(turns[0]), 1000, 11);
    EXPECT_NEAR(static_cast<double>(turns[1]), 100, 2);
}

TEST(Fair, AGroupThatWasNotNamedIsRefused) {
    by_hand p("fair:groups=1/0:100");
    for (uint32_t group : {0U, 1U, 2U, 31U, 32U, 0xffffffffU}) {
        umcg_policy_task& t = p.make();
        t.group = group;
        EXPECT_EQ(p.attach(t), group < 2 ? 0 : -EINVAL) << group;
    }
}

// By weight, not by number.
TEST(Fair, NewOnesGoWhereTheLeastWeightIs) {
    by_hand p("fair", 2);
    const auto spawn = [&](unsigned weight) {
        umcg_policy_task& t = p.make();
        t.weight = weight;
        EXPECT_EQ(p.attach(t), 0);
        p.wake(t, UMCG_ENQUEUE_SPAWN, 0);
        return &t;
    };
    umcg_policy_task* heavy = spawn(1000);
    for (int i = 0; i < 10; i++) EXPECT_NE(spawn(90)->server, heavy->server);
    // changed: it counts as what it is now
    heavy->weight = 10;
    p.ops().attr_changed(p.p(), heavy);
    EXPECT_EQ(spawn(100)->server, heavy->server);
    // and ended: it counts no more, and no less than it did
    p.ops().detach(p.p(), heavy);
    EXPECT_EQ(spawn(700)->server, heavy->server);
    EXPECT_EQ(spawn(90)->server, heavy->server) << "800 against 900";
    EXPECT_EQ(spawn(20)->server, heavy->server) << "890 against 900";
    EXPECT_NE(spawn(1)->server, heavy->server) << "910 against 900";
}

TEST(Fair, ANewWeightCountsFromThenOn) {
    by_hand p("fair");
    umcg_policy_task* t[] = {&p.make(), &p.make()};
    for (auto* one : t) queue_new(p, *one);
    const auto turns = [&] {
        uint64_t n[2] = {};
        for (int i = 0; i < 400; i++) {
            const uint64_t who = p.pick() == 2;
            n[who]++;
            p.enqueue(0, *t[who], UMCG_ENQUEUE_PREEMPTED, ms);
        }
        return n[0];
    };
    EXPECT_NEAR(static_cast<double>(turns()), 200, 2);
    t[0]->weight = 300;
    p.ops().attr_changed(p.p(), t[0]);
    EXPECT_NEAR(static_cast<double>(turns()), 300, 3);
}

}  // namespace
