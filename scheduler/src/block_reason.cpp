// SPDX-License-Identifier: MIT
//
// The contract of libumcg has one kind of block. The kernel knows more: /proc says which call a thread
// sleeps in, and -1 if in none.
#include "block_reason.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

namespace umcg::detail {

umcg_blocked_reason why_blocked(const umcg_task& worker) noexcept {
    const int saved = errno;
    umcg_blocked_reason why = UMCG_BLOCKED_SYSCALL;
    char path[40];
    snprintf(path, sizeof(path), "/proc/self/task/%u/syscall",
             __atomic_load_n(&worker.tid, __ATOMIC_RELAXED));
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        char sign;
        // the number of a call, or "running" if it is back
        if (::read(fd, &sign, 1) == 1 && sign == '-') why = UMCG_BLOCKED_FAULT;
        close(fd);
    }
    errno = saved;
    return why;
}

}  // namespace umcg::detail
