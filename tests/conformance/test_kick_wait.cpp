// SPDX-License-Identifier: MIT
// Lost wake-ups: a queue in user space and a kick commute with the wait. Every
// test here hangs, and so fails at its deadline, when one kick is lost.
#include <sched.h>

#include "blocks.hpp"

namespace umcg_test {
namespace {

using KickWait = Conformance;

// Many producers, one server: count up, kick; the server takes what is there
// and waits without a timeout when there is nothing.
void queue_and_kick(int producers, int items, const std::function<void(unsigned)>& pace) {
    Server s;
    std::atomic<long> queue{0}, taken{0};
    std::vector<std::thread> threads;
    for (int p = 0; p < producers; p++)
        threads.emplace_back([&, p] {
            auto r = rng(unsigned(p));
            for (int i = 0; i < items; i++) {
                pace(unsigned(r()));
                queue.fetch_add(1);
                EXPECT_EQ(umcg_kick(0, s.tid()), 0);
            }
        });
    const long all = long(producers) * items;
    long waits = 0, refusals = 0;
    while (taken < all) {
        taken += queue.exchange(0);
        if (taken == all) break;
        const int rc = s.wait();
        ASSERT_TRUE(rc == 0 || rc == -EAGAIN) << rc;
        (rc == 0 ? waits : refusals)++;
    }
    for (auto& t : threads) t.join();
    ::testing::Test::RecordProperty("waits", int(waits));
    ::testing::Test::RecordProperty("refusals", int(refusals));
}

TEST_F(KickWait, CommuteOneProducer) {
    queue_and_kick(1, scaled(50000, 2000), [](unsigned r) {
        for (unsigned n = r % 64; n; n--) __builtin_ia32_pause();
    });
}

TEST_F(KickWait, CommuteFourProducers) {
    queue_and_kick(4, scaled(12000, 500), [](unsigned r) {
        for (unsigned n = r % 256; n; n--) __builtin_ia32_pause();
        if (r % 1024 == 0) sched_yield();
    });
}

// One at a time: the producer waits for the answer before it kicks again, so a
// single lost kick stops everything.
TEST_F(KickWait, PingPong) {
    const int rounds = scaled(10000, 500);
    Server s;
    std::atomic<int> asked{0}, answered{0};
    std::thread producer([&] {
        auto r = rng(1);
        for (int i = 1; i <= rounds; i++) {
            for (unsigned n = r() % 512; n; n--) __builtin_ia32_pause();
            asked = i;
            EXPECT_EQ(umcg_kick(0, s.tid()), 0);
            while (answered != i) sched_yield();
        }
    });
    auto r = rng(2);
    while (answered < rounds) {
        for (unsigned n = r() % 512; n; n--) __builtin_ia32_pause();
        if (asked > answered) {
            answered = int(asked);
            continue;
        }
        const int rc = s.wait();
        ASSERT_TRUE(rc == 0 || rc == -EAGAIN) << rc;
    }
    producer.join();
}

// R1, as a litmus: a worker blocks at the moment its server goes to sleep. The
// server is there twice: once the block must find it asleep, once the list must
// be seen. The release is the server's own, so nobody else wakes anything.
TEST_F(KickWait, BlockAgainstWait) {
    const int rounds = scaled(3000, 300);
    Pipe p;
    Group g;
    std::atomic<bool> ending{false};
    Worker& w = g.worker([&](Worker&) {
        auto r = rng(3);
        for (int i = 0; i < rounds; i++) {
            for (unsigned n = r() % 200; n; n--) __builtin_ia32_pause();
            p.get();
        }
        ending = true;
    });
    ASSERT_EQ(g.next(), runnable(w));
    auto r = rng(4);
    int blocks = 0;
    for (bool over = false; !over;) {
        // returns at once: the worker runs on while the server comes round again
        int rc = g.run(w, 0, 1);
        ASSERT_TRUE(rc == 0 || rc == -ETIMEDOUT) << rc;
        for (bool held = false; !held && !over;) {
            for (unsigned n = r() % 200; n; n--) __builtin_ia32_pause();
            while (const Event e = g.poll()) {
                if (e.exited()) over = true;
                else if (e.kind == Event::kBlocked && ending) continue;  // on its way out
                else if (e.kind == Event::kBlocked) blocks++, p.put();
                else held = true;
            }
            if (held || over) break;
            rc = g.wait();
            ASSERT_TRUE(rc == 0 || rc == -EAGAIN) << rc;
        }
    }
    EXPECT_EQ(blocks, rounds);
}

// The same for the return: it becomes runnable while the idle server goes to sleep.
TEST_F(KickWait, ReturnAgainstWait) {
    const int rounds = scaled(3000, 300);
    Pipe p;
    std::atomic<int> released{0};
    std::atomic<bool> stop{false};
    Group g;
    Worker& w = g.worker([&](Worker&) {
        for (int i = 0; i < rounds; i++) p.get();
    });
    std::thread releaser([&] {
        auto r = rng(5);
        for (int i = 0; i < rounds; i++) {
            while (released == i && !stop) sched_yield();
            for (unsigned n = r() % 300; n; n--) __builtin_ia32_pause();
            p.put();
        }
    });
    ASSERT_EQ(g.next(), runnable(w));
    int returns = 0;
    for (bool over = false; !over;) {
        ASSERT_EQ(g.run(w), 0);
        for (bool held = false; !held && !over;) {
            while (const Event e = g.poll()) {
                if (e.exited()) over = true;
                else if (e.kind == Event::kBlocked) released++;
                else held = true, returns++;
            }
            if (held || over) break;
            const int rc = g.wait();
            ASSERT_TRUE(rc == 0 || rc == -EAGAIN) << rc;
        }
    }
    stop = true;
    releaser.join();
    // the pipe's own lock may have been a block now and then
    EXPECT_EQ(returns, released);
    EXPECT_GE(returns, rounds / 2);
}

}  // namespace
}  // namespace umcg_test
