// SPDX-License-Identifier: MIT
//
// Stacks of fibers: slabs of equal slots, each a guard page, then the stack, then the fiber's
// `task` at its top. The memory stays of this type until the pool ends, so a late look at a task
// that has ended finds a task. A runtime has one pool for the stacks of options::stack_size, and one
// for each power of two above that some task has asked for.
#ifndef UMCG_SRC_STACK_HPP
#define UMCG_SRC_STACK_HPP

#include <array>
#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <vector>

#include <umcg/detail/wait.hpp>
#include <umcg/runtime.hpp>

namespace umcg::detail {

// Free slots, linked through their tops. Not synchronised.
struct stack_list {
    struct entry {
        entry* next;
    };
    entry* head = nullptr;
    size_t count = 0;

    void push(void* slot) noexcept {
        auto* e = static_cast<entry*>(slot);
        e->next = head;
        head = e;
        count++;
    }
    void* pop() noexcept {
        entry* e = head;
        if (!e) return nullptr;
        head = e->next;
        count--;
        return e;
    }
};

class stack_pool {
  public:
    // `top_size` bytes at the top of each slot are the fiber's task.
    stack_pool(size_t stack_size, stack_guard guard, size_t top_size);
    ~stack_pool();
    stack_pool(const stack_pool&) = delete;
    stack_pool& operator=(const stack_pool&) = delete;

    // The address of the top part of a free slot. Allocates: not in a section. Throws
    // std::system_error when memory, mappings or guards are to be had no more.
    void* get();
    // Moves up to `n` slots to `to`; never allocates. In a section or on a plain thread.
    void get_some(stack_list& to, size_t n) noexcept;
    void put_some(stack_list& from, size_t n) noexcept;
    void put(void* top) noexcept;
    // Give the memory of what is not in use back to the system. By the fiber on this stack itself, at
    // its end: not in a section.
    void trim(void* top) noexcept;

    // Of a slot's top part: the stack below it.
    void* bottom(void* top) const noexcept {
        return static_cast<char*>(top) - (slot_size_ - page_ - top_size_);
    }
    size_t usable() const noexcept { return slot_size_ - page_ - top_size_; }
    size_t guard_size() const noexcept { return page_; }
    // The most bytes that were touched of one stack. 0: not known.
    size_t high_water();
    // Slots made so far, and how many of them have a guard page.
    size_t slots() const noexcept { return slots_.load(std::memory_order_relaxed); }
    size_t guarded() const noexcept { return guarded_.load(std::memory_order_relaxed); }

  private:
    void grow();
    bool add_guard(void* page) noexcept;

    const size_t page_;
    const size_t top_size_;
    const size_t slot_size_;
    const size_t slots_per_slab_;
    const stack_guard guard_;
    const size_t max_protected_;

    short_lock free_lock_;
    stack_list free_;

    std::mutex grow_mutex_;  // and the rest
    std::vector<std::pair<void*, size_t>> slabs_;
    bool no_guard_advice_ = false;
    std::atomic<size_t> slots_{0};
    std::atomic<size_t> guarded_{0};
};

class large_stacks {
  public:
    static constexpr size_t smallest = 8192, largest = size_t{1} << 30;

    large_stacks(stack_guard guard, size_t top_size) : guard_(guard), top_size_(top_size) {}
    // The pool for stacks of at least `size`, up to `largest`. Allocates.
    stack_pool& of(size_t size);
    size_t slots() const noexcept;
    size_t guarded() const noexcept;
    size_t high_water();

  private:
    const stack_guard guard_;
    const size_t top_size_;
    std::mutex mutex_;                                     // for making one
    std::array<std::unique_ptr<stack_pool>, 31> owned_;    // [k]: 2^k bytes
    std::array<std::atomic<stack_pool*>, 31> pools_ = {};  // the same, once it is made
};

}  // namespace umcg::detail

#endif
