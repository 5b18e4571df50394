// SPDX-License-Identifier: MIT
//
// The usual calls on file descriptors, for tasks: the task waits, its worker does not. A fiber's go
// through its server's io_uring, submitted together with those of other fibers; so a thousand
// fibers that wait for a thousand sockets need one thread. Plain read() is fine in a task, too, but
// keeps a worker for as long as it blocks.
//
//     #include <umcg/io.hpp>
//     #include <umcg/runtime.hpp>
//     #include <sys/socket.h>
//     #include <cerrno>
//
//     int main() {
//         umcg::runtime rt;
//         int pair[2];
//         if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair)) return 1;
//         auto echo = rt.spawn([&] {
//             char byte;
//             while (umcg::io::recv(pair[1], &byte, 1, 0) == 1)
//                 umcg::io::send(pair[1], &byte, 1, 0);
//         });
//         const bool good = rt.spawn([&] {
//             char byte = 'x', back = 0;
//             umcg::io::send(pair[0], &byte, 1, 0);
//             return umcg::io::recv(pair[0], &back, 1, 0) == 1 && back == 'x' &&
//                    umcg::io::recv(pair[0], &back, 1, 0, 1ms) == -ETIME;     // nobody has sent
//         }).join();
//         umcg::io::shutdown(pair[0], SHUT_RDWR);  // from a plain thread
//         return good ? 0 : 1;
//     }
#ifndef UMCG_IO_HPP
#define UMCG_IO_HPP

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>
#include <umcg/limit.hpp>

// Each call does what the system's of the same name does, once, and returns what that returns, or
// the error as a negative number: -ENOENT, not -1 with errno. Short reads and writes are the
// system's.
//
//   -ETIME      the limit's time has come and nothing was done
//   -ECANCELED  its token was cancelled and nothing was done
//
// What has been done when the limit comes counts. A limit ends the wait of a socket, a pipe and the
// like; a transfer from or to a disk that has begun, openat, close and fsync are waited for:
// buffers are never in use after the call. Interrupted calls are done again: there is no -EINTR.
//
// Descriptors should be blocking ones; on others these calls may return -EAGAIN. Memory that an
// argument points to must stay valid until the call returns.
//
// Fibers: io_uring. Thread tasks and plain threads, and fibers where io_uring is not there,
// forbidden (sysctl, seccomp) or lacks the operation: the plain blocking call, for limits after
// poll(); then somebody else who reads from the same pipe or accepts on the same socket may make a
// call wait beyond its limit. Blocks the task. Does not allocate.
namespace umcg::io {

// At the file's own position, where it has one.
ssize_t read(int fd, void* buffer, size_t size, const limit& until = {});
ssize_t write(int fd, const void* buffer, size_t size, const limit& until = {});
ssize_t readv(int fd, const iovec* vector, int count, const limit& until = {});
ssize_t writev(int fd, const iovec* vector, int count, const limit& until = {});
ssize_t pread(int fd, void* buffer, size_t size, off_t offset, const limit& until = {});
ssize_t pwrite(int fd, const void* buffer, size_t size, off_t offset, const limit& until = {});
int fsync(int fd, const limit& until = {});
int fdatasync(int fd, const limit& until = {});
// What the kernel cannot open at once is begun by a thread of the kernel: a time that has passed, or
// is near, may come first.
int openat(int directory, const char* path, int flags, mode_t mode = 0, const limit& until = {});
// The descriptor is gone in any case, also with a token that is cancelled. Who still waits for it with
// one of these calls waits on. Waits for nothing but what SO_LINGER asks for, of which a limit leaves
// the whole seconds until its time (none if its token is cancelled already); the rest is sent in the
// background.
int close(int fd, const limit& until = {});

int accept(int fd, sockaddr* address = nullptr, socklen_t* size = nullptr, int flags = SOCK_CLOEXEC,
           const limit& until = {});
// After -ETIME and -ECANCELED the socket may be connecting: close it.
int connect(int fd, const sockaddr* address, socklen_t size, const limit& until = {});
ssize_t recv(int fd, void* buffer, size_t size, int flags, const limit& until = {});
// SIGPIPE is not raised.
ssize_t send(int fd, const void* buffer, size_t size, int flags, const limit& until = {});
ssize_t recvmsg(int fd, msghdr* message, int flags, const limit& until = {});
ssize_t sendmsg(int fd, const msghdr* message, int flags, const limit& until = {});
// From a file to a socket, without a copy through the program; returns how much, 0 at the file's end.
// The file's position is neither used nor changed. Waits for room; what is not in memory is waited for
// as by a plain call, which blocks the worker. Meanwhile the socket is a non-blocking one (O_NONBLOCK):
// no other call may be begun on it, nor on a duplicate of it. SIGPIPE is raised, as by write().
ssize_t sendfile(int socket, int file, off_t offset, size_t size, const limit& until = {});
// Does not wait: a token that is cancelled keeps it from being done, a time does not.
int shutdown(int fd, int how, const limit& until = {});
// Wait for POLLIN, POLLOUT, ...; returns those that have come.
int poll(int fd, short events, const limit& until = {});

// Does the calling task's I/O go through io_uring? False on plain threads.
bool uses_io_uring() noexcept;

}  // namespace umcg::io

#endif
