// SPDX-License-Identifier: MIT
#include "io_plain.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/sendfile.h>
#include <umcg/umcg.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <umcg/cancellation.hpp>

#include "core.hpp"

namespace umcg::detail::plain {

namespace {

bool limited(const limit& until) {
    return until.ns() || until.token();
}

// Likely to wait: said to backends that would notice late.
class announced {
  public:
    announced() { umcg_blocking_begin(); }
    ~announced() {
        const int saved = errno;
        umcg_blocking_end();
        errno = saved;
    }
};

template <class Call>
auto again_if_interrupted(Call call) {
    decltype(call()) n;
    do n = call();
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

// A descriptor that becomes readable when a token is cancelled.
class token_event {
  public:
    explicit token_event(cancel_state* token) : token_(token), waiter_(nullptr) {
        if (!token) return;
        fd_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (fd_ < 0) return;
        waiter_.event = fd_;
        waiter_.word.store(waiter::parked, std::memory_order_relaxed);
        cancelled_ = !token->add(waiter_);
        added_ = !cancelled_;
    }
    ~token_event() {
        // after it nobody writes to the descriptor
        if (added_) token_->remove(waiter_);
        if (fd_ >= 0) close(fd_);
    }
    token_event(const token_event&) = delete;
    token_event& operator=(const token_event&) = delete;

    int fd() const { return fd_; }
    bool failed() const { return token_ && fd_ < 0; }
    bool cancelled() const { return cancelled_; }

  private:
    cancel_state* token_;
    waiter waiter_;
    int fd_ = -1;
    bool cancelled_ = false;
    bool added_ = false;
};

// ppoll() up to the limit's time or the token's, whichever is earlier.
int poll_until(pollfd* fds, nfds_t n, uint64_t at) {
    announced blocking;
    for (;;) {
        timespec left = {};
        if (at) {
            const uint64_t now = now_ns(), ns = at > now ? at - now : 0;
            left = {static_cast<time_t>(ns / 1000000000), static_cast<long>(ns % 1000000000)};
        }
        const int ready = ppoll(fds, n, at ? &left : nullptr, nullptr);
        if (ready >= 0 || errno != EINTR) return ready < 0 ? -errno : ready;
    }
}

}  // namespace

int wait_ready(int fd, short events, const limit& until, short* got) {
    token_event token(until.token());
    if (token.failed()) return -EMFILE;
    if (token.cancelled()) return -ECANCELED;
    uint64_t at = until.ns();
    const uint64_t token_at = until.token() ? until.token()->deadline() : 0;
    const bool token_first = token_at && (!at || token_at <= at);
    if (token_first) at = token_at;
    pollfd fds[2] = {{fd, events, 0}, {token.fd(), POLLIN, 0}};
    const int ready = poll_until(fds, until.token() ? 2 : 1, at);
    if (ready < 0) return ready;
    if (!ready) return token_first ? -ECANCELED : -ETIME;
    // what has been done counts
    if (fds[0].revents) {
        if (got) *got = fds[0].revents;
        return 0;
    }
    return -ECANCELED;
}

ssize_t read(int fd, const iovec* vector, int count, off_t offset, const limit& until) {
    if (limited(until)) {
        const auto n = preadv2(fd, vector, count, offset, RWF_NOWAIT);
        if (n >= 0) return n;
        if (const int err = wait_ready(fd, POLLIN, until)) return err;
    }
    announced blocking;
    return again_if_interrupted([&] { return preadv2(fd, vector, count, offset, 0); });
}

ssize_t write(int fd, const iovec* vector, int count, off_t offset, const limit& until) {
    if (limited(until)) {
        const auto n = pwritev2(fd, vector, count, offset, RWF_NOWAIT);
        if (n >= 0) return n;
        if (const int err = wait_ready(fd, POLLOUT, until)) return err;
    }
    announced blocking;
    return again_if_interrupted([&] { return pwritev2(fd, vector, count, offset, 0); });
}

int accept(int fd, sockaddr* address, socklen_t* size, int flags, const limit& until) {
    if (limited(until))
        if (const int err = wait_ready(fd, POLLIN, until)) return err;
    announced blocking;
    return again_if_interrupted([&] { return accept4(fd, address, size, flags); });
}

namespace {

int finish_connecting(int fd, const limit& until) {
    if (const int err = wait_ready(fd, POLLOUT, until)) return err;
    int error = 0;
    socklen_t size = sizeof(error);
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size)) return -errno;
    return -error;
}

}  // namespace

non_blocking::non_blocking(int fd) noexcept : fd_(fd), flags_(fcntl(fd, F_GETFL)) {
    if (flags_ >= 0 && flags_ & O_NONBLOCK) return;
    changed_ = flags_ >= 0 && !fcntl(fd, F_SETFL, flags_ | O_NONBLOCK);
    if (!changed_) error_ = -errno;
}

non_blocking::~non_blocking() {
    if (changed_) fcntl(fd_, F_SETFL, flags_);
}

int connect(int fd, const sockaddr* address, socklen_t size, const limit& until) {
    std::optional<non_blocking> change;
    if (limited(until)) {
        change.emplace(fd);
        if (change->error()) return change->error();
    }
    int err = 0;
    {
        announced blocking;
        if (::connect(fd, address, size)) err = -errno;
    }
    // one that was interrupted goes on
    if (err == -EINTR || (change && change->changed() && err == -EINPROGRESS))
        err = finish_connecting(fd, until);
    return err;
}

ssize_t sendfile(int socket, int file, off_t offset, size_t size) {
    // not announced: what is in memory does not wait
    return again_if_interrupted([&] { return ::sendfile(socket, file, &offset, size); });
}

namespace {

template <class Call>
ssize_t transfer(int fd, short events, int flags, const limit& until, Call call) {
    if (!limited(until)) {
        announced blocking;
        return again_if_interrupted([&] { return call(flags); });
    }
    for (;;) {
        const auto n = again_if_interrupted([&] { return call(flags | MSG_DONTWAIT); });
        if (n != -EAGAIN) return n;
        if (const int err = wait_ready(fd, events, until)) return err;
    }
}

}  // namespace

ssize_t recvmsg(int fd, msghdr* message, int flags, const limit& until) {
    return transfer(fd, POLLIN, flags, until, [&](int f) { return ::recvmsg(fd, message, f); });
}

ssize_t sendmsg(int fd, const msghdr* message, int flags, const limit& until) {
    return transfer(fd, POLLOUT, flags, until, [&](int f) { return ::sendmsg(fd, message, f); });
}

}  // namespace umcg::detail::plain
