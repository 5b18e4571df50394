// SPDX-License-Identifier: MIT
//
// What the C++ programs of this benchmark share, ours and the peers': clocks, lines of figures, the
// table of cases and the protocol of those that only wait.
#ifndef BENCH_RUNTIME_MEASURE_HPP
#define BENCH_RUNTIME_MEASURE_HPP

#include <time.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

namespace bench {

inline double seconds(clockid_t clock) {
    timespec t;
    clock_gettime(clock, &t);
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

// Both clocks of one measurement; prints them per operation, in ns.
class stopwatch {
  public:
    void report(double operations) const {
        const double wall = seconds(CLOCK_MONOTONIC) - wall_;
        const double cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu_;
        printf("wall_ns\t%.3f\ncpu_ns\t%.3f\n", wall * 1e9 / operations, cpu * 1e9 / operations);
        fflush(stdout);
    }

  private:
    double wall_ = seconds(CLOCK_MONOTONIC);
    double cpu_ = seconds(CLOCK_PROCESS_CPUTIME_ID);
};

// Of the cases timer_insert and timer_fire.
constexpr size_t timers_pending = 10'000;
constexpr auto timers_due = std::chrono::milliseconds(1000);

// A case that waits tells the runner where it is, and goes on when that has looked. At the end of what
// the runner writes so does the process, at once: exit() would destroy a scheduler of Boost.Fiber's, which
// waits for its fibers.
inline void stage(const char* name) {
    printf("stage\t%s\n", name);
    fflush(stdout);
    if (getchar() == EOF) _exit(0);
}

[[noreturn]] inline void fail(const char* what) {
    fprintf(stderr, "bench: %s\n", what);
    exit(1);
}

struct measured_case {
    const char* name;
    void (*run)(long n);
};

constexpr int unknown_case = 64;

// PROGRAM CASE N
template <size_t Count>
int run_case(const measured_case (&cases)[Count], int argc, char** argv) {
    if (argc != 3 || atol(argv[2]) < 1) {
        fprintf(stderr, "usage: %s CASE N\n", argv[0]);
        return 2;
    }
    for (const auto& c : cases) {
        if (strcmp(c.name, argv[1])) continue;
        c.run(atol(argv[2]));
        return 0;
    }
    return unknown_case;
}

// What one task of each storm does, and how many there are.
constexpr int storm_tasks = 64, storm_waits = 10;
constexpr long storm_wait_ns = 1000000;

inline void sleep_in_kernel() {
    const timespec t = {0, storm_wait_ns};
    nanosleep(&t, nullptr);
}

}  // namespace bench

#endif
