// SPDX-License-Identifier: MIT
// DIRECT_RESUME and CPU affinity: a worker does not take the place of a server
// that may not use the worker's CPU.
#include <sched.h>

#include "blocks.hpp"

namespace umcg_test {
namespace {

using Affinity = Guest;

void set_flags(umcg_task* t, uint32_t flags) {
    __atomic_store_n(&t->user_flags, flags, __ATOMIC_SEQ_CST);
}
void pin(int cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    ASSERT_EQ(sched_setaffinity(0, sizeof(set), &set), 0);
}
struct KeepAffinity {
    KeepAffinity() { sched_getaffinity(0, sizeof(set), &set); }
    ~KeepAffinity() { sched_setaffinity(0, sizeof(set), &set); }
    cpu_set_t set;
};

// R30: a pinned server keeps its workers off other CPUs: each return is queued,
// although the server is idle every time.
TEST_F(Affinity, NotOnACpuTheServerMayNotUse) {
    if (cpus() < 2) GTEST_SKIP() << "needs two CPUs";
    const int turns = scaled(200, 50);
    KeepAffinity keep;
    pin(0);
    Pipe p;
    Group g;
    std::atomic<bool> pinned{false};
    Worker& w = g.worker([&](Worker& me) {
        pin(1);
        pinned = true;
        EXPECT_EQ(me.yield(), 0);
        for (int i = 0; i < turns; i++) p.get();
    });
    ASSERT_EQ(g.next(), runnable(w));
    while (!pinned || !w.held()) {
        g.collect();
        const int rc = w.held() ? g.run(w) : g.wait();
        ASSERT_TRUE(rc == 0 || rc == -EAGAIN) << rc;
    }
    while (g.poll()) {
    }
    set_flags(g.task(), UMCG_UF_DIRECT_RESUME);
    std::atomic<int> asked{0};
    std::thread releaser([&] {
        for (int i = 1; i <= turns; i++) {
            while (asked < i) sleep_us(10);
            EVENTUALLY(umcg_state(g.task()) == (UMCG_TASK_RUNNABLE | UMCG_TF_IDLE));
            p.put();
        }
    });
    for (int i = 1; i <= turns; i++) {
        EXPECT_EQ(g.run(w), 0);
        EXPECT_EQ(g.next(), blocked(w));
        asked = i;
        EXPECT_EQ(g.next(), runnable(w)) << "it took the place of a server of another CPU";
    }
    releaser.join();
    set_flags(g.task(), 0);
}

}  // namespace
}  // namespace umcg_test
