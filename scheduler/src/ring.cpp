// SPDX-License-Identifier: MIT
#include "ring.hpp"

#include <umcg/umcg.h>

#include <cerrno>
#include <new>

namespace umcg::detail {

namespace {

// Submissions wait for company: until nothing else is queued, there are so many, or so many steps
// have been done.
constexpr unsigned batch = 64;
constexpr unsigned patience = 16;

// What a completion of no operation has: that of wake_waiter().
constexpr uint64_t nobody = 0;

// The parts of libumcg's contract and io_uring's do not touch errno of the code that is
// interrupted.
class keep_errno {
  public:
    ~keep_errno() { errno = saved_; }

  private:
    const int saved_ = errno;
};

}  // namespace

// ---- operations ----

void io_op::complete(int res) noexcept {
    guard g(lock_);
    res_ = res;
    done_ = true;
    if (waiting_) finish(*waiting_, wake::signalled);
}

wake io_op::wait(const limit& until) {
    waiter w;
    w.for_io = true;
    {
        guard g(lock_);
        if (done_) return wake::signalled;
        waiting_ = &w;
    }
    const wake how = park(w, until);
    // complete() lets go of the lock before we leave; and what came first counts
    guard g(lock_);
    waiting_ = nullptr;
    return done_ ? wake::signalled : how;
}

// ---- the ring ----

std::unique_ptr<ring> ring::make(unsigned entries) noexcept {
    std::unique_ptr<ring> r(new (std::nothrow) ring);
    if (!r) return r;
    keep_errno keep;
    io_uring_params p = {};
    // completions of a worker are processed when it enters the kernel anyway; a flag says that
    // there are some
    p.flags = IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_CLAMP |
              IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE;
    p.cq_entries = entries * 4;
    if (io_uring_queue_init_params(entries, &r->ring_, &p)) {
        r->ring_.ring_fd = -1;
        return nullptr;
    }
    // a child of fork() has nothing to do with it
    io_uring_ring_dontfork(&r->ring_);
    const unsigned needed = IORING_FEAT_NODROP | IORING_FEAT_SUBMIT_STABLE | IORING_FEAT_RW_CUR_POS;
    io_uring_sync_cancel_reg nothing = {};
    nothing.addr = nobody;
    nothing.fd = -1;
    nothing.timeout = {0, 0};
    // ENOENT: it is understood. Without it a wait could not be ended.
    if ((p.features & needed) != needed ||
        io_uring_register_sync_cancel(&r->ring_, &nothing) != -ENOENT)
        return nullptr;
    if (io_uring_probe* probe = io_uring_get_probe_ring(&r->ring_)) {
        for (unsigned op = 0; op < 64; op++)
            if (io_uring_opcode_supported(probe, static_cast<int>(op)))
                r->ops_ |= uint64_t{1} << op;
        io_uring_free_probe(probe);
    }
    return r;
}

ring::~ring() {
    if (ring_.ring_fd >= 0) io_uring_queue_exit(&ring_);
}

io_uring_sqe* ring::get() noexcept {
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
    if (!sqe) {
        submit();
        sqe = io_uring_get_sqe(&ring_);
        if (!sqe) return nullptr;
    }
    in_flight(1);
    return sqe;
}

// What is not taken stays pending: the kernel is short of memory or has a backlog of completions.
void ring::submit() noexcept {
    keep_errno keep;
    age_ = 0;
    enters_.fetch_add(1, std::memory_order_relaxed);
    const unsigned first = __atomic_load_n(ring_.sq.khead, __ATOMIC_ACQUIRE);
    io_uring_submit(&ring_);
    // I4. The entries are not used again before the next get(), and the operations are there until
    // we complete them.
    const unsigned taken = __atomic_load_n(ring_.sq.khead, __ATOMIC_ACQUIRE);
    for (unsigned i = first; i != taken; i++) {
        const uint64_t op = ring_.sq.sqes[i & ring_.sq.ring_mask].user_data;
        if (op != nobody && reinterpret_cast<const io_op*>(op)->is_unwanted())
            end(*reinterpret_cast<const io_op*>(op));
    }
}

bool ring::has_events() const noexcept {
    return __atomic_load_n(ring_.sq.kflags, __ATOMIC_RELAXED) &
           (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW);
}

void ring::reap() noexcept {
    // an operation that completes queues a task, and so does a step of its own
    if (reaping_) return;
    reaping_ = true;
    unsigned head, n = 0;
    io_uring_cqe* cqe;
    io_uring_for_each_cqe(&ring_, head, cqe) {
        n++;
        if (cqe->user_data == nobody) continue;
        in_flight(static_cast<size_t>(-1));
        static_cast<io_op*>(io_uring_cqe_get_data(cqe))->complete(cqe->res);
    }
    io_uring_cq_advance(&ring_, n);
    reaping_ = false;
}

bool ring::step(bool idle) noexcept {
    if (!in_flight_.load(std::memory_order_relaxed) && !attended()) return false;
    const bool due = idle || ++age_ >= patience;
    const unsigned pending = io_uring_sq_ready(&ring_);
    if (pending && (due || pending >= batch)) submit();
    const bool come = io_uring_cq_ready(&ring_);
    if (due && has_events()) {
        keep_errno keep;
        age_ = 0;
        enters_.fetch_add(1, std::memory_order_relaxed);
        io_uring_get_events(&ring_);
    }
    if (!come && !io_uring_cq_ready(&ring_)) return false;
    reap();
    return true;
}

// Also by the server thread: the entry completes in the call, so nothing of it stays with the
// caller.
void ring::wake_waiter() noexcept {
    if (!attended() || waking_) return;
    waking_ = true;
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
    if (sqe) {
        io_uring_prep_nop(sqe);
        sqe->user_data = nobody;
    }
    submit();
}

void ring::wait() noexcept {
    keep_errno keep;
    enters_.fetch_add(1, std::memory_order_relaxed);
    umcg_blocking_begin();
    io_uring_enter(static_cast<unsigned>(ring_.ring_fd), 0, 1, IORING_ENTER_GETEVENTS, nullptr);
    umcg_blocking_end();
}

void ring::cancel(io_op& op) noexcept {
    keep_errno keep;
    // I4: it may not have been submitted yet
    op.unwanted();
    end(op);
}

void ring::end(const io_op& op) noexcept {
    io_uring_sync_cancel_reg reg = {};
    reg.addr = reinterpret_cast<uint64_t>(&op);
    reg.fd = -1;
    // what is in the middle (a read from a disk) cannot be stopped: do not wait for it here
    reg.timeout = {0, 0};
    io_uring_register_sync_cancel(&ring_, &reg);
}

}  // namespace umcg::detail
