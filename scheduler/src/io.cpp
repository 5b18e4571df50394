// SPDX-License-Identifier: MIT
//
// umcg::io: one operation after the other by the task that wants it. Which way an operation goes is
// decided here; ring.cpp and io_plain.cpp are the ways.
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <umcg/umcg.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <umcg/cancellation.hpp>
#include <umcg/io.hpp>

#include "core.hpp"
#include "io_plain.hpp"

namespace umcg::io {

namespace {

namespace plain = detail::plain;
using detail::io_op;
using detail::ring;

// What the system takes at once, and what fits into a completion.
constexpr size_t most = 0x7ffff000;

unsigned length(size_t size) {
    return static_cast<unsigned>(std::min(size, most));
}

// The ring that the operation was submitted to, nullptr: it is to be a plain call.
template <class Prepare>
ring* submit(io_op& op, unsigned opcode, const limit& until, const Prepare& prepare) {
    detail::worker* w = detail::enter_section();
    if (!w) return nullptr;
    ring* r = w->current ? w->home->io.get() : nullptr;
    // A thread task has a thread that can block; only for a limit it is better off with the ring.
    if (r &&
        (!r->has(opcode) || (w->current->kind == kind::thread && !until.ns() && !until.token())))
        r = nullptr;
    if (r) {
        io_uring_sqe* sqe = r->get();
        if (sqe) {
            prepare(sqe);
            if (opcode == IORING_OP_READ || opcode == IORING_OP_WRITE) r->use_registered(*sqe);
            io_uring_sqe_set_data(sqe, static_cast<detail::completion*>(&op));
            // Whoever accepts lets in all who are there, as long as its slice lasts: one for each
            // turn of a long queue, and the last has waited for as many turns as there are clients.
            w->home->io_prepared(opcode == IORING_OP_ACCEPT);
        } else {
            r = nullptr;
        }
    }
    detail::leave_section(w);
    return r;
}

bool on_disk(int fd) {
    struct stat s;
    return !fstat(fd, &s) && (S_ISREG(s.st_mode) || S_ISBLK(s.st_mode));
}

// `file`: the descriptor, if it may be one of a disk, whose transfers wait for nobody.
template <class Prepare, class Plain>
auto run(unsigned opcode, const limit& until, Prepare prepare, Plain call, int file = -1)
    -> decltype(call()) {
    if (until.token() && until.token()->cancelled()) return -ECANCELED;
    const bool is_try = file >= 0 && until.ns() && until.ns() <= detail::now_ns();
    for (;;) {
        io_op op;
        ring* r = submit(op, opcode, until, prepare);
        if (!r) return call();
        const wake how = op.wait(until);
        if (how != wake::signalled) {
            // The completion comes in any case, perhaps with what was done; until then the buffers
            // are the kernel's.
            r->cancel(op);
            op.wait({});
        }
        const int res = op.result();
        if (res != -ECANCELED && res != -EINTR) return res;
        // It may have been stopped in the queue of the kernel's threads. A time that has passed makes
        // a try all the same.
        if (how == wake::timeout) return is_try && on_disk(file) ? call() : -ETIME;
        if (how == wake::cancelled) return -ECANCELED;
        // nobody asked: the worker that had submitted it has ended, and with it what it had begun
    }
}

template <class Call>
int retried(Call call) {
    umcg_blocking_begin();
    int n;
    do n = call();
    while (n < 0 && errno == EINTR);
    const int err = errno;
    umcg_blocking_end();
    return n < 0 ? -err : n;
}

ssize_t transfer(int fd, const iovec* vector, int count, off_t offset, bool out,
                 const limit& until) {
    return run(
        out ? IORING_OP_WRITEV : IORING_OP_READV, until,
        [&](io_uring_sqe* sqe) {
            const auto n = static_cast<unsigned>(count);
            const auto at = static_cast<uint64_t>(offset);
            if (out)
                io_uring_prep_writev(sqe, fd, vector, n, at);
            else
                io_uring_prep_readv(sqe, fd, vector, n, at);
        },
        [&] {
            return out ? plain::write(fd, vector, count, offset, until)
                       : plain::read(fd, vector, count, offset, until);
        },
        fd);
}

// SO_LINGER's time is in seconds. What is left to send is sent in the background then: 0 seconds
// would throw it away.
void shorten_linger(int fd, const limit& until) {
    linger l = {};
    socklen_t size = sizeof(l);
    if (getsockopt(fd, SOL_SOCKET, SO_LINGER, &l, &size) || !l.l_onoff || !l.l_linger) return;
    int seconds = 0;
    if (!until.token() || !until.token()->cancelled()) {
        uint64_t at = until.ns();
        const uint64_t token_at = until.token() ? until.token()->deadline() : 0;
        if (token_at && (!at || token_at < at)) at = token_at;
        const uint64_t now = detail::now_ns();
        seconds = at ? static_cast<int>(std::min<uint64_t>((at > now ? at - now : 0) / 1000000000,
                                                           static_cast<uint64_t>(l.l_linger)))
                     : l.l_linger;
    }
    if (seconds == l.l_linger) return;
    l.l_onoff = seconds > 0;
    l.l_linger = seconds;
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
}

}  // namespace

ssize_t pread(int fd, void* buffer, size_t size, off_t offset, const limit& until) {
    return run(
        IORING_OP_READ, until,
        [&](io_uring_sqe* sqe) {
            io_uring_prep_read(sqe, fd, buffer, length(size), static_cast<uint64_t>(offset));
        },
        [&] {
            const iovec one = {buffer, size};
            return plain::read(fd, &one, 1, offset, until);
        },
        fd);
}

ssize_t pwrite(int fd, const void* buffer, size_t size, off_t offset, const limit& until) {
    return run(
        IORING_OP_WRITE, until,
        [&](io_uring_sqe* sqe) {
            io_uring_prep_write(sqe, fd, buffer, length(size), static_cast<uint64_t>(offset));
        },
        [&] {
            const iovec one = {const_cast<void*>(buffer), size};
            return plain::write(fd, &one, 1, offset, until);
        },
        fd);
}

// -1: the file's own position
ssize_t read(int fd, void* buffer, size_t size, const limit& until) {
    return pread(fd, buffer, size, -1, until);
}
ssize_t write(int fd, const void* buffer, size_t size, const limit& until) {
    return pwrite(fd, buffer, size, -1, until);
}
ssize_t readv(int fd, const iovec* vector, int count, const limit& until) {
    if (count < 0) return -EINVAL;
    return transfer(fd, vector, count, -1, false, until);
}
ssize_t writev(int fd, const iovec* vector, int count, const limit& until) {
    if (count < 0) return -EINVAL;
    return transfer(fd, vector, count, -1, true, until);
}

int fsync(int fd, const limit& until) {
    return run(
        IORING_OP_FSYNC, until, [&](io_uring_sqe* sqe) { io_uring_prep_fsync(sqe, fd, 0); },
        [&] { return retried([&] { return ::fsync(fd); }); }, fd);
}

int fdatasync(int fd, const limit& until) {
    return run(
        IORING_OP_FSYNC, until,
        [&](io_uring_sqe* sqe) { io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC); },
        [&] { return retried([&] { return ::fdatasync(fd); }); }, fd);
}

