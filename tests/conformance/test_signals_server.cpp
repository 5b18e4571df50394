// SPDX-License-Identifier: MIT
// Signals to servers, to whole processes, and SIGKILL.
#include <sys/wait.h>

#include "blocks.hpp"
#include "signals.hpp"

namespace umcg_test {
namespace {

using SignalsServer = Conformance;

std::atomic<int> handled;
void count(int) { handled++; }

// A handler has run: -EINTR, whatever SA_RESTART says, and state RUNNING.
void interrupt(int flags, bool with_worker) {
    Handler h(SIGUSR1, count, flags);
    handled = 0;
    Group g;
    std::atomic<bool> started{false}, second_ran{false};
    std::atomic<uint64_t> spins{0};
    Worker& w = g.worker([&](Worker&) {
        started = true;
        while (!g.stopping()) spins = spins + 1;
    });
    ASSERT_EQ(g.next(), runnable(w));
    const pid_t tid = g.tid();
    std::thread sender([&] {
        EVENTUALLY(started || !with_worker);
        EVENTUALLY((umcg_state(g.task()) & UMCG_TASK_MASK) == UMCG_TASK_RUNNABLE);
        syscall(SYS_tgkill, getpid(), tid, SIGUSR1);
    });
    EXPECT_EQ(with_worker ? g.run(w) : g.wait(), -EINTR);
    sender.join();
    EXPECT_EQ(handled, 1);
    EXPECT_EQ(umcg_state(g.task()), UMCG_TASK_RUNNING);
    EXPECT_EQ(g.task()->next_tid, 0u);
    EXPECT_EQ(g.task()->running_tid, with_worker ? uint32_t(w.tid()) : 0u);
    if (with_worker) {
        // R22: it runs on; a second one is its successor and does not join it
        const uint64_t then = spins;
        EVENTUALLY(spins != then);
        Worker& second = g.worker([&](Worker&) { second_ran = true; });
        // it wakes nobody, beside a running worker
        ASSERT_EVENTUALLY(__atomic_load_n(&g.task()->runnable_ptr, __ATOMIC_SEQ_CST));
        ASSERT_EQ(g.next(), runnable(second));
        g.task()->next_tid = uint32_t(second.tid());
        EXPECT_EQ(umcg_wait(0, in_ms(2)), -ETIMEDOUT);
        EXPECT_FALSE(second_ran);
        EXPECT_TRUE(second.held());
        g.task()->next_tid = 0;
    }
}
TEST_F(SignalsServer, Idle) { interrupt(0, false); }
TEST_F(SignalsServer, IdleRestart) { interrupt(SA_RESTART, false); }
TEST_F(SignalsServer, WithARunningWorker) { interrupt(0, true); }
TEST_F(SignalsServer, WithARunningWorkerRestart) { interrupt(SA_RESTART, true); }

// A signal and a worker's block at the same moment: 0 or -EINTR, and the block is
// on the list in any case.
TEST_F(SignalsServer, AgainstBlocks) {
    const int rounds = scaled(1000, 100);
    Handler h(SIGUSR1, count);
    Group g;
    std::atomic<bool> over{false};
    Worker& w = g.worker([&](Worker&) {
        while (!g.stopping()) nap_us(10);
    });
    const pid_t tid = g.tid();
    std::thread sender([&] {
        auto r = rng(1);
        while (!over) {
            syscall(SYS_tgkill, getpid(), tid, SIGUSR1);
            sleep_us(long(r() % 60));
        }
    });
    int interrupted = 0;
    for (int i = 0; i < rounds || !interrupted; i++) {
        for (bool block = false; !block;) {
            const Event e = g.poll();
            if (e.kind == Event::kBlocked) {
                block = true;
                continue;
            }
            if (e) continue;
            const bool dispatch = w.held() && !g.task()->running_tid;
            g.task()->next_tid = dispatch ? uint32_t(w.tid()) : 0;
            const int rc = g.wait();
            g.task()->next_tid = 0;
            ASSERT_TRUE(rc == 0 || rc == -EAGAIN || rc == -EINTR) << rc;
            if (rc == -EINTR) interrupted++;
            ASSERT_EQ(umcg_state(g.task()), UMCG_TASK_RUNNING);
        }
    }
    over = true;
    sender.join();
}

// SIGSTOP and SIGCONT over a held, a blocked and a running worker: nobody loses
// their place and nobody gets ahead.
TEST_F(SignalsServer, StopAndContinueAll) {
    const int rounds = scaled(20, 3);
    Pipe p;
    Group g;
    std::atomic<int> held_steps{0}, blocked_steps{0};
    Worker& held = g.worker([&](Worker&) { held_steps++; });
    ASSERT_EQ(g.next(), runnable(held));
    Worker& sleeper = g.worker([&](Worker&) {
        p.get();
        blocked_steps++;
    });
    ASSERT_EQ(g.next(), runnable(sleeper));
    ASSERT_EQ(g.run(sleeper), 0);
    ASSERT_EQ(g.next(), blocked(sleeper));
    const pid_t pid = getpid(), tids[] = {held.tid(), sleeper.tid(), g.tid()};
    for (int i = 0; i < rounds; i++) {
        Child stopper([&] {
            kill(pid, SIGSTOP);
            if (!poll_until([&] {
                    for (const pid_t t : tids)
                        if (thread_state(t, pid) != 'T') return false;
                    return true;
                }))
                _exit(1);
            kill(pid, SIGCONT);
        });
        EXPECT_EQ(stopper.wait(), 0);
        EXPECT_EQ(held_steps, 0);
        EXPECT_EQ(blocked_steps, 0);
        ASSERT_TRUE(held.held());
    }
    // One that is dispatched on its way back to the hold is reported BLOCKED (R24).
    ASSERT_EVENTUALLY(asleep(held.tid()) && asleep(sleeper.tid()));
    // With a hold the stop is the end of the sleeper's first read(), and the next one
    // waits until it is picked; without one the kernel repeats it unseen. The held
    // one has nothing to say.
    if (promised(UMCG_CAP_HOLD)) {
        EXPECT_EQ(g.next(), runnable(sleeper));
        EXPECT_FALSE(g.poll());
        EXPECT_EQ(g.run(sleeper), 0);
        EXPECT_EQ(g.next(), blocked(sleeper));
    } else {
        EXPECT_FALSE(g.poll());
    }
    EXPECT_EQ(g.run(held), 0);
    EXPECT_EQ(held_steps, 1);
    EXPECT_TRUE(g.next_exit());
    p.put();
    EXPECT_EQ(g.next(), runnable(sleeper));
    EXPECT_EQ(blocked_steps, 0);
    EXPECT_EQ(g.run(sleeper), 0);
    EXPECT_EQ(blocked_steps, 1);
}

// SIGKILL gets through to held, blocked, spinning workers and waiting servers.
TEST_F(SignalsServer, Sigkill) {
    const int rounds = scaled(30, 5);
    for (int i = 0; i < rounds; i++) {
        Pipe ready;
        Child victim([&] {
            Pipe never;
            Group g;
            for (int k = 0; k < 4; k++) g.worker([&](Worker&) { never.get(); });
            for (int k = 0; k < 4; k++) g.next();
            for (int k = 0; k < 2; k++) g.run(*g.workers()[size_t(k)]);
            Worker& spinner = g.worker([&](Worker&) {
                if (write(ready.fd[1], "x", 1) != 1) abort();
                for (;;) __builtin_ia32_pause();
            });
            g.next();
            while (g.run(spinner, 0, in_ms(60000)) == 0) {
            }
        });
        ready.get();
        sleep_us(long(rng(uint64_t(i))() % 2000));
        const int status = victim.kill_and_wait(SIGKILL);
        EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    }
}

}  // namespace
}  // namespace umcg_test
