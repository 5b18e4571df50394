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

// Negative controls.
extern bool kernel_forgets_quiet;  // the second look before a server is left asleep
extern bool kernel_forgets_kicks;  // those that find the server awake

// That what is to be explored has happened, in all runs.
struct kernel_counts {
    uint64_t dispatches, successors, quiet, blocks, direct_resumes, preemptions;
};
extern kernel_counts counts;

}  // namespace explore

#endif
