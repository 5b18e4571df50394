// SPDX-License-Identifier: MIT
//
// Operations as plain calls: what umcg::io does on threads and where io_uring is not to be had.
#ifndef UMCG_SRC_IO_PLAIN_HPP
#define UMCG_SRC_IO_PLAIN_HPP

#include <umcg/io.hpp>

namespace umcg::detail::plain {

// 0: fd has one of the events, or nobody can know. Else -ETIME, -ECANCELED or the error of poll().
// `got`: which have come.
int wait_ready(int fd, short events, const limit& until, short* got = nullptr);

ssize_t read(int fd, const iovec* vector, int count, off_t offset, const limit& until);
ssize_t write(int fd, const iovec* vector, int count, off_t offset, const limit& until);
int accept(int fd, sockaddr* address, socklen_t* size, int flags, const limit& until);
int connect(int fd, const sockaddr* address, socklen_t size, const limit& until);
ssize_t recvmsg(int fd, msghdr* message, int flags, const limit& until);
ssize_t sendmsg(int fd, const msghdr* message, int flags, const limit& until);


// A descriptor is a non-blocking one as long as this object lives.
class non_blocking {
  public:
    explicit non_blocking(int fd) noexcept;
    ~non_blocking();
    non_blocking(const non_blocking&) = delete;
    non_blocking& operator=(const non_blocking&) = delete;
    int error() const noexcept { return error_; }  // 0: it is
    bool changed() const noexcept { return changed_; }  // it was not before

  private:
    const int fd_;
    const int flags_;
    int error_ = 0;
    bool changed_ = false;
};

// To a non-blocking socket.
ssize_t sendfile(int socket, int file, off_t offset, size_t size);

}  // namespace umcg::detail::plain

#endif