int openat(int directory, const char* path, int flags, mode_t mode, const limit& until) {
    return run(
        IORING_OP_OPENAT, until,
        [&](io_uring_sqe* sqe) { io_uring_prep_openat(sqe, directory, path, flags, mode); },
        [&] { return retried([&] { return ::openat(directory, path, flags, mode); }); });
}

// Not by the ring: it closes at once in nearly every case, and is not to be submitted later than
// what the next call opens.
int close(int fd, const limit& until) {
    if (until.ns() || until.token()) shorten_linger(fd, until);
    return ::close(fd) ? -errno : 0;
}

int accept(int fd, sockaddr* address, socklen_t* size, int flags, const limit& until) {
    return run(
        IORING_OP_ACCEPT, until,
        [&](io_uring_sqe* sqe) { io_uring_prep_accept(sqe, fd, address, size, flags); },
        [&] { return plain::accept(fd, address, size, flags, until); });
}

int connect(int fd, const sockaddr* address, socklen_t size, const limit& until) {
    return run(
        IORING_OP_CONNECT, until,
        [&](io_uring_sqe* sqe) { io_uring_prep_connect(sqe, fd, address, size); },
        [&] { return plain::connect(fd, address, size, until); });
}

ssize_t recv(int fd, void* buffer, size_t size, int flags, const limit& until) {
    return run(
        IORING_OP_RECV, until,
        [&](io_uring_sqe* sqe) { io_uring_prep_recv(sqe, fd, buffer, length(size), flags); },
        [&] {
            iovec one = {buffer, size};
            msghdr message = {};
            message.msg_iov = &one;
            message.msg_iovlen = 1;
            return plain::recvmsg(fd, &message, flags, until);
        });
}

