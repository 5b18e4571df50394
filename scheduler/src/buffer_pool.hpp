// SPDX-License-Identifier: MIT
//
// Buffers that a ring gives to what has been received: the kernel takes one when bytes are there, so
// who waits needs none. docs/runtime.md, "Provided buffers", says who owns one when.
#ifndef UMCG_SRC_BUFFER_POOL_HPP
#define UMCG_SRC_BUFFER_POOL_HPP

#include <liburing.h>

#include <atomic>
#include <memory>
#include <umcg/detail/wait.hpp>
#include <vector>

namespace umcg::detail {

class buffer_pool {
  public:
    // The ring's only group of buffers.
    static constexpr int group = 0;
    static constexpr unsigned none = ~0u;

    // nullptr: no memory, or the kernel has no such thing. `count`: a power of two.
    static std::unique_ptr<buffer_pool> make(io_uring& of, unsigned count, size_t size) noexcept;
    ~buffer_pool();
    buffer_pool(const buffer_pool&) = delete;
    buffer_pool& operator=(const buffer_pool&) = delete;

    char* data(unsigned id) noexcept { return buffers_ + id * size_; }
    // What its owner writes down for one, in a list of them.
    struct note {
        unsigned next = none;
        int size = 0;
    };
    note& of(unsigned id) noexcept { return notes_[id]; }

    // The executor, when a completion names one: it is ours.
    void taken(unsigned id) noexcept;
    // It is the kernel's again. Any thread.
    void give(unsigned id) noexcept;
    size_t size() const noexcept { return size_; }
    // About; the kernel knows.
    bool any_free() const noexcept { return free_.load(std::memory_order_relaxed) > 0; }

  private:
    buffer_pool() = default;

    short_lock lock_;  // of the ring's end where we add
    io_uring_buf_ring* ring_ = nullptr;
    size_t bytes_ = 0;  // of the mapping: ring, then buffers
    char* buffers_ = nullptr;
    size_t size_ = 0;  // of one
    unsigned count_ = 0;
    std::vector<note> notes_;
    std::atomic<int> free_{0};
};

}  // namespace umcg::detail

#endif
