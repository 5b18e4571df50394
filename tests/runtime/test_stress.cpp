// SPDX-License-Identifier: MIT
//
// Many tasks, and everything at once from a seed.
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

#include <umcg/channel.hpp>
#include <umcg/mutex.hpp>
#include <umcg/semaphore.hpp>
#include <umcg/wait_group.hpp>

#include "harness.hpp"

namespace {

class Stress : public Runtime {};
IN_EVERY_CONFIGURATION(Stress);

// All of them alive at the same time. ThreadSanitizer dies above 8,128 fibers.
TEST_P(Stress, ManyFibers) {
#ifdef UNDER_TSAN
    const int n = 2000;
#else
    const int n = scaled(100000);
#endif
    umcg::options o = options();
    o.stack_size = 16 * 1024;
    umcg::runtime rt(o);
    umcg::semaphore go(0);
    std::atomic<int> begun{0}, ended{0};
    std::vector<umcg::task<void>> all;
    for (int i = 0; i < n; i++)
        all.push_back(rt.spawn([&] {
            begun++;
            go.acquire();
            umcg::yield();
            ended++;
        }));
    while (begun < n) std::this_thread::yield();
    EXPECT_EQ(rt.stats().tasks_live, static_cast<uint64_t>(n));
    EXPECT_EQ(ended, 0);
    go.release(n);
    for (auto& t : all) t.join();
    EXPECT_EQ(ended, n);
}

#ifndef UNDER_TSAN
// UMCG_TEST_MORE: a million of them at the same time.
TEST_P(Stress, MillionFibers) {
    if (!getenv("UMCG_TEST_MORE")) GTEST_SKIP() << "UMCG_TEST_MORE is not set";
    umcg::options o = options();
    o.stack_size = 8192;
    umcg::runtime rt(o);
    constexpr int n = 1000000;
    umcg::semaphore go(0);
    std::atomic<int> begun{0}, ended{0};
    std::vector<umcg::task<void>> all;
    all.reserve(n);
    for (int i = 0; i < n; i++)
        all.push_back(rt.spawn([&] {
            begun++;
            go.acquire();
            ended++;
        }));
    while (begun < n) usleep(1000);
    EXPECT_EQ(rt.stats().tasks_live, static_cast<uint64_t>(n));
    go.release(n);
    for (auto& t : all) t.join();
    EXPECT_EQ(ended, n);
}
#endif

// UMCG_TEST_MORE: 10,000 calls that block at the same time, or as many as the system gives threads
// for: the others wait in the queue.
TEST_P(Stress, ManyWorkers) {
    if (!getenv("UMCG_TEST_MORE")) GTEST_SKIP() << "UMCG_TEST_MORE is not set";
    umcg::options o = options();
    o.max_workers = 10000;
    umcg::runtime rt(o);
    constexpr unsigned n = 10000;
    int fd[2];
    ASSERT_EQ(pipe(fd), 0);
    std::vector<umcg::task<bool>> readers;
    for (unsigned i = 0; i < n; i++)
        readers.push_back(rt.spawn([&] {
            char c;
            return read(fd[0], &c, 1) == 1;
        }));
    for (auto s = rt.stats(); s.workers < n && !s.create_failed; s = rt.stats()) usleep(10000);
    printf("workers: %lu, refused: %lu\n", rt.stats().workers, rt.stats().create_failed);
    for (unsigned i = 0; i < n; i++) ASSERT_EQ(write(fd[1], "x", 1), 1);
    for (auto& t : readers) EXPECT_TRUE(t.join());
    close(fd[0]);
    close(fd[1]);
}

// Memory of tasks that have ended is used again.
TEST_P(Stress, StacksAreReused) {
    umcg::runtime rt(options());
    for (int r = 0; r < scaled(50); r++) {
        std::vector<umcg::task<void>> all;
        for (int i = 0; i < 100; i++) all.push_back(rt.spawn([] { umcg::yield(); }));
        for (auto& t : all) t.join();
        // who is joined has its stack still
        while (rt.stats().tasks_live) std::this_thread::yield();
    }
    // 100 at a time, and what the servers keep
    EXPECT_LE(rt.stats().stacks, 100U + rt.servers() * 192U + 64U);
}

// Servers go idle between any two steps, and each wake-up comes from elsewhere: a plain thread, or
// a fiber of another server. One that is lost is a hang.
TEST_P(Stress, WakesOfIdleServers) {
    umcg::runtime rt(options());
    const int rounds = scaled(2000);
    std::vector<std::jthread> threads;
    for (int i = 0; i < 3; i++)
        threads.emplace_back([&] {
            for (int r = 0; r < rounds; r++) EXPECT_EQ(rt.spawn([r] { return r; }).join(), r);
        });
    threads.clear();
    // fifo puts these two on different servers
    umcg::channel<int> there, back;
    auto echo = rt.spawn([&] {
        while (auto v = there.receive()) back.send(*v);
    });
    auto caller = rt.spawn([&] {
        for (int r = 0; r < rounds; r++) {
            there.send(r);
            EXPECT_EQ(back.receive(), r);
        }
        there.close();
    });
    caller.join();
    echo.join();
}

// A blocked worker under QUIET, beside which something is queued from elsewhere at any moment.
TEST_P(Stress, WakesOfQuietServers) {
    umcg::runtime rt(options());
    const int rounds = scaled(300);
    int fd[2];
    ASSERT_EQ(pipe(fd), 0);
    for (int r = 0; r < rounds; r++) {
        // alone on its server, it blocks; the task that ends that is queued meanwhile
        auto reader = rt.spawn([&] {
            char c;
            return read(fd[0], &c, 1) == 1 && c == 'x';
        });
        if (r % 3) usleep(static_cast<useconds_t>(r * 7 % 300));
        auto writer = rt.spawn([&] { return write(fd[1], "x", 1) == 1; });
        EXPECT_TRUE(reader.join());
        EXPECT_TRUE(writer.join());
    }
    close(fd[0]);
    close(fd[1]);
}

// Every kind of wait, from fibers, thread tasks and plain threads; the sums must be right.
TEST_P(Stress, Everything) {
    const char* given = getenv("UMCG_TEST_SEED");
    const unsigned seed = given ? static_cast<unsigned>(atol(given)) : std::random_device{}();
    SCOPED_TRACE("UMCG_TEST_SEED=" + std::to_string(seed));
    umcg::runtime rt(options());
    umcg::mutex cheap;
    std::mutex plain;
    umcg::semaphore few(2);
    umcg::channel<int> numbers(4), meeting;
    std::atomic<long> sent{0}, received{0}, locked{0};
    long under_cheap = 0, under_plain = 0;
    int fd[2];
    ASSERT_EQ(pipe(fd), 0);
    const int rounds = scaled(200);

    auto work = [&](unsigned id) {
        std::minstd_rand random(seed + id);
        for (int r = 0; r < rounds; r++) {
            const auto limit = std::chrono::microseconds(random() % 100);
            switch (random() % 10) {
            case 0:
                umcg::yield();
                break;
            case 1:
                umcg::sleep_for(limit / 4);
                break;
            case 2: {
                std::lock_guard hold(cheap);
                if (random() % 2) umcg::yield();
                under_cheap++;
                locked++;
                break;
            }
            case 3: {
                std::lock_guard hold(plain);
                if (random() % 4 == 0) umcg::yield();
                under_plain++;
                locked++;
                break;
            }
            case 4:
                if (few.acquire(limit) == umcg::wake::signalled) {
                    umcg::yield();
                    few.release();
                }
                break;
            case 5:
                if (numbers.send(r, limit) == umcg::channel_status::ok) sent += r;
                break;
            case 6:
                if (auto v = numbers.receive(limit)) received += *v;
                break;
            case 7:
                if (random() % 2) {
                    if (meeting.send(r, limit) == umcg::channel_status::ok) sent += r;
                } else if (auto v = meeting.receive(limit)) {
                    received += *v;
                }
                break;
            case 8: {
                char c = 'x';
                EXPECT_EQ(write(fd[1], &c, 1), 1);
                EXPECT_EQ(read(fd[0], &c, 1), 1);
                break;
            }
            case 9:
                if (umcg::in_task()) {
                    const auto kind = random() % 8 ? umcg::kind::fiber : umcg::kind::thread;
                    EXPECT_EQ(umcg::spawn([r] { return r; }, {.kind = kind}).join(), r);
                } else {
                    usleep(20);
                }
                break;
            }
        }
    };
    std::vector<umcg::task<void>> all;
    std::vector<std::jthread> threads;
    for (unsigned i = 0; i < 40; i++) all.push_back(rt.spawn([&, i] { work(i); }));
    for (unsigned i = 40; i < 46; i++)
        all.push_back(rt.spawn([&, i] { work(i); }, {.kind = umcg::kind::thread}));
    for (unsigned i = 46; i < 49; i++) threads.emplace_back([&, i] { work(i); });
    for (auto& t : all) t.join();
    threads.clear();
    while (auto v = numbers.receive(umcg::clock::now())) received += *v;
    EXPECT_EQ(sent, received);
    EXPECT_EQ(under_cheap + under_plain, locked);
    close(fd[0]);
    close(fd[1]);
}

}  // namespace
