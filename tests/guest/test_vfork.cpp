// SPDX-License-Identifier: MIT
// vfork by a worker: the child shares the parent's memory, library state included,
// so only the kernel can tell that it is nobody's worker.
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.hpp"
#include "raw.hpp"

namespace umcg_test {
namespace {

using Vfork = Guest;

// 0 if the child of vfork, which runs in our memory, is a plain thread.
__attribute__((noinline)) int vfork_and_check(umcg_task* parents) {
    volatile int bad = -1;
    const pid_t pid = vfork();
    if (pid == 0) {
        bad = raw::wait(0, 0) == -ESRCH && raw::unreg(parents) == -EINVAL ? 0 : 1;
        // until the parent is reported to wait for it; never, if vfork is no block
        const timespec nap = {0, 1000000};
        while ((umcg_state(parents) & UMCG_TASK_MASK) != UMCG_TASK_BLOCKED)
            syscall(SYS_nanosleep, &nap, nullptr);
        _exit(0);
    }
    int status = -1;
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status) return -1;
    return bad;
}

// The child of vfork runs in the parent's memory while the parent is blocked.
TEST_F(Vfork, ByAWorker) {
    const int n = scaled(20, 4);
    FifoServer s;
    std::atomic<int> done{0};
    Worker w(
        [&](Worker& me) {
            for (int i = 0; i < n; i++) {
                EXPECT_EQ(vfork_and_check(me.task()), 0);
                EXPECT_EQ(me.yield(), 0);
            }
            done = 1;
        },
        {.home = s.tid()});
    w.join();
    EXPECT_EQ(done, 1);
    EXPECT_GT(s.counts.blocked, 0U) << "vfork is a block";
}

}  // namespace
}  // namespace umcg_test
