// SPDX-License-Identifier: MIT
#include "cpu_time.hpp"

#include <time.h>

#include <algorithm>

namespace umcg::detail {

uint64_t cpu_ns_of(pid_t tid) noexcept {
    // MAKE_THREAD_CPUCLOCK(tid, CPUCLOCK_SCHED) of the kernel; what pthread_getcpuclockid() makes
    const clockid_t clock = static_cast<clockid_t>((~static_cast<unsigned>(tid) << 3) | 6);
    timespec ts;
    if (clock_gettime(clock, &ts)) return 0;
    return static_cast<uint64_t>(ts.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(ts.tv_nsec);
}

void cpu_account::look(pid_t tid, uint64_t now) noexcept {
    const uint64_t cpu = at_stop_ ? at_stop_ : cpu_ns_of(tid);
    at_stop_ = 0;
    offset_ = cpu - now;
    known_ = cpu != 0;
}

uint64_t cpu_account::stop(pid_t tid, uint64_t since, uint64_t most) noexcept {
    const bool known = known_;
    known_ = false;
    at_stop_ = cpu_ns_of(tid);
    if (!known || !at_stop_) return most;
    const auto ran = static_cast<int64_t>(at_stop_ - offset_ - since);
    return ran > 0 ? std::min(static_cast<uint64_t>(ran), most) : 0;
}

}  // namespace umcg::detail
