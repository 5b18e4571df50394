// SPDX-License-Identifier: MIT
//
// Memory of task_states. Not malloc's: whoever frees one may be stopped in the middle of free(), and
// then all that make tasks would wait for the lock of that arena. Here nobody is stopped while he has a
// lock. What was once taken is kept for other tasks.
#ifndef UMCG_SRC_STATE_MEMORY_HPP
#define UMCG_SRC_STATE_MEMORY_HPP

#include <cstddef>

#include "stack.hpp"

namespace umcg::detail {

// Larger ones than these come from operator new.
constexpr size_t state_unit = 64, state_classes = 8;

// What a server's executor has at hand.
struct state_cache {
    stack_list lists[state_classes];
    ~state_cache();
};

}  // namespace umcg::detail

#endif
