// SPDX-License-Identifier: MIT
// Block sources that come from outside: the worker computes and somebody stops
// it (tracer, job control, freezer), or makes it wait on its way out (memory.high).
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "blocks.hpp"
#include "cgroup.hpp"

namespace umcg_test {
namespace {

using BlockStop = Guest;

// What a stopped worker was doing: nothing that blocks, until told to leave.
struct Spin {
    std::atomic<pid_t> tid{0};
    std::atomic<bool> leave{false};
    void operator()() {
        tid = pid_t(syscall(SYS_gettid));
        while (!leave) __builtin_ia32_pause();
    }
    void wait_until_started() const {
        while (!tid) sched_yield();
    }
};

TEST_F(BlockStop, PtraceStop) {
    Spin spin;
    Pipe start, stop;
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
    Child tracer([&] {
        pid_t tid;
        if (read(start.fd[0], &tid, sizeof(tid)) != sizeof(tid)) _exit(2);
        if (ptrace(PTRACE_SEIZE, tid, 0, 0) || ptrace(PTRACE_INTERRUPT, tid, 0, 0)) _exit(3);
        int status;
        if (waitpid(tid, &status, __WALL) != tid || !WIFSTOPPED(status)) _exit(4);
        char c;
        if (read(stop.fd[0], &c, 1) != 1) _exit(5);
        if (ptrace(PTRACE_DETACH, tid, 0, 0)) _exit(6);
        _exit(0);
    });
    expect_one_block(
        [&] {
            const pid_t tid = pid_t(syscall(SYS_gettid));
            EXPECT_EQ(write(start.fd[1], &tid, sizeof(tid)), ssize_t(sizeof(tid)));
            spin();
        },
        [&] {
            spin.leave = true;
            stop.put();
        });
    EXPECT_EQ(tracer.wait(), 0);
}

TEST_F(BlockStop, Vfork) {
    Pipe p;
    static int read_end;
    read_end = p.fd[0];
    std::vector<char> stack(65536);
    pid_t pid = 0;
    expect_one_block(
        [&] {
            pid = clone(
                [](void*) {
                    char c;
                    syscall(SYS_read, read_end, &c, 1);
                    syscall(SYS_exit, 7);
                    return 0;
                },
                stack.data() + stack.size(), CLONE_VM | CLONE_VFORK | SIGCHLD, nullptr);
        },
        [&] { p.put(); });
    ASSERT_GT(pid, 0);
    int status = 0;
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT_EQ(WEXITSTATUS(status), 7);
}

// SIGSTOP stops the server too, so the events are counted afterwards.
TEST_F(BlockStop, SigstopSigcont) {
    Spin spin;
    Group g;
    Worker& w = g.worker([&](Worker&) { spin(); });
    const Event born = g.next();
    ASSERT_EQ(born, runnable(w));
    const pid_t pid = getpid();
    const pid_t wtid = w.tid(), stid = g.tid();
    Pipe start;
    Child stopper([&] {
        char c;
        if (read(start.fd[0], &c, 1) != 1) _exit(2);
        kill(pid, SIGSTOP);
        // 'T' is shown before schedule(): continued in between, it has never slept
        const std::string call = "/proc/" + std::to_string(pid) + "/task/" + std::to_string(wtid) + "/syscall";
        if (!poll_until([&] {
                return thread_state(wtid, pid) == 'T' && thread_state(stid, pid) == 'T' &&
                       slurp(call).rfind("running", 0) != 0;
            }))
            _exit(3);
        kill(pid, SIGCONT);
        _exit(0);
    });
    std::thread starter([&] {
        spin.wait_until_started();
        start.put();
    });
    g.task()->next_tid = uint32_t(wtid);
    const int rc = g.wait();
    EXPECT_TRUE(rc == 0 || rc == -EAGAIN) << rc << ": no handler has run";
    Event e = g.next();
    ASSERT_EQ(e, blocked(w));
    e = g.next();
    ASSERT_EQ(e, runnable(w));
    EXPECT_EQ(e.seq - born.seq, 3u) << "picked, blocked, runnable";
    EXPECT_FALSE(g.poll());
    starter.join();
    EXPECT_EQ(stopper.wait(), 0);
    spin.leave = true;
    g.finish();
}

TEST_F(BlockStop, Freezer) {
    Cgroup cg("freezer");
    if (!cg.error().empty()) GTEST_SKIP() << cg.error();
    ASSERT_TRUE(cg.set("cgroup.type", "threaded"));
    Spin spin;
    std::thread freezer([&] {
        spin.wait_until_started();
        EXPECT_TRUE(cg.set("cgroup.threads", std::to_string(spin.tid)));
        EXPECT_TRUE(cg.set("cgroup.freeze", "1"));
    });
    expect_one_block([&] { spin(); },
                     [&] {
                         EXPECT_NE(cg.get("cgroup.events").find("frozen 1"), std::string::npos);
                         spin.leave = true;
                         EXPECT_TRUE(cg.set("cgroup.freeze", "0"));
                     });
    freezer.join();
}

// memory.high makes a task sleep on its way out of the kernel, in the same
// place where workers are held. Which page does it is the controller's choice.
TEST_F(BlockStop, MemcgThrottle) {
    Cgroup cg("high");
    if (!cg.error().empty()) GTEST_SKIP() << cg.error();
    if (!cg.set_root("cgroup.subtree_control", "+memory") || cg.get("memory.high").empty())
        GTEST_SKIP() << "no memory controller (CONFIG_MEMCG)";
    in_child([&] {
        ASSERT_TRUE(cg.set("cgroup.procs", std::to_string(getpid())));
        constexpr size_t kPages = 4096, kPage = 4096;
        char* m = static_cast<char*>(mmap(nullptr, kPages * kPage, PROT_READ | PROT_WRITE,
                                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        ASSERT_NE(m, MAP_FAILED);
        madvise(m, kPages * kPage, MADV_NOHUGEPAGE);
        std::atomic<size_t> at{0};
        Group g;
        Worker& w = g.worker([&](Worker&) {
            while (at < kPages && !g.stopping()) {
                m[at * kPage] = 1;
                at++;
            }
        });
        const Event born = g.next();
        ASSERT_EQ(born, runnable(w));
        ASSERT_TRUE(cg.set("memory.high", "1048576"));
        ASSERT_EQ(g.run(w), 0);
        const Event block = g.next();
        ASSERT_EQ(block, blocked(w));
        ASSERT_FALSE(block.exited()) << "16 MB over memory.high and never throttled";
        const size_t then = at;  // its sleep may be over by now, but it is held
        const Event back = g.next();
        ASSERT_EQ(back, runnable(w));
        EXPECT_EQ(back.seq - born.seq, 3u);
        sleep_us(3000);
        EXPECT_EQ(at, then);
        EXPECT_TRUE(cg.set("memory.high", "max"));
        g.finish();
    });
}

}  // namespace
}  // namespace umcg_test
