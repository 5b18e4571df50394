// SPDX-License-Identifier: MIT
// Block sources: priority-inheritance futexes. They go to sleep by a way of
// their own (rt_mutex_futex_pre_schedule()), which every earlier attempt missed.
#include <linux/futex.h>

#include "blocks.hpp"

namespace umcg_test {
namespace {

using BlockPi = Guest;

long futex(uint32_t* word, int op, uint32_t val, const timespec* timeout = nullptr,
           uint32_t* word2 = nullptr, uint32_t val3 = 0) {
    return syscall(SYS_futex, word, op, val, timeout, word2, val3);
}

// Also a warning when the configuration lacks it: nothing here may pass silently.
#define REQUIRE_PI_FUTEX()                                                       \
    if (uint32_t w_ = 0; futex(&w_, FUTEX_TRYLOCK_PI_PRIVATE, 0) != 0)           \
    GTEST_SKIP() << "FUTEX_TRYLOCK_PI: " << strerror(errno) << ": no CONFIG_FUTEX_PI"

TEST_F(BlockPi, LockPi) {
    REQUIRE_PI_FUTEX();
    uint32_t lock = 0;
    ASSERT_EQ(futex(&lock, FUTEX_LOCK_PI_PRIVATE, 0), 0);
    expect_one_block(
        [&] {
            EXPECT_EQ(futex(&lock, FUTEX_LOCK_PI_PRIVATE, 0), 0);
            EXPECT_EQ(futex(&lock, FUTEX_UNLOCK_PI_PRIVATE, 0), 0);
        },
        [&] { EXPECT_EQ(futex(&lock, FUTEX_UNLOCK_PI_PRIVATE, 0), 0); });
}

TEST_F(BlockPi, WaitRequeuePiAcquiredAtOnce) {
    REQUIRE_PI_FUTEX();
    uint32_t cond = 0, lock = 0;
    expect_one_block(
        [&] {
            EXPECT_EQ(futex(&cond, FUTEX_WAIT_REQUEUE_PI_PRIVATE, 0, nullptr, &lock), 0);
            EXPECT_EQ(futex(&lock, FUTEX_UNLOCK_PI_PRIVATE, 0), 0);
        },
        [&] {
            EXPECT_EQ(futex(&cond, FUTEX_CMP_REQUEUE_PI_PRIVATE, 1,
                            reinterpret_cast<const timespec*>(uintptr_t{1}), &lock, 0),
                      1);
        });
}

// Woken from the first queue only to sleep in the second: still one block.
TEST_F(BlockPi, WaitRequeuePiThenQueued) {
    REQUIRE_PI_FUTEX();
    uint32_t cond = 0, lock = 0;
    ASSERT_EQ(futex(&lock, FUTEX_LOCK_PI_PRIVATE, 0), 0);
    expect_one_block(
        [&] {
            EXPECT_EQ(futex(&cond, FUTEX_WAIT_REQUEUE_PI_PRIVATE, 0, nullptr, &lock), 0);
            EXPECT_EQ(futex(&lock, FUTEX_UNLOCK_PI_PRIVATE, 0), 0);
        },
        [&] {
            EXPECT_EQ(futex(&cond, FUTEX_CMP_REQUEUE_PI_PRIVATE, 1,
                            reinterpret_cast<const timespec*>(uintptr_t{1}), &lock, 0),
                      1);
            EXPECT_EQ(futex(&lock, FUTEX_UNLOCK_PI_PRIVATE, 0), 0);
        });
}

}  // namespace
}  // namespace umcg_test
