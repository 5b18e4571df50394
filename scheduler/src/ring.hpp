// SPDX-License-Identifier: MIT
//
// A server's io_uring. Its user-space half (the next free entry, what has completed) belongs to the
// server's executor; the kernel's half may be entered by several workers at once. docs/runtime.md,
// "I/O", has the states and the pairs.
#ifndef UMCG_SRC_RING_HPP
#define UMCG_SRC_RING_HPP

#include <liburing.h>

#include <atomic>
#include <memory>
#include <umcg/detail/wait.hpp>

namespace umcg::detail {

struct worker;

// One operation, on the stack of the task that waits for it; it does not leave before the
// completion.
class io_op {
  public:
    // By the executor of the ring it was submitted to, once. After it nobody touches it for our
    // sake.
    void complete(int res) noexcept;
    // False: not complete at the limit; wait again, then.
    wake wait(const limit& until);
    // After wait() was signalled.
    int result() const noexcept { return res_; }
    // I4: its end is asked for; who submits it only now asks, too.
    void unwanted() noexcept { unwanted_.store(true, std::memory_order_seq_cst); }
    bool is_unwanted() const noexcept { return unwanted_.load(std::memory_order_seq_cst); }

  private:
    std::atomic<bool> unwanted_{false};
    short_lock lock_;
    bool done_ = false;
    int res_ = 0;
    waiter* waiting_ = nullptr;
};

class ring {
  public:
    // nullptr: io_uring is not there, forbidden, or too old; then operations are plain calls.
    static std::unique_ptr<ring> make(unsigned entries) noexcept;
    ~ring();
    ring(const ring&) = delete;
    ring& operator=(const ring&) = delete;

    // ---- executor only ----

    // An entry to fill at once, its user data with the address of an io_op; nullptr: none is free,
    // and the kernel takes none.
    io_uring_sqe* get() noexcept;
    // The part of a scheduling step: submit what is due, complete what has come. `idle`: nothing is
    // queued, so everything is due. True: tasks may have been queued.
    bool step(bool idle) noexcept;
    // Something is in flight, and no worker waits for it. From other threads: out of date at once.
    bool unattended() const noexcept {
        return in_flight_.load(std::memory_order_relaxed) &&
               !waiter_.load(std::memory_order_relaxed);
    }
    // `w` is about to wait(); it has come back, or runs on.
    void attend(worker& w) noexcept {
        waiter_.store(&w, std::memory_order_relaxed);
        waking_ = false;
    }
    void leave(worker& w) noexcept {
        if (waiter_.load(std::memory_order_relaxed) == &w)
            waiter_.store(nullptr, std::memory_order_relaxed);
    }
    bool attended() const noexcept { return waiter_.load(std::memory_order_relaxed); }
    // Let the one who waits return.
    void wake_waiter() noexcept;
    uint64_t enters() const noexcept { return enters_.load(std::memory_order_relaxed); }

    // ---- any thread of the process ----

    bool has(unsigned opcode) const noexcept { return opcode < 64 && (ops_ >> opcode & 1); }
    // Until something has completed that nobody has taken yet. Blocks.
    void wait() noexcept;
    // Ask for the end of an operation that waits for a limit no more. Its completion comes in any
    // case, and is to be waited for. May block.
    void cancel(io_op& op) noexcept;

  private:
    ring() = default;
    void in_flight(size_t more) noexcept {
        in_flight_.store(in_flight_.load(std::memory_order_relaxed) + more,
                         std::memory_order_relaxed);
    }
    void submit() noexcept;
    void end(const io_op& op) noexcept;
    void reap() noexcept;
    bool has_events() const noexcept;

    io_uring ring_ = {};
    uint64_t ops_ = 0;                  // bit per opcode
    unsigned age_ = 0;                  // steps since the last submission or look
    std::atomic<size_t> in_flight_{0};  // one writer at a time; filled or submitted, not completed
    std::atomic<uint64_t> enters_{0};   // system calls
    std::atomic<worker*> waiter_{nullptr};
    bool waking_ = false;
    bool reaping_ = false;
};

}  // namespace umcg::detail

#endif
