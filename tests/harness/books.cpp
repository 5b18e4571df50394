// SPDX-License-Identifier: MIT
// The patched kernel's books, looked at around each test: its log, its pinned
// pages, its task_structs.
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "harness.hpp"
#include "internal.hpp"

namespace umcg_test {
namespace {

bool is_splat(const std::string& line) {
    // data races anywhere in the kernel are for whoever reads the whole log
    if (line.find("KCSAN") != std::string::npos) return false;
    static const char* const kBad[] = {"BUG:",
                                       "WARNING:",
                                       "Oops",
                                       "general protection fault",
                                       "INFO: task ",
                                       "soft lockup",
                                       "rcu: INFO",
                                       "Bad page",
                                       "corruption",
                                       "refcount_t:",
                                       "possible recursive locking",
                                       "UBSAN:",
                                       "Call Trace:",
                                       "unreferenced object"};
    for (const char* bad : kBad)
        if (line.find(bad) != std::string::npos) return true;
    return false;
}

// Exact once the slab's per-CPU caches (and KASAN's quarantine) are emptied.
long task_structs() {
    if (!spew("/sys/kernel/slab/task_struct/shrink", "1")) return -1;
    const std::string text = slurp("/proc/slabinfo");
    const size_t at = text.find("\ntask_struct ");
    return at == std::string::npos ? -1 : strtol(text.c_str() + at + 13, nullptr, 10);
}

// Kernel threads come and go, and so do the runner's own processes.
constexpr long kTaskSlack = 8;

class Books : public ::testing::EmptyTestEventListener {
  public:
    Books() : kmsg_(open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC)) {
        if (kmsg_ >= 0) lseek(kmsg_, 0, SEEK_END);
    }
    void OnTestStart(const ::testing::TestInfo&) override {
        tasks_ = task_structs();
    }
    void OnTestEnd(const ::testing::TestInfo&) override {
        // pins and task_structs go after an RCU grace period
        EXPECT_TRUE(poll_until(pins_balanced))
            << "pages stay pinned: nr_foll_pin_acquired != nr_foll_pin_released";
        if (tasks_ >= 0) {
            EXPECT_TRUE(poll_until([&] { return task_structs() <= tasks_ + kTaskSlack; }))
                << task_structs() << " task_struct now, " << tasks_ << " before the test";
        }
        const std::string splat = new_splat();
        EXPECT_EQ(splat, "") << "in the kernel log";
    }

  private:
    std::string new_splat() {
        std::string found;
        char record[8192];
        ssize_t n;
        if (kmsg_ < 0) return found;
        while ((n = read(kmsg_, record, sizeof(record) - 1)) > 0 || (n < 0 && errno == EPIPE)) {
            if (n < 0) continue;  // overrun: the reader was moved on
            record[n] = 0;
            const char* text = strchr(record, ';');
            if (text && is_splat(text)) found += std::string(text + 1);
        }
        return found;
    }
    int kmsg_;
    long tasks_ = -1;
};

}  // namespace

void watch_kernel_books() {
    ::testing::UnitTest::GetInstance()->listeners().Append(new Books);
}

}  // namespace umcg_test
