// SPDX-License-Identifier: MIT
// The barrier pairs of internal.h, each in the interleaving that it is there for.
#include <cerrno>
#include <csignal>
#include <pthread.h>

#include "lab.hpp"

namespace {

using namespace lab;

// Calls fn in a thread of its own that can be stopped before it starts.
class Other {
  public:
    explicit Other(std::function<void()> fn)
        : thread_([this, fn] {
              tid_ = gettid();
              may_.wait(false);
              fn();
          }) {
        UNTIL(tid_ != 0);
    }
    pid_t tid() const { return tid_; }
    void start() {
        may_ = true;
        may_.notify_all();
    }
    void join() { thread_.join(); }

  private:
    std::atomic<pid_t> tid_{0};
    std::atomic<bool> may_{false};
    std::thread thread_;
};

// E1: the request comes when the worker is RUNNING again and has not looked yet.
TEST(Kick, JustBeforeTheWorkerLeaves) {
    Server s;
    Looper l;
    Worker w(s.tid(), l.body());
    start(s, w);
    l.call = true;
    s.expect_runnable(w);
    Stop leaving(EMUL_AT_LEAVE, w.tid());
    ASSERT_EQ(s.run(w, 0, now_ns() + 1), -ETIMEDOUT);
    leaving.arrived();
    EXPECT_EQ(emul_kick(0, w.tid()), 0);
    leaving.go();
    UNTIL(w.phase() == EMUL_RUNNABLE);
    EXPECT_EQ(w.state(), UMCG_TASK_RUNNABLE | UMCG_TF_PREEMPTED);
    s.expect_runnable(w);
    EXPECT_EQ(l.calls, 0) << "it has stopped within the call";
    l.leave = true;
    s.finish({&w});
}

// E1: between setting the request and looking, the worker stops: not kicked, and nothing stays.
TEST(Kick, WhileTheWorkerParks) {
    Server s;
    Looper l;
    Worker w(s.tid(), l.body());
    start(s, w);
    int result = 1;
    Other kicker([&] { result = emul_kick(0, w.tid()); });
    Stop kick(EMUL_AT_KICK, kicker.tid());
    kicker.start();
    kick.arrived();
    l.call = true;
    s.expect_runnable(w);
    kick.go();
    kicker.join();
    EXPECT_EQ(result, -EAGAIN);
    EXPECT_EQ(w.thread()->preempt, 0u);
    ASSERT_EQ(s.run(w, 0, now_ns() + 1), -ETIMEDOUT);
    UNTIL(l.calls == 1);
    EXPECT_EQ(w.phase(), EMUL_RUNNING);
    l.leave = true;
    s.finish({&w});
}

TEST(Kick, LockedIsToldAndGoesOn) {
    Server s;
    std::atomic<bool> leave{false}, seen{false};
    Worker w(s.tid(), [&](Worker& me) {
        __atomic_store_n(&me.task()->user_flags, UMCG_UF_LOCKED, __ATOMIC_SEQ_CST);
        EXPECT_EQ(emul_kick(0, me.tid()), 0) << "itself";
        EXPECT_EQ(me.state(), UMCG_TASK_RUNNING | UMCG_TF_PREEMPT_PENDING);
        seen = true;
        while (!leave) continue;
        __atomic_store_n(&me.task()->user_flags, 0, __ATOMIC_SEQ_CST);
    });
    s.expect_runnable(w);
    ASSERT_EQ(s.run(w, 0, now_ns() + 1), -ETIMEDOUT);
    UNTIL(seen);
    EXPECT_FALSE(umcg_has_news(s.task()));
    leave = true;
    s.finish({&w});
}

// A kick before the wait, during its start and while it sleeps.
TEST(Kick, AndWaitCommute) {
    Server s;
    EXPECT_EQ(emul_kick(0, s.tid()), 0);
    EXPECT_EQ(s.wait(), -EAGAIN);
    EXPECT_EQ(s.task()->state, UMCG_TASK_RUNNING);
    for (emul_point point : {EMUL_AT_WAIT, EMUL_AT_SLEEP}) {
        Stop stop(point, gettid());
        const pid_t server = s.tid();
        std::thread kicker([&] {
            stop.arrived();
            std::thread kick([&] { EXPECT_EQ(emul_kick(0, server), 0); });
            if (point == EMUL_AT_SLEEP) kick.join();
            stop.go();
            if (kick.joinable()) kick.join();
        });
        EXPECT_EQ(s.wait(), 0);
        kicker.join();
        EXPECT_EQ(s.task()->state, UMCG_TASK_RUNNING);
    }
    EXPECT_EQ(s.wait(0, now_ns() + 1), -ETIMEDOUT) << "nothing was left of them";
}

// The time is over, and before the wait is undone somebody wakes the server: 0.
TEST(Wait, AWakeUpBeatsTheTimeout) {
    Server s;
    Stop stop(EMUL_AT_SLEEP, gettid());
    const pid_t server = s.tid();
    std::thread kicker([&] {
        stop.arrived();
        EXPECT_EQ(emul_kick(0, server), 0);
        stop.go();
    });
    EXPECT_EQ(s.wait(0, 1), 0) << "a time that is long over";
    kicker.join();
}

// E4: queued, QUIET cleared and state read between the two looks of a quiet server.
TEST(Wait, NewsWhileGoingQuiet) {
    Server s(UMCG_UF_QUIET);
    Looper l;
    Worker w(s.tid(), l.body());
    s.expect_runnable(w);
    const pid_t server = s.tid();
    umcg_task* task = s.task();
    Other blocker([&] {
        UNTIL((umcg_state(task) & UMCG_TASK_MASK) == UMCG_TASK_RUNNABLE);
        EXPECT_TRUE(emul_block(w.thread()));
    });
    Stop quiet(EMUL_AT_QUIET, blocker.tid());
    std::thread observer([&] {
        UNTIL(w.phase() == EMUL_RUNNING);
        blocker.start();
        quiet.arrived();
        EXPECT_EQ(umcg_state(task), UMCG_TASK_RUNNABLE | UMCG_TF_IDLE);
        __atomic_fetch_and(&task->user_flags, ~UMCG_UF_QUIET, __ATOMIC_SEQ_CST);
        quiet.go();
        blocker.join();
    });
    EXPECT_EQ(s.run(w), 0) << "the reporter looks again and wakes it, nobody kicks";
    observer.join();
    EXPECT_EQ(server, s.tid());
    l.leave = true;
    s.finish({&w});
}

// QUIET: nobody is woken; the returning worker takes the idle server's place.
TEST(Wait, QuietAndDirectResume) {
    Server s(UMCG_UF_QUIET | UMCG_UF_DIRECT_RESUME);
    Looper l;
    Worker w(s.tid(), l.body());
    s.expect_runnable(w);
    umcg_task* task = s.task();
    std::thread observer([&] {
        UNTIL(w.phase() == EMUL_RUNNING);
        UNTIL((umcg_state(task) & UMCG_TASK_MASK) == UMCG_TASK_RUNNABLE);
        EXPECT_TRUE(emul_block(w.thread()));
        EXPECT_EQ(umcg_state(task), UMCG_TASK_RUNNABLE | UMCG_TF_IDLE);
        EXPECT_EQ(w.state(), UMCG_TASK_BLOCKED);
        const int ran = runs;
        l.call = true;  // it comes back, is resumed, and then yields
        UNTIL(w.state() == UMCG_TASK_RUNNABLE);
        EXPECT_EQ(runs, ran + 1);
    });
    EXPECT_EQ(s.run(w), 0) << "woken by the yield";
    observer.join();
    auto events = take(task);
    ASSERT_EQ(events.size(), 2u);
    EXPECT_EQ(events[0].kind, 'B');
    EXPECT_EQ(events[1].kind, 'R');
    l.leave = true;
    s.finish({&w});
}

// Two want the same worker; one gets it and the other's word is as it was.
TEST(Claim, OneOfTwo) {
    Server s;
    Looper l;
    Worker w(s.tid(), l.body());
    s.expect_runnable(w);
    Worker* v = &w;
    int second = 1;
    uint32_t word = 0;
    Other thief([&] {
        Server t;
        second = t.run(*v, 0, now_ns() + 1);
        word = t.task()->next_tid;
        t.task()->next_tid = 0;
    });
    Stop claimed(EMUL_AT_CLAIMED, gettid());
    std::thread observer([&] {
        claimed.arrived();
        thief.start();
        thief.join();
        claimed.go();
    });
    EXPECT_EQ(s.run(w, 0, now_ns() + 1), -ETIMEDOUT);
    observer.join();
    EXPECT_EQ(second, -EAGAIN);
    EXPECT_EQ(word, static_cast<uint32_t>(w.tid()));
    l.leave = true;
    s.finish({&w});
}

// Picked by another server between its park and its report: the entry stays, the first
// server has nobody running, and the worker runs on the second.
TEST(Claim, ByAThiefBeforeTheWorkerHasToldItsServer) {
    Server s;
    Looper l;
    Worker w(s.tid(), l.body());
    start(s, w);
    Stop parked(EMUL_AT_PARKED, w.tid());
    l.call = true;
    parked.arrived();
    std::atomic<bool> done{false}, checked{false};
    std::thread thief([&] {
        Server t;
        EXPECT_EQ(t.run(w, 0, now_ns() + 1), -ETIMEDOUT);
        EXPECT_EQ(w.task()->running_tid, static_cast<uint32_t>(t.tid()));
        parked.go();
        UNTIL(l.calls == 1);
        done = true;
        UNTIL(checked);
        l.leave = true;
        t.finish({&w});
    });
    UNTIL(done);
    EXPECT_EQ(s.task()->running_tid, 0u);
    auto events = take(s.task());
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(events[0].state, UMCG_TASK_RUNNING) << "the state is the truth";
    checked = true;
    thief.join();
    take(s.task());
}

// The slice is over while the worker hands over: the next one is stopped instead.
TEST(Slice, ASuccessorOfAnExpiredOneIsStopped) {
    Server s;
    Looper m;
    std::atomic<bool> hand{false};
    Worker v(s.tid(), m.body());
    s.expect_runnable(v);
    Worker w(s.tid(), [&](Worker& me) {
        while (!hand) continue;
        me.task()->next_tid = static_cast<uint32_t>(v.tid());
        EXPECT_EQ(emul_wait(UMCG_WAIT_ENQUEUE, 0), 0);
    });
    s.expect_runnable(w);
    Stop asleep(EMUL_AT_SLEEP, gettid());
    std::thread observer([&] {
        asleep.arrived();
        UNTIL(w.phase() == EMUL_RUNNING);
        asleep.go();
        UNTIL(__atomic_load_n(&w.thread()->preempt, __ATOMIC_SEQ_CST));  // the slice is over, and it is not poked to a stop
        Stop park(EMUL_AT_PARK, w.tid());
        hand = true;
        park.arrived();
        park.go();
    });
    EXPECT_EQ(s.run(w, UMCG_WAIT_PREEMPT, 1), 0);
    observer.join();
    EXPECT_EQ(s.task()->running_tid, 0u);
    UNTIL(v.phase() == EMUL_RUNNABLE);
    EXPECT_EQ(v.state(), UMCG_TASK_RUNNABLE | UMCG_TF_PREEMPTED);
    m.leave = true;
    s.finish({&w, &v});
}

// EXITED is found with an older entry before the worker has pushed its last: not the last.
TEST(Exit, IsTheLastEntryOnlyWhenTheThreadHasLetGo) {
    Server s;
    Looper l;
    Worker w(s.tid(), l.body());
    start(s, w);
    EXPECT_TRUE(emul_block(w.thread()));
    l.leave = true;
    size_t entries = 0;  // of the block, and of the hold at its end, which is RUNNABLE before it is queued
    UNTIL((entries += take(s.task()).size()) == 2);
    umcg_task* task = w.task();
    Stop dead(EMUL_AT_DEAD, w.tid());
    ASSERT_EQ(s.run(w, 0, now_ns() + 1), -ETIMEDOUT);
    dead.arrived();
    EXPECT_EQ(umcg_state(task), UMCG_TASK_NONE | UMCG_TF_EXITED);
    EXPECT_NE(__atomic_load_n(&task->tid, __ATOMIC_SEQ_CST), 0u);
    EXPECT_EQ(emul_kick(0, w.tid()), -EAGAIN);
    dead.go();
    UNTIL(__atomic_load_n(&task->tid, __ATOMIC_SEQ_CST) == 0);
    auto events = take(s.task());
    ASSERT_EQ(events.size(), 1u);
    EXPECT_TRUE(events[0].last);
    EXPECT_EQ(emul_kick(0, w.tid()), -ESRCH);
}

// Handlers of a held worker run when it is picked, and the call does not fail.
TEST(Signals, OfAHeldWorkerWait) {
    static std::atomic<int> handled;
    handled = 0;
    signal(SIGUSR1, [](int) { handled++; });
    Server s;
    std::atomic<pthread_t> thread{};
    Worker w(s.tid(), [&](Worker& me) {
        thread = pthread_self();
        me.task()->next_tid = 0;
        EXPECT_EQ(emul_wait(UMCG_WAIT_ENQUEUE, 0), 0);
        EXPECT_EQ(handled, 1);
    });
    s.expect_runnable(w);
    ASSERT_EQ(s.run(w), 0);
    s.expect_runnable(w);
    UNTIL(w.phase() == EMUL_RUNNABLE);
    pthread_kill(thread, SIGUSR1);
    EXPECT_EQ(handled, 0);
    s.finish({&w});
    EXPECT_EQ(handled, 1);
    signal(SIGUSR1, SIG_DFL);
}

// One that comes when the server shows that it waits and does not sleep yet.
TEST(Signals, OfAServerThatIsAboutToSleep) {
    static std::atomic<int> handled;
    handled = 0;
    signal(SIGUSR1, [](int) { handled++; });
    Server s;
    const pthread_t me = pthread_self();
    for (int number : {SIGUSR1, SIGWINCH}) {  // the latter has no handler: nothing happens
        Stop stop(EMUL_AT_WAIT, gettid());
        std::thread sender([&] {
            stop.arrived();
            pthread_kill(me, number);
            EXPECT_EQ(handled, 0) << "not under a lock";
            handled = 0;
            stop.go();
        });
        EXPECT_EQ(s.wait(0, 1), number == SIGUSR1 ? -EINTR : -ETIMEDOUT);
        sender.join();
        EXPECT_EQ(handled.exchange(0), number == SIGUSR1);
        EXPECT_EQ(s.task()->state, UMCG_TASK_RUNNING);
    }
    signal(SIGUSR1, SIG_DFL);
}

// A handler ends the wait of a server also when it was installed with SA_RESTART.
TEST(Signals, OfAServerEndItsWait) {
    static std::atomic<int> handled;
    handled = 0;
    struct sigaction action = {};
    action.sa_handler = [](int) { handled++; };
    action.sa_flags = SA_RESTART;
    sigaction(SIGUSR1, &action, nullptr);
    Server s;
    const pthread_t me = pthread_self();
    const pid_t tid = gettid();
    umcg_task* task = s.task();
    std::atomic<bool> over{false};
    std::thread sender([&] {
        UNTIL(umcg_state(task) & UMCG_TF_IDLE);
        // sent again until it finds the server asleep: before, no call is interrupted
        while (!over) {
            pthread_kill(me, SIGUSR1);
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
    });
    EXPECT_EQ(s.wait(), -EINTR);
    over = true;
    sender.join();
    EXPECT_EQ(tid, gettid());
    EXPECT_GE(handled, 1);
    EXPECT_EQ(s.task()->state, UMCG_TASK_RUNNING);
    signal(SIGUSR1, SIG_DFL);
}

}  // namespace
