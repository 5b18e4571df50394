// SPDX-License-Identifier: MIT
// The layout and the numbers that kernel and user space have agreed on. Never to be changed.
#include <gtest/gtest.h>

#include <cstddef>

#include "umcg/abi.h"

static_assert(sizeof(umcg_task) == 64);
static_assert(alignof(umcg_task) == 64);
static_assert(offsetof(umcg_task, state) == 0);
static_assert(offsetof(umcg_task, tid) == 4);
static_assert(offsetof(umcg_task, server_tid) == 8);
static_assert(offsetof(umcg_task, next_tid) == 12);
static_assert(offsetof(umcg_task, blocked_ptr) == 16);
static_assert(offsetof(umcg_task, runnable_ptr) == 24);
static_assert(offsetof(umcg_task, user_flags) == 32);
static_assert(offsetof(umcg_task, peer_tid) == 36);
static_assert(offsetof(umcg_task, running_tid) == 40);
static_assert(offsetof(umcg_task, seq) == 44);
static_assert(offsetof(umcg_task, stamp) == 48);
static_assert(offsetof(umcg_task, reserved) == 56);

static_assert(UMCG_TASK_NONE == 0 && UMCG_TASK_RUNNING == 1 && UMCG_TASK_RUNNABLE == 2 &&
              UMCG_TASK_BLOCKED == 3 && UMCG_TASK_MASK == 0xff);
static_assert(UMCG_TF_IDLE == 0x100 && UMCG_TF_PREEMPTED == 0x200 &&
              UMCG_TF_PREEMPT_PENDING == 0x400 && UMCG_TF_EXITED == 0x800);
static_assert(UMCG_UF_LOCKED == 1 && UMCG_UF_WAKE_ON_RUNNABLE == 2 &&
              UMCG_UF_DIRECT_RESUME == 4 && UMCG_UF_QUIET == 8);
static_assert(UMCG_LINK_NONE == 0 && UMCG_LINK_PENDING == 1 && UMCG_LINK_END == 2);
static_assert(UMCG_REG_SERVER == 1 && UMCG_REG_WORKER == 2);
static_assert(UMCG_WAIT_PREEMPT == 1 && UMCG_WAIT_ENQUEUE == 2);

namespace {

// A task never crosses a page, so one pinned page is all the kernel needs.
TEST(Abi, ATaskFitsAnyPage) {
    for (size_t at = 0; at < 4096; at += alignof(umcg_task)) {
        EXPECT_EQ(at / 4096, (at + sizeof(umcg_task) - 1) / 4096);
    }
}

}  // namespace
