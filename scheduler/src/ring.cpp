// SPDX-License-Identifier: MIT
#include "ring.hpp"

#include <pthread.h>
#include <signal.h>
#include <umcg/umcg.h>

#include <cerrno>
#include <ctime>
#include <new>
#include <utility>

#include "timer.hpp"

namespace umcg::detail {

namespace {

// Submissions wait for company: until nothing else is queued, there are so many, or so many steps
// have been done, or those have taken so long.
constexpr unsigned batch = 64;
constexpr uint64_t patience_ns = 50'000;

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

// It waits in a ring that nobody can reach any more, but for what is in flight: a signal ends that call.
// By default the backends' own is ignored, and ends nothing.
void call_out(worker& w) noexcept {
    struct sigaction act;
    if (!sigaction(SIGURG, nullptr, &act) && !(act.sa_flags & SA_SIGINFO) &&
        (act.sa_handler == SIG_DFL || act.sa_handler == SIG_IGN)) {
        act = {};
        act.sa_handler = [](int) {};
        act.sa_flags = SA_ONSTACK;
        sigaction(SIGURG, &act, nullptr);
    }
    pthread_kill(w.thread, SIGURG);
}

}  // namespace

// ---- operations ----

bool io_op::complete(int res, unsigned) noexcept {
    guard g(lock_);
    res_ = res;
    done_ = true;
    if (waiting_) finish(*waiting_, wake::signalled);
    return false;
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

std::unique_ptr<ring> ring::make(const ring_options& how) noexcept {
    std::unique_ptr<ring> r(new (std::nothrow) ring);
    if (!r) return r;
    keep_errno keep;
    io_uring_params p = {};
    // completions of a worker are processed when it enters the kernel anyway; a flag says that
    // there are some
    p.flags = IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_CLAMP |
              IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE;
    p.cq_entries = how.entries * 4;
    if (io_uring_queue_init_params(how.entries, &r->ring_, &p)) {
        r->ring_.ring_fd = -1;
        return nullptr;
    }
    // a child of fork() has nothing to do with it
    io_uring_ring_dontfork(&r->ring_);
    return r->probe(how) ? std::move(r) : nullptr;
}

ring::~ring() {
    if (ring_.ring_fd < 0) return;
    // I6: what has its number now is somebody else's
    if (!lost()) entered(io_uring_enter(static_cast<unsigned>(ring_.ring_fd), 0, 0, 0, nullptr));
    if (lost()) ring_.ring_fd = -1;
    io_uring_queue_exit(&ring_);
}

int ring::register_buffers(const std::vector<iovec>& memory) noexcept {
    if (memory.empty()) return 0;
    registered_ = &memory;
    return io_uring_register_buffers(&ring_, memory.data(), static_cast<unsigned>(memory.size()));
}

void ring::use_registered(io_uring_sqe& sqe) const noexcept {
    if (!registered_) return;
    for (size_t i = 0; i < registered_->size(); i++) {
        const auto begin = reinterpret_cast<uint64_t>((*registered_)[i].iov_base);
        if (sqe.addr < begin || sqe.addr + sqe.len > begin + (*registered_)[i].iov_len) continue;
        sqe.opcode = sqe.opcode == IORING_OP_READ ? IORING_OP_READ_FIXED : IORING_OP_WRITE_FIXED;
        sqe.buf_index = static_cast<uint16_t>(i);
        return;
    }
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

// What a call on the ring's descriptor has returned. I6: is it ours? Another ring would be taken for it.
void ring::entered(int result) noexcept {
    if (result == -EBADF || result == -EOPNOTSUPP) lost_.store(true, std::memory_order_relaxed);
}

// I6. As if whoever had submitted them had ended: they are begun again, and not here.
void ring::drop() noexcept {
    io_uring_sq& sq = ring_.sq;
    const unsigned first = __atomic_load_n(sq.khead, __ATOMIC_RELAXED), end = sq.sqe_tail;
    sq.sqe_head = *sq.ktail = *sq.khead = end;
    waking_ = false;
    waiter_.store(nullptr, std::memory_order_relaxed);
    for (worker* w = inside_.front(); w; w = w->in_ring.next) call_out(*w);
    // the entries are not used again before the next get()
    for (unsigned i = first; i != end; i++) {
        const uint64_t op = sq.sqes[i & sq.ring_mask].user_data;
        if (op == nobody) continue;
        in_flight(static_cast<size_t>(-1));
        reinterpret_cast<completion*>(op)->complete(-ECANCELED, 0);
    }
}

// What is not taken stays pending: the kernel is short of memory or has a backlog of completions.
void ring::submit() noexcept {
    keep_errno keep;
    age_ = 0;
    const unsigned first = __atomic_load_n(ring_.sq.khead, __ATOMIC_ACQUIRE);
    if (!lost()) {
        enters_.fetch_add(1, std::memory_order_relaxed);
        entered(io_uring_submit(&ring_));
    }
    if (lost()) {
        drop();
        return;
    }
    // I4. The entries are not used again before the next get(), and the operations are there until
    // we complete them.
    const unsigned taken = __atomic_load_n(ring_.sq.khead, __ATOMIC_ACQUIRE);
    for (unsigned i = first; i != taken; i++) {
        const uint64_t op = ring_.sq.sqes[i & ring_.sq.ring_mask].user_data;
        if (op != nobody && reinterpret_cast<const completion*>(op)->is_unwanted())
            end(*reinterpret_cast<const completion*>(op));
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
        if (cqe->user_data == nobody) {
            // taken from the one who waits: if it was not in the kernel yet it needs another
            waking_ = false;
            continue;
        }
        const bool last = !(cqe->flags & IORING_CQE_F_MORE);
        if (last) in_flight(static_cast<size_t>(-1));
        auto* op = static_cast<completion*>(io_uring_cqe_get_data(cqe));
        // not the last: it is there until we say so
        if (op->complete(cqe->res, cqe->flags) && !last) end(*op);
    }
    io_uring_cq_advance(&ring_, n);
    reaping_ = false;
}

// A step may be as short as a switch and as long as a slice.
bool ring::grown_old() noexcept {
    if (++age_ >= batch) return true;
    const uint64_t now = now_ns();
    if (age_ == 1) first_ = now;
    return now - first_ >= patience_ns;
}

bool ring::step(bool idle) noexcept {
    if (!has_work()) return false;
    const bool due = idle || grown_old();
    const unsigned pending = io_uring_sq_ready(&ring_);
    if (pending && (due || pending >= batch)) submit();
    const bool come = io_uring_cq_ready(&ring_);
    if (due && has_events() && !lost()) {
        keep_errno keep;
        age_ = 0;
        enters_.fetch_add(1, std::memory_order_relaxed);
        entered(io_uring_get_events(&ring_));
    }
    if (!come && !io_uring_cq_ready(&ring_)) return false;
    reap();
    return true;
}

// Also by the server thread: the entry completes in the call, so nothing of it stays with the
// caller.
bool ring::wake_waiter() noexcept {
    if (!attended()) return false;
    if (!waking_) {
        waking_ = true;
        wake_all();
    }
    return attended();
}

void ring::wake_all() noexcept {
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
    if (!lost())
        entered(io_uring_enter(static_cast<unsigned>(ring_.ring_fd), 0, 1, IORING_ENTER_GETEVENTS, nullptr));
    // I6: nobody tells us of what comes now
    if (lost()) {
        constexpr timespec look = {0, 1000000};
        nanosleep(&look, nullptr);
    }
    umcg_blocking_end();
}

void ring::cancel(completion& op) noexcept {
    keep_errno keep;
    // I4: it may not have been submitted yet
    op.unwanted();
    end(op);
}

void ring::end(const completion& op) noexcept {
    if (lost()) return;
    keep_errno keep;
    io_uring_sync_cancel_reg reg = {};
    reg.addr = reinterpret_cast<uint64_t>(&op);
    reg.fd = -1;
    // what is in the middle (a read from a disk) cannot be stopped: do not wait for it here
    reg.timeout = {0, 0};
    entered(io_uring_register_sync_cancel(&ring_, &reg));
}

}  // namespace umcg::detail
