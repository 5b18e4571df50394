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
#include <string>
#include <umcg/detail/wait.hpp>
#include <vector>

#include "buffer_pool.hpp"
#include "worker.hpp"

namespace umcg::detail {

// Whom the completions of an entry are for: its user data.
class completion {
  public:
    // By the executor of the ring it was submitted to. The last time, which is when `flags` (of the
    // kernel's entry) have no IORING_CQE_F_MORE, nobody touches it afterwards for our sake. True: no
    // more are wanted than are on their way.
    virtual bool complete(int res, unsigned flags) noexcept = 0;
    // I4: its end is asked for; who submits it only now asks, too.
    void unwanted() noexcept { unwanted_.store(true, std::memory_order_seq_cst); }
    bool is_unwanted() const noexcept { return unwanted_.load(std::memory_order_seq_cst); }

  protected:
    ~completion() = default;
    // Before it is submitted again.
    void wanted() noexcept { unwanted_.store(false, std::memory_order_relaxed); }

  private:
    std::atomic<bool> unwanted_{false};
};

// One operation that completes once, on the stack of the task that waits for it; it does not leave
// before the completion.
class io_op final : public completion {
  public:
    bool complete(int res, unsigned flags) noexcept override;
    // False: not complete at the limit; wait again, then.
    wake wait(const limit& until);
    // After wait() was signalled.
    int result() const noexcept { return res_; }

  private:
    short_lock lock_;
    bool done_ = false;
    int res_ = 0;
    waiter* waiting_ = nullptr;
};

// Of the names of umcg::io's calls, a bit for each opcode. std::invalid_argument: there is no such.
uint64_t ring_operations(const std::vector<std::string>& names);

struct ring_options {
    unsigned entries;
    uint64_t without;  // a bit for each opcode that is to be treated as unknown to the kernel
    unsigned buffers;  // for what is received, 0: none; and the size of one
    size_t buffer_size;
};

class ring {
  public:
    // nullptr: io_uring is not there, forbidden, or too old; then operations are plain calls.
    static std::unique_ptr<ring> make(const ring_options& how) noexcept;
    ~ring();
    // 0 or the error. Before the first operation.
    int register_buffers(const std::vector<iovec>& memory) noexcept;
    ring(const ring&) = delete;
    ring& operator=(const ring&) = delete;

    // ---- executor only ----

    // An entry to fill at once, its user data with the address of a completion; nullptr: none is free,
    // and the kernel takes none.
    io_uring_sqe* get() noexcept;
    // A read or write, filled: if its memory is registered, the kernel is told so.
    void use_registered(io_uring_sqe& sqe) const noexcept;
    // Else a step does nothing.
    bool has_work() const noexcept {
        return in_flight_.load(std::memory_order_relaxed) || attended();
    }
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
    // It leaves for wait(), or has come back from there.
    void goes_in(worker& w) noexcept { inside_.push_back(w); }
    void is_back(worker& w) noexcept { inside_.erase(w); }
    bool attended() const noexcept { return waiter_.load(std::memory_order_relaxed); }
    // Let the one who waits return. False: there is none, or I6: nobody knows when he will.
    bool wake_waiter() noexcept;
    // Let all return that wait, and the next one that is about to, if nobody takes completions before.
    void wake_all() noexcept;
    uint64_t enters() const noexcept { return enters_.load(std::memory_order_relaxed); }

    // ---- any thread of the process ----

    // What an opcode may do, behind the opcodes that we look for (the newest kernels have 64).
    enum feature : unsigned { first_feature = 56, multishot_accept = first_feature, multishot_receive };
    bool has(unsigned opcode) const noexcept { return opcode < 64 && !lost() && (ops_ >> opcode & 1); }
    // I6: its descriptor has been closed. Nothing more is submitted; what was may complete.
    bool lost() const noexcept { return lost_.load(std::memory_order_relaxed); }
    // Buffers that are given to what is received; nullptr: there are none.
    buffer_pool* buffers() const noexcept { return buffers_.get(); }
    // How many completions the kernel holds for us, at most.
    unsigned completions() const noexcept { return ring_.cq.ring_entries; }
    // Until something has completed that nobody has taken yet. Blocks.
    void wait() noexcept;
    // Ask for the end of an operation that waits for a limit no more. Its completion comes in any
    // case, and is to be waited for. May block.
    void cancel(completion& op) noexcept;

  private:
    ring() = default;
    bool probe(const ring_options& how) noexcept;
    void in_flight(size_t more) noexcept {
        in_flight_.store(in_flight_.load(std::memory_order_relaxed) + more,
                         std::memory_order_relaxed);
    }
    bool grown_old() noexcept;
    void submit() noexcept;
    void entered(int result) noexcept;
    void drop() noexcept;
    void end(const completion& op) noexcept;
    void reap() noexcept;
    bool has_events() const noexcept;

    io_uring ring_ = {};
    uint64_t ops_ = 0;                  // bit per opcode and feature
    std::unique_ptr<buffer_pool> buffers_;
    const std::vector<iovec>* registered_ = nullptr;
    unsigned age_ = 0;                  // steps since the last submission or look
    uint64_t first_ = 0;                // when the first of those was
    std::atomic<size_t> in_flight_{0};  // one writer at a time; filled or submitted, not completed
    std::atomic<uint64_t> enters_{0};   // system calls
    std::atomic<worker*> waiter_{nullptr};
    std::atomic<bool> lost_{false};
    list<worker, &worker::in_ring> inside_;
    bool waking_ = false;
    bool reaping_ = false;
};

}  // namespace umcg::detail

#endif
