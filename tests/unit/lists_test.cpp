// SPDX-License-Identifier: MIT
// The list helpers of umcg.h, one step at a time; lists_stress_test.cpp lets threads race.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "sim_kernel.hpp"
#include "umcg/umcg.h"

namespace {

struct Lists : ::testing::Test {
    umcg_task server{};
    umcg_task a{}, b{}, c{};
    umcg_news news{};
};

TEST_F(Lists, EmptyListsHaveNoNews) {
    EXPECT_FALSE(umcg_has_news(&server));
    umcg_take(&server, &news);
    EXPECT_EQ(umcg_next_blocked(&news), nullptr);
    EXPECT_EQ(umcg_next_runnable(&news), nullptr);
}

TEST_F(Lists, NewestFirstToTheEnd) {
    for (umcg_task* w : {&a, &b, &c}) ASSERT_TRUE(sim::push_blocked(&server, w));
    EXPECT_TRUE(umcg_has_news(&server));
    umcg_take(&server, &news);
    EXPECT_FALSE(umcg_has_news(&server));
    EXPECT_EQ(umcg_next_blocked(&news), &c);
    EXPECT_EQ(umcg_next_blocked(&news), &b);
    EXPECT_EQ(umcg_next_blocked(&news), &a);
    EXPECT_EQ(umcg_next_blocked(&news), nullptr);
    EXPECT_EQ(umcg_next_blocked(&news), nullptr);
}

TEST_F(Lists, TheTwoListsAreSeparate) {
    ASSERT_TRUE(sim::push_blocked(&server, &a));
    ASSERT_TRUE(sim::push_runnable(&server, &a));
    ASSERT_TRUE(sim::push_runnable(&server, &b));
    umcg_take(&server, &news);
    EXPECT_EQ(umcg_next_blocked(&news), &a);
    EXPECT_EQ(umcg_next_blocked(&news), nullptr);
    EXPECT_EQ(umcg_next_runnable(&news), &b);
    EXPECT_EQ(umcg_next_runnable(&news), &a);
    EXPECT_EQ(umcg_next_runnable(&news), nullptr);
}

TEST_F(Lists, HasNewsLooksAtBothLists) {
    ASSERT_TRUE(sim::push_runnable(&server, &a));
    EXPECT_TRUE(umcg_has_news(&server));
    server.runnable_ptr = 0;
    ASSERT_TRUE(sim::push_blocked(&server, &b));
    EXPECT_TRUE(umcg_has_news(&server));
}

TEST_F(Lists, AnEntryIsLinkedUntilItWasWalkedOver) {
    EXPECT_TRUE(umcg_task_unlinked(&a));
    ASSERT_TRUE(sim::push_blocked(&server, &a));
    EXPECT_FALSE(umcg_task_unlinked(&a));
    umcg_take(&server, &news);
    EXPECT_FALSE(umcg_task_unlinked(&a)) << "taken is not walked over";
    ASSERT_EQ(umcg_next_blocked(&news), &a);
    EXPECT_TRUE(umcg_task_unlinked(&a));
    ASSERT_TRUE(sim::push_runnable(&server, &a));
    EXPECT_FALSE(umcg_task_unlinked(&a));
}

// R3: a worker that is still on a list changes once more.
TEST_F(Lists, AQueuedEntryStandsForLaterChangesToo) {
    sim::set_state(&a, UMCG_TASK_BLOCKED);
    ASSERT_TRUE(sim::push_blocked(&server, &a));
    umcg_take(&server, &news);
    sim::set_state(&a, UMCG_TASK_NONE | UMCG_TF_EXITED);
    EXPECT_FALSE(sim::push_blocked(&server, &a)) << "queued, so the link must stay as it is";
    umcg_task* w = umcg_next_blocked(&news);
    ASSERT_EQ(w, &a);
    EXPECT_EQ(umcg_state(w), UMCG_TASK_NONE | UMCG_TF_EXITED);
    EXPECT_TRUE(umcg_exited(w)) << "no other entry will come";
    EXPECT_FALSE(umcg_has_news(&server));
}

// ... and one that was walked over is pushed anew, on whatever list, while the walk goes on.
TEST_F(Lists, AWalkGoesOnAfterItsEntryWasPushedElsewhere) {
    umcg_task other{};
    for (umcg_task* w : {&a, &b, &c}) ASSERT_TRUE(sim::push_blocked(&server, w));
    umcg_take(&server, &news);
    ASSERT_EQ(umcg_next_blocked(&news), &c);
    ASSERT_TRUE(sim::push_blocked(&other, &c));
    ASSERT_EQ(umcg_next_blocked(&news), &b);
    ASSERT_TRUE(sim::push_blocked(&server, &b));
    ASSERT_EQ(umcg_next_blocked(&news), &a);
    EXPECT_EQ(umcg_next_blocked(&news), nullptr);

    umcg_take(&server, &news);
    EXPECT_EQ(umcg_next_blocked(&news), &b);
    EXPECT_EQ(umcg_next_blocked(&news), nullptr);
    umcg_take(&other, &news);
    EXPECT_EQ(umcg_next_blocked(&news), &c);
    EXPECT_EQ(umcg_next_blocked(&news), nullptr);
}

TEST_F(Lists, APushInProgressIsWaitedFor) {
    ASSERT_TRUE(sim::push_blocked(&server, &a));
    // b as the kernel has it between its two steps
    b.blocked_ptr = UMCG_LINK_PENDING;
    server.blocked_ptr = sim::address(&b);
    std::atomic<int> step = 0;
    std::vector<umcg_task*> seen;
    std::thread consumer([&] {
        umcg_take(&server, &news);
        step = 1;
        while (umcg_task* w = umcg_next_blocked(&news)) seen.push_back(w);
    });
    while (step == 0) std::this_thread::yield();
    __atomic_store_n(&b.blocked_ptr, sim::address(&a), __ATOMIC_RELEASE);
    consumer.join();
    EXPECT_EQ(seen, (std::vector<umcg_task*>{&b, &a}));
}

TEST_F(Lists, StateKeepsItsFlags) {
    a.state = UMCG_TASK_RUNNABLE | UMCG_TF_PREEMPTED;
    EXPECT_EQ(umcg_state(&a), 0x0202u);
    EXPECT_EQ(umcg_state(&a) & UMCG_TASK_MASK, UMCG_TASK_RUNNABLE);
}

}  // namespace
