// SPDX-License-Identifier: MIT
//
// Stack overflow is named: which task, and what helps. Stacks on which signal handlers run.
#ifndef UMCG_SRC_OVERFLOW_HPP
#define UMCG_SRC_OVERFLOW_HPP

#include <cstddef>

namespace umcg::detail {

struct worker;

// Handlers of the calling thread run here while it lives: a fiber's stack is small, and perhaps used
// up.
class alternative_stack {
  public:
    alternative_stack() noexcept;
    ~alternative_stack();
    alternative_stack(const alternative_stack&) = delete;
    alternative_stack& operator=(const alternative_stack&) = delete;
    // False: no memory.
    bool good() const noexcept;

  private:
    void* memory_;
};

// Handle SIGSEGV from now on: a task's access to the guard page of its stack is reported on standard
// error; then, and for any other, what was there before is done. Once per process. Throws.
void name_overflows();
// Where the calling thread's own stack ends, for thread tasks.
void learn_thread_stack(worker& w) noexcept;

}  // namespace umcg::detail

#endif
