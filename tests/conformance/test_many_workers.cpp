// SPDX-License-Identifier: MIT
// Numbers: two thousand workers, and the run in which a prototype once stalled
// with every server idle, every list empty and workers waiting for ever.
#include <stdio.h>

#include "storm.hpp"

namespace umcg_test {
namespace {

using ManyWorkers = Conformance;

TEST_F(ManyWorkers, TwoThousand) {
    extend_deadline(600);
    StormOptions o;
    o.servers = 4;
    o.workers = scaled(2000, 200);
    o.steps = more(12);
    o.quiet = o.direct = o.slices = true;
    const StormCounts c = storm(o);
    printf("%s\n", text(c).c_str());
    EXPECT_EQ(c.steps, uint64_t(o.workers) * uint64_t(o.steps));
}

// Flags that mean nothing on a server, together with those that do, and the
// meaningful ones one by one; each several times.
TEST_F(ManyWorkers, TwoHundredWithOddFlags) {
    extend_deadline(600);
    const uint32_t sets[] = {
        UMCG_UF_LOCKED | UMCG_UF_WAKE_ON_RUNNABLE | UMCG_UF_DIRECT_RESUME,
        UMCG_UF_LOCKED | UMCG_UF_DIRECT_RESUME | 0xfffffff0u,
        UMCG_UF_DIRECT_RESUME,
        UMCG_UF_WAKE_ON_RUNNABLE,
        0,
    };
    uint64_t stream = 0;
    for (int repeat = 0; repeat < more(1); repeat++)
        for (const uint32_t flags : sets) {
            SCOPED_TRACE(testing::Message() << "flags " << flags << " repeat " << repeat);
            StormOptions o;
            o.servers = 4;
            o.workers = scaled(200, 25);
            o.steps = scaled(30, 10);
            o.flags = flags;
            printf("%s\n", text(storm(o, stream++)).c_str());
        }
}

}  // namespace
}  // namespace umcg_test
