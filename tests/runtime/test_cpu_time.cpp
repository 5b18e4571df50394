// SPDX-License-Identifier: MIT
//
// For how much of its task's time a worker had a CPU: a thread computes, and waits for 100 ms at a time,
// which are no CPU time whatever else the machine does.
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "cpu_time.hpp"

namespace {

using umcg::detail::cpu_account;
using umcg::detail::cpu_ns_of;

constexpr uint64_t ms = 1'000'000;

pid_t me() { return static_cast<pid_t>(syscall(SYS_gettid)); }

uint64_t now() {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<uint64_t>(t.tv_sec) * 1000 * ms + static_cast<uint64_t>(t.tv_nsec);
}

void compute(uint64_t ns) {
    const uint64_t end = cpu_ns_of(me()) + ns;
    while (cpu_ns_of(me()) < end) {
    }
}

TEST(CpuTime, OfNoThread) { EXPECT_EQ(cpu_ns_of(1 << 23), 0U) << "no tid is so large"; }

TEST(CpuTime, IsWhatAStoppedTaskIsToldOf) {
    cpu_account account;
    const uint64_t since = now();
    account.begin(me(), since);
    compute(10 * ms);
    usleep(100'000);
    const uint64_t most = now() - since;
    const uint64_t ran = account.stop(me(), since, most);
    EXPECT_GE(ran, 10 * ms);
    EXPECT_LE(ran, most - 100 * ms);
}

TEST(CpuTime, IsThatOfTheLastTaskAlone) {
    cpu_account account;
    account.begin(me(), now());
    compute(30 * ms);
    // picked by the same worker, which has not waited
    const uint64_t since = now();
    account.begin(me(), since);
    compute(10 * ms);
    // no limit of the other clock's: it would hide that the task before is counted, too
    const uint64_t ran = account.stop(me(), since, UINT64_MAX);
    EXPECT_LE(ran, now() - since);
    EXPECT_EQ(account.stop(me(), since, 7), 7U) << "nothing is known, so it is the other clock's";
}

TEST(CpuTime, GoesOnAfterAStop) {
    cpu_account account;
    uint64_t since = now();
    account.begin(me(), since);
    compute(10 * ms);
    account.stop(me(), since, now() - since);
    // held, and picked again: what it knew of the CPU's clock holds
    usleep(100'000);
    since = now();
    account.begin(me(), since);
    compute(10 * ms);
    const uint64_t most = now() - since;
    const uint64_t ran = account.stop(me(), since, most);
    EXPECT_GE(ran, 10 * ms - ms);
    EXPECT_LE(ran, most);
}

TEST(CpuTime, IsNotKnownOfWhoHasWaited) {
    cpu_account account;
    const uint64_t since = now();
    account.begin(me(), since);
    account.forget();
    usleep(100'000);
    const uint64_t most = now() - since;
    EXPECT_EQ(account.stop(me(), since, most), most);
}

}  // namespace
