// SPDX-License-Identifier: MIT
// A worker that comes back and must wait does not load its registers: the kernel
// restores them on the way to user mode only, and the hold comes before that.
// Counted by the tracepoint x86_fpu_regs_activated.
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <sstream>

#include "blocks.hpp"

namespace umcg_test {
namespace {

using XstateLazy = Guest;

class FpuTrace {
  public:
    FpuTrace() {
        if (slurp(dir_ + "/trace").empty()) mount("none", dir_.c_str(), "tracefs", 0, nullptr);
        ok_ = spew(dir_ + "/events/x86_fpu/x86_fpu_regs_activated/enable", "1") &&
              spew(dir_ + "/tracing_on", "1");
    }
    ~FpuTrace() {
        spew(dir_ + "/events/x86_fpu/x86_fpu_regs_activated/enable", "0");
    }
    FpuTrace(const FpuTrace&) = delete;
    FpuTrace& operator=(const FpuTrace&) = delete;
    bool ok() const { return ok_; }
    // Loads of the thread's registers so far.
    int count(pid_t tid) const {
        std::istringstream in(slurp(dir_ + "/trace"));
        std::string line;
        int n = 0;
        while (std::getline(in, line))
            if (line.find("-" + std::to_string(tid) + " ") != std::string::npos &&
                line.find("regs_activated") != std::string::npos)
                n++;
        return n;
    }

  private:
    const std::string dir_ = "/sys/kernel/tracing";
    bool ok_ = false;
};

TEST_F(XstateLazy, AHeldWorkerLoadsNothing) {
    FpuTrace trace;
    if (!trace.ok()) GTEST_SKIP() << "no tracepoint x86_fpu/x86_fpu_regs_activated";
    const int rounds = scaled(20, 10);
    Pipe p;
    Group g;
    Worker& w = g.worker([&](Worker&) {
        for (int i = 0; i < 2 * rounds - 1; i++) p.get();
    });
    ASSERT_EQ(g.next(), runnable(w));
    int once = 0;
    for (int i = 0; i < rounds; i++) {
        ASSERT_EQ(g.run(w), 0);
        ASSERT_EQ(g.next(), blocked(w));
        const int before = trace.count(w.tid());
        p.put();
        ASSERT_EQ(g.next(), runnable(w));
        ASSERT_EVENTUALLY(asleep(w.tid()));
        EXPECT_EQ(trace.count(w.tid()), before) << "loaded, and then held";
        if (i + 1 == rounds) break;
        ASSERT_EQ(g.run(w), 0);
        ASSERT_EQ(g.next(), blocked(w));
        // it has run, up to its next block
        const int loads = trace.count(w.tid()) - before;
        EXPECT_GT(loads, 0) << "has run without its registers";
        once += loads == 1;
        p.put();
        ASSERT_EQ(g.next(), runnable(w));
    }
    // any preemption on the way is one more load, and there may be many
    EXPECT_GT(once, 0) << "loads its registers more than once whenever it is picked";
    g.finish();
}

}  // namespace
}  // namespace umcg_test
