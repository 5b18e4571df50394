// SPDX-License-Identifier: MIT
//
// A policy in virtual time: the same table that the runtime calls, with tasks that are nothing but
// times, in one thread, the same from the same seed. What the policy does wrong is said, not contained.
#ifndef UMCG_SRC_POLICY_SIMULATOR_HPP
#define UMCG_SRC_POLICY_SIMULATOR_HPP

#include <cstdint>
#include <string>
#include <vector>

#include "policy_instance.hpp"

namespace umcg::detail {

// A task that comes at a time and needs so much; ns.
struct sim_arrival {
    uint64_t at = 0;
    uint64_t service = 0;
    unsigned klass = 0;       // for the report
    uint64_t deadline = 0;    // after `at`; 0: none
    unsigned weight = 100;
    unsigned group = 0;
    unsigned blocks = 0;      // so many times it blocks in the middle, evenly,
    uint64_t block_ns = 0;    // for so long
    bool parks = false;       // it waits instead of blocking in the kernel
    bool yields = false;      // and yields after it
};

struct sim_options {
    unsigned servers = 1;
    uint64_t slice_ns = 10'000'000;
    uint64_t switch_ns = 0;       // what starting a task costs
    uint64_t preempt_ns = 0;      // what stopping one costs
    unsigned dequeue_percent = 0; // of those queued, so many are taken out by dequeue()
    uint64_t seed = 1;
    uint64_t until = ~0ULL;       // stop then, with tasks left
};

struct sim_done {
    unsigned klass;
    uint64_t latency;   // ns from arrival to end
    uint64_t service;
    bool late;          // after its deadline
};

struct sim_result {
    std::string wrong;             // what the policy did; "" nothing
    std::vector<sim_done> done;    // in the order that they ended
    std::vector<uint64_t> ran;     // ns of each arrival, until the end
    uint64_t refused = 0;          // by attach()
    uint64_t preemptions = 0, steals = 0, picks = 0;
    uint64_t longest_wait = 0;     // ns that a task was queued
    uint64_t trace = 0;            // a hash of all that was picked where and when
};

// Throws as policy_instance::make() does, and std::invalid_argument if init() fails.
sim_result simulate(const policy_spec& spec, const std::vector<sim_arrival>& arrivals,
                    const sim_options& opts);

// Arrivals of a Poisson process with `load` of `servers` in [0, duration): of two kinds, the second in
// `rare` of 1000.
std::vector<sim_arrival> bimodal_arrivals(uint64_t seed, double load, unsigned servers,
                                          uint64_t duration_ns, uint64_t short_ns, uint64_t long_ns,
                                          unsigned rare);

// The conformance suite: everything that a policy has to do, in many random runs. "" or what is wrong.
std::string check_policy(const policy_spec& spec, uint64_t seed);

}  // namespace umcg::detail

#endif
