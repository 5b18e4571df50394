// SPDX-License-Identifier: MIT
// R13: tracers. A stop is a block; nothing a tracer does lets a worker past the
// hold; and a rewritten system call number unpairs nothing.
#include <elf.h>
#include <sys/uio.h>
#include <sys/user.h>

#include "raw.hpp"
#include "tracer.hpp"

namespace umcg_test {
namespace {

using Ptrace = Guest;

// A worker whose tracer has let it go is held where it was only once it has got
// there; one that is dispatched on the way is reported BLOCKED (R24, the test
// below), and rightly so. Asleep again, and no longer in a ptrace stop: it is there.
bool back_in_hold(const Worker& w) { return asleep_again(w); }

// Attached, stopped, continued and detached while held: it is where it was.
TEST_F(Ptrace, SeizeAndDetachOfAHeldWorker) {
    Group g;
    std::atomic<int> steps{0};
    Worker& w = g.worker([&](Worker&) { steps++; });
    const Event born = g.next();
    ASSERT_EQ(born, runnable(w));
    for (int i = 0; i < scaled(20, 3); i++) {
        Tracer t(w.tid(), [](pid_t tid, Pipe& ask, Pipe& answer) {
            seize_and_stop(tid);
            answer.put();
            ask.get();
            must(!ptrace(PTRACE_CONT, tid, 0, 0), 12);
            must(!ptrace(PTRACE_INTERRUPT, tid, 0, 0), 13);
            wait_stop(tid);
            must(!ptrace(PTRACE_DETACH, tid, 0, 0), 14);
        });
        t.done();
        EXPECT_TRUE(w.held());
        t.go();
        t.end();
    }
    ASSERT_TRUE(back_in_hold(w));
    EXPECT_EQ(steps, 0);
    EXPECT_EQ(w.task()->seq, born.seq);
    EXPECT_FALSE(g.poll());
    EXPECT_EQ(g.run(w), 0);
    EXPECT_EQ(steps, 1);
}

// PTRACE_ATTACH sends a SIGSTOP.
TEST_F(Ptrace, AttachOfAHeldWorker) {
    Group g;
    std::atomic<int> steps{0};
    Worker& w = g.worker([&](Worker&) { steps++; });
    ASSERT_EQ(g.next(), runnable(w));
    Tracer t(w.tid(), [](pid_t tid, Pipe&, Pipe&) {
        must(!ptrace(PTRACE_ATTACH, tid, 0, 0), 10);
        wait_stop(tid);
        must(!ptrace(PTRACE_DETACH, tid, 0, 0), 11);
    });
    t.end();
    ASSERT_TRUE(back_in_hold(w));
    EXPECT_EQ(steps, 0);
    EXPECT_TRUE(w.held());
    EXPECT_FALSE(g.poll());
    EXPECT_EQ(g.run(w), 0);
    EXPECT_EQ(steps, 1);
}

// Stopped by its tracer and dispatched meanwhile: R24, its server is told.
TEST_F(Ptrace, DispatchedWhileStopped) {
    Group g;
    std::atomic<int> steps{0};
    Worker& w = g.worker([&](Worker&) { steps++; });
    ASSERT_EQ(g.next(), runnable(w));
    Tracer t(w.tid(), [](pid_t tid, Pipe& ask, Pipe& answer) {
        seize_and_stop(tid);
        answer.put();
        ask.get();
        must(!ptrace(PTRACE_DETACH, tid, 0, 0), 12);
    });
    t.done();
    EXPECT_EQ(g.run(w), 0);
    EXPECT_EQ(g.next(), blocked(w));
    EXPECT_EQ(w.state(), UMCG_TASK_BLOCKED);
    t.go();
    EXPECT_EQ(g.next(), runnable(w));
    t.end();
    EXPECT_EQ(steps, 0);
    EXPECT_EQ(g.run(w), 0);
    EXPECT_EQ(steps, 1);
}

// A blocked worker: its call is broken off and, when it is picked, made again.
TEST_F(Ptrace, SeizeAndDetachOfABlockedWorker) {
    Pipe p;
    Group g;
    std::atomic<int> steps{0};
    Worker& w = g.worker([&](Worker&) {
        p.get();
        steps++;
    });
    ASSERT_EQ(g.next(), runnable(w));
    ASSERT_EQ(g.run(w), 0);
    ASSERT_EQ(g.next(), blocked(w));
    Tracer t(w.tid(), [](pid_t tid, Pipe& ask, Pipe& answer) {
        seize_and_stop(tid);
        answer.put();
        ask.get();
        must(!ptrace(PTRACE_DETACH, tid, 0, 0), 12);
    });
    t.done();
    EXPECT_EQ(w.state(), UMCG_TASK_BLOCKED) << "still the same excursion";
    EXPECT_FALSE(g.poll());
    t.go();
    t.end();
    ASSERT_EQ(g.next(), runnable(w));
    ASSERT_EQ(g.run(w), 0);
    ASSERT_EQ(g.next(), blocked(w)) << "read() again";
    p.put();
    ASSERT_EQ(g.next(), runnable(w));
    EXPECT_EQ(steps, 0);
    ASSERT_EQ(g.run(w), 0);
    EXPECT_EQ(steps, 1);
}

// Single steps. The tracer steps a held worker: no instruction of it may be
// executed before the server picks it; then exactly one is.
TEST_F(Ptrace, SingleStepDoesNotSlipTheHold) {
    Group g;
    std::atomic<int> steps{0};
    Worker& w = g.worker([&](Worker&) { steps++; });
    ASSERT_EQ(g.next(), runnable(w));
    Tracer t(w.tid(), [](pid_t tid, Pipe& ask, Pipe& answer) {
        seize_and_stop(tid);
        user_regs_struct before, after;
        must(!ptrace(PTRACE_GETREGS, tid, 0, &before), 12);
        must(!ptrace(PTRACE_SINGLESTEP, tid, 0, 0), 13);
        answer.put();
        ask.get();
        // Not picked yet: still in the kernel, whatever we asked for.
        int status;
        must(waitpid(tid, &status, __WALL | WNOHANG) == 0, 14);
        answer.put();
        wait_stop(tid);
        must(!ptrace(PTRACE_GETREGS, tid, 0, &after), 15);
        must(after.rip != before.rip, 16);
        must(!ptrace(PTRACE_DETACH, tid, 0, 0), 17);
    });
    t.done();
    ASSERT_EVENTUALLY(asleep(w.tid()));
    sleep_us(5000);
    t.go();
    t.done();
    EXPECT_EQ(steps, 0);
    EXPECT_TRUE(w.held());
    EXPECT_EQ(g.run(w), 0);
    EXPECT_EQ(g.next(), blocked(w)) << "the stop after the step";
    t.end();
    EXPECT_EQ(g.next(), runnable(w));
    EXPECT_EQ(g.run(w), 0);
    EXPECT_EQ(steps, 1);
}

// Stepped through a yield: the step over the system call ends when it is picked.
TEST_F(Ptrace, SingleStepThroughYields) {
    const int yields = scaled(10, 3);
    Group g;
    std::atomic<int> made{0};
    std::atomic<bool> leave{false};
    Worker& w = g.worker([&](Worker& me) {
        while (!leave) {
            EXPECT_EQ(me.yield(), 0);
            made++;
        }
    });
    ASSERT_EQ(g.next(), runnable(w));
    Tracer t(w.tid(), [](pid_t tid, Pipe& ask, Pipe& answer) {
        seize_and_stop(tid);
        answer.put();
        must(fcntl(ask.fd[0], F_SETFL, O_NONBLOCK) == 0, 12);
        char c;
        while (read(ask.fd[0], &c, 1) != 1) {
            must(!ptrace(PTRACE_SINGLESTEP, tid, 0, 0), 13);
            wait_stop(tid);
        }
        must(!ptrace(PTRACE_DETACH, tid, 0, 0), 14);
    });
    t.done();
    // Every stop is a block, every step a return; whoever is reported is run.
    while (made < yields) {
        while (g.poll()) {
        }
        const int rc = w.held() ? g.run(w) : g.wait();
        ASSERT_TRUE(rc == 0 || rc == -EAGAIN) << rc;
    }
    leave = true;
    t.go();
    while (!w.done()) {
        g.collect();
        w.held() ? g.run(w, 0, in_ms(20)) : g.wait(0, in_ms(5));
    }
    t.end();
    EXPECT_GE(made, yields);
}

// The tracer turns harmless calls into ours and ours into harmless ones, between
// their entry and their exit. Earlier hooks at both ends lost count.
TEST_F(Ptrace, RewrittenCallNumbers) {
    const int calls = scaled(60, 12);
    Group g;
    std::atomic<int> made{0};
    Worker& w = g.worker([&](Worker&) {
        for (; made < calls; made++) {
            syscall(SYS_getppid);
            sleep_us(10);
            syscall(SYS_sched_yield);
            umcg_wait(UMCG_WAIT_ENQUEUE, 0);
        }
    });
    ASSERT_EQ(g.next(), runnable(w));
    Tracer t(w.tid(), [calls](pid_t tid, Pipe&, Pipe& answer) {
        seize_and_stop(tid);
        answer.put();
        const unsigned long long to[] = {__NR_umcg_wait, SYS_getpid, ~0ull, __NR_umcg_kick};
        for (int i = 0; i < 6 * calls; i++) {
            must(!ptrace(PTRACE_SYSCALL, tid, 0, 0), 12);
            int status = 0;
            must(waitpid(tid, &status, __WALL) == tid, 13);
            if (!WIFSTOPPED(status)) _exit(0);  // gone already
            if (WSTOPSIG(status) != (SIGTRAP | 0x80)) continue;
            user_regs_struct regs;
            must(!ptrace(PTRACE_GETREGS, tid, 0, &regs), 14);
            if (regs.rax == -ENOSYS + 0ull && i % 3 == 0) {  // entry
                const bool ours = to[(i / 3) % 4] == __NR_umcg_wait;
                regs.orig_rax = to[(i / 3) % 4];
                if (ours) {
                    regs.rdi = UMCG_WAIT_ENQUEUE;
                    regs.rsi = 0;
                }
                must(!ptrace(PTRACE_SETREGS, tid, 0, &regs), 15);
            }
        }
        must(!ptrace(PTRACE_DETACH, tid, 0, 0), 16);
    });
    t.done();
    while (!w.done()) {
        while (g.poll()) {
        }
        const int rc = w.held() ? g.run(w, 0, in_ms(20)) : g.wait(0, in_ms(5));
        ASSERT_TRUE(rc == 0 || rc == -EAGAIN || rc == -ETIMEDOUT) << rc;
    }
    t.end();
    EXPECT_EQ(made, calls);
}

}  // namespace
}  // namespace umcg_test
