// SPDX-License-Identifier: MIT
//
// A lock that its owner takes very often and others hardly ever: the owner's way has no atomic
// read-modify-write and no fence, and a visitor pays for both with membarrier(2). Who is the owner
// may change, as the executor of a server does, if what the old one did happens before what the
// new one does. docs/runtime.md, R10, has the argument; tests/runtime/test_owner_lock.cpp plays it.
#ifndef UMCG_SRC_OWNER_LOCK_HPP
#define UMCG_SRC_OWNER_LOCK_HPP

#include <atomic>
#include <cstdint>

#include <umcg/detail/wait.hpp>

#include "light_barrier.hpp"

namespace umcg::detail {

class owner_lock {
  public:
    // The owner.
    void lock(bool light = light_barriers) noexcept {
        // R10
        store_lightly(owner_, taken, light);
        if (__builtin_expect(visitor_.load(std::memory_order_seq_cst), 0)) lock_slowly();
    }
    void unlock(bool light = light_barriers) noexcept {
        // R10
        store_lightly(owner_, free, light);
        if (__builtin_expect(waiting_.load(std::memory_order_seq_cst), 0)) wake_visitor();
    }

    // Anybody else.
    void visit() noexcept;
    void leave() noexcept;

  private:
    enum : uint32_t { free, taken };

    [[gnu::cold]] void lock_slowly() noexcept;
    [[gnu::cold]] void wake_visitor() noexcept;

    std::atomic<uint32_t> owner_{free};
    std::atomic<uint32_t> visitor_{0};
    std::atomic<uint32_t> waiting_{0};  // a visitor sleeps until the owner is out
    short_lock visitors_;               // one at a time
};

}  // namespace umcg::detail

#endif
