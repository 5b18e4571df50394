// SPDX-License-Identifier: MIT
//
// The one way to wait, under every primitive of this library. Not for users: may change at any
// time. docs/runtime.md has the states of a waiter and the pairs of barriers.
#ifndef UMCG_DETAIL_WAIT_HPP
#define UMCG_DETAIL_WAIT_HPP

#include <atomic>
#include <cstddef>
#include <cstdint>

#include <umcg/detail/list.hpp>
#include <umcg/limit.hpp>

namespace umcg::detail {

struct task_body;
struct worker;
class timer_heap;

// A place in a timer heap (src/timer.hpp).
struct timer_node {
    uint64_t when = 0;
    timer_node* child = nullptr;
    timer_node* next = nullptr;
    timer_node* prev = nullptr;  // parent of the first child
    timer_heap* heap = nullptr;  // whose lock guards this node; nullptr: never inserted
    bool inside = false;         // under that lock
};

// One wait of the calling fiber, thread task or plain thread. On its stack.
struct waiter {
    enum : uint32_t { empty, parking, parked };  // beyond: a `wake`

    waiter() noexcept;
    // A further place in lists of another waiter, `chief`: finish() ends that one's wait.
    explicit waiter(std::nullptr_t) noexcept : who(nullptr) {}
    waiter(const waiter&) = delete;
    waiter& operator=(const waiter&) = delete;

    std::atomic<uint32_t> word{empty};
    task_body* who;                    // nullptr: a plain thread
    list_link<waiter> in_queue;   // under the lock of the primitive
    list_link<waiter> in_token;   // under the lock of the token
    timer_node timer;
    int event = -1;               // of a plain thread in poll(): to be written to, an eventfd
    void* payload = nullptr;      // the primitive's
    waiter* chief = nullptr;      // set before the place is on a list
    bool for_io = false;          // what policies are told; set before park()
};
using wait_list = list<waiter, &waiter::in_queue>;

// A lock for a few instructions: spins, then sleeps in the kernel. Workers take it in sections only
// (`guard` does it), so its owner is never held by a server; whoever waits for it waits for a
// thread that the kernel runs.
class short_lock {
  public:
    void lock() noexcept {
        uint32_t free = 0;
        if (!word_.compare_exchange_strong(free, 1, std::memory_order_acquire,
                                           std::memory_order_relaxed))
            lock_slowly();
    }
    void unlock() noexcept {
        if (word_.exchange(0, std::memory_order_release) == 2) wake_one();
    }

    // The slow halves, for policies, which have the fast ones inline.
    void lock_slowly() noexcept;
    void wake_one() noexcept;

  private:
    std::atomic<uint32_t> word_{0};  // 0 free, 1 taken, 2 and somebody may sleep
};

// A section: the calling worker is neither preempted nor reported as blocked. Nothing on other
// threads. Nests.
class section {
  public:
    section() noexcept;
    ~section();
    section(const section&) = delete;
    section& operator=(const section&) = delete;
};

class guard {
  public:
    explicit guard(short_lock& lock) noexcept : lock_(lock) { lock_.lock(); }
    ~guard() { lock_.unlock(); }
    guard(const guard&) = delete;
    guard& operator=(const guard&) = delete;

  private:
    section section_;  // entered before, left after the lock
    short_lock& lock_;
};

// Wait until finish(w) or the limit, and say which it was. `w` may be on a list under a lock that
// the caller does not hold; after anything but signalled the caller takes it off. Without a
// section. Blocks.
wake park(waiter& w, const limit& until);

// End the wait of `w`, under a lock that keeps `w` alive. False: it has ended otherwise.
bool finish(waiter& w, wake how) noexcept;

// Sleep on a list until signalled; the usual end of a primitive's slow path. The waiter is on
// `queue` already.
inline wake park_on(waiter& w, const limit& until, short_lock& lock, wait_list& queue) {
    const wake how = park(w, until);
    if (how != wake::signalled) {
        guard g(lock);
        if (w.in_queue.linked) queue.erase(w);
    }
    return how;
}

// Signal the first of `queue` that still waits. Its lock is held. nullptr: nobody.
inline bool signal_one(wait_list& queue) noexcept {
    while (waiter* w = queue.pop_front())
        if (finish(*w, wake::signalled)) return true;
    return false;
}

[[noreturn]] void misuse(const char* what) noexcept;

}  // namespace umcg::detail

#endif
