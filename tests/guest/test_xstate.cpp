// SPDX-License-Identifier: MIT
// The bare call, with nothing of a calling convention around it: umcg_wait() of a worker keeps every
// register, as any system call does. What is lost on involuntary ways: tests/conformance/test_xstate.cpp.
#include "blocks.hpp"
#include "raw.hpp"
#include "registers.hpp"

namespace umcg_test {
namespace {

using Xstate = Guest;

TEST_F(Xstate, AcrossAHold) {
    const int turns = scaled(200, 20);
    std::string why;
    use_tiles(&why);
    FifoServer s;
    std::vector<std::unique_ptr<Worker>> workers;
    Worker::Options o;
    o.home = s.tid();
    for (int i = 0; i < 3; i++)
        workers.push_back(std::make_unique<Worker>(
            [&, i](Worker&) {
                for (int t = 0; t < turns; t++) {
                    const Registers in(uint64_t(i) * 1000003 + uint64_t(t));
                    Registers out;
                    EXPECT_EQ(hold(in, out, system_call(__NR_umcg_wait, UMCG_WAIT_ENQUEUE)), 0);
                    EXPECT_EQ(difference(in, out), "") << "worker " << i << ", turn " << t;
                }
            },
            o));
    for (auto& w : workers) w->join();
}

TEST_F(Xstate, WhatTheGuestHas) {
    printf("registers: %s\n", level_text().c_str());
    if (!(level() & kAvx)) GTEST_SKIP() << "this guest's CPU has no AVX: x87 and SSE only";
}

}  // namespace
}  // namespace umcg_test
