// SPDX-License-Identifier: MIT
// The four system calls, without libumcg: for errno tables and for processes
// that must not run library code. Each returns 0 or a negative errno value.
#pragma once

#include <errno.h>
#include <sys/syscall.h>
#include <umcg/abi.h>
#include <unistd.h>

#ifndef __NR_umcg_register
#define __NR_umcg_register 480
#define __NR_umcg_unregister 481
#define __NR_umcg_wait 482
#define __NR_umcg_kick 483
#endif

namespace umcg_test::raw {

// The registers as they are: tables of bad arguments want no conversion.
inline int call(long nr, unsigned long a = 0, unsigned long b = 0) {
    const int saved = errno;
    const long rc = syscall(nr, a, b);
    const int result = rc < 0 ? -errno : static_cast<int>(rc);
    errno = saved;
    return result;
}

inline int reg(const void* self, unsigned long flags) {
    return call(__NR_umcg_register, reinterpret_cast<unsigned long>(self), flags);
}
inline int unreg(const void* self) {
    return call(__NR_umcg_unregister, reinterpret_cast<unsigned long>(self));
}
inline int wait(unsigned long flags, unsigned long abs_ns) {
    return call(__NR_umcg_wait, flags, abs_ns);
}
inline int kick(unsigned long flags, long tid) {
    return call(__NR_umcg_kick, flags, static_cast<unsigned long>(tid));
}

}  // namespace umcg_test::raw
