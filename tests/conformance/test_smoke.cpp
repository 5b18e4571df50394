// SPDX-License-Identifier: MIT
// The shortest way through everything that the other files rely on.
#include "harness.hpp"

namespace umcg_test {
namespace {

using Smoke = Conformance;

TEST_F(Smoke, ReadIsOneBlock) {
    Gate gate;
    Group g;
    Worker& w = g.worker([&](Worker&) { gate.wait(); });
    EXPECT_EQ(g.next(), runnable(w));
    EXPECT_EQ(g.run(w), 0);
    EXPECT_EQ(g.next(), blocked(w));
    gate.open();
    EXPECT_EQ(g.next(), runnable(w));
    EXPECT_EQ(g.run(w), 0);
    g.run_to_exit(w);
    g.finish();
    EXPECT_EQ(g.log.size(), 4U);
}

TEST_F(Smoke, FifoServersRunThemAll) {
    constexpr int kWorkers = 20, kTurns = 10;
    std::atomic<int> turns{0};
    FifoServer a, b;
    std::vector<std::unique_ptr<Worker>> workers;
    for (int i = 0; i < kWorkers; i++)
        workers.push_back(std::make_unique<Worker>(
            [&](Worker& w) {
                for (int t = 0; t < kTurns; t++) {
                    turns++;
                    if (t & 1)
                        nap_us(100);
                    else
                        EXPECT_EQ(w.yield(), 0);
                }
            },
            Worker::Options{.home = i & 1 ? a.tid() : b.tid()}));
    for (auto& w : workers) w->join();
    EVENTUALLY(a.counts.exited + b.counts.exited == kWorkers);
    EXPECT_EQ(turns, kWorkers * kTurns);
}

}  // namespace
}  // namespace umcg_test
