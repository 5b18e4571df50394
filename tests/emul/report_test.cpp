// SPDX-License-Identifier: MIT
// Reporting a block against everything that the worker and others may do meanwhile.
#include <sys/syscall.h>

#include <cerrno>
#include <csignal>

#include "lab.hpp"

namespace {

using namespace lab;

TEST(Report, OnceForEachStop) {
    Server s;
    Looper l;
    Worker w(s.tid(), l.body());
    start(s, w);
    const uint32_t seq = w.task()->seq;
    EXPECT_TRUE(emul_block(w.thread()));
    EXPECT_FALSE(emul_block(w.thread()));
    EXPECT_EQ(w.state(), UMCG_TASK_BLOCKED);
    EXPECT_EQ(w.task()->seq, seq + 1);
    EXPECT_EQ(s.task()->running_tid, 0u);
    EXPECT_GT(w.task()->stamp, 0u);
    auto events = take(s.task());
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(events[0].kind, 'B');
    EXPECT_EQ(s.wait(), -EAGAIN) << "it was to be woken when it did not wait";
    l.call = true;
    s.expect_runnable(w);
    EXPECT_EQ(w.state(), UMCG_TASK_RUNNABLE);
    EXPECT_EQ(l.calls, 0);
    l.leave = true;
    s.finish({&w});
}

TEST(Report, LosesAgainstAWorkerThatWasInTheLibrarySince) {
    Server s;
    Looper l;
    Worker w(s.tid(), l.body());
    start(s, w);
    const uint64_t seen = emul_word(w.thread());
    l.call = true;
    s.expect_runnable(w);
    EXPECT_FALSE(emul_block_if(w.thread(), seen)) << "held";
    EXPECT_EQ(s.run(w, 0, now_ns() + 1), -ETIMEDOUT);
    UNTIL(l.calls == 1);
    EXPECT_EQ(w.phase(), EMUL_RUNNING);
    EXPECT_FALSE(emul_block_if(w.thread(), seen)) << "runs again: that was another stop";
    EXPECT_TRUE(emul_block_if(w.thread(), emul_word(w.thread())));
    l.leave = true;
    s.finish({&w});
}

// It comes back while the report is being made: waits for it, then is held.
TEST(Report, ReturnDuringTheReport) {
    for (emul_point point : {EMUL_AT_REPORT, EMUL_AT_REPORTED}) {
        Server s;
        Looper l;
        Worker w(s.tid(), l.body());
        start(s, w);
        std::atomic<pid_t> tid{0};
        std::atomic<bool> may{false};
        std::thread reporter([&] {
            tid = gettid();
            while (!may) std::this_thread::yield();
            EXPECT_TRUE(emul_block(w.thread()));
        });
        UNTIL(tid != 0);
        Stop stop(point, tid);
        may = true;
        stop.arrived();
        l.call = true;
        UNTIL(emul_word(w.thread()) & EMUL_AWAITED);
        EXPECT_EQ(w.phase(), EMUL_BLOCKING);
        EXPECT_EQ(s.task()->runnable_ptr, 0u);
        stop.go();
        reporter.join();
        s.expect_runnable(w);
        EXPECT_EQ(w.state(), UMCG_TASK_RUNNABLE);
        l.leave = true;
        s.finish({&w});
    }
}

// The report finds UMCG_UF_LOCKED and is taken back; the worker goes on with its call.
TEST(Report, LockedIsNotReported) {
    Server s;
    Looper l;
    Worker w(s.tid(), l.body());
    start(s, w);
    w.task()->user_flags = UMCG_UF_LOCKED;
    EXPECT_FALSE(emul_block(w.thread()));
    EXPECT_EQ(w.state(), UMCG_TASK_RUNNING);
    EXPECT_EQ(s.task()->running_tid, static_cast<uint32_t>(w.tid()));

    std::atomic<pid_t> tid{0};
    std::atomic<bool> may{false};
    std::thread reporter([&] {
        tid = gettid();
        while (!may) std::this_thread::yield();
        EXPECT_FALSE(emul_block(w.thread()));
    });
    UNTIL(tid != 0);
    Stop stop(EMUL_AT_REPORT, tid);
    may = true;
    stop.arrived();
    l.call = true;
    UNTIL(emul_word(w.thread()) & EMUL_AWAITED);
    stop.go();
    reporter.join();
    UNTIL(__atomic_load_n(&s.task()->runnable_ptr, __ATOMIC_SEQ_CST));
    auto events = take(s.task());
    ASSERT_EQ(events.size(), 1u) << "its yield, and no block";
    EXPECT_EQ(events[0].kind, 'R');
    w.task()->user_flags = 0;
    l.leave = true;
    s.finish({&w});
}

// A report that comes when the worker is in the library already has nothing to say.
TEST(Report, NotInsideTheLibrary) {
    Server s;
    Looper l;
    Worker w(s.tid(), l.body());
    start(s, w);
    Stop stop(EMUL_AT_PARK, w.tid());
    l.call = true;
    stop.arrived();
    EXPECT_EQ(w.phase(), EMUL_INSIDE);
    EXPECT_FALSE(emul_block(w.thread()));
    stop.go();
    s.expect_runnable(w);
    l.leave = true;
    s.finish({&w});
}

TEST(Report, TheSuccessorRunsInPlace) {
    Server s;
    Looper l, m;
    Worker w(s.tid(), l.body());
    start(s, w);
    Worker v(s.tid(), m.body());
    s.expect_runnable(v);
    s.task()->next_tid = static_cast<uint32_t>(v.tid());
    EXPECT_TRUE(emul_block(w.thread()));
    UNTIL(v.phase() == EMUL_RUNNING);
    EXPECT_EQ(s.task()->next_tid, 0u);
    EXPECT_EQ(s.task()->running_tid, static_cast<uint32_t>(v.tid()));
    EXPECT_EQ(v.task()->running_tid, static_cast<uint32_t>(s.tid()));
    l.leave = m.leave = true;
    s.finish({&w, &v});
}

// Whoever asked the worker to stop wants the server and not the successor.
TEST(Report, AKickBeforeTheBlockWakesTheServer) {
    Server s;
    Looper l, m;
    Worker w(s.tid(), l.body());
    start(s, w);
    Worker v(s.tid(), m.body());
    s.expect_runnable(v);
    s.task()->next_tid = static_cast<uint32_t>(v.tid());
    const int poked = pokes;
    EXPECT_EQ(emul_kick(0, w.tid()), 0);
    EXPECT_EQ(pokes, poked + 1) << "the backend is to bring it to a stop";
    EXPECT_TRUE(emul_block(w.thread()));
    EXPECT_EQ(v.phase(), EMUL_RUNNABLE);
    EXPECT_EQ(s.task()->next_tid, static_cast<uint32_t>(v.tid()));
    EXPECT_EQ(s.task()->running_tid, 0u);
    EXPECT_EQ(w.thread()->preempt, 0u) << "the block has answered it";
    s.task()->next_tid = 0;
    l.leave = m.leave = true;
    s.finish({&w, &v});
}

TEST(Report, MarkersNestAndReportAtOnce) {
    Server s;
    std::atomic<int> step{0}, go{0};
    Worker w(s.tid(), [&](Worker&) {
        EXPECT_EQ(emul_blocking_end(), -EINVAL);
        EXPECT_EQ(emul_blocking_begin(), 0);
        EXPECT_EQ(emul_blocking_begin(), 0);
        EXPECT_EQ(emul_blocking_end(), 0);
        step = 1;
        UNTIL(go == 1);
        EXPECT_EQ(emul_blocking_end(), 0);
        step = 2;
        EXPECT_EQ(emul_blocking_end(), -EINVAL);
    });
    s.expect_runnable(w);
    ASSERT_EQ(s.run(w), 0) << "woken by the report, no monitor needed";
    UNTIL(step == 1);
    EXPECT_EQ(w.state(), UMCG_TASK_BLOCKED);
    go = 1;
    UNTIL(__atomic_load_n(&s.task()->runnable_ptr, __ATOMIC_SEQ_CST));
    EXPECT_EQ(w.phase(), EMUL_RUNNABLE);
    EXPECT_EQ(step, 1);
    EXPECT_EQ(take(s.task()).size(), 2u);
    s.finish({&w});
    EXPECT_EQ(step, 2);
}

// A thread that ends by a bare exit(2): the backend finds it gone.
TEST(Report, AThreadThatVanished) {
    Server s;
    static std::atomic<bool> vanish;  // outlives a thread that nothing waits for
    umcg_task* task = umcg_task_alloc();
    std::atomic<pid_t> tid{0};
    // not joined: such a thread leaves its libc behind in no state for that
    std::thread([&] {
        task->server_tid = static_cast<uint32_t>(s.tid());
        tid = gettid();
        EXPECT_EQ(emul_register(task, UMCG_REG_WORKER), 0);
        vanish.wait(false);
        syscall(SYS_exit, 0);
    }).detach();
    UNTIL(__atomic_load_n(&s.task()->runnable_ptr, __ATOMIC_SEQ_CST));
    take(s.task());
    s.task()->next_tid = static_cast<uint32_t>(tid);
    EXPECT_EQ(emul_wait(0, now_ns() + 1), -ETIMEDOUT);
    emul_thread* t = emul_find(static_cast<uint32_t>(tid));
    UNTIL(emul_phase(emul_word(t)) == EMUL_RUNNING);
    const uint64_t seen = emul_word(t);
    vanish = true;
    vanish.notify_all();
    UNTIL(tgkill(getpid(), tid, 0) == -1 && errno == ESRCH);
    EXPECT_TRUE(emul_exited_if(t, seen));
    EXPECT_FALSE(emul_exited_if(t, seen));
    auto events = take(s.task());
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(events[0].state, UMCG_TASK_NONE | UMCG_TF_EXITED);
    EXPECT_TRUE(events[0].last);
    EXPECT_EQ(emul_kick(0, tid), -ESRCH);
    EXPECT_EQ(s.task()->running_tid, 0u);
    umcg_task_free(task);
}

}  // namespace
