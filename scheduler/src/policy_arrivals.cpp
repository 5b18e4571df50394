// SPDX-License-Identifier: MIT
//
// What the simulator is fed with: synthetic arrivals, and the conformance suite.
#include "policy_simulator.hpp"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>

namespace umcg::detail {

std::vector<sim_arrival> bimodal_arrivals(uint64_t seed, double load, unsigned servers,
                                          uint64_t duration_ns, uint64_t short_ns, uint64_t long_ns,
                                          unsigned rare) {
    std::mt19937_64 random(seed);
    // not std::exponential_distribution: it differs from library to library
    const auto uniform = [&] { return static_cast<double>(random() >> 11) / 9007199254740992.0; };
    const double mean = (static_cast<double>(short_ns) * (1000 - rare) + static_cast<double>(long_ns) * rare) / 1000;
    const double gap = mean / (load * servers);
    std::vector<sim_arrival> all;
    for (double at = 0;;) {
        at -= gap * std::log(1 - uniform());
        if (at >= static_cast<double>(duration_ns)) return all;
        const bool is_long = random() % 1000 < rare;
        sim_arrival a;
        a.at = static_cast<uint64_t>(at);
        a.service = is_long ? long_ns : short_ns;
        a.klass = is_long;
        all.push_back(a);
    }
}

std::string check_policy(const policy_spec& spec, uint64_t seed) {
    std::mt19937_64 random(seed);
    for (unsigned round = 0; round < 24; round++) {
        sim_options o;
        o.servers = 1U << round % 4;
        o.slice_ns = round % 3 ? 100'000 : 0;
        o.dequeue_percent = round % 5 * 5;
        o.switch_ns = round % 2 * 100;
        o.seed = seed + round;
        std::vector<sim_arrival> arrivals;
        for (int i = 0; i < 600; i++) {
            sim_arrival a;
            a.at = random() % 20'000'000;
            a.service = 1000 + random() % (i % 20 ? 20'000 : 2'000'000);
            a.weight = 1 + random() % 1000;
            a.deadline = i % 3 ? 0 : 1'000'000'000;
            a.blocks = random() % 4;
            a.block_ns = random() % 200'000;
            a.parks = random() % 2;
            arrivals.push_back(a);
        }
        const sim_result first = simulate(spec, arrivals, o);
        const std::string where = " (" + std::to_string(o.servers) + " servers, seed " + std::to_string(o.seed) + ")";
        if (!first.wrong.empty()) return first.wrong + where;
        if (first.done.size() + first.refused != arrivals.size())
            return "tasks are missing at the end" + where;
        if (simulate(spec, arrivals, o).trace != first.trace)
            return "it decides differently for the same arrivals: what does it look at?" + where;
    }
    // two that never wait, beside short ones that come for a while: all get on
    constexpr uint64_t duration = 2'000'000'000;
    std::vector<sim_arrival> arrivals = bimodal_arrivals(seed, 0.05, 1, duration / 4, 50'000, 50'000, 0);
    const size_t n = arrivals.size();
    for (int i = 0; i < 2; i++) {
        sim_arrival a;
        a.service = 10 * duration;
        arrivals.push_back(a);
    }
    sim_options o;
    o.slice_ns = 1'000'000;
    o.until = duration;
    const sim_result r = simulate(spec, arrivals, o);
    if (!r.wrong.empty()) return r.wrong;
    if (r.done.size() + r.refused < n) return "a short task starves beside two long ones";
    if (r.ran[n] < duration / 20 || r.ran[n + 1] < duration / 20)
        return "a long task starves beside another";
    return "";
}

}  // namespace umcg::detail
