// SPDX-License-Identifier: MIT
#include "fiber.hpp"

#include <cxxabi.h>

#include <cstdint>
#include <new>

#include <umcg/xstate.h>

namespace umcg::detail {

// jump.S
extern "C" umcg::detail::context* umcg_detail_jump(void** from, void* to, umcg::detail::context* self);
extern "C" void umcg_detail_begin();

namespace {

UMCG_NO_TSAN inline arrival land(context* from, context& self) noexcept {
    sanitizer_arrive(self.sanitizer);
    return {from, from->left_on};
}

UMCG_NO_TSAN void start(context* from) noexcept {
    context& self = *from->left_for;
    self.entry(land(from, self));
}

// What umcg_detail_jump() finds on a stack.
struct frame {
    void* r15 = nullptr;
    void* r14 = nullptr;
    void* r13 = nullptr;
    void* r12 = nullptr;
    void (*rbx)(context*) noexcept = start;
    void* rbp = nullptr;
    void (*rip)() = umcg_detail_begin;
    void* align = nullptr;  // at umcg_detail_begin the stack pointer is a multiple of 16
};
static_assert(sizeof(frame) == 64);

}  // namespace

exception_state* this_thread_exceptions() noexcept {
    static_assert(sizeof(exception_state) == 2 * sizeof(void*), "the Itanium C++ ABI's layout");
    return reinterpret_cast<exception_state*>(abi::__cxa_get_globals());
}

void make_context(context& c, void* bottom, size_t size, entry_function entry) noexcept {
    c.exceptions = {};
    c.sanitizer.new_fiber(bottom, size);
    c.entry = entry;
    const uintptr_t top = (reinterpret_cast<uintptr_t>(bottom) + size) & ~uintptr_t{15};
    // 8 below: `align` is then at a multiple of 16
    c.sp = new (reinterpret_cast<void*>(top - sizeof(frame) - 8)) frame;
}

UMCG_NO_TSAN __attribute__((noinline)) arrival switch_context(worker* w,
                                                             exception_state* exceptions,
                                                             context& from, context& to,
                                                             bool last) noexcept {
    from.left_on = w;
    from.left_for = &to;
    // still the thread of `w`, as it is for the one who arrives
    from.exceptions = *exceptions;
    *exceptions = to.exceptions;
    // Without its own a context has what it was switched to with: nothing has to be read.
    if (from.own_control) from.control = float_control::read();
    if (from.control.differs(to.control)) to.control.load();
    umcg_xstate_release_tiles();
    sanitizer_leave(from.sanitizer, to.sanitizer, last);
    return land(umcg_detail_jump(&from.sp, to.sp, &from), from);
}

}  // namespace umcg::detail
