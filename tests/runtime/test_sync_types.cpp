// SPDX-License-Identifier: MIT
//
// shared_mutex, latch, barrier, once, rendezvous: between fibers, thread tasks and plain threads,
// with limits; and what each says to a caller who breaks its contract.
#include <atomic>
#include <mutex>
#include <shared_mutex>
#include <stdexcept>
#include <string>

#include <umcg/barrier.hpp>
#include <umcg/cancellation.hpp>
#include <umcg/channel.hpp>
#include <umcg/latch.hpp>
#include <umcg/once.hpp>
#include <umcg/semaphore.hpp>
#include <umcg/shared_mutex.hpp>
#include <umcg/wait_group.hpp>

#include "harness.hpp"

namespace {

class SyncTypes : public Runtime {};
IN_EVERY_CONFIGURATION(SyncTypes);

// ---- shared_mutex ----

TEST_P(SyncTypes, SharedMutexExcludes) {
    umcg::runtime rt(options());
    umcg::shared_mutex m;
    std::atomic<int> readers{0}, writers{0}, most{0};
    long n = 0;
    const int rounds = scaled(300);
    everywhere(rt, 16, [&](int i) {
        for (int r = 0; r < rounds; r++) {
            if ((i + r) % 4 == 0) {
                std::lock_guard hold(m);
                EXPECT_EQ(++writers, 1);
                EXPECT_EQ(readers, 0);
                const long seen = n;
                if (r % 5 == 0) umcg::yield();
                n = seen + 1;
                writers--;
            } else {
                std::shared_lock hold(m);
                const int now = ++readers;
                int seen = most;
                while (now > seen && !most.compare_exchange_weak(seen, now)) {
                }
                EXPECT_EQ(writers, 0);
                if (r % 3 == 0) umcg::yield();
                readers--;
            }
        }
    });
    EXPECT_EQ(n, 4L * rounds);
    EXPECT_TRUE(m.try_lock());
    EXPECT_FALSE(m.try_lock());
    EXPECT_FALSE(m.try_lock_shared());
    m.unlock();
    EXPECT_TRUE(m.try_lock_shared());
    EXPECT_TRUE(m.try_lock_shared());
    EXPECT_FALSE(m.try_lock());
    m.unlock_shared();
    m.unlock_shared();
}

// Readers have it together: each waits for the other inside.
TEST_P(SyncTypes, SharedMutexReadersMeet) {
    umcg::runtime rt(options());
    umcg::shared_mutex m;
    umcg::barrier both(8);
    everywhere(rt, 8, [&](int) {
        std::shared_lock hold(m);
        both.arrive_and_wait();
    });
}

// A writer waits; new readers queue up behind it, in the order in which they came.
TEST_P(SyncTypes, SharedMutexWriterIsNotStarved) {
    umcg::runtime rt(options());
    umcg::shared_mutex m;
    m.lock_shared();
    std::string order;  // under the mutex, or alone
    auto writer = rt.spawn([&] {
        std::lock_guard hold(m);
        order += 'w';
    });
    // until it waits
    while (m.try_lock_shared()) {
        m.unlock_shared();
        std::this_thread::yield();
    }
    EXPECT_EQ(m.lock_shared(umcg::clock::now()), umcg::wake::timeout);
    auto reader = rt.spawn([&] {
        std::shared_lock hold(m);
        return order;
    });
    m.unlock_shared();
    EXPECT_EQ(reader.join(), "w");
    writer.join();
}

// The writer that readers have queued up behind gives up: they go in.
TEST_P(SyncTypes, SharedMutexWriterGivesUp) {
    umcg::runtime rt(options());
    umcg::shared_mutex m;
    umcg::cancel_source source;
    m.lock_shared();
    auto writer = rt.spawn([&] { return m.lock(source.token()); });
    while (m.try_lock_shared()) {
        m.unlock_shared();
        std::this_thread::yield();
    }
    umcg::latch in(3);
    std::vector<umcg::task<void>> readers;
    for (int i = 0; i < 3; i++)
        readers.push_back(rt.spawn([&] {
            std::shared_lock hold(m);
            in.count_down();
        }));
    source.cancel();
    EXPECT_EQ(writer.join(), umcg::wake::cancelled);
    in.wait();  // while we are a reader, too
    for (auto& t : readers) t.join();
    m.unlock_shared();
    EXPECT_TRUE(m.try_lock_for(1h));
    m.unlock();
}

// Waiters leave by their limits while others are let in: nobody is let in twice or never.
TEST_P(SyncTypes, SharedMutexAgainstTimeout) {
    umcg::runtime rt(options());
    umcg::shared_mutex m;
    std::atomic<int> readers{0}, writers{0};
    const int rounds = scaled(300);
    everywhere(rt, 12, [&](int i) {
        for (int r = 0; r < rounds; r++) {
            const auto limit = std::chrono::microseconds((i * 13 + r) % 50);
            if ((i + r) % 3 == 0) {
                if (m.lock(limit) != umcg::wake::signalled) continue;
                EXPECT_EQ(++writers, 1);
                EXPECT_EQ(readers, 0);
                if (r % 2) umcg::yield();
                writers--;
                m.unlock();
            } else {
                if (m.lock_shared(limit) != umcg::wake::signalled) continue;
                readers++;
                EXPECT_EQ(writers, 0);
                if (r % 2) umcg::yield();
                readers--;
                m.unlock_shared();
            }
        }
    });
    EXPECT_TRUE(m.try_lock());
    m.unlock();
}

// ---- latch, barrier ----

TEST_P(SyncTypes, Latch) {
    umcg::runtime rt(options());
    for (int r = 0; r < scaled(50); r++) {
        umcg::latch all(12);
        std::atomic<int> done{0};
        everywhere(rt, 12, [&](int i) {
            done++;
            if (i % 2) {
                all.count_down();
            } else {
                EXPECT_EQ(all.arrive_and_wait(), umcg::wake::signalled);
                EXPECT_EQ(done, 12);
            }
        });
        EXPECT_TRUE(all.try_wait());
        EXPECT_EQ(all.wait(), umcg::wake::signalled);
    }
    umcg::latch never(1);
    umcg::cancel_source source;
    EXPECT_FALSE(never.try_wait());
    EXPECT_EQ(never.wait(1ms), umcg::wake::timeout);
    auto t = rt.spawn([&] { return never.wait({1h, source.token()}); });
    source.cancel();
    EXPECT_EQ(t.join(), umcg::wake::cancelled);
}

// It goes as soon as the one who waited has been told.
TEST_P(SyncTypes, LatchMayGoAfterWait) {
    umcg::runtime rt(options());
    for (int r = 0; r < scaled(500); r++) {
        auto last = std::make_unique<umcg::latch>(1);
        rt.spawn([l = last.get()] { l->count_down(); }).detach();
        last->wait();
        last.reset();
    }
}

TEST_P(SyncTypes, BarrierPhases) {
    umcg::runtime rt(options());
    constexpr int n = 8;
    const int rounds = scaled(200);
    int phase = 0;
    std::atomic<int> arrived{0};
    umcg::barrier all(n, [&]() noexcept {
        EXPECT_EQ(arrived, n);
        arrived = 0;
        // it may wait
        if (phase % 8 == 0) umcg::sleep_for(10us);
        phase++;
    });
    everywhere(rt, n, [&](int i) {
        for (int r = 0; r < rounds; r++) {
            arrived++;
            if ((i + r) % 3 == 0) {
                auto here = all.arrive();
                umcg::yield();
                EXPECT_EQ(all.wait(std::move(here)), umcg::wake::signalled);
            } else {
                EXPECT_EQ(all.arrive_and_wait(), umcg::wake::signalled);
            }
            EXPECT_GE(phase, r + 1);
        }
    });
    EXPECT_EQ(phase, rounds);
}

TEST_P(SyncTypes, BarrierDropAndLimit) {
    umcg::runtime rt(options());
    umcg::barrier pair(2);
    rt.spawn([&] { pair.arrive_and_drop(); }).join();
    // one of two has come in this phase, and one only is expected in the next
    EXPECT_EQ(pair.arrive_and_wait(), umcg::wake::signalled);
    EXPECT_EQ(pair.arrive_and_wait(), umcg::wake::signalled);
    umcg::barrier two(2);
    EXPECT_EQ(two.arrive_and_wait(1ms), umcg::wake::timeout);
    // it has arrived all the same
    EXPECT_EQ(rt.spawn([&] { return two.arrive_and_wait(); }).join(), umcg::wake::signalled);
}

// ---- once ----

TEST_P(SyncTypes, Once) {
    umcg::runtime rt(options());
    for (int r = 0; r < scaled(100); r++) {
        umcg::once_flag flag;
        int calls = 0;
        everywhere(rt, 8, [&](int) {
            umcg::call_once(flag, [&](int by) {
                umcg::yield();
                calls += by;
            }, 1);
            EXPECT_EQ(calls, 1);
        });
    }
}

TEST_P(SyncTypes, OnceFailsThenSucceeds) {
    umcg::runtime rt(options());
    umcg::once_flag flag;
    std::atomic<int> tries{0}, thrown{0};
    everywhere(rt, 12, [&](int) {
        try {
            umcg::call_once(flag, [&] {
                umcg::yield();
                if (++tries < 4) throw std::runtime_error("not yet");
            });
        } catch (const std::runtime_error&) {
            thrown++;
        }
    });
    EXPECT_EQ(tries, 4);
    EXPECT_EQ(thrown, 3);
}

TEST_P(SyncTypes, OnceLimit) {
    umcg::runtime rt(options());
    static constinit umcg::once_flag flag;  // may be a static: no code runs for it
    umcg::once_flag mine;
    umcg::call_once(flag, [] {});
    umcg::semaphore begun(0), go(0);
    auto first = rt.spawn([&] {
        umcg::call_once(mine, [&] {
            begun.release();
            go.acquire();
        });
    });
    begun.acquire();
    EXPECT_EQ(umcg::call_once(mine, 1ms, [] { FAIL(); }), umcg::wake::timeout);
    go.release();
    first.join();
    EXPECT_EQ(umcg::call_once(mine, 1ms, [] { FAIL(); }), umcg::wake::signalled);
}

// ---- rendezvous ----

// send() returns when the value has been taken, not before.
TEST_P(SyncTypes, Rendezvous) {
    umcg::runtime rt(options());
    umcg::channel<int> meeting;
    std::atomic<int> taking{0};
    const int rounds = scaled(200);
    auto sender = rt.spawn([&] {
        for (int r = 1; r <= rounds; r++) {
            EXPECT_EQ(meeting.send(r), umcg::channel_status::ok);
            EXPECT_GE(taking, r);
        }
        meeting.close();
    });
    for (int r = 1; r <= rounds; r++) {
        taking = r;
        EXPECT_EQ(meeting.receive(), r);
    }
    EXPECT_EQ(meeting.receive(), std::nullopt);
    sender.join();
    EXPECT_EQ(umcg::channel<int>().send(1, 1ms), umcg::channel_status::timeout);
}

// ---- contracts ----

TEST(SyncContracts, AbortWithTheNameOfTheCall) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_DEATH(umcg::latch(-1), "umcg::latch::latch");
    EXPECT_DEATH(umcg::latch(1).count_down(2), "umcg::latch::count_down");
    EXPECT_DEATH(umcg::barrier<>(-1), "umcg::barrier::barrier");
    EXPECT_DEATH(static_cast<void>(umcg::barrier<>(1).arrive(2)), "umcg::barrier::arrive");
    EXPECT_DEATH(umcg::shared_mutex().unlock(), "umcg::shared_mutex::unlock");
    EXPECT_DEATH(umcg::shared_mutex().unlock_shared(), "umcg::shared_mutex::unlock_shared");
    EXPECT_DEATH(umcg::wait_group().done(), "umcg::wait_group::done");
}

}  // namespace
