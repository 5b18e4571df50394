// SPDX-License-Identifier: MIT
#include "io_series.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <new>
#include <umcg/cancellation.hpp>
#include <umcg/io.hpp>
#include <umcg/multishot.hpp>
#include <utility>

#include "core.hpp"
#include "sanitizer.hpp"

namespace umcg::detail {

namespace {

// Its submitter has ended, or we have asked for it: nothing is wrong.
bool harmless(int res) {
    return res == -ECANCELED || res == -EINTR;
}

int error_of(wake how) {
    return how == wake::timeout ? -ETIME : -ECANCELED;
}

bool cancelled(const limit& until) {
    return until.token() && until.token()->cancelled();
}

// A time that has passed makes a try, as with umcg/io.hpp's calls.
bool passed(const limit& until) {
    return until.ns() && until.ns() <= now_ns();
}

}  // namespace

// ---- what both have ----

bool io_series::complete(int res, unsigned flags) noexcept {
    guard g(lock_);
    const bool last = !(flags & IORING_CQE_F_MORE);
    if (last) {
        end_ = again;
        armed_ = false;
    }
    add(res, flags);
    // the waiter is there until its owner has had the lock
    if (waiter* w = std::exchange(waiting_, nullptr)) finish(*w, wake::signalled);
    return enough();
}

bool io_series::arm() noexcept {
    worker* w = enter_section();
    if (!w) return false;
    ring* r = w->current ? w->home->io.get() : nullptr;
    io_uring_sqe* sqe = r && can(*r) ? r->get() : nullptr;
    if (sqe) {
        wanted();
        on_ = r;
        armed_ = true;
        prepare(*sqe, *r);
        io_uring_sqe_set_data(sqe, static_cast<completion*>(this));
        // completions may come in here
        w->home->io_prepared();
    }
    leave_section(w);
    return sqe;
}

wake io_series::wait(const limit& until) {
    waiter w;
    w.for_io = true;
    {
        guard g(lock_);
        if (!armed_ || has_result()) return wake::signalled;
        waiting_ = &w;
    }
    const wake how = park(w, until);
    // complete() lets go of the lock before we leave; and what came first counts
    guard g(lock_);
    waiting_ = nullptr;
    return !armed_ || has_result() ? wake::signalled : how;
}

void io_series::finish_series() {
    bool asked = false;
    for (;;) {
        waiter w;
        {
            guard g(lock_);
            if (!armed_) return;
            waiting_ = &w;
        }
        // once; the completions on their way come in any case
        if (!std::exchange(asked, true)) on_->cancel(*this);
        park(w, {});
        guard g(lock_);
        waiting_ = nullptr;
    }
}

// ---- connections ----

accept_series::~accept_series() {
    finish_series();
    for (; size_; size_--) close(ready_[first_++ % ready_.size()]);
}

bool accept_series::can(ring& on) const noexcept {
    return !single_ && on.has(ring::multishot_accept);
}

void accept_series::prepare(io_uring_sqe& sqe, ring&) noexcept {
    io_uring_prep_multishot_accept(&sqe, fd_, nullptr, nullptr, SOCK_CLOEXEC);
}

void accept_series::add(int res, unsigned) noexcept {
    if (res < 0) {
        if (!harmless(res)) end_ = res;
    } else if (size_ == ready_.size()) {
        close(res);  // see make_room(): the kernel has gone on after a cancel
    } else {
        ready_[(first_ + size_++) % ready_.size()] = res;
    }
}

// The end is asked for when `ahead` are there: in the middle of what the kernel's queue held at the
// time, and it may have filled that again until the cancel. The kernel ends an operation whose
// completion does not fit.
bool accept_series::make_room() noexcept {
    if (!ready_.empty()) return true;
    size_t room = 0;
    if (worker* w = enter_section()) {
        if (w->current && w->home->io) room = ahead + size_t{2} * w->home->io->completions();
        leave_section(w);
    }
    try {
        ready_.resize(room);
    } catch (const std::bad_alloc&) {
    }
    return !ready_.empty();
}

int accept_series::next(const limit& until) {
    if (cancelled(until)) return -ECANCELED;
    const bool is_try = passed(until);
    for (;;) {
        bool armed;
        {
            guard g(lock_);
            if (size_) {
                size_--;
                return ready_[first_++ % ready_.size()];
            }
            armed = armed_;
        }
        if (!armed) {
            const int err = std::exchange(end_, again);
            if (err == -EINVAL)
                single_ = true;
            else if (err != again)
                return err;
            if (is_try || !make_room() || !arm())
                return io::accept(fd_, nullptr, nullptr, SOCK_CLOEXEC, until);
        } else if (is_try) {
            finish_series();
            continue;
        }
        const wake how = wait(until);
        if (how != wake::signalled) return error_of(how);
    }
}

// ---- bytes ----

receive_series::~receive_series() {
    finish_series();
    give_back();
    while (has_result()) pool_->give(pop());
}

// Our own buffer is better than to be armed in vain.
bool receive_series::can(ring& on) const noexcept {
    return !single_ && on.has(ring::multishot_receive) && on.buffers()->any_free();
}

void receive_series::prepare(io_uring_sqe& sqe, ring& on) noexcept {
    pool_ = on.buffers();
    io_uring_prep_recv_multishot(&sqe, fd_, nullptr, 0, 0);
    sqe.flags |= IOSQE_BUFFER_SELECT;
    sqe.buf_group = buffer_pool::group;
}

void receive_series::add(int res, unsigned flags) noexcept {
    if (flags & IORING_CQE_F_BUFFER) {
        const unsigned id = flags >> IORING_CQE_BUFFER_SHIFT;
        pool_->taken(id);
        if (res > 0) {
            asan_unpoison(pool_->data(id), static_cast<size_t>(res));
            pool_->of(id) = {buffer_pool::none, res};
            if (has_result())
                pool_->of(last_).next = id;
            else
                first_ = id;
            last_ = id;
            size_++;
            return;
        }
        pool_->give(id);
    }
    if (!harmless(res)) end_ = res;
}

unsigned receive_series::pop() noexcept {
    const unsigned id = first_;
    first_ = pool_->of(id).next;
    size_--;
    return id;
}

void receive_series::give_back() noexcept {
    if (held_ != buffer_pool::none) pool_->give(std::exchange(held_, buffer_pool::none));
}

ssize_t receive_series::next(const char** data, const limit& until) {
    give_back();
    if (cancelled(until)) return -ECANCELED;
    const bool is_try = passed(until);
    for (;;) {
        bool armed;
        {
            guard g(lock_);
            if (has_result()) {
                held_ = pop();
                *data = pool_->data(held_);
                return pool_->of(held_).size;
            }
            armed = armed_;
        }
        if (!armed) {
            const int end = std::exchange(end_, again);
            if (end == -EINVAL)
                single_ = true;
            else if (end != again && end != -ENOBUFS)
                return end;
            if (is_try || end == -ENOBUFS || !arm()) return receive_alone(data, until);
        } else if (is_try) {
            finish_series();
            continue;
        }
        const wake how = wait(until);
        if (how != wake::signalled) return error_of(how);
    }
}

// With the operation at its end, so it takes what comes next.
ssize_t receive_series::receive_alone(const char** data, const limit& until) {
    if (!own_) {
        const worker* w = this_worker();
        own_size_ = w ? w->home->owner.opts.receive_buffer_size : options().receive_buffer_size;
        own_.reset(new (std::nothrow) char[own_size_]);
    }
    if (!own_) return -ENOMEM;
    *data = own_.get();
    return io::recv(fd_, own_.get(), own_size_, 0, until);
}

}  // namespace umcg::detail

// ---- what users call ----

namespace umcg::io {

acceptor::acceptor(int fd) : series_(std::make_unique<detail::accept_series>(fd)) {}
acceptor::~acceptor() = default;
int acceptor::next(const limit& until) {
    return series_->next(until);
}

receiver::receiver(int fd) : series_(std::make_unique<detail::receive_series>(fd)) {}
receiver::~receiver() = default;
ssize_t receiver::next(const char** data, const limit& until) {
    return series_->next(data, until);
}

}  // namespace umcg::io
