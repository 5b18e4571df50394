// SPDX-License-Identifier: MIT
// umcg_task_alloc(): where tasks lie, what a fork() finds, what happens without memory.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <random>
#include <set>
#include <thread>
#include <vector>

#include "child.hpp"
#include "umcg/umcg.h"

namespace {

constexpr uintptr_t kPage = 4096;

uintptr_t address(const umcg_task* t) { return reinterpret_cast<uintptr_t>(t); }

std::vector<umcg_task*> allocate(size_t n) {
    std::vector<umcg_task*> tasks(n);
    for (umcg_task*& t : tasks) t = umcg_task_alloc();
    return tasks;
}

void release(const std::vector<umcg_task*>& tasks) {
    for (umcg_task* t : tasks) umcg_task_free(t);
}

bool all_zero(const umcg_task* t) {
    static const umcg_task zero{};
    return memcmp(t, &zero, sizeof(zero)) == 0;
}

TEST(Task, AlignedZeroedAndDistinct) {
    auto tasks = allocate(2000);
    for (umcg_task* t : tasks) {
        ASSERT_NE(t, nullptr);
        EXPECT_EQ(address(t) % 64, 0u);
        EXPECT_TRUE(all_zero(t));
        memset(t, 0xa5, sizeof(*t));
    }
    EXPECT_EQ(std::set(tasks.begin(), tasks.end()).size(), tasks.size());
    release(tasks);
}

TEST(Task, ZeroedAgainWhenReused) {
    umcg_task* first = umcg_task_alloc();
    memset(first, 0xa5, sizeof(*first));
    umcg_task_free(first);
    umcg_task* again = umcg_task_alloc();
    EXPECT_EQ(again, first) << "the lowest free place";
    EXPECT_TRUE(all_zero(again));
    umcg_task_free(again);
}

TEST(Task, SixtyFourShareAPage) {
    EXPECT_TRUE(in_child([] {
        const auto tasks = allocate(64 * 40);
        std::set<uintptr_t> pages;
        for (umcg_task* t : tasks) pages.insert(address(t) / kPage);
        EXPECT_EQ(pages.size(), 40u);
    }));
}

// Freed places are filled before a new page is touched: a page costs RLIMIT_MEMLOCK.
TEST(Task, HolesAreFilledFirst) {
    auto tasks = allocate(64 * 4);
    std::set<umcg_task*> holes;
    for (size_t i = 0; i < tasks.size(); i += 3) {
        umcg_task_free(tasks[i]);
        holes.insert(tasks[i]);
    }
    const auto again = allocate(holes.size());
    EXPECT_EQ(std::set(again.begin(), again.end()), holes);
    release(tasks);
}

TEST(Task, FreeingNothingIsFine) { umcg_task_free(nullptr); }

#ifndef __SANITIZE_ADDRESS__  // which wants memory of its own
TEST(Task, NullWithoutMemoryAndThenUsableAgain) {
    EXPECT_TRUE(in_child([] {
        const rlimit none{0, 0};
        umcg_task* first = umcg_task_alloc();
        ASSERT_NE(first, nullptr);
        std::vector<umcg_task*> tasks;
        tasks.reserve(100000);
        ASSERT_EQ(setrlimit(RLIMIT_AS, &none), 0);
        errno = 12345;
        umcg_task* t;
        while ((t = umcg_task_alloc()) && tasks.size() < tasks.capacity()) tasks.push_back(t);
        EXPECT_EQ(t, nullptr);
        EXPECT_EQ(errno, 12345);
        EXPECT_EQ(umcg_task_alloc(), nullptr);
        umcg_task_free(first);
        EXPECT_EQ(umcg_task_alloc(), first);
        EXPECT_EQ(umcg_task_alloc(), nullptr);
    }));
}
#endif

// The child has none of the threads whose tasks these were.
TEST(Task, AForkedChildFindsItsTasksZeroedAndStillAllocated) {
    const auto tasks = allocate(100);
    for (umcg_task* t : tasks) t->tid = 77;
    EXPECT_TRUE(in_child([&] {
        for (umcg_task* t : tasks) EXPECT_TRUE(all_zero(t));
        const auto more = allocate(100);
        for (umcg_task* t : more) EXPECT_EQ(std::count(tasks.begin(), tasks.end(), t), 0);
        release(tasks);
        const auto again = allocate(100);
        EXPECT_EQ(std::set(again.begin(), again.end()), std::set(tasks.begin(), tasks.end()));
    }));
    for (umcg_task* t : tasks) EXPECT_EQ(t->tid, 77u);
    release(tasks);
}

// Each task carries its owner's mark; another owner's mark in it means that it was handed out twice.
TEST(Task, ManyThreads) {
    std::atomic<int> stolen = 0, missing = 0;
    std::vector<std::thread> threads;
    for (unsigned id = 1; id <= 4; id++) {
        threads.emplace_back([&, id] {
            std::minstd_rand rng(id);
            std::vector<umcg_task*> mine;
            for (int i = 0; i < 20000; i++) {
                if (mine.empty() || rng() % 2) {
                    umcg_task* t = umcg_task_alloc();
                    missing += !t;
                    if (!t) continue;
                    stolen += t->tid != 0;
                    t->tid = id;
                    mine.push_back(t);
                } else {
                    std::swap(mine[rng() % mine.size()], mine.back());
                    stolen += mine.back()->tid != id;
                    umcg_task_free(mine.back());
                    mine.pop_back();
                }
            }
            release(mine);
        });
    }
    for (std::thread& t : threads) t.join();
    EXPECT_EQ(stolen, 0);
    EXPECT_EQ(missing, 0);
}

#ifndef __SANITIZE_THREAD__  // the child of a threaded process may not go on under TSan
// The lock may be held by another thread at the moment of the fork; in_child() has a deadline.
TEST(Task, AForkWhileAnotherThreadAllocates) {
    std::atomic<bool> stop = false;
    std::thread busy([&] {
        while (!stop) umcg_task_free(umcg_task_alloc());
    });
    for (int i = 0; i < 300 && !HasFailure(); i++) {
        EXPECT_TRUE(in_child([] {
            umcg_task* t = umcg_task_alloc();
            EXPECT_NE(t, nullptr);
            umcg_task_free(t);
        }));
    }
    stop = true;
    busy.join();
}
#endif

}  // namespace
