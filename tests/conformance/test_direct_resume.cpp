// SPDX-License-Identifier: MIT
// DIRECT_RESUME: a worker that comes back while its home is idle takes its place
// and goes on; the server sleeps. Only there: busy or awake, it is queued like
// everybody.
#include <sched.h>

#include "blocks.hpp"

namespace umcg_test {
namespace {

using DirectResume = Conformance;

void set_flags(umcg_task* t, uint32_t flags) {
    __atomic_store_n(&t->user_flags, flags, __ATOMIC_SEQ_CST);
}
// The server hears of the block, waits again, and next of the end.
TEST_F(DirectResume, TakesTheIdleServersPlace) {
    Pipe p;
    Group g;
    set_flags(g.task(), UMCG_UF_DIRECT_RESUME);
    uint32_t server_then = 0, running_then = 0, own_server = 0, own_state = 0;
    Worker& w = g.worker([&](Worker& me) {
        p.get();
        server_then = umcg_state(g.task());
        running_then = g.task()->running_tid;
        own_server = me.task()->running_tid;
        own_state = me.state();
    });
    ASSERT_EQ(g.next(), runnable(w));
    ASSERT_EQ(g.run(w), 0);
    ASSERT_EQ(g.next(), blocked(w));
    std::thread releaser([&] {
        EVENTUALLY(umcg_state(g.task()) == (UMCG_TASK_RUNNABLE | UMCG_TF_IDLE));
        p.put();
    });
    EXPECT_TRUE(g.next_exit());
    releaser.join();
    EXPECT_EQ(server_then, UMCG_TASK_RUNNABLE);
    EXPECT_EQ(running_then, uint32_t(w.tid()));
    EXPECT_EQ(own_server, uint32_t(g.tid()));
    EXPECT_EQ(own_state, UMCG_TASK_RUNNING);
}

// QUIET with it: the server sleeps from beginning to end.
TEST_F(DirectResume, WithQuietTheServerNeverWakes) {
    const int turns = scaled(500, 100);
    Group g;
    set_flags(g.task(), UMCG_UF_DIRECT_RESUME | UMCG_UF_QUIET);
    Gate gate;
    std::atomic<int> made{0};
    Worker& w = g.worker([&](Worker&) {
        while (made < turns) {
            gate.wait();
            made++;
        }
    });
    ASSERT_EQ(g.next(), runnable(w));
    const uint32_t seq = g.task()->seq;
    std::thread opener([&] {
        for (int i = 0; i < turns; i++) {
            // made first: what blocks after it has not been let go yet
            if (!poll_until([&] { return made == i && w.low_state() == UMCG_TASK_BLOCKED; })) break;
            gate.open();
        }
    });
    EXPECT_EQ(g.run(w), 0);
    opener.join();
    EXPECT_GT(g.task()->seq - seq, uint32_t(turns)) << "it went idle and back each time";
    EXPECT_TRUE(g.next_exit());
    EXPECT_FALSE(g.poll());
    set_flags(g.task(), 0);
}

// Not while another worker runs: it is queued.
TEST_F(DirectResume, NotWhileTheServerIsBusy) {
    Pipe p;
    Group g;
    set_flags(g.task(), UMCG_UF_DIRECT_RESUME);
    std::atomic<bool> a_back{false}, together{false}, seen{false};
    Worker& a = g.worker([&](Worker&) {
        p.get();
        a_back = true;
    });
    ASSERT_EQ(g.next(), runnable(a));
    ASSERT_EQ(g.run(a), 0);
    ASSERT_EQ(g.next(), blocked(a));
    Worker& b = g.worker([&](Worker&) {
        p.put();
        while (!g.task()->runnable_ptr && !a_back) __builtin_ia32_pause();
        seen = g.task()->runnable_ptr != 0;
        sched_yield();
        together = a_back.load();
    });
    ASSERT_EQ(g.next(), runnable(b));
    ASSERT_EQ(g.run(b), 0);
    EXPECT_TRUE(seen);
    EXPECT_FALSE(together);
    EXPECT_TRUE(a.held());
    EXPECT_EQ(g.next(), blocked(b));
    EXPECT_EQ(g.next(), runnable(a));
    set_flags(g.task(), 0);
}

// Not while the server is awake.
TEST_F(DirectResume, NotWhileTheServerIsAwake) {
    Pipe p;
    Group g;
    set_flags(g.task(), UMCG_UF_DIRECT_RESUME);
    std::atomic<bool> back{false};
    Worker& w = g.worker([&](Worker&) {
        p.get();
        back = true;
    });
    ASSERT_EQ(g.next(), runnable(w));
    ASSERT_EQ(g.run(w), 0);
    p.put();
    EVENTUALLY(w.held());
    EXPECT_FALSE(back);
    EXPECT_EQ(g.next(), blocked(w));
    EXPECT_EQ(g.next(), runnable(w));
    set_flags(g.task(), 0);
}

// Two workers and one idle server: only one takes its place at a time.
TEST_F(DirectResume, OneAtATime) {
    const int turns = scaled(1500, 100);
    for (const uint32_t flags :
         {UMCG_UF_DIRECT_RESUME, UMCG_UF_DIRECT_RESUME | UMCG_UF_QUIET,
          UMCG_UF_DIRECT_RESUME | UMCG_UF_QUIET | UMCG_UF_WAKE_ON_RUNNABLE}) {
        SCOPED_TRACE(flags);
        Group g;
        set_flags(g.task(), flags);
        std::atomic<int> inside{0};
        for (int i = 0; i < 3; i++)
            g.worker([&, i](Worker& me) {
                auto r = rng(uint64_t(i));
                for (int t = 0; t < turns; t++) {
                    nap_us(long(r() % 50));
                    EXPECT_EQ(inside.fetch_add(1), 0);
                    EXPECT_EQ(g.task()->running_tid, uint32_t(me.tid()));
                    inside.fetch_sub(1);
                }
            });
        std::deque<pid_t> queue;
        int exited = 0;
        while (exited < 3) {
            while (const Event e = g.poll()) {
                if (e.kind == Event::kRunnable) queue.push_back(pid_t(e.task->tid));
                if (e.kind == Event::kBlocked && e.exited()) exited++;
            }
            if (exited == 3) break;
            uint32_t none = 0;
            const uint32_t first = queue.empty() ? 0 : uint32_t(queue.front());
            if (first)
                __atomic_compare_exchange_n(&g.task()->next_tid, &none, first, false,
                                            __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
            const int rc = g.wait();
            ASSERT_TRUE(rc == 0 || rc == -EAGAIN) << rc;
            uint32_t mine = first;
            if (first && !__atomic_compare_exchange_n(&g.task()->next_tid, &mine, 0, false,
                                                      __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
                queue.pop_front();
        }
        EXPECT_TRUE(queue.empty());
        set_flags(g.task(), 0);
    }
}

// R18: a server that is kicked, times out and takes its lists while its worker
// returns and takes its place: it comes back each time, and nobody runs twice.
TEST_F(DirectResume, AgainstKicksAndTimeouts) {
    const int turns = scaled(3000, 200);
    Group g;
    set_flags(g.task(), UMCG_UF_DIRECT_RESUME | UMCG_UF_QUIET);
    std::atomic<bool> over{false};
    std::atomic<int> at{0};
    Worker& w = g.worker([&](Worker&) {
        auto r = rng(1);
        for (; at < turns; at++) nap_us(long(r() % 30));
    });
    std::thread kicker([&] {
        auto r = rng(2);
        while (!over) {
            EXPECT_EQ(umcg_kick(0, g.tid()), 0);
            sleep_us(long(r() % 50));
        }
    });
    auto r = rng(3);
    ASSERT_EQ(g.next(), runnable(w));
    bool exited = false, held = true;
    while (!exited) {
        while (const Event e = g.poll()) {
            if (e.exited()) exited = true;
            if (e.kind == Event::kRunnable) held = true;
        }
        if (exited) break;
        if (held) g.task()->next_tid = uint32_t(w.tid());
        const int rc = umcg_wait(0, r() % 2 ? now_ns() + r() % 30000 : hard_deadline());
        ASSERT_TRUE(rc == 0 || rc == -EAGAIN || rc == -ETIMEDOUT) << rc;
        uint32_t mine = uint32_t(w.tid());
        held = held && __atomic_compare_exchange_n(&g.task()->next_tid, &mine, 0, false,
                                                   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    }
    over = true;
    kicker.join();
    EXPECT_EQ(at, turns);
    set_flags(g.task(), 0);
}

}  // namespace
}  // namespace umcg_test
