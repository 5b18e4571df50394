// SPDX-License-Identifier: MIT
// umcg_blocking_begin() and _end(): an announced block is a block like the kernel's
// on every backend; where blocks are seen anyway the two do nothing.
#include "blocks.hpp"

namespace umcg_test {
namespace {

using Announced = Conformance;

// Reported once, returned once, held in between: whatever the backend.
TEST_F(Announced, KeepsTheWholePromise) {
    Pipe p;
    expect_one_block([&] { p.get(); }, [&] { p.put(); });
}

TEST_F(Announced, IsABlockEvenIfNothingWaits) {
    REQUIRE_NO_CAP(UMCG_CAP_BLOCK_EVENTS);
    std::atomic<bool> go{false};
    expect_one_block(
        [&] {
            EXPECT_EQ(umcg_blocking_begin(), 0);
            while (!go) __builtin_ia32_pause();
            EXPECT_EQ(umcg_blocking_end(), 0);
        },
        [&] { go = true; });
}

TEST_F(Announced, DoesNothingWhereBlocksAreSeen) {
    REQUIRE_CAP(UMCG_CAP_BLOCK_EVENTS);
    Group g;
    uint32_t before = 0, after = 1;
    Worker& w = g.worker([&](Worker& me) {
        before = me.task()->seq;
        for (int i = 0; i < 100; i++) {
            EXPECT_EQ(umcg_blocking_begin(), 0);
            EXPECT_EQ(umcg_blocking_end(), 0);
        }
        after = me.task()->seq;
    });
    ASSERT_EQ(g.next(), runnable(w));
    ASSERT_EQ(g.run(w), 0);
    EXPECT_TRUE(g.next_exit());
    EXPECT_EQ(before, after);
}

TEST_F(Announced, OutermostPairCounts) {
    Pipe p;
    expect_one_block(
        [&] {
            EXPECT_EQ(umcg_blocking_begin(), 0);
            for (int i = 0; i < 3; i++) {
                EXPECT_EQ(umcg_blocking_begin(), 0);
                EXPECT_EQ(umcg_blocking_end(), 0);
            }
            p.get();
            EXPECT_EQ(umcg_blocking_end(), 0);
        },
        [&] { p.put(); });
}

TEST_F(Announced, EndWithoutABeginning) {
    REQUIRE_NO_CAP(UMCG_CAP_BLOCK_EVENTS);
    Group g;
    Worker& w = g.worker([&](Worker& me) {
        const uint32_t seq = me.task()->seq;
        EXPECT_EQ(umcg_blocking_end(), -EINVAL);
        EXPECT_EQ(me.state(), UMCG_TASK_RUNNING);
        EXPECT_EQ(me.task()->seq, seq);
    });
    ASSERT_EQ(g.next(), runnable(w));
    ASSERT_EQ(g.run(w), 0);
    EXPECT_TRUE(g.next_exit());
}

// LOCKED: no block is reported, an announced one neither.
TEST_F(Announced, NotWithLocked) {
    Group g;
    uint32_t before = 0, after = 1;
    Worker& w = g.worker([&](Worker& me) {
        me.task()->user_flags = UMCG_UF_LOCKED;
        before = me.task()->seq;
        nap_us(1000);
        after = me.task()->seq;
        me.task()->user_flags = 0;
    });
    ASSERT_EQ(g.next(), runnable(w));
    ASSERT_EQ(g.run(w), 0);
    EXPECT_TRUE(g.next_exit()) << "the first news is its end";
    EXPECT_EQ(before, after);
}

void pair() {
    EXPECT_EQ(umcg_blocking_begin(), 0);
    EXPECT_EQ(umcg_blocking_end(), 0);
}

TEST_F(Announced, ByWhoIsNoWorker) {
    Server s;
    pair();
    EXPECT_EQ(umcg_state(s.task()), UMCG_TASK_RUNNING);
    EXPECT_FALSE(s.poll());
    std::thread(pair).join();
    Worker w([](Worker& me) {
        EXPECT_EQ(umcg_unregister(me.task()), 0);
        pair();
        EXPECT_EQ(me.state(), UMCG_TASK_NONE);
    }, {.home = s.tid()});
    EXPECT_EQ(s.next(), runnable(w));
    EXPECT_EQ(s.run(w), 0);
    w.join();
    EXPECT_FALSE(s.poll());
}

TEST_F(Announced, LeaveErrnoAlone) {
    FifoServer s;
    Worker w([](Worker&) {
        errno = 4711;
        umcg_blocking_begin();
        EXPECT_EQ(errno, 4711);
        umcg_blocking_end();
        EXPECT_EQ(errno, 4711);
    }, {.home = s.tid()});
    w.join();
}

}  // namespace
}  // namespace umcg_test
