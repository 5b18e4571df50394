// SPDX-License-Identifier: MIT
// The delay matrix: the storms again with each of the kernel's windows held open.
// A rule that is broken anywhere shows here first.
#include <stdio.h>

#include "storm.hpp"

namespace umcg_test {
namespace {

class Delays : public Guest, public ::testing::WithParamInterface<int> {
  protected:
    void SetUp() override {
        Guest::SetUp();
        if (IsSkipped()) return;
        REQUIRE_DELAY_POINTS();
        if (GetParam() >= Delay::points())
            GTEST_SKIP() << "this kernel has " << Delay::points() << " delay points";
    }
};

TEST_P(Delays, Storm) {
    const Delay delay(GetParam(), 60);
    StormOptions o;
    o.servers = 3;
    o.workers = scaled(12, 6);
    o.steps = scaled(60, 15);
    o.quiet = o.direct = o.slices = o.kicks = o.peer = true;
    printf("%s\n", text(storm(o, uint64_t(GetParam()))).c_str());
}

TEST_P(Delays, StormWithoutSuccessors) {
    const Delay delay(GetParam(), 200);
    StormOptions o;
    o.servers = 2;
    o.workers = scaled(10, 5);
    o.steps = scaled(30, 10);
    o.successor = false;
    o.slow_us = 300;
    printf("%s\n", text(storm(o, 100 + uint64_t(GetParam()))).c_str());
}

INSTANTIATE_TEST_SUITE_P(Point, Delays, ::testing::Range(0, 20));

}  // namespace
}  // namespace umcg_test
