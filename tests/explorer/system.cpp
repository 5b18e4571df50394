// SPDX-License-Identifier: MIT
//
// The system calls and the threads of the code under test.
#include <errno.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <vector>

#include "explorer.hpp"

namespace explore {

int thread_create(pthread_t* thread, const pthread_attr_t*, void* (*fn)(void*), void* arg) noexcept {
    *thread = start([=] { fn(arg); });
    return 0;
}

int thread_join(pthread_t thread, void**) noexcept {
    join(thread);
    return 0;
}

int clock_time(clockid_t, timespec* t) noexcept {
    *t = {static_cast<time_t>(now() / 1000000000), static_cast<long>(now() % 1000000000)};
    return 0;
}

// ---- system calls ----

namespace {

struct sleeper {
    void* word;
    vthread* who;
};
std::vector<sleeper> sleepers;

}  // namespace

void system_reset() noexcept { sleepers.clear(); }

long futex(void* word, int op, uint32_t value, const timespec* until) noexcept {
    drain();
    if ((op & FUTEX_CMD_MASK) == FUTEX_WAKE) {
        long n = 0;
        for (size_t i = 0; i < sleepers.size() && n < static_cast<long>(value);) {
            if (sleepers[i].word != word) {
                i++;
                continue;
            }
            wake(sleepers[i].who);
            sleepers.erase(sleepers.begin() + static_cast<ptrdiff_t>(i));
            n++;
        }
        return n;
    }
    if (*static_cast<uint32_t*>(word) != value) {
        errno = EAGAIN;
        return -1;
    }
    sleepers.push_back({word, current()});
    const auto asleep = [] {
        return std::any_of(sleepers.begin(), sleepers.end(), [](const sleeper& s) { return s.who == current(); });
    };
    const bool told = kernel_sleep_begins();
    bool woken = true;
    // or woken in between
    if (asleep())
        woken = block("futex", until ? static_cast<uint64_t>(until->tv_sec) * 1000000000 +
                                           static_cast<uint64_t>(until->tv_nsec)
                                     : 0);
    std::erase_if(sleepers, [](const sleeper& s) { return s.who == current(); });
    if (told) kernel_sleep_ends();
    if (woken) return 0;
    errno = ETIMEDOUT;
    return -1;
}

long membarrier(int command) noexcept {
    if (command != MEMBARRIER_CMD_PRIVATE_EXPEDITED) return 0;
    if (!current() || control_applies(access::barrier)) return 0;
    drain_all();
    return 0;
}

long other_system_call(long number, const long (&a)[6]) noexcept {
    if (number == SYS_futex)
        return futex(reinterpret_cast<void*>(a[0]), static_cast<int>(a[1]), static_cast<uint32_t>(a[2]),
                     reinterpret_cast<const timespec*>(a[3]));
    if (number == SYS_membarrier) return membarrier(static_cast<int>(a[0]));
    drain();
    return ::syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

}  // namespace explore
