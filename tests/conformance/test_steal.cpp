// SPDX-License-Identifier: MIT
// Stealing: workers that are run far from home while their entries are still
// on somebody else's list. R3 was found here with servers slowed by 300 us.
#include <stdio.h>

#include "storm.hpp"

namespace umcg_test {
namespace {

using Steal = Conformance;

StormOptions base() {
    StormOptions o;
    o.servers = 4;
    o.workers = scaled(40, 12);
    o.steps = scaled(250, 30);
    return o;
}

TEST_F(Steal, Conservation) {
    const StormCounts c = storm(base());
    printf("%s\n", text(c).c_str());
    if (slowness() > 1 && !(c.stolen && c.word_stolen + c.handed))
        GTEST_SKIP() << "nothing was stolen: too few steps on so slow a kernel";
    EXPECT_GT(c.stolen, 0u);
    EXPECT_GT(c.word_stolen + c.handed, 0u);
}

TEST_F(Steal, SlowedServers) {
    StormOptions o = base();
    o.slow_us = 300;
    o.peer = true;
    o.steps = scaled(150, 20);
    const StormCounts c = storm(o);
    printf("%s\n", text(c).c_str());
    if (slowness() > 1 && !c.stolen)
        GTEST_SKIP() << "nothing was stolen: too few steps on so slow a kernel";
    EXPECT_GT(c.stolen, 0u);
}

TEST_F(Steal, SlowedServersQuietAndDirect) {
    StormOptions o = base();
    o.slow_us = 300;
    o.peer = o.quiet = o.direct = true;
    o.steps = scaled(150, 20);
    printf("%s\n", text(storm(o)).c_str());
}

TEST_F(Steal, FromPreemptedWorkers) {
    StormOptions o = base();
    o.slices = o.kicks = true;
    const StormCounts c = storm(o);
    printf("%s\n", text(c).c_str());
    EXPECT_GT(c.preempted, 0u);
}

}  // namespace
}  // namespace umcg_test
