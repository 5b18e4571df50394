// SPDX-License-Identifier: MIT
//
// What AddressSanitizer and ThreadSanitizer must be told: of switches between stacks, and of the
// order that the kernel makes when it lets a worker go. All of it is empty in other builds.
#ifndef UMCG_SRC_SANITIZER_HPP
#define UMCG_SRC_SANITIZER_HPP

#include <cstddef>
#include <cstdint>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define UMCG_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define UMCG_TSAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define UMCG_ASAN 1
#endif
#if defined(__SANITIZE_THREAD__)
#define UMCG_TSAN 1
#endif

#ifdef UMCG_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef UMCG_TSAN
#include <sanitizer/tsan_interface.h>
#endif

// A switch must not be instrumented: it begins on one shadow stack and ends on another.
#ifdef UMCG_TSAN
#define UMCG_NO_TSAN __attribute__((no_sanitize_thread))
#else
#define UMCG_NO_TSAN
#endif

namespace umcg::detail {

// Of one context.
struct sanitizer_context {
#ifdef UMCG_ASAN
    void* fake_stack = nullptr;
    const void* bottom = nullptr;
    size_t size = 0;
#endif
#ifdef UMCG_TSAN
    void* fiber = nullptr;
#endif

    void new_fiber([[maybe_unused]] void* stack_bottom, [[maybe_unused]] size_t stack_size) {
#ifdef UMCG_ASAN
        fake_stack = nullptr;
        bottom = stack_bottom;
        size = stack_size;
        // what the stack's last owner has poisoned
        ASAN_UNPOISON_MEMORY_REGION(stack_bottom, stack_size);
#endif
#ifdef UMCG_TSAN
        fiber = __tsan_create_fiber(0);
#endif
    }
    void this_thread([[maybe_unused]] void* stack_bottom, [[maybe_unused]] size_t stack_size) {
#ifdef UMCG_ASAN
        bottom = stack_bottom;
        size = stack_size;
#endif
#ifdef UMCG_TSAN
        fiber = __tsan_get_current_fiber();
#endif
    }
    // Its fiber never runs again.
    void end_fiber() {
#ifdef UMCG_TSAN
        __tsan_destroy_fiber(fiber);
        fiber = nullptr;
#endif
    }
};

// Right before the jump. `last`: `from` is never resumed.
UMCG_NO_TSAN inline void sanitizer_leave([[maybe_unused]] sanitizer_context& from,
                                         [[maybe_unused]] sanitizer_context& to,
                                         [[maybe_unused]] bool last) {
#ifdef UMCG_ASAN
    __sanitizer_start_switch_fiber(last ? nullptr : &from.fake_stack, to.bottom, to.size);
#endif
#ifdef UMCG_TSAN
    __tsan_switch_to_fiber(to.fiber, 0);
#endif
}

// First thing after it.
UMCG_NO_TSAN inline void sanitizer_arrive([[maybe_unused]] sanitizer_context& self) {
#ifdef UMCG_ASAN
    __sanitizer_finish_switch_fiber(self.fake_stack, nullptr, nullptr);
#endif
}

// What was done before tsan_release(x) is visible after tsan_acquire(x): where only the kernel's
// dispatch is in between.
inline void tsan_release([[maybe_unused]] void* x) {
#ifdef UMCG_TSAN
    __tsan_release(x);
#endif
}
inline void tsan_acquire([[maybe_unused]] void* x) {
#ifdef UMCG_TSAN
    __tsan_acquire(x);
#endif
}

// Memory that nobody in user space is to touch, until asan_unpoison(). Whole granules of 8 bytes: what
// lies beside it may be another thread's.
inline void asan_poison([[maybe_unused]] void* p, [[maybe_unused]] size_t size) {
#ifdef UMCG_ASAN
    constexpr uintptr_t granule = 8;
    const auto at = reinterpret_cast<uintptr_t>(p);
    const uintptr_t begin = (at + granule - 1) & ~(granule - 1), end = (at + size) & ~(granule - 1);
    if (begin < end) ASAN_POISON_MEMORY_REGION(reinterpret_cast<void*>(begin), end - begin);
#endif
}
inline void asan_unpoison([[maybe_unused]] void* p, [[maybe_unused]] size_t size) {
#ifdef UMCG_ASAN
    ASAN_UNPOISON_MEMORY_REGION(p, size);
#endif
}

}  // namespace umcg::detail

#endif
