// SPDX-License-Identifier: MIT
// The queue between the program and the library: threads push as the program does, others take.
// Each block is reported once, whoever takes it. Needs no privilege; also under ThreadSanitizer.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "peek.h"

namespace {

constexpr unsigned kWorkers = 6;
constexpr int kRounds = 500;

TEST(Queue, OneEntryOneReport) {
    ASSERT_TRUE(peek_fake_slots(kWorkers));
    std::atomic<bool> stop{false};
    std::vector<std::thread> takers;
    for (int i = 0; i < 2; i++) {
        takers.emplace_back([&] {
            while (!stop) peek_take_queue();
        });
    }
    std::vector<std::thread> workers;
    for (unsigned i = 0; i < kWorkers; i++) {
        workers.emplace_back([i] {
            for (int r = 0; r < kRounds; r++) {
                peek_fake_block(i);
                while (!peek_fake_is_blocked(i)) std::this_thread::yield();
                peek_fake_return(i);
            }
        });
    }
    for (auto& t : workers) t.join();
    stop = true;
    for (auto& t : takers) t.join();
    peek_take_queue();
    for (unsigned i = 0; i < kWorkers; i++) {
        EXPECT_EQ(peek_fake_reports(i), static_cast<unsigned>(kRounds));
    }
}

// A worker that is back before its entry was taken, and blocks anew: the entry stands for the
// latest block, and the earlier one is nobody's business any more.
TEST(Queue, AnEntryStandsForTheLatestBlock) {
    ASSERT_TRUE(peek_fake_slots(2));
    peek_fake_block(0);
    peek_fake_block(1);
    peek_fake_return(0);
    peek_take_queue();
    EXPECT_FALSE(peek_fake_is_blocked(0));
    EXPECT_TRUE(peek_fake_is_blocked(1));
    peek_fake_block(0);
    peek_fake_return(0);
    peek_fake_block(0);
    peek_take_queue();
    EXPECT_TRUE(peek_fake_is_blocked(0));
    EXPECT_EQ(peek_fake_reports(0), 1U);
    EXPECT_EQ(peek_fake_reports(1), 1U);
}

}  // namespace
