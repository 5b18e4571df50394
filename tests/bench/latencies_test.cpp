// SPDX-License-Identifier: MIT
#include "latencies.hpp"

#include <gtest/gtest.h>

namespace {

TEST(Latencies, NoneIsZero) { EXPECT_EQ(latencies().percentile(99.9), 0); }

TEST(Latencies, OneIsAllOfThem) {
    latencies l;
    l.add(7);
    for (const double p : {0.1, 50.0, 99.9, 100.0}) EXPECT_EQ(l.percentile(p), 7);
}

// The smallest value that so many per cent of all do not exceed, whatever the order they came in.
TEST(Latencies, NearestRank) {
    latencies l;
    for (int i = 0; i < 1000; i++) l.add((i * 7919) % 1000 + 1);
    EXPECT_EQ(l.count(), 1000u);
    EXPECT_EQ(l.percentile(50), 500);
    EXPECT_EQ(l.percentile(99), 990);
    EXPECT_EQ(l.percentile(99.9), 999);
    EXPECT_EQ(l.percentile(100), 1000);
    EXPECT_EQ(l.percentile(50), 500) << "asked again";
}

}  // namespace
