// SPDX-License-Identifier: MIT
// What earlier attempts at this got wrong, one test each. Those whose subject has
// a file of its own are there: exec without a block (exec), PI futexes (the block
// sources), wake-up of foreign tasks (args_wait), unmapped next_tid (pages_lost).
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>

#include "memory.hpp"
#include "raw.hpp"

namespace umcg_test {
namespace {

class EarlierAttempts : public Guest {};

void signal_thread(pid_t tid, int sig) {
    ASSERT_EQ(syscall(SYS_tgkill, getpid(), tid, sig), 0);
}

// 2022: umcg_kick() took a reference to the task and kept it. The check around
// every test counts task_structs.
TEST_F(EarlierAttempts, KickKeepsNoReference) {
    for (int i = 0; i < scaled(60, 30); i++) {
        FifoServer s;
        std::atomic<bool> stop{false};
        Worker w(
            [&](Worker&) {
                while (!stop) __builtin_ia32_pause();
            },
            {.home = s.tid()});
        for (int n = 0; n < 20; n++) umcg_kick(0, w.tid());
        umcg_kick(0, s.tid());
        stop = true;
        w.join();
    }
}

// 2022: the exit hook looked at a flag that do_exit() had just cleared: pins and
// references leaked and the server was never told.
TEST_F(EarlierAttempts, ExitTellsTheServerAndGivesThePageBack) {
    Mapping pages(32 * kPage);
    const long pinned = status_kb("VmPin");
    {
        Group g;
        for (int i = 0; i < 32; i++)
            g.worker([](Worker&) {}, {.memory = pages.task(i * kPage / sizeof(umcg_task))});
        // a thread that exists need not have registered yet
        for (const auto& w : g.workers()) EVENTUALLY(w->held());
        EXPECT_GE(status_kb("VmPin"), pinned + 32 * 4);
        int exits = 0;
        for (const auto& w : g.workers()) {
            // each of them: the runnable entries are of the start
            EXPECT_EQ(g.run(*w), 0);
            while (const Event e = g.poll()) exits += e.exited();
        }
        g.finish();
        while (const Event e = g.poll()) exits += e.exited();
        EXPECT_EQ(exits, 32);
    }
    EVENTUALLY(status_kb("VmPin") == pinned);
    EVENTUALLY(pins_balanced());
}

// 2022: unregister with a state that was not expected returned without unpinning.
TEST_F(EarlierAttempts, UnregisterWithAScribbledState) {
    Mapping m;
    for (const uint32_t state : {0U, 2U, 3U, 0x803U, 0xffU, ~0U}) {
        ASSERT_EQ(raw::reg(m.task(), UMCG_REG_SERVER), 0);
        __atomic_store_n(&m.task()->state, state, __ATOMIC_SEQ_CST);
        EXPECT_EQ(raw::unreg(m.task()), 0) << "state 0x" << std::hex << state;
        EXPECT_EQ(getppid(), getppid());  // the next entries must find nothing odd
        EXPECT_EQ(raw::unreg(m.task()), -EINVAL);
    }
    EVENTUALLY(status_kb("VmPin") == 0);
}

// 2022: pages were pinned on entry and unpinned on exit; a tracer that changes
// the number of the call in between took the two apart.
TEST_F(EarlierAttempts, TracerRewritesTheCallNumber) {
    Child tracee([] {
        FifoServer s;
        std::atomic<int> turns{0};
        std::atomic<bool> traced{false};
        Worker w(
            [&](Worker&) {
                // not over before there is a tracer
                while (!traced) raw::wait(UMCG_WAIT_ENQUEUE, 0);
                // results are of no use: any of these may have been another call
                for (int i = 0; i < 400; i++) {
                    raw::wait(UMCG_WAIT_ENQUEUE, 0);
                    syscall(SYS_getppid);
                    turns++;
                }
            },
            {.home = s.tid()});
        raise(SIGSTOP);
        traced = true;
        w.join();
        EXPECT_EQ(turns, 400);
    });
    int status = 0;
    ASSERT_EQ(waitpid(tracee.pid(), &status, WUNTRACED), tracee.pid());
    ASSERT_TRUE(WIFSTOPPED(status));
    std::vector<pid_t> threads;  // the main one, the server, the worker
    for (pid_t tid = tracee.pid(); tid < tracee.pid() + 16; tid++)
        if (!ptrace(PTRACE_SEIZE, tid, nullptr, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL))
            threads.push_back(tid);
    ASSERT_GE(threads.size(), 3U);
    const pid_t worker = threads.back();
    ASSERT_EQ(ptrace(PTRACE_INTERRUPT, worker, nullptr, nullptr), 0);
    kill(tracee.pid(), SIGCONT);

    auto random = rng();
    int rewritten = 0, stops = 0;
    bool entry = true;
    const uint64_t end = in_ms(hang_ms());
    while (rewritten < scaled(200, 30) && now_ns() < end) {
        const pid_t tid = waitpid(-1, &status, __WALL);
        ASSERT_GT(tid, 0);
        if (WIFEXITED(status) || WIFSIGNALED(status)) break;
        int deliver = 0;
        if (WSTOPSIG(status) == (SIGTRAP | 0x80) && tid == worker) {
            stops++;
            user_regs_struct regs;
            ASSERT_EQ(ptrace(PTRACE_GETREGS, tid, nullptr, &regs), 0);
            const auto nr = static_cast<long>(regs.orig_rax);
            if (entry && (nr == __NR_umcg_wait || nr == SYS_getppid)) {
                static const long kOther[] = {-1, SYS_getppid, __NR_umcg_wait, SYS_sched_yield};
                regs.orig_rax = static_cast<unsigned long>(kOther[random() % 4]);
                regs.rdi = UMCG_WAIT_ENQUEUE;
                regs.rsi = 0;
                ASSERT_EQ(ptrace(PTRACE_SETREGS, tid, nullptr, &regs), 0);
                rewritten++;
            }
            entry = !entry;
        } else if (status >> 16 == 0 && WSTOPSIG(status) != SIGTRAP &&
                   WSTOPSIG(status) != SIGSTOP) {
            deliver = WSTOPSIG(status);
        }
        ptrace(tid == worker ? PTRACE_SYSCALL : PTRACE_CONT, tid, nullptr, deliver);
    }
    EXPECT_GT(rewritten, 0) << stops << " stops";
    // let go of all of them, wherever they are
    for (const pid_t tid : threads) {
        ptrace(PTRACE_INTERRUPT, tid, nullptr, nullptr);
        waitpid(tid, &status, __WALL);
        ptrace(PTRACE_DETACH, tid, nullptr, nullptr);
    }
    kill(tracee.pid(), SIGCONT);
    status = tracee.wait();
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

// 2022: a RUNNABLE worker that is still on a list runs a signal handler that
// blocks; it was pushed again, and the list became a cycle.
TEST_F(EarlierAttempts, LinkedWorkerBlocksInAHandler) {
    static Gate* gate;
    static std::atomic<int> handled;
    gate = new Gate;
    handled = 0;
    signal(SIGUSR1, [](int) {
        gate->wait();
        handled++;
    });
    Server home;  // never takes its list
    std::atomic<bool> over{false};
    std::unique_ptr<Worker> w;
    in_thread([&] {
        Server other;
        w = std::make_unique<Worker>(
            [&](Worker& me) {
                while (!over) me.yield();
            },
            Worker::Options{.home = home.tid()});
        ASSERT_EVENTUALLY(umcg_has_news(home.task()));
        for (int i = 0; i < 5; i++) {
            signal_thread(w->tid(), SIGUSR1);
            EXPECT_EQ(other.run(*w), 0);
            EVENTUALLY(w->low_state() == UMCG_TASK_BLOCKED);
            gate->open();
            EVENTUALLY(w->held());
            other.collect();
            EXPECT_EQ(other.run(*w), 0);  // to the end of the handler and into yield
            EVENTUALLY(w->held());
            EXPECT_EQ(handled, i + 1);
        }
        over = true;
        other.collect();
        EXPECT_EQ(other.run(*w), 0);
        // its link is still in use on the other list: told to nobody
        EVENTUALLY(w->done() || (w->held() && other.run(*w) == 0 && w->done()));
        w->join();
        other.collect();
    });
    // one entry, and the walk ends
    const std::vector<Event> events = take(home.task());
    EXPECT_EQ(events.size(), 1U);
    EXPECT_EQ(events[0], runnable(*w));
    signal(SIGUSR1, SIG_DFL);
    delete gate;
}

// 2021: signals that were pending when a worker was held got lost.
TEST_F(EarlierAttempts, SignalsToAHeldWorkerAreNotLost) {
    static std::atomic<int> got[5];
    for (int i = 0; i < 5; i++) {
        got[i] = 0;
        signal(SIGRTMIN + i, [](int sig) { got[sig - SIGRTMIN]++; });
    }
    Group g;
    Worker& w = g.worker([&](Worker& me) { EXPECT_EQ(me.yield(), 0); });
    EXPECT_EQ(g.next(), runnable(w));
    for (int round = 0; round < 2; round++) {
        // real-time signals queue: three of each
        for (int n = 0; n < 3; n++)
            for (int i = 0; i < 5; i++) signal_thread(w.tid(), SIGRTMIN + i);
        EVENTUALLY(asleep(w.tid()));
        for (const auto& n : got) EXPECT_EQ(n, 3 * round) << "a handler ran in a held worker";
        EXPECT_EQ(g.run(w), 0);
        if (round == 0) {
            EXPECT_EQ(g.next(), runnable(w));
        } else {
            g.run_to_exit(w);
        }
        for (const auto& n : got) EXPECT_EQ(n, 3 * (round + 1));
    }
    for (int i = 0; i < 5; i++) signal(SIGRTMIN + i, SIG_DFL);
}

// 2023: a server had room for one event, and the second killed the process.
TEST_F(EarlierAttempts, ManyEventsWhileTheServerIsBusy) {
    constexpr int kWorkers = 20;
    Gate gates[kWorkers];
    Group g;
    std::vector<Worker*> all;
    for (int i = 0; i < kWorkers; i++)
        all.push_back(&g.worker([&, i](Worker&) { gates[i].wait(); }));
    EVENTUALLY((g.collect(), g.log.size() == kWorkers));
    for (Worker* w : all) EXPECT_EQ(g.run(*w), 0);
    for (Worker* w : all) EVENTUALLY(w->low_state() == UMCG_TASK_BLOCKED);
    g.collect();
    const size_t before = g.log.size();
    EXPECT_EQ(before, 2U * kWorkers);
    for (Gate& gate : gates) gate.open();
    for (Worker* w : all) EVENTUALLY(w->held());
    g.collect();
    EXPECT_EQ(g.log.size(), before + kWorkers) << "each of them once";
}

// 2021: a wake-up between the look at the word and the sleep was lost. Kicks and
// waits from two threads, each wait needs its own.
TEST_F(EarlierAttempts, KickAndWaitCommute) {
    const int n = scaled(20000, 1000);
    std::atomic<int> allowed{0}, seen{0};
    std::atomic<pid_t> tid{0};
    std::thread waiter([&] {
        Server s;
        tid = s.tid();
        tid.notify_all();
        for (int i = 0; i < n; i++) {
            const int rc = s.wait();
            EXPECT_TRUE(rc == 0 || rc == -EAGAIN) << rc;
            EXPECT_GT(allowed, i) << "it woke without a kick";
            seen = i + 1;
        }
    });
    tid.wait(0);
    for (int i = 0; i < n; i++) {
        allowed = i + 1;
        EXPECT_EQ(umcg_kick(0, tid), 0);
        while (seen < i + 1) sched_yield();  // lost: the watchdog says so
    }
    waiter.join();
}

}  // namespace
}  // namespace umcg_test
