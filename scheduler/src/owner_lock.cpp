// SPDX-License-Identifier: MIT
#include "owner_lock.hpp"

#include "core.hpp"

namespace umcg::detail {

// Somebody is in there, or will be: he gets it first.
void owner_lock::lock_slowly() noexcept {
    unlock();
    visitors_.lock();
    // whoever comes after our unlock() sees it
    owner_.store(taken, std::memory_order_relaxed);
    visitors_.unlock();
}

void owner_lock::wake_visitor() noexcept {
    futex_wake(owner_, 1);
}

void owner_lock::visit() noexcept {
    visitors_.lock();
    visitor_.store(1, std::memory_order_seq_cst);
    heavy_barrier();  // R10
    for (int i = 0; i < 100 && owner_.load(std::memory_order_seq_cst) == taken; i++)
        __builtin_ia32_pause();
    if (owner_.load(std::memory_order_seq_cst) == free) return;
    waiting_.store(1, std::memory_order_seq_cst);
    heavy_barrier();  // R10
    while (owner_.load(std::memory_order_seq_cst) == taken) futex_wait(owner_, taken, 0);
    waiting_.store(0, std::memory_order_relaxed);
}

void owner_lock::leave() noexcept {
    visitor_.store(0, std::memory_order_release);
    visitors_.unlock();
}

}  // namespace umcg::detail
