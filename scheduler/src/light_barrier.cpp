// SPDX-License-Identifier: MIT
#include "light_barrier.hpp"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "core.hpp"

namespace umcg::detail {

#ifndef UMCG_TSAN
bool light_barriers = false;

void init_barriers() noexcept {
    // refused: an old kernel, or a seccomp filter
    light_barriers = !syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0);
}

void heavy_barrier() noexcept {
    if (!light_barriers) return;
    const int saved = errno;
    if (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0)) die("membarrier", -errno);
    errno = saved;
}
#endif

}  // namespace umcg::detail
