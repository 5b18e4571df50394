// SPDX-License-Identifier: MIT
// Signals to workers: a handler is user code like any other and runs only on a
// worker that was picked (R7), and the hold it interrupted is never seen by the
// program as EINTR. Without UMCG_CAP_HOLD a handler that ends a block runs at once.
#include <setjmp.h>

#include "blocks.hpp"
#include "signals.hpp"

namespace umcg_test {
namespace {

using Signals = Conformance;

std::atomic<int> handled, nested;
void count(int) { handled++; }

// What a handler that blocks waits for.
const Pipe* gate;
void wait_at_the_gate() {  // no announcement in a handler
    char c;
    EXPECT_EQ(read(gate->fd[0], &c, 1), 1);
}

// Signal while the worker is held: no event, and the handler's first instruction
// waits for the server.
TEST_F(Signals, ToAHeldWorker) {
    Handler h(SIGUSR1, count);
    handled = 0;
    Group g;
    int rc = 1, handled_then = 0;
    Worker& w = g.worker([&](Worker& me) {
        rc = me.yield();
        handled_then = handled;
    });
    for (int i = 0; i < 2; i++) {  // in umcg_register(), then in umcg_wait()
        const Event e = g.next();
        ASSERT_EQ(e, runnable(w));
        send(w, SIGUSR1);
        ASSERT_EVENTUALLY(signal_settled(w.tid(), SIGUSR1) && asleep(w.tid()));
        sleep_us(2000);  // time for a handler that slipped the hold to be seen
        EXPECT_EQ(handled, i);
        EXPECT_TRUE(w.held());
        EXPECT_EQ(w.task()->seq, e.seq);
        EXPECT_FALSE(g.poll());
        ASSERT_EQ(g.run(w), 0);
        EXPECT_EQ(handled, i + 1);
    }
    EXPECT_EQ(rc, 0) << "umcg_wait() of a worker is never interrupted";
    EXPECT_EQ(handled_then, 2);
    EXPECT_TRUE(g.next_exit());
}

TEST_F(Signals, ManyToAHeldWorker) {
    const int n = scaled(200, 20);
    Handler h(SIGUSR1, count), h2(SIGUSR2, count);
    handled = 0;
    Group g;
    Worker& w = g.worker([](Worker&) {});
    ASSERT_EQ(g.next(), runnable(w));
    for (int i = 0; i < n; i++) {
        send(w, i % 2 ? SIGUSR1 : SIGUSR2);
        if (i % 8 == 0) sleep_us(50);
    }
    // one of each may wait until its handler is over
    ASSERT_EVENTUALLY(asleep(w.tid()));
    EXPECT_EQ(handled, 0);
    ASSERT_EQ(g.run(w), 0);
    EXPECT_GE(handled, 2);
    EXPECT_TRUE(g.next_exit());
}

// Which of the two it is decides what read() says, and only that.
void signal_in_read(int flags) {
    Handler h(SIGUSR1, count, flags);
    handled = 0;
    Pipe p;
    Group g;
    ssize_t got = 0;
    int error = 0;
    Worker& w = g.worker([&](Worker&) {
        char c;
        got = read(p.fd[0], &c, 1);
        error = errno;
    });
    ASSERT_EQ(g.next(), runnable(w));
    ASSERT_EQ(g.run(w), 0);
    ASSERT_EQ(g.next(), blocked(w));
    send(w, SIGUSR1);
    ASSERT_EQ(g.next(), runnable(w)) << "its call is over for now";
    sleep_us(2000);
    EXPECT_EQ(handled, 0) << "not before it is picked";
    EXPECT_FALSE(g.poll());
    ASSERT_EQ(g.run(w), 0);
    EXPECT_EQ(handled, 1);
    if (flags & SA_RESTART) {
        ASSERT_EQ(g.next(), blocked(w)) << "read() again";
        p.put();
        ASSERT_EQ(g.next(), runnable(w));
        ASSERT_EQ(g.run(w), 0);
        EXPECT_EQ(got, 1);
    } else {
        EXPECT_EQ(got, -1);
        EXPECT_EQ(error, EINTR);
    }
    EXPECT_TRUE(g.next_exit());
    EXPECT_EQ(handled, 1);
}
TEST_F(Signals, ToABlockedWorkerEintr) {
    REQUIRE_CAP(UMCG_CAP_HOLD);
    signal_in_read(0);
}
TEST_F(Signals, ToABlockedWorkerRestart) {
    REQUIRE_CAP(UMCG_CAP_HOLD);
    signal_in_read(SA_RESTART);
}

// The limit without it: the handler of a worker that is BLOCKED runs at once, and
// the program sees what it would see without UMCG. The hold is at the call's end.
void signal_without_hold(int flags) {
    Handler h(SIGUSR1, count, flags);
    handled = 0;
    Pipe p;
    Group g;
    ssize_t got = 0;
    int error = 0, steps = 0;
    Worker& w = g.worker([&](Worker&) {
        {
            const Blocking mark;
            char c;
            got = read(p.fd[0], &c, 1);
            error = errno;
        }
        steps++;
    });
    ASSERT_EQ(g.next(), runnable(w));
    ASSERT_EQ(g.run(w), 0);
    ASSERT_EQ(g.next(), blocked(w));
    // in read(), not on its way there: without SA_RESTART the signal is what ends it
    ASSERT_EVENTUALLY(off_cpu(w.tid(), SYS_read));
    send(w, SIGUSR1);
    ASSERT_EVENTUALLY(handled == 1);
    if (flags & SA_RESTART) {
        EXPECT_FALSE(g.poll()) << "read() goes on";
        p.put();
    }
    ASSERT_EQ(g.next(), runnable(w));
    EXPECT_EQ(steps, 0);
    EXPECT_EQ(got, flags & SA_RESTART ? 1 : -1);
    if (!(flags & SA_RESTART)) {
        EXPECT_EQ(error, EINTR);
    }
    ASSERT_EQ(g.run(w), 0);
    EXPECT_EQ(steps, 1);
    EXPECT_TRUE(g.next_exit());
}
TEST_F(Signals, WithoutHoldTheHandlerRunsAtOnceEintr) {
    REQUIRE_NO_CAP(UMCG_CAP_HOLD);
    signal_without_hold(0);
}
TEST_F(Signals, WithoutHoldTheHandlerRunsAtOnceRestart) {
    REQUIRE_NO_CAP(UMCG_CAP_HOLD);
    signal_without_hold(SA_RESTART);
}

TEST_F(Signals, ToARunningWorker) {
    Handler h(SIGUSR1, count);
    handled = 0;
    Group g;
    std::atomic<bool> started{false};
    uint32_t before = 0, after = 1;
    Worker& w = g.worker([&](Worker& me) {
        before = me.task()->seq;
        started = true;
        while (!handled) __builtin_ia32_pause();
        after = me.task()->seq;
    });
    ASSERT_EQ(g.next(), runnable(w));
    std::thread sender([&] {
        EVENTUALLY(started);
        send(w, SIGUSR1);
    });
    EXPECT_EQ(g.run(w), 0);
    sender.join();
    EXPECT_EQ(before, after) << "a handler is no event";
    EXPECT_TRUE(g.next_exit());
}

// The link of a runnable worker is still on the list when its handler blocks:
// an earlier attempt pushed it twice and made the list a cycle.
TEST_F(Signals, HandlerThatBlocks) {
    Handler h(SIGUSR1, [](int) {
        wait_at_the_gate();
        handled++;
    });
    handled = 0;
    Pipe p;
    gate = &p;
    Group g;
    int rc = 1;
    Worker& w = g.worker([&](Worker& me) { rc = me.yield(); });
    ASSERT_EQ(g.next(), runnable(w));
    ASSERT_EQ(g.run(w), 0);  // yields; its entry is left on the list
    send(w, SIGUSR1);
    ASSERT_EVENTUALLY(signal_settled(w.tid(), SIGUSR1) && asleep(w.tid()));
    ASSERT_EQ(g.next(), runnable(w));
    ASSERT_EQ(g.run(w), 0);
    ASSERT_EQ(g.next(), blocked(w)) << "the handler sleeps";
    EXPECT_EQ(handled, 0);
    p.put();
    ASSERT_EQ(g.next(), runnable(w));
    if (promised(UMCG_CAP_HOLD)) {
        sleep_us(2000);
        EXPECT_EQ(handled, 0);
    }
    ASSERT_EQ(g.run(w), 0);
    EXPECT_EQ(handled, 1);
    EXPECT_EQ(rc, 0);
    EXPECT_TRUE(g.next_exit());
}

TEST_F(Signals, NestedHandlers) {
    REQUIRE_CAP(UMCG_CAP_HOLD);
    Handler outer(SIGUSR1, [](int) {
        handled++;
        raise(SIGUSR2);
        EXPECT_EQ(nested, 1);
        handled++;
    });
    Handler inner(SIGUSR2, [](int) {
        wait_at_the_gate();
        nested++;
    });
    handled = nested = 0;
    Pipe p, q;
    gate = &q;
    Group g;
    Worker& w = g.worker([&](Worker&) {
        char c;
        EXPECT_EQ(read(p.fd[0], &c, 1), -1);
        EXPECT_EQ(errno, EINTR);
    });
    ASSERT_EQ(g.next(), runnable(w));
    ASSERT_EQ(g.run(w), 0);
    ASSERT_EQ(g.next(), blocked(w));
    send(w, SIGUSR1);
    ASSERT_EQ(g.next(), runnable(w));
    ASSERT_EQ(g.run(w), 0);
    ASSERT_EQ(g.next(), blocked(w)) << "the inner handler";
    EXPECT_EQ(handled, 1);
    q.put();
    ASSERT_EQ(g.next(), runnable(w));
    ASSERT_EQ(g.run(w), 0);
    EXPECT_EQ(handled, 2);
    EXPECT_EQ(nested, 1);
    EXPECT_TRUE(g.next_exit());
}

TEST_F(Signals, OnAnAlternateStack) {
    static std::atomic<uintptr_t> where;
    Handler h(SIGUSR1, [](int) {
        char here;
        where = reinterpret_cast<uintptr_t>(&here);
        wait_at_the_gate();
        handled++;
    }, SA_ONSTACK);
    handled = 0;
    std::vector<char> stack(65536);
    Pipe p;
    gate = &p;
    Group g;
    Worker& w = g.worker([&](Worker& me) {
        stack_t ss = {stack.data(), 0, stack.size()};
        EXPECT_EQ(sigaltstack(&ss, nullptr), 0);
        EXPECT_EQ(me.yield(), 0);
        ss.ss_flags = SS_DISABLE;
        EXPECT_EQ(sigaltstack(&ss, nullptr), 0);
    });
    ASSERT_EQ(g.next(), runnable(w));
    ASSERT_EQ(g.run(w), 0);
    ASSERT_EQ(g.next(), runnable(w));
    send(w, SIGUSR1);
    ASSERT_EVENTUALLY(signal_settled(w.tid(), SIGUSR1));
    ASSERT_EQ(g.run(w), 0);
    ASSERT_EQ(g.next(), blocked(w));
    p.put();
    ASSERT_EQ(g.next(), runnable(w));
    ASSERT_EQ(g.run(w), 0);
    EXPECT_EQ(handled, 1);
    EXPECT_GE(where, reinterpret_cast<uintptr_t>(stack.data()));
    EXPECT_LT(where, reinterpret_cast<uintptr_t>(stack.data() + stack.size()));
    EXPECT_TRUE(g.next_exit());
}

// Out of the handler by siglongjmp(): the call it interrupted never returns,
// and the worker is as good as before.
sigjmp_buf jump_target;
TEST_F(Signals, LongjmpOutOfAHandler) {
    REQUIRE_CAP(UMCG_CAP_HOLD);
    const int turns = scaled(100, 10);
    Handler h(SIGUSR1, [](int) { siglongjmp(jump_target, 1); });
    Pipe p;
    Group g;
    std::atomic<int> jumped{0};
    Worker& w = g.worker([&](Worker& me) {
        while (jumped < turns) {
            if (sigsetjmp(jump_target, 1)) {
                jumped++;
                EXPECT_EQ(me.state(), UMCG_TASK_RUNNING);
                continue;
            }
            char c;
            (void)!read(p.fd[0], &c, 1);
            ADD_FAILURE() << "read() has returned";
        }
    });
    Event e = g.next();
    for (int i = 0; i < turns; i++) {
        ASSERT_EQ(e, runnable(w));
        ASSERT_EQ(g.run(w), 0);
        ASSERT_EQ(g.next(), blocked(w));
        send(w, SIGUSR1);
        e = g.next();
    }
    ASSERT_EQ(g.run(w), 0);
    EXPECT_EQ(jumped, turns);
    EXPECT_TRUE(g.next_exit());
}

// Signals, kicks and slices at once on a worker that yields, blocks and computes:
// every read() and yield() has its own result, exactly as often as called.
TEST_F(Signals, Storm) {
    const int turns = scaled(1000, 60);
    Handler h(SIGUSR1, count, SA_RESTART), h2(SIGUSR2, [](int) {
        handled++;
        sleep_us(10);
    });
    handled = 0;
    Group g;
    std::atomic<int> yields{0}, sleeps{0}, made{0};
    std::atomic<bool> over{false};
    std::vector<Worker*> all;
    for (int i = 0; i < 2; i++)
        all.push_back(&g.worker([&, i](Worker& me) {
            auto r = rng(uint64_t(i));
            for (int t = 0; t < turns || !handled; t++) {  // until there was a signal
                made++;
                if (r() % 2) {
                    EXPECT_EQ(me.yield(), 0);
                    yields++;
                } else {
                    timespec ts = {0, 10000};
                    const int rc = clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, nullptr);
                    EXPECT_TRUE(rc == 0 || rc == EINTR) << rc;
                    sleeps++;
                }
            }
        }));
    std::thread sender([&] {
        auto r = rng(9);
        while (!over) {
            Worker& w = *all[r() % 2];
            syscall(SYS_tgkill, getpid(), w.tid(), r() % 2 ? SIGUSR1 : SIGUSR2);
            if (r() % 4 == 0) umcg_kick(0, w.tid());
            sleep_us(long(r() % 200));
        }
    });
    int exited = 0;
    std::deque<pid_t> queue;
    auto r = rng(10);
    uint64_t slices = 0;
    while (exited < 2) {
        while (const Event e = g.poll()) {
            if (e.kind == Event::kRunnable) queue.push_back(pid_t(e.task->tid));
            if (e.kind == Event::kBlocked && e.exited()) exited++;
        }
        ASSERT_LE(queue.size(), 2u) << "a worker is queued twice";
        if (exited == 2) break;
        if (queue.empty()) {
            const int rc = g.wait();
            ASSERT_TRUE(rc == 0 || rc == -EAGAIN) << rc;
            continue;
        }
        g.task()->next_tid = uint32_t(queue.front());
        // longer ones where these are over before a worker has made a step
        const uint64_t slice = r() % 200000 * (1 + slices++ / uint64_t(16 * turns));
        const int rc = umcg_wait(UMCG_WAIT_PREEMPT, now_ns() + slice);
        ASSERT_TRUE(rc == 0 || rc == -EAGAIN || rc == -ETIMEDOUT) << rc;
        uint32_t mine = uint32_t(queue.front());
        if (!__atomic_compare_exchange_n(&g.task()->next_tid, &mine, 0, false, __ATOMIC_SEQ_CST,
                                         __ATOMIC_SEQ_CST))
            queue.pop_front();
    }
    over = true;
    sender.join();
    EXPECT_GE(made, 2 * turns);
    EXPECT_EQ(yields + sleeps, made);
}

}  // namespace
}  // namespace umcg_test
