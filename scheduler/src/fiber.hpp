// SPDX-License-Identifier: MIT
//
// A context: a stack and where on it to go on. Only fiber.cpp knows how to get there (jump.S).
#ifndef UMCG_SRC_FIBER_HPP
#define UMCG_SRC_FIBER_HPP

#include <cstddef>

#include "float_control.hpp"
#include "sanitizer.hpp"

namespace umcg::detail {

struct worker;

// What the C++ runtime keeps per thread about exceptions in flight (__cxa_eh_globals); a fiber
// takes its own along. Boost 1.74 does not.
struct exception_state {
    void* caught = nullptr;
    unsigned int uncaught = 0;
};
// Of this thread, for as long as it lives.
exception_state* this_thread_exceptions() noexcept;

struct context;

// Who has switched here, on which worker: a fiber may go on on another one.
struct arrival {
    context* from;
    worker* on;
};
using entry_function = void (*)(arrival) noexcept;

struct context {
    void* sp = nullptr;
    entry_function entry = nullptr;
    void* owner = nullptr;  // the user's; nullptr: a thread's own stack
    // For the one who is switched to. Read before this context can run again.
    worker* left_on = nullptr;
    context* left_for = nullptr;
    exception_state exceptions;
    float_control control;     // to go on with
    bool own_control = false;  // its task may have changed them
    sanitizer_context sanitizer;
};

// Make `c` start with entry(arrival) on [bottom, bottom + size) when it is first switched to.
// entry() does not return; it ends with a last switch.
void make_context(context& c, void* bottom, size_t size, entry_function entry) noexcept;

// From `from`, which runs, to `to`, on `w`, whose thread this is. Returns when somebody switches
// to `from`. Saves callee-saved registers, MXCSR and the x87 control word only of a context that has
// its own, no vector state; loads control words that differ. Tiles are released, not carried along.
// `last`: `from` is never resumed.
arrival switch_context(worker* w, exception_state* exceptions, context& from, context& to,
                       bool last) noexcept;

}  // namespace umcg::detail

#endif
