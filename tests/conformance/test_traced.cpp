// SPDX-License-Identifier: MIT
// Workers under a tracer: what its stops do to a worker is reported once or not at
// all, and no call of a traced worker ends otherwise than untraced.
#include <dirent.h>

#include "tracer.hpp"

namespace umcg_test {
namespace {

class Traced : public Conformance {};

// Run the only worker, held until now, to its end. No entry may come twice: it blocks
// only while it runs, and wants to run only if it is not held already. What is lost
// hangs.
void run_by_the_book(Group& g, Worker& w) {
    enum { kHeld, kRuns, kAway } where = kHeld;
    bool ended = false;
    while (!ended) {
        if (where == kHeld) {
            const int rc = g.run(w);
            if (!rc) where = kRuns;
            ASSERT_TRUE(!rc || rc == -EAGAIN) << rc;
        } else {
            g.wait(0, now_ns() + 1000000);
        }
        for (Event e = g.poll(); e && !ended; e = g.poll()) {
            EXPECT_EQ(e.task, w.task());
            ended = e.exited();
            if (ended) break;
            if (e.kind == Event::kBlocked) {
                EXPECT_EQ(where, kRuns);
                where = kAway;
            } else {
                EXPECT_NE(where, kHeld);
                where = kHeld;
            }
        }
    }
    EXPECT_FALSE(g.poll());
}

// Stopped and let go while it is held: it is held, and nobody was told anything.
TEST_F(Traced, AHeldWorkerStaysHeld) {
    Group g;
    std::atomic<int> steps{0};
    Worker& w = g.worker([&](Worker&) { steps++; });
    ASSERT_EQ(g.next(), runnable(w));
    ASSERT_TRUE(asleep_again(w));
    for (int i = 0; i < scaled(10, 2); i++) {
        Tracer t(w.tid(), [](pid_t tid, Pipe&, Pipe&) {
            must(!ptrace(PTRACE_ATTACH, tid, 0, 0), 10);
            wait_stop(tid);
            must(!ptrace(PTRACE_DETACH, tid, 0, 0), 11);
        });
        t.end();
        ASSERT_TRUE(asleep_again(w));
        EXPECT_TRUE(w.held());
        EXPECT_FALSE(g.poll());
    }
    EXPECT_EQ(steps, 0);
    g.run_to_exit(w);
    EXPECT_EQ(steps, 1);
}

// Stopped and let go while it is blocked: one block, one return, one result.
TEST_F(Traced, ABlockedWorkerIsBlockedOnce) {
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
    ASSERT_TRUE(asleep_again(w));
    for (int i = 0; i < scaled(10, 2); i++) {
        Tracer t(w.tid(), [](pid_t tid, Pipe&, Pipe&) {
            seize_and_stop(tid);
            must(!ptrace(PTRACE_DETACH, tid, 0, 0), 12);
        });
        t.end();
        ASSERT_TRUE(asleep_again(w));
        // back in its call, or held on the way there
        if (w.held()) {
            ASSERT_EQ(g.next(), runnable(w));
            ASSERT_EQ(g.run(w), 0);
            ASSERT_EQ(g.next(), blocked(w));
            ASSERT_TRUE(asleep_again(w));
        }
        EXPECT_EQ(w.low_state(), UMCG_TASK_BLOCKED);
        EXPECT_FALSE(g.poll());
        EXPECT_EQ(steps, 0);
    }
    p.put();
    ASSERT_EQ(g.next(), runnable(w));
    EXPECT_EQ(steps, 0);
    g.run_to_exit(w);
    EXPECT_EQ(steps, 1);
}

// A running worker is stopped: a block on the patched kernel, a pause elsewhere.
// Either way it goes on where it was, and its end is reported once.
TEST_F(Traced, ARunningWorkerGoesOn) {
    Group g;
    std::atomic<bool> spins{false}, leave{false};
    Worker& w = g.worker([&](Worker&) {
        spins = true;
        while (!leave) __builtin_ia32_pause();
    });
    ASSERT_EQ(g.next(), runnable(w));
    std::thread conductor([&] {
        EVENTUALLY(spins);
        Tracer t(w.tid(), [](pid_t tid, Pipe& ask, Pipe& answer) {
            seize_and_stop(tid);
            answer.put();
            ask.get();
            must(!ptrace(PTRACE_DETACH, tid, 0, 0), 12);
        });
        t.done();
        t.go();
        t.end();
        leave = true;
    });
    run_by_the_book(g, w);
    conductor.join();
}

// As under strace(1): a stop at the beginning and the end of every call, and for
// every signal. Calls, waits and hand-overs do what they do untraced.
TEST_F(Traced, EveryCallStops) {
    constexpr int kRounds = 8;
    Gate gate;
    Group g;
    std::atomic<int> waits{0};
    const pid_t pid = getpid();
    Worker& w = g.worker([&](Worker& me) {
        for (int i = 0; i < kRounds; i++) {
            EXPECT_EQ(syscall(SYS_getpid), pid);
            waits++;
            gate.wait();
            // a stop that is a block on the way into the wait has lost it its server
            const int rc = me.yield();
            EXPECT_TRUE(rc == 0 || rc == -EAGAIN) << rc;
        }
    });
    ASSERT_EQ(g.next(), runnable(w));
    Tracer t(w.tid(), [](pid_t tid, Pipe&, Pipe& answer) {
        seize_and_stop(tid);
        answer.put();
        int status = 0;
        for (int signal = 0;;) {
            must(!ptrace(PTRACE_SYSCALL, tid, 0, signal), 13);
            must(waitpid(tid, &status, __WALL) == tid, 14);
            if (!WIFSTOPPED(status)) return;  // the thread has ended
            const int stop = WSTOPSIG(status);
            signal = stop == (SIGTRAP | 0x80) || stop == SIGTRAP || status >> 16 ? 0 : stop;
        }
    });
    t.done();
    std::thread opener([&] {
        for (int i = 0; i < kRounds; i++) {
            EVENTUALLY(waits > i);
            gate.open();
        }
    });
    run_by_the_book(g, w);
    opener.join();
    t.end();
    EXPECT_EQ(waits, kRounds);
}

pid_t thread_named(const std::string& name) {
    pid_t found = 0;
    DIR* d = opendir("/proc/self/task");
    while (const dirent* e = d ? readdir(d) : nullptr)
        if (slurp(std::string("/proc/self/task/") + e->d_name + "/comm") == name + "\n")
            found = atoi(e->d_name);
    if (d) closedir(d);
    return found;
}

// UMCG_CAP_WATCHED in place of UMCG_CAP_BLOCK_EVENTS, the limit: no block is known
// before the monitor has looked. It is stopped here, so that it cannot.
TEST_F(Traced, ABlockWaitsForTheMonitor) {
    REQUIRE_CAP(UMCG_CAP_WATCHED);
    REQUIRE_NO_CAP(UMCG_CAP_BLOCK_EVENTS);
    Pipe p;
    Group g;
    Worker& w = g.worker([&](Worker&) {
        char c;
        EXPECT_EQ(read(p.fd[0], &c, 1), 1);
    });
    ASSERT_EQ(g.next(), runnable(w));
    const pid_t monitor = thread_named("umcg-monitor");
    ASSERT_GT(monitor, 0);
    std::atomic<bool> freed{false};
    Tracer t(monitor, [](pid_t tid, Pipe& ask, Pipe& answer) {
        seize_and_stop(tid);
        answer.put();
        ask.get();
        must(!ptrace(PTRACE_DETACH, tid, 0, 0), 12);
    });
    t.done();
    std::thread conductor([&] {
        EVENTUALLY(w.low_state() == UMCG_TASK_RUNNING && asleep(w.tid()));
        for (int i = 0; i < 100; i++) {
            sleep_us(100);
            EXPECT_EQ(w.low_state(), UMCG_TASK_RUNNING) << "who has seen that it sleeps?";
        }
        freed = true;
        t.go();
    });
    EXPECT_EQ(g.run(w), 0);
    EXPECT_TRUE(freed) << "the server has waited for the monitor";
    EXPECT_EQ(g.next(), blocked(w));
    conductor.join();
    t.end();
    p.put();
    g.finish();
}

}  // namespace
}  // namespace umcg_test
