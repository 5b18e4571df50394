// SPDX-License-Identifier: MIT
// Everything at once, with each feature on, off and in the way.
#include <stdio.h>

#include "storm.hpp"

namespace umcg_test {
namespace {

class Storms : public Conformance, public ::testing::WithParamInterface<int> {};

// Each combination of the five that change who is woken, at random otherwise.
TEST_P(Storms, Features) {
    const int bits = GetParam();
    StormOptions o;
    o.servers = 2;
    o.workers = scaled(16, 6);
    o.steps = scaled(150, 25);
    o.quiet = bits & 1;
    o.direct = bits & 2;
    o.wake = bits & 4;
    o.successor = bits & 8;
    o.peer = bits & 16;
    o.slices = bits % 3 == 0;
    o.kicks = bits % 5 == 0;
    printf("%s\n", text(storm(o, uint64_t(bits))).c_str());
}
INSTANTIATE_TEST_SUITE_P(Bits, Storms, ::testing::Range(0, 32));

using Storm = Conformance;

TEST_F(Storm, AllFeatures) {
    StormOptions o;
    o.servers = 4;
    o.workers = scaled(100, 20);
    o.steps = scaled(100, 20);
    o.quiet = o.direct = o.wake = o.peer = o.slices = o.kicks = true;
    printf("%s\n", text(storm(o)).c_str());
}

TEST_F(Storm, AllFeaturesPinned) {
    StormOptions o;
    o.servers = std::max(cpus(), 2);
    o.workers = scaled(100, 20);
    o.steps = scaled(100, 20);
    o.quiet = o.direct = o.pinned = o.slices = true;
    printf("%s\n", text(storm(o)).c_str());
}

// One server and many workers: everything that returns finds it busy.
TEST_F(Storm, OneServer) {
    StormOptions o;
    o.servers = 1;
    o.workers = scaled(60, 20);
    o.steps = scaled(150, 20);
    o.quiet = o.direct = o.slices = true;
    printf("%s\n", text(storm(o)).c_str());
}

// As many servers as workers: idle most of the time.
TEST_F(Storm, ManyServers) {
    StormOptions o;
    o.servers = 8;
    o.workers = 8;
    o.steps = scaled(400, 40);
    o.quiet = o.direct = o.peer = true;
    printf("%s\n", text(storm(o)).c_str());
}

}  // namespace
}  // namespace umcg_test
