// SPDX-License-Identifier: MIT
// A worker waits for a page that has been swapped out.
#include <sys/mman.h>

#include "harness.hpp"
#include "swap.hpp"

namespace umcg_test {
namespace {

using SwapIn = Guest;

// Whether a single page's read is over before anybody had to sleep, and whether
// the page was still in memory, is up to the kernel. So this counts: some pages
// must have been waited for, each wait is one pair of events, and nothing ran in between.
TEST_F(SwapIn, EveryWaitIsOnePairOfEvents) {
    constexpr size_t kPages = 64, kPage = 4096;
    Swap swap(16 << 20);
    if (!swap.error().empty()) GTEST_SKIP() << swap.error();
    char* m = static_cast<char*>(mmap(nullptr, kPages * kPage, PROT_READ | PROT_WRITE,
                                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    ASSERT_NE(m, MAP_FAILED);
    for (size_t i = 0; i < kPages; i++) m[i * kPage] = char(i);

    Group g;
    std::atomic<unsigned> touched{0};
    std::atomic<bool> enough{false};
    Worker& w = g.worker([&](Worker& me) {
        while (!enough && !g.stopping()) {
            for (size_t i = 0; i < kPages; i++) {
                EXPECT_EQ(m[i * kPage], char(i));
                touched++;
            }
            EXPECT_EQ(me.yield(), 0);
        }
    });
    ASSERT_EQ(g.next(), runnable(w));
    unsigned blocks = 0;
    bool paged_out = false;
    for (int round = 0; round < 20 && !blocks; round++) {
        // Written out the first time; clean, and gone at once, the second time.
        ASSERT_EQ(madvise(m, kPages * kPage, MADV_PAGEOUT), 0);
        sleep_us(50000);
        for (size_t i = 0; i < kPages; i++) ASSERT_EQ(m[i * kPage], char(i));
        ASSERT_EQ(madvise(m, kPages * kPage, MADV_PAGEOUT), 0);
        paged_out |= Swap::holds(m);
        const unsigned end = touched + kPages;
        while (touched < end || !w.held()) {
            ASSERT_EQ(g.run(w), 0);
            Event e = g.next();
            if (e.kind == Event::kRunnable) continue;  // its yield
            ASSERT_EQ(e, blocked(w));
            blocks++;
            const unsigned at = touched;
            ASSERT_EQ(g.next(), runnable(w));
            sleep_us(200);
            ASSERT_EQ(touched, at);
        }
    }
    enough = true;
    g.finish();
    if (!paged_out) GTEST_SKIP() << "MADV_PAGEOUT does not page out";
    EXPECT_GT(blocks, 0u);
    munmap(m, kPages * kPage);
}

}  // namespace
}  // namespace umcg_test
