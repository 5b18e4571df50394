// SPDX-License-Identifier: MIT
// The kernel's own wishes for a registered page (R14): copy it at fork, merge
// it, move it, write it to swap, make it part of a huge page. User space goes on
// to see what the kernel writes and the kernel what user space writes, or the
// traffic here stops.
#include <sys/swap.h>
#include <sys/wait.h>

#include "memory.hpp"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

namespace umcg_test {
namespace {

class PagesMoved : public Guest {};

constexpr int kWorkers = 6;

// Two FIFO servers and six workers that sleep and yield, all by the whole
// protocol, with the workers' structs in the memory given.
class Traffic {
  public:
    explicit Traffic(const std::function<umcg_task*(int)>& at) {
        for (int i = 0; i < kWorkers; i++)
            workers_.push_back(std::make_unique<Worker>(
                [this, i](Worker& w) {
                    while (!stop_) {
                        turns_[i]++;
                        if (turns_[i] & 1)
                            sleep_us(20);
                        else
                            EXPECT_EQ(w.yield(), 0);
                    }
                },
                Worker::Options{.home = i & 1 ? a_.tid() : b_.tid(), .memory = at(i)}));
    }
    ~Traffic() {
        stop_ = true;
        for (auto& w : workers_) w->join();
        EXPECT_TRUE(poll_until([&] { return a_.counts.exited + b_.counts.exited == kWorkers; }))
            << "exits reported: " << a_.counts.exited << " + " << b_.counts.exited;
    }
    void expect_progress(uint64_t n) {
        for (int i = 0; i < kWorkers; i++) {
            const uint64_t goal = turns_[i] + n;
            if (!poll_until([&] { return turns_[i] >= goal; }))
                ADD_FAILURE() << "worker " << i << " stopped: " << task_text(workers_[i]->task())
                              << "\n"
                              << a_.text() << "\n"
                              << b_.text();
        }
    }

