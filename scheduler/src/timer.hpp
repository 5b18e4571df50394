// SPDX-License-Identifier: MIT
//
// The timers of one server: a pairing heap through the waiters, so that nothing is allocated.
// insert() and erase() from any thread that may take a short_lock.
#ifndef UMCG_SRC_TIMER_HPP
#define UMCG_SRC_TIMER_HPP

#include <atomic>
#include <cstdint>

#include <umcg/detail/wait.hpp>

namespace umcg::detail {

class timer_heap {
  public:
    static constexpr uint64_t never = UINT64_MAX;

    void insert(timer_node& node, uint64_t when) noexcept;
    // Does nothing if it has fired. After it nobody touches the node.
    void erase(timer_node& node) noexcept;
    // End the waits that are due with wake::timeout.
    void fire(uint64_t now) noexcept;
    // The earliest; `never`: there is none. From any thread, out of date at once.
    uint64_t earliest() const noexcept { return earliest_.load(std::memory_order_relaxed); }
    // The same, stored to `until` under the lock: an insertion that is not counted in comes after
    // the store (R4 in docs/runtime.md).
    uint64_t announce(std::atomic<uint64_t>& until) noexcept;

  private:
    static timer_node* meld(timer_node* a, timer_node* b) noexcept;
    static timer_node* meld_children(timer_node* first) noexcept;
    void remove(timer_node& node) noexcept;
    void changed() noexcept;

    short_lock lock_;
    timer_node* root_ = nullptr;
    std::atomic<uint64_t> earliest_{never};
};

uint64_t now_ns() noexcept;

}  // namespace umcg::detail

#endif