ssize_t send(int fd, const void* buffer, size_t size, int flags, const limit& until) {
    flags |= MSG_NOSIGNAL;
    return run(
        IORING_OP_SEND, until,
        [&](io_uring_sqe* sqe) { io_uring_prep_send(sqe, fd, buffer, length(size), flags); },
        [&] {
            iovec one = {const_cast<void*>(buffer), size};
            msghdr message = {};
            message.msg_iov = &one;
            message.msg_iovlen = 1;
            return plain::sendmsg(fd, &message, flags, until);
        });
}

ssize_t recvmsg(int fd, msghdr* message, int flags, const limit& until) {
    return run(
        IORING_OP_RECVMSG, until,
        [&](io_uring_sqe* sqe) {
            io_uring_prep_recvmsg(sqe, fd, message, static_cast<unsigned>(flags));
        },
        [&] { return plain::recvmsg(fd, message, flags, until); });
}

ssize_t sendmsg(int fd, const msghdr* message, int flags, const limit& until) {
    flags |= MSG_NOSIGNAL;
    return run(
        IORING_OP_SENDMSG, until,
        [&](io_uring_sqe* sqe) {
            io_uring_prep_sendmsg(sqe, fd, message, static_cast<unsigned>(flags));
        },
        [&] { return plain::sendmsg(fd, message, flags, until); });
}

ssize_t sendfile(int socket, int file, off_t offset, size_t size, const limit& until) {
    if (until.token() && until.token()->cancelled()) return -ECANCELED;
    const plain::non_blocking now(socket);
    if (now.error()) return now.error();
    for (;;) {
        const ssize_t n = plain::sendfile(socket, file, offset, std::min(size, most));
        if (n != -EAGAIN) return n;
        if (const int got = poll(socket, POLLOUT, until); got < 0) return got;
    }
}

int shutdown(int fd, int how, const limit& until) {
    if (until.token() && until.token()->cancelled()) return -ECANCELED;
    return ::shutdown(fd, how) ? -errno : 0;
}

int poll(int fd, short events, const limit& until) {
    return run(
        IORING_OP_POLL_ADD, until,
        [&](io_uring_sqe* sqe) {
            io_uring_prep_poll_add(sqe, fd, static_cast<unsigned short>(events));
        },
        [&]() -> int {
            short got = 0;
            const int err = plain::wait_ready(fd, events, until, &got);
            return err ? err : got;
        });
}

bool uses_io_uring() noexcept {
    const detail::worker* w = detail::this_worker();
    return w && w->current && w->current->kind == kind::fiber && w->home->io && !w->home->io->lost();
}

}  // namespace umcg::io
