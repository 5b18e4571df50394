// SPDX-License-Identifier: MIT
//
// Barriers of which one side is free of charge because the other pays for both with membarrier(2).
// docs/runtime.md, R8 and R10, has the pairs.
#ifndef UMCG_SRC_LIGHT_BARRIER_HPP
#define UMCG_SRC_LIGHT_BARRIER_HPP

#include <atomic>
#include <type_traits>

#include "sanitizer.hpp"

namespace umcg::detail {

#ifdef UMCG_TSAN
// It does not know of membarrier().
inline constexpr bool light_barriers = false;
inline void init_barriers() noexcept {}
inline void heavy_barrier() noexcept {}
#else
// Is there membarrier()? Else what is light is a read-modify-write. Constant once there is a
// server.
extern bool light_barriers;
void init_barriers() noexcept;
// Every thread of the process passes a full barrier. Nothing without light_barriers.
void heavy_barrier() noexcept;
#endif

// A store that no later load of this thread overtakes, as whoever has called heavy_barrier() or has
// made a sequentially consistent store sees it. `light` is for those who make several: they read it once.
template <class T>
void store_lightly(std::atomic<T>& word, std::type_identity_t<T> value, bool light = light_barriers) noexcept {
    if (__builtin_expect(light, 1)) {
        word.store(value, std::memory_order_release);
        std::atomic_signal_fence(std::memory_order_seq_cst);
    } else {
        word.exchange(value, std::memory_order_seq_cst);
    }
}

}  // namespace umcg::detail

#endif