  private:
    FifoServer a_, b_;
    std::atomic<bool> stop_{false};
    std::atomic<uint64_t> turns_[kWorkers] = {};
    std::vector<std::unique_ptr<Worker>> workers_;
};

TEST_F(PagesMoved, ForkWithBothSidesWriting) {
    Mapping m;
    Traffic traffic([&](int i) { return m.task(i * 5); });
    for (int i = 0; i < scaled(40, 8); i++) {
        const pid_t pid = fork();
        ASSERT_GE(pid, 0);
        if (pid == 0) {
            // its own copy, now scribbled on
            memset(m.data(), 0x5a, kPage);
            for (int n = 0; n < 100; n++) {
                sched_yield();
                for (size_t at = 0; at < kPage; at++)
                    if (m.data()[at] != 0x5a) _exit(1);
            }
            _exit(0);
        }
        if (i % 8 == 0) traffic.expect_progress(2);
        int status = 0;
        ASSERT_EQ(waitpid(pid, &status, 0), pid);
        ASSERT_EQ(status, 0) << "the parent's kernel side wrote into the child's page";
    }
    traffic.expect_progress(5);
}

// The page is pinned while the parent's COW is not yet broken.
TEST_F(PagesMoved, RegisterOnAPageSharedWithAChild) {
    Mapping m;
    memset(m.data(), 0, kPage);
    m.task(20)->reserved = 7;
    int over[2];
    ASSERT_EQ(pipe(over), 0);
    Child child([&] {
        char c;
        EXPECT_EQ(read(over[0], &c, 1), 1);
        for (size_t at = 0; at < kPage / sizeof(umcg_task); at++) {
            EXPECT_EQ(m.task(at)->state, 0U) << at;
            EXPECT_EQ(m.task(at)->tid, 0U) << at;
        }
        EXPECT_EQ(m.task(20)->reserved, 7U);
    });
    {
        Traffic traffic([&](int i) { return m.task(i * 5); });
        traffic.expect_progress(5);
        EXPECT_EQ(write(over[1], "x", 1), 1);
        EXPECT_EQ(child.wait(), 0);
    }
    close(over[0]);
    close(over[1]);
}

char* huge_aligned(const Mapping& m) {
    return reinterpret_cast<char*>((reinterpret_cast<uintptr_t>(m.data()) + kHugePage - 1) &
                                   ~(kHugePage - 1));
}

umcg_task* task_at(char* base, size_t page) {
    return reinterpret_cast<umcg_task*>(base + page * kPage);
}

TEST_F(PagesMoved, CollapseIntoAHugePage) {
    Mapping m(2 * kHugePage);
    char* at = huge_aligned(m);
    ASSERT_EQ(madvise(at, kHugePage, MADV_NOHUGEPAGE), 0) << "no transparent huge pages?";
    memset(at, 0, kHugePage);
    Traffic traffic([&](int i) { return task_at(at, i * 80); });
    madvise(at, kHugePage, MADV_HUGEPAGE);
    int worked = 0;
    for (int i = 0; i < scaled(50, 5); i++) worked += madvise(at, kHugePage, MADV_COLLAPSE) == 0;
    // a pinned page cannot be moved into a huge one
    EXPECT_EQ(worked, 0) << "errno " << errno;
    traffic.expect_progress(5);
}

TEST_F(PagesMoved, HugePageThatIsSplit) {
    Mapping m(2 * kHugePage);
    char* at = huge_aligned(m);
    if (madvise(at, kHugePage, MADV_HUGEPAGE)) GTEST_SKIP() << "no transparent huge pages";
    memset(at, 0, kHugePage);
    Traffic traffic([&](int i) { return task_at(at, i * 80) + i; });
    // its mapping falls into small ones, the rest of it goes
    for (int i = 0; i < kWorkers; i++) {
        ASSERT_EQ(mprotect(at + (i * 80 + 1) * kPage, kPage, PROT_READ), 0);
        ASSERT_EQ(munmap(at + (i * 80 + 3) * kPage, 70 * kPage), 0);
        madvise(at + (i * 80 + 2) * kPage, kPage, MADV_DONTNEED);
        traffic.expect_progress(2);
    }
    traffic.expect_progress(5);
}

TEST_F(PagesMoved, Ksm) {
    if (!spew("/sys/kernel/mm/ksm/run", "1")) GTEST_SKIP() << "no KSM in this kernel";
    spew("/sys/kernel/mm/ksm/sleep_millisecs", "1");
    spew("/sys/kernel/mm/ksm/pages_to_scan", "500");
    {
        Mapping m(16 * kPage);
        memset(m.data(), 0, m.size());
        ASSERT_EQ(madvise(m.data(), m.size(), MADV_MERGEABLE), 0);
        const auto merged = [] {
            return atol(slurp("/sys/kernel/mm/ksm/pages_sharing").c_str()) > 8;
        };
        EVENTUALLY(merged());
        // the merged page has to be broken for the pin
        Traffic traffic([&](int i) { return task_at(m.data(), i); });
        const long scans = atol(slurp("/sys/kernel/mm/ksm/full_scans").c_str());
        traffic.expect_progress(5);
        EVENTUALLY(atol(slurp("/sys/kernel/mm/ksm/full_scans").c_str()) >= scans + 3);
        traffic.expect_progress(5);
        for (size_t page = kWorkers; page < 16; page++)
            for (size_t b = 0; b < kPage; b++) ASSERT_EQ(m.data()[page * kPage + b], 0);
    }
    spew("/sys/kernel/mm/ksm/run", "2");
    spew("/sys/kernel/mm/ksm/run", "0");
}

TEST_F(PagesMoved, Compaction) {
    if (!spew("/proc/sys/vm/compact_memory", "1")) GTEST_SKIP() << "no compaction in this kernel";
    Mapping m(64 * kPage);
    memset(m.data(), 0, m.size());
    Traffic traffic([&](int i) { return task_at(m.data(), i * 10); });
    for (int i = 0; i < scaled(10, 2); i++) {
        ASSERT_TRUE(spew("/proc/sys/vm/compact_memory", "1"));
        traffic.expect_progress(2);
    }
}

// Swap on a compressed memory disk; off again at the end of the scope.
class Swap {
  public:
    Swap() {
        if (!spew("/sys/block/zram0/disksize", "33554432")) return;
        Fd fd(open(kDevice, O_RDWR | O_CLOEXEC));
        char page[kPage] = {};
        const uint32_t info[] = {1, 33554432 / kPage - 1};  // version, last page
        memcpy(page + 1024, info, sizeof(info));
        memcpy(page + kPage - 10, "SWAPSPACE2", 10);
        if (write(fd.get(), page, kPage) != kPage || fsync(fd.get())) return;
        on_ = swapon(kDevice, 0) == 0;
    }
    ~Swap() {
        if (on_) {
            EXPECT_EQ(swapoff(kDevice), 0);
        }
        spew("/sys/block/zram0/reset", "1");
    }
    bool on() const { return on_; }

  private:
    static constexpr char kDevice[] = "/dev/zram0";
    bool on_ = false;
};

TEST_F(PagesMoved, PageoutToSwap) {
    Swap swap;
    if (!swap.on()) GTEST_SKIP() << "no swap on /dev/zram0: errno " << errno;
    Mapping m(64 * kPage);
    memset(m.data(), 1, m.size());
    for (int i = 0; i < kWorkers; i++) memset(task_at(m.data(), i * 10), 0, sizeof(umcg_task));
    // from swap when it is pinned
    // again, if some were on a per-CPU list still; VmSwap itself counts in batches
    EVENTUALLY((madvise(m.data(), m.size(), MADV_PAGEOUT), status_kb("VmSwap") > 0));
    Traffic traffic([&](int i) { return task_at(m.data(), i * 10); });
    for (int i = 0; i < scaled(200, 20); i++) {
        ASSERT_EQ(madvise(m.data(), m.size(), MADV_PAGEOUT), 0);
        if (i % 20 == 0) traffic.expect_progress(2);
    }
    traffic.expect_progress(5);
    for (size_t page = 0; page < 64; page++)
        for (size_t b = page % 10 ? 0 : sizeof(umcg_task); b < kPage; b++)
            ASSERT_EQ(m.data()[page * kPage + b], 1) << "page " << page << " byte " << b;
}

}  // namespace
}  // namespace umcg_test
