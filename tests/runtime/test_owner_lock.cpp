// SPDX-License-Identifier: MIT
//
// The lock whose owner pays nothing: the owner and the visitors exclude each other, nobody is left
// asleep, whoever the owner is.
#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <thread>
#include <vector>

#include "harness.hpp"
#include "owner_lock.hpp"

namespace {

using umcg::detail::owner_lock;

class OwnerLock : public testing::Test {
  protected:
    void SetUp() override { umcg::detail::init_barriers(); }

    owner_lock lock;
    long count = 0;  // only under the lock
    std::atomic<int> inside{0};

    // What a second one in here would spoil.
    void critical(unsigned& seed) {
        ASSERT_EQ(inside.fetch_add(1, std::memory_order_relaxed), 0);
        const long seen = count;
        seed = seed * 1103515245 + 12345;
        // sometimes for long enough that the others have to sleep
        if ((seed >> 16) % 64 == 0) std::this_thread::yield();
        count = seen + 1;
        inside.fetch_sub(1, std::memory_order_relaxed);
    }
};

TEST_F(OwnerLock, OwnerAndVisitors) {
    constexpr int visitors = 3;
    const int visits = scaled(1000), rounds = scaled(30000);
    std::atomic<bool> over{false};
    long owned = 0;
    std::thread owner([&] {
        unsigned seed = 1;
        while (!over || owned < rounds) {
            lock.lock();
            critical(seed);
            lock.unlock();
            owned++;
        }
    });
    std::vector<std::thread> all;
    for (int v = 0; v < visitors; v++)
        all.emplace_back([&, v] {
            unsigned seed = 100 + v;
            for (int i = 0; i < visits; i++) {
                lock.visit();
                critical(seed);
                lock.leave();
            }
        });
    for (auto& t : all) t.join();
    over = true;
    owner.join();
    EXPECT_EQ(count, owned + long{visitors} * visits);
}

// As an executor does: one owner after the other, ordered by something else.
TEST_F(OwnerLock, OwnersInTurn) {
    constexpr int owners = 3;
    const int rounds = scaled(1000), visits = scaled(1000);
    std::mutex turn;
    std::vector<std::thread> all;
    for (int o = 0; o < owners; o++)
        all.emplace_back([&, o] {
            unsigned seed = 7 + o;
            for (int i = 0; i < rounds; i++) {
                std::lock_guard mine(turn);
                for (int j = 0; j < 10; j++) {
                    lock.lock();
                    critical(seed);
                    lock.unlock();
                }
            }
        });
    unsigned seed = 99;
    for (int i = 0; i < visits; i++) {
        lock.visit();
        critical(seed);
        lock.leave();
    }
    for (auto& t : all) t.join();
    EXPECT_EQ(count, long{owners} * rounds * 10 + visits);
}

// Store, then look at the other side's word: not both miss it. The heart of R3 and R8.
TEST_F(OwnerLock, OneOfTwoSees) {
    const int rounds = scaled(3000);
    std::atomic<int> light{0}, heavy{0};
    std::atomic<int> round{0}, done{0};
    std::atomic<int> light_saw{0};
    std::thread other([&] {
        for (int i = 1; i <= rounds; i++) {
            round.wait(i - 1);
            umcg::detail::store_lightly(light, i);
            light_saw.store(heavy.load(std::memory_order_seq_cst), std::memory_order_relaxed);
            done.store(i);
            done.notify_one();
        }
    });
    for (int i = 1; i <= rounds; i++) {
        round.store(i);
        round.notify_one();
        heavy.store(i, std::memory_order_seq_cst);
        umcg::detail::heavy_barrier();
        const int heavy_saw = light.load(std::memory_order_seq_cst);
        done.wait(i - 1);
        ASSERT_TRUE(heavy_saw == i || light_saw.load(std::memory_order_relaxed) == i)
            << "round " << i;
    }
    other.join();
}

}  // namespace
