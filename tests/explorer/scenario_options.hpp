// SPDX-License-Identifier: MIT
//
// The runtimes of the scenarios: as small as can be, so that many runs fit into a second.
#ifndef TESTS_EXPLORER_SCENARIO_OPTIONS_HPP
#define TESTS_EXPLORER_SCENARIO_OPTIONS_HPP

#include <umcg/runtime.hpp>

#include "explorer.hpp"

namespace explore {

inline umcg::options options(unsigned servers, std::chrono::nanoseconds slice, const char* policy = nullptr) {
    umcg::options o;
    o.servers = servers;
    o.pin = false;
    o.io_uring = false;
    o.slice = slice;
    o.guard = umcg::stack_guard::none;
    o.stack_size = 32 * 1024;
    o.max_workers = 8;
    o.idle_worker_time = std::chrono::nanoseconds(0);
    o.policy = policy ? policy : random(2) ? "work_stealing" : "fifo";
    return o;
}

inline umcg::kind some_kind() { return random(4) ? umcg::kind::fiber : umcg::kind::thread; }

inline umcg::limit in(uint64_t ns) {
    return umcg::clock::time_point(std::chrono::nanoseconds(now() + ns));
}

}  // namespace explore

#endif
