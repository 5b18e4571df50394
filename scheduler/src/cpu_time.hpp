// SPDX-License-Identifier: MIT
//
// CPU time of threads. The kernel's clock costs a system call and a lock, so it is asked where a task was
// stopped, which costs a hundred times as much, and not where one is picked.
#ifndef UMCG_SRC_CPU_TIME_HPP
#define UMCG_SRC_CPU_TIME_HPP

#include <sys/types.h>

#include <cstdint>

namespace umcg::detail {

// In ns; 0: it has gone.
uint64_t cpu_ns_of(pid_t tid) noexcept;

// For how much of the time since its task was picked a worker had a CPU: others may have had it meanwhile,
// the server thread for one, and a short task is not to count as a long one for that. Between two waits that
// the executor knows of a worker runs all the time but for such cases, so one look at its clock at the
// beginning does for all that it carries; what it was kept from the CPU while it carried those before is
// credited to the last.
class cpu_account {
  public:
    // It is about to run, and what it carries was picked at `now`.
    void begin(pid_t tid, uint64_t now) noexcept {
        if (!known_) look(tid, now);
    }
    // It is about to wait, or has waited.
    void forget() noexcept {
        known_ = false;
        at_stop_ = 0;
    }
    // It was stopped. ns that its task has run since it was picked at `since`; `most`: by the other clock.
    uint64_t stop(pid_t tid, uint64_t since, uint64_t most) noexcept;

  private:
    void look(pid_t tid, uint64_t now) noexcept;

    uint64_t offset_ = 0;   // its CPU time less the other clock, as of its first pick since it waited
    uint64_t at_stop_ = 0;  // what it was when the worker was stopped, as long as that is true
    bool known_ = false;
};

}  // namespace umcg::detail

#endif
