// SPDX-License-Identifier: MIT
#include "buffer_pool.hpp"

#include <sys/mman.h>

#include <new>

#include "sanitizer.hpp"

namespace umcg::detail {

std::unique_ptr<buffer_pool> buffer_pool::make(io_uring& of, unsigned count, size_t size) noexcept {
    constexpr size_t page = 4096;
    const size_t head = (count * sizeof(io_uring_buf) + page - 1) & ~(page - 1);
    std::unique_ptr<buffer_pool> p(new (std::nothrow) buffer_pool);
    if (!p) return p;
    try {
        p->notes_.resize(count);
    } catch (const std::bad_alloc&) {
        return nullptr;
    }
    // what has not been used yet is no memory
    const size_t bytes = head + count * size;
    void* map = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED) return nullptr;
    p->ring_ = static_cast<io_uring_buf_ring*>(map);
    p->bytes_ = bytes;
    p->buffers_ = static_cast<char*>(map) + head;
    p->size_ = size;
    p->count_ = count;
    io_uring_buf_reg reg = {};
    reg.ring_addr = reinterpret_cast<uint64_t>(map);
    reg.ring_entries = count;
    reg.bgid = group;
    if (io_uring_register_buf_ring(&of, &reg, 0)) return nullptr;
    io_uring_buf_ring_init(p->ring_);
    for (unsigned id = 0; id < count; id++) p->give(id);
    return p;
}

buffer_pool::~buffer_pool() {
    if (!ring_) return;
    // whoever is given these addresses next
    asan_unpoison(ring_, bytes_);
    munmap(ring_, bytes_);
}

void buffer_pool::taken(unsigned id) noexcept {
    free_.fetch_sub(1, std::memory_order_relaxed);
    // the kernel has taken it from give()
    tsan_acquire(&of(id));
}

void buffer_pool::give(unsigned id) noexcept {
    asan_poison(data(id), size_);
    tsan_release(&of(id));
    guard g(lock_);
    io_uring_buf_ring_add(ring_, data(id), static_cast<unsigned>(size_),
                          static_cast<unsigned short>(id),
                          io_uring_buf_ring_mask(count_), 0);
    // the kernel reads the entry after the end of the ring
    io_uring_buf_ring_advance(ring_, 1);
    free_.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace umcg::detail
