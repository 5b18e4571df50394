// SPDX-License-Identifier: MIT
#include "stack.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdio>
#include <system_error>

#include "sanitizer.hpp"

namespace umcg::detail {

namespace {

// A slab has as many slots, or fewer of a larger size.
constexpr size_t most_slots_per_slab = 64, slab_size = size_t{1} << 23;
// What a fiber leaves in place below its frame when it gives the rest of its stack back.
constexpr size_t kept = 32 * 1024;
// Linux 6.13; older headers do not name it.
constexpr int advice_guard_install = 102;

size_t round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }

// How many stacks get a guard by mprotect(): a quarter of the mappings is left to the program, or
// neither malloc nor threads nor stacks without guards could be had any more.
size_t protected_stacks() {
    unsigned long mappings = 65530;
    if (FILE* f = fopen("/proc/sys/vm/max_map_count", "re")) {
        if (fscanf(f, "%lu", &mappings) != 1) mappings = 65530;
        fclose(f);
    }
    return mappings / 8 * 3;
}

[[noreturn]] void fail(int err, const char* what) {
    throw std::system_error(err, std::generic_category(), what);
}

}  // namespace

stack_pool::stack_pool(size_t stack_size, stack_guard guard, size_t top_size)
    : page_(static_cast<size_t>(sysconf(_SC_PAGESIZE))),
      top_size_(round_up(top_size, 64)),
      slot_size_(page_ + round_up(stack_size + top_size_, page_)),
      slots_per_slab_(std::clamp(slab_size / slot_size_, size_t{1}, most_slots_per_slab)),
      guard_(guard),
      max_protected_(protected_stacks()) {}

stack_pool::~stack_pool() {
    for (auto [memory, size] : slabs_) {
        // frames that never returned; whoever is given these addresses next has nothing to do with them
        asan_unpoison(memory, size);
        munmap(memory, size);
    }
}

bool stack_pool::add_guard(void* page) noexcept {
    if (!no_guard_advice_) {
        if (!madvise(page, page_, advice_guard_install)) return true;
        no_guard_advice_ = errno == EINVAL;
    }
    // an older kernel: each guard costs two mappings of a limited number
    if (guarded_.load(std::memory_order_relaxed) >= max_protected_) {
        errno = ENOMEM;
        return false;
    }
    return !mprotect(page, page_, PROT_NONE);
}

// Under grow_mutex_. A fiber that waits for it is blocked like any other: not in a section.
void stack_pool::grow() {
    const size_t size = slots_per_slab_ * slot_size_;
    slabs_.reserve(slabs_.size() + 1);
    void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (memory == MAP_FAILED) fail(errno, "umcg: no memory for fiber stacks");
    // or the first touch of a stack costs 2 MB
    madvise(memory, size, MADV_NOHUGEPAGE);
    for (size_t i = 0; i < slots_per_slab_ && guard_ != stack_guard::none; i++) {
        if (add_guard(static_cast<char*>(memory) + i * slot_size_)) {
            guarded_.fetch_add(1, std::memory_order_relaxed);
        } else if (guard_ == stack_guard::always) {
            const int err = errno;
            guarded_.fetch_sub(i, std::memory_order_relaxed);
            munmap(memory, size);
            fail(err, "umcg: no guard page for a fiber stack (vm.max_map_count is the limit before "
                      "Linux 6.13; see stack_guard::when_possible)");
        }
    }
    slabs_.emplace_back(memory, size);
    slots_.fetch_add(slots_per_slab_, std::memory_order_relaxed);
    guard g(free_lock_);
    for (size_t i = slots_per_slab_; i-- > 0;)
        free_.push(static_cast<char*>(memory) + (i + 1) * slot_size_ - top_size_);
}

void* stack_pool::get() {
    for (;;) {
        {
            guard g(free_lock_);
            if (void* top = free_.pop()) return top;
        }
        std::lock_guard hold(grow_mutex_);
        {
            // somebody else has grown it meanwhile
            guard g(free_lock_);
            if (free_.head) continue;
        }
        grow();
    }
}

void stack_pool::get_some(stack_list& to, size_t n) noexcept {
    guard g(free_lock_);
    while (n-- && free_.head) to.push(free_.pop());
}

void stack_pool::put_some(stack_list& from, size_t n) noexcept {
    guard g(free_lock_);
    while (n-- && from.head) free_.push(from.pop());
}

void stack_pool::put(void* top) noexcept {
    guard g(free_lock_);
    free_.push(top);
}

void stack_pool::trim(void* top) noexcept {
    const auto low = reinterpret_cast<uintptr_t>(bottom(top));
    const auto here = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
    // a fake frame of a sanitizer is elsewhere
    if (here < low + kept || here >= reinterpret_cast<uintptr_t>(top)) return;
    const size_t size = (here - kept - low) / page_ * page_;
    if (size) madvise(reinterpret_cast<void*>(low), size, MADV_DONTNEED);
}

// From the page tables: nothing has to be filled beforehand, and what was swapped out counts.
size_t stack_pool::high_water() {
    constexpr uint64_t present = uint64_t{1} << 63, swapped = uint64_t{1} << 62;
    const size_t pages = slot_size_ / page_;
    std::vector<uint64_t> slot(pages);
    const int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    std::lock_guard hold(grow_mutex_);
    size_t most = 0;
    for (auto [memory, size] : slabs_) {
        for (size_t at = 0; at < size; at += slot_size_) {
            const auto first = (reinterpret_cast<uintptr_t>(memory) + at) / page_;
            const size_t bytes = pages * sizeof(uint64_t);
            if (pread(fd, slot.data(), bytes, static_cast<off_t>(first * sizeof(uint64_t))) !=
                static_cast<ssize_t>(bytes))
                break;
            // the guard page first; an empty slot was never used
            size_t low = 1;
            while (low < pages && !(slot[low] & (present | swapped))) low++;
            const size_t used = (pages - low) * page_;
            most = std::max(most, used > top_size_ ? used - top_size_ : 0);
        }
    }
    close(fd);
    return most;
}

stack_pool& large_stacks::of(size_t size) {
    const auto k = static_cast<size_t>(std::bit_width(std::max(size, smallest) - 1));
    if (stack_pool* pool = pools_[k].load(std::memory_order_acquire)) return *pool;
    std::lock_guard hold(mutex_);
    if (!owned_[k]) {
        owned_[k] = std::make_unique<stack_pool>(size_t{1} << k, guard_, top_size_);
        pools_[k].store(owned_[k].get(), std::memory_order_release);
    }
    return *owned_[k];
}

size_t large_stacks::slots() const noexcept {
    size_t n = 0;
    for (const auto& pool : pools_)
        if (const stack_pool* p = pool.load(std::memory_order_acquire)) n += p->slots();
    return n;
}

size_t large_stacks::guarded() const noexcept {
    size_t n = 0;
    for (const auto& pool : pools_)
        if (const stack_pool* p = pool.load(std::memory_order_acquire)) n += p->guarded();
    return n;
}

size_t large_stacks::high_water() {
    size_t most = 0;
    for (const auto& pool : pools_)
        if (stack_pool* p = pool.load(std::memory_order_acquire))
            most = std::max(most, p->high_water());
    return most;
}

}  // namespace umcg::detail
