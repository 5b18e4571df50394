// SPDX-License-Identifier: MIT
//
// Spawn, join, results, exceptions, yield, sleep, thread tasks, shutdown.
#include <unistd.h>

#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <umcg/cancellation.hpp>

#include "harness.hpp"

namespace {

class Tasks : public Runtime {};
IN_EVERY_CONFIGURATION(Tasks);

TEST_P(Tasks, Result) {
    umcg::runtime rt(options());
    EXPECT_EQ(rt.spawn([] { return 42; }).join(), 42);
    EXPECT_EQ(rt.spawn([] { return std::string("text"); }).join(), "text");
    EXPECT_EQ(*rt.spawn([] { return std::make_unique<int>(7); }).join(), 7);
    rt.spawn([] {}).join();
    // what it has captured is gone when it is joined
    auto captured = std::make_shared<int>(1);
    std::weak_ptr<int> watch = captured;
    rt.spawn([c = std::move(captured)] { return *c; }).join();
    EXPECT_TRUE(watch.expired());
}

TEST_P(Tasks, ExceptionReachesJoin) {
    umcg::runtime rt(options());
    auto t = rt.spawn([]() -> int { throw std::runtime_error("from the task"); });
    try {
        t.join();
        FAIL() << "nothing was thrown";
    } catch (const std::runtime_error& e) {
        EXPECT_STREQ(e.what(), "from the task");
    }
    EXPECT_FALSE(t.joinable());
}

TEST_P(Tasks, Nested) {
    umcg::runtime rt(options());
    struct fib {
        static int of(int n) {
            if (n < 2) return n;
            auto left = umcg::spawn([n] { return of(n - 1); });
            const int right = of(n - 2);
            return left.join() + right;
        }
    };
    const int n = scaled(100) == 100 ? 15 : 9;
    EXPECT_EQ(rt.spawn([n] { return fib::of(n); }).join(), n == 15 ? 610 : 34);
}

TEST_P(Tasks, YieldLetsOthersRun) {
    umcg::runtime rt(options());
    constexpr int n = 8;
    const int rounds = scaled(2000);
    std::atomic<int> total{0};
    std::vector<umcg::task<void>> all;
    for (int i = 0; i < n; i++)
        all.push_back(rt.spawn([&] {
            for (int r = 0; r < rounds; r++) {
                total++;
                umcg::yield();
            }
        }));
    for (auto& t : all) t.join();
    EXPECT_EQ(total, n * rounds);
}

// One waits in a loop for what the other does: without a true yield it never ends.
TEST_P(Tasks, YieldInALoop) {
    umcg::runtime rt(options());
    std::atomic<int> turn{0};
    auto player = [&](int me) {
        for (int i = 0; i < 100; i++) {
            while (turn.load() != me) umcg::yield();
            turn = 1 - me;
        }
    };
    auto a = rt.spawn([&] { player(0); });
    auto b = rt.spawn([&] { player(1); });
    a.join();
    b.join();
    EXPECT_EQ(turn, 0);
}

TEST_P(Tasks, SleepTakesItsTime) {
    umcg::runtime rt(options());
    std::vector<umcg::task<bool>> all;
    for (int i = 0; i < 50; i++)
        all.push_back(rt.spawn([i] {
            const auto wake = umcg::clock::now() + i * 200us;
            umcg::sleep_until(wake);
            return umcg::clock::now() >= wake;
        }));
    for (auto& t : all) EXPECT_TRUE(t.join());
}

// The earlier timer comes to a server that sleeps for a later one, and one that runs beside a
// blocked worker.
TEST_P(Tasks, SleepBesideABlockedTask) {
    umcg::runtime rt(options());
    int pipe_fd[2];
    ASSERT_EQ(pipe(pipe_fd), 0);
    auto late = rt.spawn([] { umcg::sleep_for(50ms); });
    std::vector<umcg::task<void>> readers;
    for (int i = 0; i < 4; i++)
        readers.push_back(rt.spawn([&] {
            char c;
            EXPECT_EQ(read(pipe_fd[0], &c, 1), 1);
        }));
    // these end while the readers are blocked
    for (int i = 0; i < 20; i++) rt.spawn([] { umcg::sleep_for(1ms); }).join();
    late.join();
    ASSERT_EQ(write(pipe_fd[1], "abcd", 4), 4);
    for (auto& t : readers) t.join();
    close(pipe_fd[0]);
    close(pipe_fd[1]);
}

TEST_P(Tasks, ThreadTasks) {
    umcg::runtime rt(options());
    static thread_local int mine = 0;
    std::vector<umcg::task<bool>> all;
    for (int i = 0; i < 8; i++)
        all.push_back(rt.spawn(
            [i] {
                const auto self = std::this_thread::get_id();
                mine = i;
                for (int r = 0; r < 50; r++) {
                    if (r % 3)
                        umcg::yield();
                    else
                        umcg::sleep_for(100us);
                    // the same thread, and nobody else has used it meanwhile
                    if (mine != i || std::this_thread::get_id() != self) return false;
                }
                return true;
            },
            {.name = "thread " + std::to_string(i), .kind = umcg::kind::thread}));
    for (auto& t : all) EXPECT_TRUE(t.join());
}

// More of them than carriers may be, all waiting for a fiber: they do not count.
TEST_P(Tasks, ThreadTasksDoNotUseUpTheCap) {
    umcg::options o = options();
    o.max_workers = 1;
    umcg::runtime rt(o);
    auto late = rt.spawn([] {
        umcg::sleep_for(5ms);
        return 1;
    });
    std::atomic<int> sum{0};
    std::vector<umcg::task<void>> all;
    for (int i = 0; i < 12; i++)
        all.push_back(rt.spawn(
            [&] {
                late.wait();
                sum++;
            },
            {.kind = umcg::kind::thread}));
    for (auto& t : all) t.join();
    EXPECT_EQ(sum, 12);
    EXPECT_EQ(late.join(), 1);
}

// The server dispatches a worker whose thread task then ends, and which is one too many and ends as
// well: the server must not take it for one that has not run. (It did, and crashed.)
TEST_P(Tasks, LastThreadTaskEndsItsWorker) {
    umcg::options o = options();
    o.max_workers = 1;
    umcg::runtime rt(o);
    for (int r = 0; r < scaled(50); r++) {
        std::vector<umcg::task<void>> all;
        for (int i = 0; i < 4; i++)
            all.push_back(
                rt.spawn([] { umcg::sleep_for(200us); }, {.kind = umcg::kind::thread}));
        for (auto& t : all) t.join();
    }
    // Those of the last rounds may be on their way still. One that finds nothing to do, and is one too
    // many, ends: each task here lets another one look.
    while (rt.stats().workers > 5U * rt.servers()) rt.spawn([] {}).join();
}

TEST_P(Tasks, NameAndPlace) {
    umcg::runtime rt(options());
    EXPECT_FALSE(umcg::in_task());
    EXPECT_STREQ(umcg::task_name(), "");
    for (auto kind : {umcg::kind::fiber, umcg::kind::thread})
        EXPECT_EQ(rt.spawn(
                        [] {
                            EXPECT_TRUE(umcg::in_task());
                            return std::string(umcg::task_name());
                        },
                        {.name = "a name", .kind = kind})
                      .join(),
                  "a name");
}

TEST_P(Tasks, JoinWithLimit) {
    umcg::runtime rt(options());
    umcg::cancel_source source;
    auto t = rt.spawn([token = source.token()] { return umcg::sleep_until(token); });
    EXPECT_EQ(t.wait(1ms), umcg::wake::timeout);
    EXPECT_EQ(rt.spawn([&] { return t.wait(1ms); }).join(), umcg::wake::timeout);
    EXPECT_FALSE(t.done());
    EXPECT_TRUE(source.cancel());
    EXPECT_FALSE(source.cancel());
    EXPECT_EQ(t.join(), umcg::wake::cancelled);
    // too late to wait at all
    EXPECT_EQ(rt.spawn([&] { return umcg::sleep_until({1h, source.token()}); }).join(),
              umcg::wake::cancelled);
}

// The destructor of the runtime waits for what nobody joins.
TEST_P(Tasks, ShutdownWaitsForAll) {
    std::atomic<int> ended{0};
    {
        umcg::runtime rt(options());
        for (int i = 0; i < 100; i++)
            rt.spawn([&, i] {
                  umcg::sleep_for(i * 20us);
                  umcg::spawn([&] { ended++; }).detach();
              }).detach();
    }
    EXPECT_EQ(ended, 100);
}

TEST_P(Tasks, StartAndStop) {
    for (int i = 0; i < scaled(30); i++) {
        umcg::runtime rt(options());
        if (i % 2) {
            EXPECT_EQ(rt.spawn([i] { return i; }).join(), i);
        }
    }
}

TEST_P(Tasks, TwoRuntimes) {
    umcg::runtime one(options()), two(options());
    // a task of one waits for a task of the other
    const int sum = one.spawn([&] {
                           auto there = two.spawn([] {
                               umcg::sleep_for(1ms);
                               return 1;
                           });
                           return there.join() + 1;
                       }).join();
    EXPECT_EQ(sum, 2);
}

TEST(Options, AreChecked) {
    umcg::options o;
    o.policy = "no such";
    EXPECT_THROW(umcg::runtime{o}, std::invalid_argument);
    o = {};
    o.max_workers = 0;
    EXPECT_THROW(umcg::runtime{o}, std::invalid_argument);
    o = {};
    o.stack_size = 100;
    EXPECT_THROW(umcg::runtime{o}, std::invalid_argument);
    o = {};
    o.cpus = {1 << 20};
    EXPECT_THROW(umcg::runtime{o}, std::invalid_argument);
    o = {};
    o.backend = "no such";
    EXPECT_THROW(umcg::runtime{o}, std::invalid_argument);
}

}  // namespace
