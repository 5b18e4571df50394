// SPDX-License-Identifier: MIT
//
// Workers that nobody has needed for a while are ended and joined; what needs some again gets them.
#include <unistd.h>

#include <stdexcept>

#include "harness.hpp"
#include "readers.hpp"

namespace {

umcg::options options(unsigned servers, std::chrono::nanoseconds idle) {
    umcg::options o;
    o.servers = servers;
    o.idle_worker_time = idle;
    return o;
}

// They go, down to what there was at the start, and are there again when they are needed.
TEST(IdleWorkers, ComeAndGo) {
    umcg::runtime rt(options(1, 1ms));
    const uint64_t at_start = rt.stats().workers;
    for (int round = 0; round < 3; round++) {
        const uint64_t created = rt.stats().workers_created;
        readers blocked(rt, 10);
        EXPECT_GE(rt.stats().workers, 10U);
        EXPECT_GT(rt.stats().workers_created, created);
        blocked.end();
        until([&] { return rt.stats().workers == at_start; });
    }
    EXPECT_EQ(rt.spawn([] { return 7; }).join(), 7);
}

// Those that are blocked stay, and so does who may be needed as soon as one of them is back.
TEST(IdleWorkers, WhoIsBlockedStays) {
    umcg::runtime rt(options(1, 1ms));
    readers blocked(rt, 5);
    {
        readers others(rt, 10);
        others.end();
    }
    // five, and one that is a spare
    until([&] { return rt.stats().workers <= 6; });
    EXPECT_GE(rt.stats().workers, 5U);
    blocked.end();
}

// Beside a task that blocks and comes back all the time, of which a server in its wait is not told.
TEST(IdleWorkers, BesideOneThatIsBusy) {
    umcg::runtime rt(options(1, 1ms));
    const uint64_t at_start = rt.stats().workers;
    std::atomic<bool> stop{false};
    auto busy = rt.spawn([&] {
        while (!stop) usleep(100);
    });
    {
        readers blocked(rt, 10);
    }
    // one carries the task
    until([&] { return rt.stats().workers <= at_start + 1; });
    stop = true;
    busy.join();
}

// Without the option they stay, while another runtime's go.
TEST(IdleWorkers, AreKeptFor0) {
    umcg::runtime keeps(options(1, 0ns)), ends(options(1, 1ms));
    readers one(keeps, 10), other(ends, 10);
    one.end();
    other.end();
    const uint64_t at_start = 2, all = keeps.stats().workers;
    EXPECT_GE(all, 10U);
    until([&] { return ends.stats().workers == at_start; });
    EXPECT_GE(keeps.stats().workers, all);
}

// What they leave is used again: stacks, and what the runtime keeps of them.
TEST(IdleWorkers, LeaveNothing) {
    umcg::runtime rt(options(1, 1ms));
    const uint64_t at_start = rt.stats().workers;
    uint64_t before = 0;
    const int rounds = scaled(100);
    for (int round = 0; round < rounds; round++) {
        {
            readers blocked(rt, 10);
        }
        until([&] { return rt.stats().workers == at_start; });
        if (round == 3) before = status_field("VmSize:");
    }
    EXPECT_GE(rt.stats().workers_created, static_cast<uint64_t>(rounds) * 6);
#ifndef UNDER_SANITIZER
    // ten stacks a round, of 8 MB as a rule
    if (rounds > 50) {
        EXPECT_LT(status_field("VmSize:"), before + (1 << 20));
    }
#endif
}

// They are sent off while others need them, on all servers, as fast as it goes.
TEST(IdleWorkers, Storm) {
    umcg::runtime rt(options(2, 1ms));
    std::atomic<int> ended{0};
    constexpr int tasks = 12;
    const int naps = scaled(150);
    std::vector<umcg::task<void>> all;
    for (int i = 0; i < tasks; i++)
        all.push_back(rt.spawn(
            [&, i] {
                for (int n = 0; n < naps; n++) {
                    // together at first, then apart, then nobody for a while
                    usleep(static_cast<useconds_t>(n % 8 < 5 ? 200 : 300 * i));
                    if (n % 3 == 0) umcg::yield();
                    if (n % 8 == 7) umcg::sleep_for(5ms);
                }
                ended++;
            },
            {.kind = i % 4 ? umcg::kind::fiber : umcg::kind::thread}));
    for (auto& t : all) t.join();
    EXPECT_EQ(ended, tasks);
    until([&] { return rt.stats().workers == 4; });
}

TEST(IdleWorkers, BadTime) {
    for (auto bad : {-1ns, 999'999ns}) {
        try {
            umcg::runtime rt(options(1, bad));
            ADD_FAILURE() << bad.count();
        } catch (const std::invalid_argument& e) {
            EXPECT_NE(std::string(e.what()).find("idle_worker_time is " + std::to_string(bad.count())),
                      std::string::npos)
                << e.what();
        }
    }
}

}  // namespace
