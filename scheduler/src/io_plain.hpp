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

}  // namespace umcg::detail::plain

#endif
