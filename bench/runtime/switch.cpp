// SPDX-License-Identifier: MIT
//
// The switch alone, no scheduler around it: what src/fiber.hpp adds to Boost's fcontext.
#include <climits>
#include <memory>

#include "cases.hpp"
#include "fiber.hpp"

namespace {

using umcg::detail::arrival;
using umcg::detail::context;
using umcg::detail::exception_state;

exception_state* exceptions;
context here, there;

// Both sides run this one loop, as tasks that wait do so in the same functions: a return
// address that is always another one would be mispredicted, and measured.
__attribute__((noinline)) void turns(context& from, context& to, long n) noexcept {
    for (long i = 0; i < n; i++)
        umcg::detail::switch_context(nullptr, exceptions, from, to, false);
}

void other_side(arrival) noexcept {
    turns(there, here, LONG_MAX);
}

}  // namespace

void raw_switch(long n) {
    constexpr size_t size = 64 * 1024;
    const auto stack = std::make_unique<char[]>(size);
    exceptions = umcg::detail::this_thread_exceptions();
    umcg::detail::make_context(there, stack.get(), size, other_side);
    const bench::stopwatch watch;
    turns(here, there, n / 2);
    watch.report(static_cast<double>(n));
}
