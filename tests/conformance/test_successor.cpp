// SPDX-License-Identifier: MIT
// The successor: next_tid of a server whose worker runs is run in place when
// that worker stops of itself, and the server sleeps on.
#include <sched.h>

#include "blocks.hpp"

namespace umcg_test {
namespace {

using Successor = Conformance;

bool take_word(umcg_task* server, pid_t tid) {
    uint32_t mine = uint32_t(tid);
    return __atomic_compare_exchange_n(&server->next_tid, &mine, 0, false, __ATOMIC_SEQ_CST,
                                       __ATOMIC_SEQ_CST);
}
bool offer(umcg_task* server, pid_t tid) {
    uint32_t none = 0;
    return __atomic_compare_exchange_n(&server->next_tid, &none, uint32_t(tid), false,
                                       __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

// How the first worker stops, and whether the second runs in its place.
struct Stop {
    const char* name;
    std::function<void(Worker&, Pipe&)> how;
    bool succeeded;
    bool unregister = false;
    bool preempts = false;
};

class SuccessorOf : public Conformance, public ::testing::WithParamInterface<Stop> {};

TEST_P(SuccessorOf, Runs) {
    const Stop& stop = GetParam();
    if (stop.preempts) {
        REQUIRE_CAP(UMCG_CAP_PREEMPT);
    }
    Pipe p;
    Group g;
    Worker* pv = nullptr;
    bool v_ran = false;
    uint32_t v_server = 0, running_then = 0, next_then = 1, server_state = 0;
    Worker& w = g.worker(
        [&](Worker& me) {
            EXPECT_TRUE(offer(g.task(), pv->tid()));
            stop.how(me, p);
        },
        {.unregister = stop.unregister});
    Worker& v = g.worker([&](Worker& me) {
        v_ran = true;
        v_server = me.task()->running_tid;
        running_then = g.task()->running_tid;
        next_then = g.task()->next_tid;
        server_state = umcg_state(g.task());
    });
    pv = &v;
    ASSERT_TRUE(g.next());
    ASSERT_TRUE(g.next());
    ASSERT_EQ(g.run(w), 0);
    EXPECT_EQ(v_ran, stop.succeeded);
    if (stop.succeeded) {
        EXPECT_EQ(v_server, uint32_t(g.tid()));
        EXPECT_EQ(running_then, uint32_t(v.tid()));
        EXPECT_EQ(next_then, 0u);
        EXPECT_EQ(server_state, UMCG_TASK_RUNNABLE) << "asleep, not idle";
    } else {
        EXPECT_EQ(g.task()->next_tid, uint32_t(v.tid())) << "not consumed";
        EXPECT_TRUE(v.held());
        EXPECT_TRUE(take_word(g.task(), v.tid()));
    }
    EXPECT_EQ(g.task()->running_tid, 0u);
    p.put();
}

INSTANTIATE_TEST_SUITE_P(
    Stops, SuccessorOf,
    ::testing::Values(
        Stop{"Block", [](Worker&, Pipe& p) { p.get(); }, true},
        Stop{"Park", [](Worker&, Pipe&) { EXPECT_EQ(umcg_wait(0, 0), 0); }, true},
        Stop{"Yield", [](Worker& me, Pipe&) { EXPECT_EQ(me.yield(), 0); }, true},
        Stop{"Exit", [](Worker&, Pipe&) {}, true},
        Stop{"Preempted",
             [](Worker& me, Pipe&) { EXPECT_EQ(umcg_kick(0, me.tid()), 0); }, false, false, true},
        Stop{"Unregister", [](Worker&, Pipe&) {}, false, true}),
    [](const auto& param) { return param.param.name; });

// The word names somebody who cannot run: the server has to hear of the stop.
TEST_F(Successor, ThatCannotRun) {
    Pipe p, q;
    Group g;
    Worker& asleep = g.worker([&](Worker&) { q.get(); });
    ASSERT_EQ(g.next(), runnable(asleep));
    ASSERT_EQ(g.run(asleep), 0);
    ASSERT_EQ(g.next(), blocked(asleep));
    for (const pid_t tid : {asleep.tid(), g.tid(), pid_t{0x7fffffff}}) {
        SCOPED_TRACE(tid);
        Worker& w = g.worker([&, tid](Worker&) {
            EXPECT_TRUE(offer(g.task(), tid));
            p.get();
        });
        ASSERT_EQ(g.next(), runnable(w));
        ASSERT_EQ(g.run(w), 0);
        EXPECT_EQ(g.next(), blocked(w));
        EXPECT_EQ(g.task()->running_tid, 0u);
        take_word(g.task(), tid);
        p.put();
        ASSERT_EQ(g.next(), runnable(w));
        EXPECT_EQ(g.run(w), 0);
        EXPECT_TRUE(g.next_exit());
    }
    q.put();
}

// A chain: each arms the next one and blocks. The server hears nothing until
// the last has ended.
TEST_F(Successor, Chain) {
    const int n = scaled(200, 40);
    Pipe p;
    Group g;
    std::vector<Worker*> all;
    std::atomic<int> ran{0};
    for (int i = 0; i < n; i++)
        all.push_back(&g.worker([&, i](Worker&) {
            EXPECT_EQ(ran++, i);
            if (i + 1 < n) {
                EXPECT_TRUE(offer(g.task(), all[size_t(i) + 1]->tid()));
                p.get();
            }
        }));
    for (int i = 0; i < n; i++) ASSERT_TRUE(g.next());
    ASSERT_EQ(g.run(*all[0]), 0);
    EXPECT_EQ(ran, n);
    EXPECT_EQ(g.task()->running_tid, 0u);
    int blocks = 0;
    while (const Event e = g.poll())
        if (blocks < n && e == blocked(*all[size_t(blocks)])) blocks++;
    EXPECT_EQ(blocks, n);
    for (int i = 0; i + 1 < n; i++) p.put();
}

// R25: a thief takes the successor out of the word by cmpxchg, and then runs it,
// while the hook takes it too. Who zeroes the word owns the worker: both
// running it, or neither, is the failure.
TEST_F(Successor, AgainstAThief) {
    const int rounds = scaled(3000, 200);
    Group g;
    std::atomic<int> v_runs{0}, stolen{0}, succeeded{0}, inside{0};
    std::atomic<bool> stop{false}, hunted{false};
    Worker& v = g.worker([&](Worker&) {
        while (!g.stopping()) {
            EXPECT_EQ(inside.fetch_add(1), 0);
            v_runs++;
            inside.fetch_sub(1);
            EXPECT_EQ(umcg_wait(0, 0), 0);
        }
    });
    ASSERT_EQ(g.next(), runnable(v));
    Worker& w = g.worker([&](Worker&) {
        auto r = rng(1);
        while (!g.stopping()) {
            for (unsigned n = r() % 200; n; n--) __builtin_ia32_pause();
            nap_us(1);
        }
    });
    ASSERT_EQ(g.next(), runnable(w));
    std::thread thief([&] {
        Server s;
        auto r = rng(2);
        while (!stop) {
            for (unsigned n = r() % 200; n; n--) __builtin_ia32_pause();
            if (!take_word(g.task(), v.tid())) {
                sched_yield();
                continue;
            }
            // It is ours alone, and it is RUNNABLE: this may not fail.
            const int rc = s.run(v);
            EXPECT_EQ(rc, 0) << "owned by the word and not to be had";
            stolen++;
            hunted = true;
        }
    });
    for (int i = 0; i < rounds; i++) {
        // v parks silently, so this thread always knows: it is in the word or free
        ASSERT_EVENTUALLY(v.held() && w.held());
        while (g.poll()) {
        }
        const int before = v_runs;
        hunted = false;
        const int rc = g.run(w, 0, 1);
        ASSERT_TRUE(rc == 0 || rc == -ETIMEDOUT) << rc;
        offer(g.task(), v.tid());
        // until somebody has taken it; w goes on sleeping and waking meanwhile
        while (g.task()->next_tid) {
            const int woken = g.wait(0, in_ms(1));
            ASSERT_TRUE(woken == 0 || woken == -EAGAIN || woken == -ETIMEDOUT) << woken;
            g.collect();
            if (!g.task()->running_tid && w.held()) break;
        }
        // w held and the word still set: the server may dispatch v like anybody. While it calls, the word
        // is out again and the thief may take it: what it took is not to be offered twice.
        while (take_word(g.task(), v.tid())) {
            offer(g.task(), v.tid());
            const int ran = g.wait(0, in_ms(20));
            ASSERT_TRUE(ran == 0 || ran == -EAGAIN || ran == -ETIMEDOUT) << ran;
            g.collect();
        }
        ASSERT_EVENTUALLY(v_runs == before + 1 && v.held());
        if (!hunted) succeeded++;
        for (;;) {  // w back to rest
            g.collect();
            if (!g.task()->running_tid && w.held()) break;
            const int woken = g.wait(0, in_ms(1));
            ASSERT_TRUE(woken == 0 || woken == -EAGAIN || woken == -ETIMEDOUT) << woken;
        }
    }
    stop = true;
    thief.join();
    RecordProperty("stolen", stolen);
    RecordProperty("succeeded", succeeded);
}

}  // namespace
}  // namespace umcg_test
