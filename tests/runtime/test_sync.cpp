// SPDX-License-Identifier: MIT
//
// Mutex, condition variable, semaphore, wait group and channel: between fibers, thread tasks and
// plain threads, with limits.
#include <atomic>
#include <deque>
#include <mutex>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <umcg/cancellation.hpp>
#include <umcg/channel.hpp>
#include <umcg/condition_variable.hpp>
#include <umcg/mutex.hpp>
#include <umcg/scope.hpp>
#include <umcg/semaphore.hpp>
#include <umcg/wait_group.hpp>

#include "harness.hpp"

namespace {

class Sync : public Runtime {};
IN_EVERY_CONFIGURATION(Sync);

TEST_P(Sync, MutexExcludes) {
    umcg::runtime rt(options());
    umcg::mutex m;
    long n = 0;
    const int rounds = scaled(1000);
    everywhere(rt, 16, [&](int i) {
        for (int r = 0; r < rounds; r++) {
            std::lock_guard hold(m);
            const long seen = n;
            if ((r + i) % 7 == 0) umcg::yield();
            n = seen + 1;
        }
    });
    EXPECT_EQ(n, 16L * rounds);
    EXPECT_TRUE(m.try_lock());
    EXPECT_FALSE(m.try_lock());
    m.unlock();
}

TEST_P(Sync, MutexLimits) {
    umcg::runtime rt(options());
    umcg::mutex m;
    umcg::cancel_source source;
    m.lock();
    everywhere(rt, 8, [&](int) {
        EXPECT_EQ(m.lock(umcg::clock::now()), umcg::wake::timeout);
        EXPECT_FALSE(m.try_lock_for(1ms));
    });
    auto cancelled = rt.spawn([&] { return m.lock(source.token()); });
    auto patient = rt.spawn([&] { return m.lock({1h, source.token()}); });
    source.cancel();
    EXPECT_EQ(cancelled.join(), umcg::wake::cancelled);
    EXPECT_EQ(patient.join(), umcg::wake::cancelled);
    m.unlock();
    EXPECT_TRUE(m.try_lock());
    m.unlock();
}

// Waiters leave by their limit while others are handed the lock: nobody gets it twice or never.
TEST_P(Sync, MutexHandOverAgainstTimeout) {
    umcg::runtime rt(options());
    umcg::mutex m;
    long inside = 0, entered = 0;
    std::atomic<long> got{0};
    const int rounds = scaled(300);
    everywhere(rt, 12, [&](int i) {
        for (int r = 0; r < rounds; r++) {
            if (m.lock(std::chrono::microseconds((i * 13 + r) % 50)) != umcg::wake::signalled)
                continue;
            EXPECT_EQ(++inside, 1);
            entered++;
            if (r % 3 == 0) umcg::yield();
            inside--;
            got++;
            m.unlock();
        }
    });
    EXPECT_EQ(entered, got);
    EXPECT_TRUE(m.try_lock());
    m.unlock();
}

TEST_P(Sync, ConditionVariable) {
    umcg::runtime rt(options());
    umcg::mutex m;
    umcg::condition_variable cv;
    std::deque<int> queue;
    const int n = scaled(500);
    long sum = 0;
    bool closed = false;
    std::jthread producer([&] {
        for (int i = 1; i <= n; i++) {
            std::lock_guard hold(m);
            queue.push_back(i);
            cv.notify_one();
        }
        std::lock_guard hold(m);
        closed = true;
        cv.notify_all();
    });
    everywhere(rt, 8, [&](int) {
        std::unique_lock lock(m);
        for (;;) {
            cv.wait(lock, [&] { return closed || !queue.empty(); });
            if (queue.empty()) return;
            sum += queue.front();
            queue.pop_front();
        }
    });
    EXPECT_EQ(sum, n * (n + 1L) / 2);
    std::unique_lock lock(m);
    EXPECT_EQ(cv.wait(lock, 1ms), umcg::wake::timeout);
    EXPECT_TRUE(lock.owns_lock());
    EXPECT_FALSE(cv.wait(lock, [] { return false; }, umcg::limit(1ms)));
}

TEST_P(Sync, ConditionVariableWithStdMutex) {
    umcg::runtime rt(options());
    std::mutex m;
    umcg::condition_variable cv;
    int turn = 0;
    const int rounds = scaled(200);
    everywhere(rt, 4, [&](int i) {
        for (int r = 0; r < rounds; r++) {
            std::unique_lock lock(m);
            cv.wait(lock, [&] { return turn == i; });
            turn = (turn + 1) % 4;
            cv.notify_all();
        }
    });
    EXPECT_EQ(turn, 0);
}

TEST_P(Sync, SemaphoreBounds) {
    umcg::runtime rt(options());
    umcg::semaphore s(3);
    std::atomic<int> inside{0}, most{0}, refused{0};
    const int rounds = scaled(300);
    everywhere(rt, 12, [&](int i) {
        for (int r = 0; r < rounds; r++) {
            if (i == 0) {
                if (s.acquire(1us) != umcg::wake::signalled) {
                    refused++;
                    continue;
                }
            } else {
                s.acquire();
            }
            const int now = ++inside;
            int seen = most;
            while (now > seen && !most.compare_exchange_weak(seen, now)) {
            }
            umcg::yield();
            inside--;
            s.release();
        }
    });
    EXPECT_LE(most, 3);
    for (int i = 0; i < 3; i++) EXPECT_TRUE(s.try_acquire());
    EXPECT_FALSE(s.try_acquire());
}

TEST_P(Sync, WaitGroup) {
    umcg::runtime rt(options());
    for (int r = 0; r < scaled(50); r++) {
        umcg::wait_group all(10);
        std::atomic<int> done{0};
        std::vector<umcg::task<bool>> waiting;
        for (int i = 0; i < 3; i++)
            waiting.push_back(rt.spawn([&] {
                all.wait();
                return done == 10;
            }));
        for (int i = 0; i < 10; i++)
            rt.spawn([&] {
                  done++;
                  all.done();
              }).detach();
        all.wait();
        EXPECT_EQ(done, 10);
        for (auto& t : waiting) EXPECT_TRUE(t.join());
    }
    umcg::wait_group never(1);
    EXPECT_EQ(never.wait(1ms), umcg::wake::timeout);
}

TEST_P(Sync, ChannelKeepsAllValues) {
    umcg::runtime rt(options());
    for (size_t capacity : {size_t{0}, size_t{1}, size_t{7}}) {
        umcg::channel<int> c(capacity);
        const int n = scaled(500);
        std::atomic<long> sum{0};
        umcg::wait_group senders(4);
        std::jthread closer([&] {
            senders.wait();
            c.close();
        });
        everywhere(rt, 8, [&](int i) {
            if (i < 4) {
                for (int v = 1; v <= n; v++) EXPECT_EQ(c.send(v), umcg::channel_status::ok);
                senders.done();
            } else {
                while (auto v = c.receive()) sum += *v;
            }
        });
        EXPECT_EQ(sum, 4L * n * (n + 1) / 2) << "capacity " << capacity;
        EXPECT_EQ(c.send(1), umcg::channel_status::closed);
    }
}

TEST_P(Sync, ChannelKeepsTheOrder) {
    umcg::runtime rt(options());
    for (size_t capacity : {size_t{0}, size_t{3}}) {
        umcg::channel<std::string> c(capacity);
        auto sender = rt.spawn([&] {
            for (int i = 0; i < 200; i++) c.send(std::to_string(i));
            c.close();
        });
        int next = 0;
        while (auto v = c.receive()) EXPECT_EQ(*v, std::to_string(next++));
        EXPECT_EQ(next, 200);
        sender.join();
    }
}

TEST_P(Sync, ChannelLimits) {
    umcg::runtime rt(options());
    umcg::channel<int> c(1);
    umcg::channel_status how;
    EXPECT_FALSE(c.receive(1ms, &how));
    EXPECT_EQ(how, umcg::channel_status::timeout);
    EXPECT_EQ(c.send(1), umcg::channel_status::ok);
    EXPECT_EQ(c.send(2, 1ms), umcg::channel_status::timeout);
    umcg::cancel_source source;
    auto t = rt.spawn([&] { return c.send(3, source.token()); });
    source.cancel();
    EXPECT_EQ(t.join(), umcg::channel_status::cancelled);
    EXPECT_EQ(c.receive(), 1);
    c.close();
    EXPECT_FALSE(c.receive({}, &how));
    EXPECT_EQ(how, umcg::channel_status::closed);
}

// Values whose sender or receiver gives up at the very moment are neither lost nor doubled.
TEST_P(Sync, ChannelAgainstTimeout) {
    umcg::runtime rt(options());
    for (size_t capacity : {size_t{0}, size_t{2}}) {
        umcg::channel<std::string> c(capacity);
        std::atomic<long> sent{0}, received{0};
        umcg::wait_group senders(6);
        const int n = scaled(300);
        auto drain = rt.spawn([&] {
            senders.wait();
            while (auto v = c.receive(umcg::clock::now())) received += std::stol(*v);
        });
        everywhere(rt, 12, [&](int i) {
            for (int r = 1; r <= n; r++) {
                const auto limit = std::chrono::microseconds((i * 7 + r) % 40);
                if (i < 6) {
                    if (c.send(std::to_string(r), limit) == umcg::channel_status::ok) sent += r;
                } else if (auto v = c.receive(limit)) {
                    received += std::stol(*v);
                }
            }
            if (i < 6) senders.done();
        });
        drain.join();
        while (auto v = c.receive(umcg::clock::now())) received += std::stol(*v);
        EXPECT_EQ(sent, received) << "capacity " << capacity;
    }
}

// ---- scopes ----

TEST_P(Sync, ScopeJoinsItsTasks) {
    umcg::runtime rt(options());
    const int n = rt.spawn([] {
                        std::atomic<int> ended{0};
                        {
                            umcg::scope s;
                            for (int i = 0; i < 50; i++)
                                s.spawn([&, i] {
                                    umcg::sleep_for(i * 10us);
                                    ended++;
                                });
                            s.join();
                        }
                        return ended.load();
                    }).join();
    EXPECT_EQ(n, 50);
}

TEST_P(Sync, ScopeFirstErrorCancelsTheRest) {
    umcg::runtime rt(options());
    std::atomic<int> cancelled{0};
    auto t = rt.spawn([&] {
        umcg::scope s;
        for (int i = 0; i < 10; i++)
            s.spawn([&] { cancelled += umcg::sleep_until(s.token()) == umcg::wake::cancelled; });
        s.spawn([] { throw std::runtime_error("first"); });
        s.join();
    });
    EXPECT_THROW(t.join(), std::runtime_error);
    EXPECT_EQ(cancelled, 10);
}

TEST_P(Sync, ScopeLimitAndAbandon) {
    umcg::runtime rt(options());
    rt.spawn([] {
          {
              umcg::scope s;
              s.spawn([&] { umcg::sleep_until(s.token()); });
              EXPECT_FALSE(s.join(1ms));
          }
          // its destructor cancels and waits
          bool cancelled = false;
          {
              umcg::scope s;
              s.spawn([&] { cancelled = umcg::sleep_until(s.token()) == umcg::wake::cancelled; },
                      {.kind = umcg::kind::thread});
          }
          EXPECT_TRUE(cancelled);
      }).join();
}

}  // namespace
