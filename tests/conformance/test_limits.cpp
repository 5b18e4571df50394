// SPDX-License-Identifier: MIT
// What a backend does where it does not promise as much as the patched kernel: the
// limits that umcg.h names, shown. Nothing here is announced by umcg_blocking_begin().
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "blocks.hpp"
#include "uffd.hpp"

namespace umcg_test {
namespace {

void read_byte(const Pipe& p) {
    char c;
    EXPECT_EQ(read(p.fd[0], &c, 1), 1);
}

// UMCG_CAP_WATCHED: a block is noticed, if not at once. UMCG_CAP_HOLD_AT_CALL: the
// worker comes back and goes on to its next call of the library.
struct Source {
    const char* name;
    std::function<void(const Pipe&)> block;  // until somebody writes to the pipe
};
class Watched : public Conformance, public ::testing::WithParamInterface<Source> {};

TEST_P(Watched, IsNoticedAndHeldAtTheNextCall) {
    REQUIRE_CAP(UMCG_CAP_WATCHED);
    REQUIRE_CAP(UMCG_CAP_HOLD_AT_CALL);
    Pipe p;
    Group g;
    std::atomic<int> steps{0};
    std::atomic<bool> call{false};
    Worker& w = g.worker([&](Worker& me) {
        GetParam().block(p);
        steps = 1;
        while (!call) __builtin_ia32_pause();
        EXPECT_EQ(me.yield(), 0);
        steps = 2;
    });
    ASSERT_EQ(g.next(), runnable(w));
    ASSERT_EQ(g.run(w), 0) << "the server gets the CPU back";
    const Event block = g.next();
    ASSERT_EQ(block, blocked(w));
    EXPECT_EQ(block.state, UMCG_TASK_BLOCKED);
    EXPECT_EQ(g.task()->running_tid, 0u);
    p.put();
    ASSERT_EVENTUALLY(steps == 1) << "the limit: it runs although nobody has picked it";
    EXPECT_EQ(w.state(), UMCG_TASK_BLOCKED) << "and is not known to";
    EXPECT_FALSE(g.poll());
    call = true;
    const Event back = g.next();
    ASSERT_EQ(back, runnable(w));
    EXPECT_EQ(back.state, UMCG_TASK_RUNNABLE);
    sleep_us(3000);  // time for a worker that slipped the hold to be seen
    EXPECT_EQ(steps, 1);
    EXPECT_FALSE(g.poll());
    ASSERT_EQ(g.run(w), 0);
    if (steps == 1) {  // the yield itself may be a stop of its own
        ASSERT_EQ(g.next(), runnable(w));
        ASSERT_EQ(g.run(w), 0);
    }
    EXPECT_EQ(steps, 2);
    EXPECT_TRUE(g.next_exit());
}

INSTANTIATE_TEST_SUITE_P(
    Sources, Watched,
    ::testing::Values(
        Source{"PipeRead", read_byte},
        Source{"Poll", [](const Pipe& p) {
                   pollfd fd = {p.fd[0], POLLIN, 0};
                   EXPECT_EQ(::poll(&fd, 1, -1), 1);
               }},
        Source{"WaitForAChild", [](const Pipe& p) {
                   const pid_t pid = fork();
                   if (!pid) _exit([&] { char c; return int(read(p.fd[0], &c, 1)); }());
                   int status = 0;
                   EXPECT_EQ(waitpid(pid, &status, 0), pid);
               }},
        Source{"Join", [](const Pipe& p) { std::thread([&] { read_byte(p); }).join(); }}),
    [](const auto& param) { return param.param.name; });

using Limits = Conformance;

// A page fault that waits, where that is promised but not at once.
TEST_F(Limits, FaultIsNoticed) {
    REQUIRE_CAP(UMCG_CAP_FAULT_EVENTS);
    REQUIRE_CAP(UMCG_CAP_WATCHED);
    MissingPages m(1);
    REQUIRE_USERFAULTFD(m);
    Group g;
    volatile char* page = m.page();
    Worker& w = g.worker([&](Worker&) { EXPECT_EQ(*page, 0); });
    ASSERT_EQ(g.next(), runnable(w));
    ASSERT_EQ(g.run(w), 0);
    ASSERT_EQ(g.next(), blocked(w));
    EXPECT_TRUE(m.fill(m.page()));
}

// To see a worker sleep and to stop one that does not takes no privilege: no capability,
// none that could be had by an execve(), no locked memory.
TEST_F(Limits, WatchingNeedsNoPrivilege) {
    REQUIRE_CAP(UMCG_CAP_WATCHED);
    in_child([] {
        constexpr id_t kNobody = 65534;
        const rlimit none = {};
        EXPECT_EQ(setrlimit(RLIMIT_MEMLOCK, &none), 0);
        EXPECT_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        if (!geteuid()) {
            EXPECT_EQ(setgroups(0, nullptr), 0);
            EXPECT_EQ(setresgid(kNobody, kNobody, kNobody), 0);
            EXPECT_EQ(setresuid(kNobody, kNobody, kNobody), 0);
        }
        EXPECT_NE(slurp("/proc/thread-self/status").find("CapEff:\t0000000000000000"), std::string::npos);
        Pipe p;
        Group g;
        Worker& w = g.worker([&](Worker& me) {
            read_byte(p);
            EXPECT_EQ(me.yield(), 0);
            while (!g.stopping()) __builtin_ia32_pause();
        });
        ASSERT_EQ(g.next(), runnable(w));
        ASSERT_EQ(g.run(w), 0);
        ASSERT_EQ(g.next(), blocked(w));
        p.put();
        for (;;) {  // held at the yield, which may be a stop of its own
            const Event e = g.next();
            ASSERT_EQ(e, runnable(w));
            if (e.preempted()) break;
            ASSERT_EQ(g.run(w, UMCG_WAIT_PREEMPT, in_ms(1)), 0);
        }
    });
}

// Without UMCG_CAP_ONE_RUNNING: a worker that comes back runs beside the one that
// the server has picked meanwhile. Where workers are held by a signal that is so for
// one that masks it; the rest of that limit is a race, which is no thing to wait for.
TEST_F(Limits, TwoCanBeSeenRunning) {
    REQUIRE_NO_CAP(UMCG_CAP_ONE_RUNNING);
    Pipe p;
    Group g;
    std::atomic<bool> a_back{false}, b_leaves{false};
    uint32_t a_state = 0, b_state = 0;
    Worker& a = g.worker([&](Worker&) {
        sigset_t all, old;
        sigfillset(&all);
        if (promised(UMCG_CAP_HOLD)) pthread_sigmask(SIG_BLOCK, &all, &old);
        read_byte(p);
        a_back = true;
        while (!b_leaves) __builtin_ia32_pause();
        if (promised(UMCG_CAP_HOLD)) pthread_sigmask(SIG_SETMASK, &old, nullptr);
    });
    ASSERT_EQ(g.next(), runnable(a));
    ASSERT_EQ(g.run(a), 0);
    ASSERT_EQ(g.next(), blocked(a));
    Worker& b = g.worker([&](Worker& me) {
        p.put();
        while (!a_back) __builtin_ia32_pause();
        umcg_checkpoint();  // put() may have counted as a block
        a_state = a.state();
        b_state = me.state() & UMCG_TASK_MASK;
        b_leaves = true;
    });
    ASSERT_EQ(g.next(), runnable(b));
    while (!b_leaves) {  // put() may block for a moment; nobody picks a
        g.collect();
        if (b.held()) g.run(b);
        sched_yield();
    }
    EXPECT_EQ(b_state, UMCG_TASK_RUNNING);
    EXPECT_EQ(a_state, UMCG_TASK_BLOCKED) << "the limit: it ran, and nobody had picked it";
}

// With it: the same two, and a does not move while b runs.
TEST_F(Limits, TwoAreNeverSeenRunning) {
    REQUIRE_CAP(UMCG_CAP_ONE_RUNNING);
    Pipe p;
    Group g;
    std::atomic<bool> a_back{false}, seen{false};
    Worker& a = g.worker([&](Worker&) {
        read_byte(p);
        a_back = true;
    });
    ASSERT_EQ(g.next(), runnable(a));
    ASSERT_EQ(g.run(a), 0);
    ASSERT_EQ(g.next(), blocked(a));
    Worker& b = g.worker([&](Worker&) {
        p.put();
        while (!a.held() && !a_back) __builtin_ia32_pause();
        const uint64_t end = now_ns() + 3000000;
        while (now_ns() < end) seen = seen || a_back;
    });
    ASSERT_EQ(g.next(), runnable(b));
    ASSERT_EQ(g.run(b), 0);
    while (!b.done()) {
        g.collect();
        if (b.held()) g.run(b);
    }
    EXPECT_FALSE(seen);
}

// A worker that masks all signals. UMCG_CAP_BY_SIGNAL: it is stopped when it lets
// them in again; without that bit at once, like any other.
TEST_F(Limits, KickOfAWorkerThatMasksSignals) {
    REQUIRE_CAP(UMCG_CAP_PREEMPT);
    Group g;
    std::atomic<bool> masked{false}, unmask{false};
    std::atomic<uint64_t> spins{0};
    Worker& w = g.worker([&](Worker&) {
        sigset_t all, old;
        sigfillset(&all);
        pthread_sigmask(SIG_BLOCK, &all, &old);
        masked = true;
        while (!unmask) spins = spins + 1;
        pthread_sigmask(SIG_SETMASK, &old, nullptr);
        while (!g.stopping()) __builtin_ia32_pause();
    });
    ASSERT_EQ(g.next(), runnable(w));
    const bool by_signal = promised(UMCG_CAP_BY_SIGNAL);
    std::thread kicker([&] {
        EVENTUALLY(masked);
        EXPECT_EQ(umcg_kick(0, w.tid()), 0);
        if (!by_signal) return;
        for (int i = 0; i < 3; i++) {
            const uint64_t then = spins;
            EVENTUALLY(spins != then);
        }
        EXPECT_EQ(w.low_state(), UMCG_TASK_RUNNING) << "the limit: it runs on";
        unmask = true;
    });
    ASSERT_EQ(g.run(w), 0);
    kicker.join();
    EXPECT_EQ(unmask, by_signal);
    const Event e = g.next();
    EXPECT_EQ(e, runnable(w));
    EXPECT_TRUE(e.preempted());
    unmask = true;
}

// Without UMCG_CAP_PREEMPT a kick is for the worker's next call of the library.
TEST_F(Limits, KickWaitsForTheNextCall) {
    REQUIRE_NO_CAP(UMCG_CAP_PREEMPT);
    Group g;
    std::atomic<bool> kicked{false}, ran_on{false};
    Worker& w = g.worker([&](Worker& me) {
        EXPECT_EQ(umcg_kick(0, me.tid()), 0);
        ran_on = true;
        EXPECT_EQ(me.yield(), 0);
    });
    ASSERT_EQ(g.next(), runnable(w));
    ASSERT_EQ(g.run(w), 0);
    EXPECT_TRUE(ran_on);
    const Event e = g.next();
    EXPECT_EQ(e, runnable(w));
}

}  // namespace
}  // namespace umcg_test
