// SPDX-License-Identifier: MIT
// WAKE_ON_RUNNABLE and peer_tid: who is told that a worker wants to run while its
// home is busy.
#include "blocks.hpp"

namespace umcg_test {
namespace {

using WakeOnRunnable = Conformance;

// One worker blocked, another spins on the server; then the first comes back.
struct Busy {
    Pipe p;
    std::atomic<bool> leave{false}, started{false};
    Group g;
    Worker* sleeper;
    Worker* spinner;

    explicit Busy(uint32_t flags = 0) {
        sleeper = &g.worker([this](Worker&) { p.get(); });
        EXPECT_EQ(g.next(), runnable(*sleeper));
        EXPECT_EQ(g.run(*sleeper), 0);
        EXPECT_EQ(g.next(), blocked(*sleeper));
        spinner = &g.worker([this](Worker&) {
            started = true;
            while (!leave) __builtin_ia32_pause();
        });
        EXPECT_EQ(g.next(), runnable(*spinner));
        __atomic_store_n(&g.task()->user_flags, flags, __ATOMIC_SEQ_CST);
    }
    ~Busy() {
        leave = true;
        __atomic_store_n(&g.task()->user_flags, 0, __ATOMIC_SEQ_CST);
    }
};

TEST_F(WakeOnRunnable, WakesABusyServer) {
    Busy b(UMCG_UF_WAKE_ON_RUNNABLE);
    std::thread releaser([&] {
        EVENTUALLY(b.started);
        b.p.put();
    });
    EXPECT_EQ(b.g.run(*b.spinner), 0);
    EXPECT_FALSE(b.leave) << "woken while the spinner runs";
    EXPECT_EQ(b.spinner->state(), UMCG_TASK_RUNNING);
    EXPECT_EQ(b.g.task()->running_tid, uint32_t(b.spinner->tid()));
    EXPECT_EQ(b.g.next(), runnable(*b.sleeper));
    releaser.join();
}

// It does not take its list, and so no wait of its gets as far as to sleep: the block of
// the worker that runs is told all the same.
TEST_F(WakeOnRunnable, AServerThatNeverSleepsLearnsOfABlock) {
    Pipe p, q;
    std::atomic<bool> started{false}, leave{false};
    Group g;
    Worker& first = g.worker([&](Worker&) { p.get(); });
    ASSERT_EQ(g.next(), runnable(first));
    ASSERT_EQ(g.run(first), 0);
    ASSERT_EQ(g.next(), blocked(first));
    Worker& second = g.worker([&](Worker&) {
        started = true;
        while (!leave) __builtin_ia32_pause();
        q.get();
    });
    ASSERT_EQ(g.next(), runnable(second));
    __atomic_store_n(&g.task()->user_flags, UMCG_UF_WAKE_ON_RUNNABLE, __ATOMIC_SEQ_CST);
    std::thread releaser([&] {
        EVENTUALLY(started);
        p.put();
    });
    EXPECT_EQ(g.run(second), 0);
    releaser.join();
    EXPECT_EQ(second.state(), UMCG_TASK_RUNNING);
    leave = true;
    ASSERT_EVENTUALLY(g.wait() == -EAGAIN && second.low_state() == UMCG_TASK_BLOCKED);
    EXPECT_EQ(g.task()->running_tid, 0u);
    __atomic_store_n(&g.task()->user_flags, 0, __ATOMIC_SEQ_CST);
    EXPECT_EQ(g.next(), blocked(second));
    EXPECT_EQ(g.next(), runnable(first));
    q.put();
}

TEST_F(WakeOnRunnable, WithoutItTheServerSleepsOn) {
    Busy b;
    std::thread releaser([&] {
        EVENTUALLY(b.started);
        b.p.put();
        EVENTUALLY(b.sleeper->held() && b.g.task()->runnable_ptr);
        sleep_us(2000);
        EXPECT_EQ(umcg_state(b.g.task()), UMCG_TASK_RUNNABLE);
        b.leave = true;
    });
    EXPECT_EQ(b.g.run(*b.spinner), 0);
    EXPECT_TRUE(b.leave) << "woken by the spinner's end and not before";
    releaser.join();
    EXPECT_TRUE(b.g.next_exit());
    EXPECT_EQ(b.g.next(), runnable(*b.sleeper));
}

TEST_F(WakeOnRunnable, IdlePeerTakesIt) {
    Busy b;
    std::atomic<umcg_task*> peer_task{nullptr};
    std::atomic<bool> got{false};
    std::thread peer([&] {
        Server s;
        peer_task = s.task();
        EXPECT_EQ(s.next(), runnable(*b.sleeper));
        EXPECT_EQ(s.run(*b.sleeper), 0);
        EXPECT_TRUE(s.next_exit()) << "told to who dispatched it";
        got = true;
    });
    EVENTUALLY(peer_task != nullptr);
    b.g.task()->peer_tid = peer_task.load()->tid;
    std::thread releaser([&] {
        EVENTUALLY(b.started);
        EVENTUALLY(umcg_state(peer_task) == (UMCG_TASK_RUNNABLE | UMCG_TF_IDLE));
        b.p.put();
        EVENTUALLY(got);
        b.leave = true;
    });
    EXPECT_EQ(b.g.run(*b.spinner), 0);
    releaser.join();
    peer.join();
    EXPECT_TRUE(b.g.next_exit());
    EXPECT_FALSE(b.g.poll()) << "it came home as well";
}

TEST_F(WakeOnRunnable, PeerThatIsNotIdle) {
    Busy b;
    std::atomic<pid_t> peer_tid{0};
    std::atomic<bool> end{false};
    std::thread peer([&] {
        Server s;  // awake all the time
        peer_tid = s.tid();
        while (!end) sleep_us(100);
        EXPECT_FALSE(s.poll());
    });
    EVENTUALLY(peer_tid != 0);
    b.g.task()->peer_tid = uint32_t(peer_tid);
    std::thread releaser([&] {
        EVENTUALLY(b.started);
        b.p.put();
        EVENTUALLY(b.sleeper->held() && b.g.task()->runnable_ptr);
        b.leave = true;
    });
    EXPECT_EQ(b.g.run(*b.spinner), 0);
    releaser.join();
    end = true;
    peer.join();
    EXPECT_TRUE(b.g.next_exit());
    EXPECT_EQ(b.g.next(), runnable(*b.sleeper));
}

// A peer that is nobody, oneself, a worker: as if there were none.
TEST_F(WakeOnRunnable, PeerThatIsNoServer) {
    Pipe q;
    Busy b;
    Worker& other = b.g.worker([](Worker&) {});
    ASSERT_EQ(b.g.next(), runnable(other));
    for (const pid_t tid : {b.g.tid(), other.tid(), pid_t{0x7fffffff}}) {
        SCOPED_TRACE(tid);
        b.g.task()->peer_tid = uint32_t(tid);
        Worker& w = b.g.worker([&](Worker&) { q.get(); });
        ASSERT_EQ(b.g.next(), runnable(w));
        ASSERT_EQ(b.g.run(w), 0);
        ASSERT_EQ(b.g.next(), blocked(w));
        q.put();
        EXPECT_EQ(b.g.next(), runnable(w));
        EXPECT_EQ(b.g.run(w), 0);
        EXPECT_TRUE(b.g.next_exit());
    }
    b.p.put();
}

}  // namespace
}  // namespace umcg_test
