// SPDX-License-Identifier: MIT
// What the programs share that measure the cost of single operations.
#ifndef BENCH_IO_COST_HPP
#define BENCH_IO_COST_HPP

#include <liburing.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

[[noreturn]] inline void die(const char* what, int err) {
    fprintf(stderr, "%s: %s\n", what, strerror(err));
    exit(1);
}

inline double median(std::vector<double> of) {
    std::nth_element(of.begin(), of.begin() + static_cast<long>(of.size() / 2), of.end());
    return of[of.size() / 2];
}

// As the runtime sets up its own.
inline void make_ring(io_uring* ring, unsigned entries) {
    io_uring_params p = {};
    p.flags = IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL;
    if (const int err = io_uring_queue_init_params(entries, ring, &p)) die("io_uring", -err);
}

#endif
