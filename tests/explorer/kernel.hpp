// SPDX-License-Identifier: MIT
//
// What a scenario asks of the simulated kernel beside libumcg's calls.
#ifndef TESTS_EXPLORER_KERNEL_HPP
#define TESTS_EXPLORER_KERNEL_HPP

#include <cstdint>
#include <vector>

#include "explorer.hpp"

namespace explore {

// Something that is waited for in a system call: a worker that does is blocked.
class event {
  public:
    void wait();
    void set();

  private:
    bool set_ = false;
    std::vector<vthread*> waiting_;
};

// A descriptor that things come from one at a time: for operations of a simulated io_uring.
class source {
  public:
    source();
    int fd() const { return fd_; }
    void put();
    // For the ring: is there one? Then it is taken.
    bool get();

  private:
    const int fd_;
    unsigned there_ = 0;
};

// While there is one workers are reported by a monitor: late.cpp. Made before the runtime.
class late_kernel {
  public:
    late_kernel();
    ~late_kernel();

  private:
    const pthread_t monitor_;
};
extern bool kernel_is_late;

// Negative controls.
extern bool kernel_forgets_quiet;  // the second look before a server is left asleep
extern bool kernel_forgets_kicks;  // those that find the server awake
extern bool kernel_hands_over_early;  // before the stores of the worker that stops can be seen
extern bool checkpoint_is_no_barrier;
extern bool kernel_forgets_completions;  // those that come before the ring's waiter sleeps

// That what is to be explored has happened, in all runs.
struct kernel_counts {
    uint64_t dispatches, successors, quiet, blocks, direct_resumes, preemptions, completions, late;
};
extern kernel_counts counts;

}  // namespace explore

#endif
