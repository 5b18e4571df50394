// SPDX-License-Identifier: MIT
// When does the monitor's timer ring? By a clock and a timer of the test's own, linked in their place.
#include <gtest/gtest.h>

#include <cstdint>
#include <ctime>
#include <random>

extern "C" {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"  // C has a struct and a function of one name
#define _Static_assert static_assert
#include "portable/portable.h"
#undef _Static_assert
#pragma GCC diagnostic pop

int __real_clock_gettime(clockid_t clock, timespec* ts);
int __wrap_clock_gettime(clockid_t clock, timespec* ts);
int __wrap_timer_settime(timer_t timer, int flags, const itimerspec* when, itimerspec* old);
}

namespace {

constexpr uint64_t kSecond = 1'000'000'000;
uint64_t now = 1000 * kSecond;
uint64_t rings_at = 0;
int settings = 0;

// Workers are run on s, gaps of at most `longest` ns apart, for a second. How often does the timer ring?
int rings(emul_thread* s, uint64_t shortest, uint64_t longest) {
    std::mt19937_64 rng(1);
    int count = 0;
    settings = 0;
    for (const uint64_t end = now + kSecond; now < end;) {
        portable_ran(s);
        now += shortest + rng() % (longest - shortest + 1);
        if (rings_at && rings_at <= now) {
            count++;
            // what the monitor leaves behind it: tend()
            rings_at = portable_server(s)->due = 0;
        }
    }
    return count;
}

// A server that switches at least every 35 us never lets it ring, and pays for one setting in 65 us.
TEST(Monitor, NeverWhileWorkersSwitchOften) {
    for (const uint64_t longest : {1000, 5000, 20000, 34999}) {
        emul_thread s = {};
        rings_at = 0;
        EXPECT_EQ(rings(&s, 500, longest), 0) << longest;
        EXPECT_LE(settings, static_cast<int>(kSecond / 65000) + 1) << longest;
    }
}

// After a block was found it rings after half of the time.
TEST(Monitor, EarlyAfterABlock) {
    emul_thread s = {};
    rings_at = 0;
    portable_server(&s)->soon = 1;
    portable_ran(&s);
    EXPECT_GE(rings_at, now + 35000);
    EXPECT_LE(rings_at, now + 50000);
}

// But a few times only: whether the server switches often after that, or so that each early setting rings.
TEST(Monitor, EarlyAFewTimes) {
    for (const uint64_t gap : {1000, 20000, 34000, 51000, 66000, 90000}) {
        emul_thread s = {};
        rings_at = 0;
        const int without = rings(&s, gap, gap);
        const int paid = settings;
        s = {};
        rings_at = 0;
        portable_server(&s)->soon = 4;
        EXPECT_LE(rings(&s, gap, gap), without + 4) << gap;
        EXPECT_LE(settings, paid + 4) << gap;
        EXPECT_EQ(portable_server(&s)->soon, 0) << gap;
    }
}

// A worker that runs for longer than 100 us is always looked at, one of 35 us may be.
TEST(Monitor, ForWhoeverRunsLong) {
    emul_thread s = {};
    rings_at = 0;
    const int count = rings(&s, 100000, 200000);
    EXPECT_GE(count, static_cast<int>(kSecond / 200000));
    EXPECT_EQ(count, settings);
}

}  // namespace

int __wrap_clock_gettime(clockid_t clock, timespec* ts) {
    if (clock != CLOCK_MONOTONIC) return __real_clock_gettime(clock, ts);
    ts->tv_sec = static_cast<time_t>(now / kSecond);
    ts->tv_nsec = static_cast<long>(now % kSecond);
    return 0;
}

int __wrap_timer_settime(timer_t, int flags, const itimerspec* when, itimerspec*) {
    EXPECT_EQ(flags, TIMER_ABSTIME);
    rings_at = static_cast<uint64_t>(when->it_value.tv_sec) * kSecond + static_cast<uint64_t>(when->it_value.tv_nsec);
    settings++;
    return 0;
}
