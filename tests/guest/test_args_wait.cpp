// SPDX-License-Identifier: MIT
// umcg_wait() and umcg_kick(): what they refuse, with which errno, and that a
// refused call changes nothing.
#include <limits.h>

#include "memory.hpp"
#include "raw.hpp"

namespace umcg_test {
namespace {

class WaitArgs : public Guest {};
class KickArgs : public Guest {};

// The whole struct but for seq and stamp, which count what was undone too.
bool same(const umcg_task& a, const umcg_task& b) {
    umcg_task x = a, y = b;
    x.seq = y.seq = 0;
    x.stamp = y.stamp = 0;
    return memcmp(&x, &y, sizeof(x)) == 0;
}

// Thread ids that name no task of this process, for as long as the object lives.
class BadTids {
  public:
    BadTids() {
        in_thread([this] { dead_ = gettid(); });
        plain_.wait(0);
    }
    ~BadTids() {
        over_ = true;
        over_.notify_all();
        thread_.join();
    }
    struct Entry {
        long tid;
        const char* what;
    };
    std::vector<Entry> all() const {
        return {{-1, "-1"},
                {INT_MIN, "INT_MIN"},
                {INT_MAX, "INT_MAX"},
                {1, "another process"},
                {dead_, "a thread that is gone"},
                {plain_, "a thread that is not registered"}};
    }

  private:
    pid_t dead_ = 0;
    std::atomic<pid_t> plain_{0};
    std::atomic<bool> over_{false};
    std::thread thread_{[this] {
        plain_ = gettid();
        plain_.notify_all();
        over_.wait(false);
    }};
};

TEST_F(WaitArgs, UnregisteredThread) {
    for (const unsigned flags : {0U, UMCG_WAIT_PREEMPT, UMCG_WAIT_ENQUEUE})
        EXPECT_EQ(raw::wait(flags, 0), -ESRCH) << flags;
    EXPECT_EQ(raw::wait(0, 1), -ESRCH);
}

TEST_F(WaitArgs, ServerFlagsAndTimeouts) {
    Server s;
    const umcg_task before = *s.task();
    for (int bit = 1; bit < 32; bit++) EXPECT_EQ(raw::wait(1U << bit, 1), -EINVAL) << "bit " << bit;
    EXPECT_EQ(raw::wait(UMCG_WAIT_PREEMPT | UMCG_WAIT_ENQUEUE, 1), -EINVAL);
    for (const unsigned long ns : {1UL << 63, (1UL << 63) + 1, ~0UL})
        EXPECT_EQ(raw::wait(0, ns), -EINVAL) << "timeout " << ns;
    EXPECT_EQ(memcmp(&before, s.task(), sizeof(before)), 0) << task_text(s.task());
    for (const unsigned flags : {0U, UMCG_WAIT_PREEMPT}) {
        EXPECT_EQ(raw::wait(flags, 1), -ETIMEDOUT) << "long past";
        EXPECT_EQ(raw::wait(flags, now_ns() + 1000000), -ETIMEDOUT);
    }
    EXPECT_TRUE(same(before, *s.task())) << task_text(s.task());
    // the largest timeout there is: it waits until it is kicked
    std::thread t([&] {
        ASSERT_EVENTUALLY(umcg_state(s.task()) & UMCG_TF_IDLE);
        EXPECT_EQ(umcg_kick(0, s.tid()), 0);
    });
    EXPECT_EQ(raw::wait(0, ~0UL >> 1), 0);
    t.join();
}

TEST_F(WaitArgs, ServerTargetsThatAreNoWorkers) {
    BadTids bad;
    Server s;
    FifoServer other;
    std::vector<BadTids::Entry> all = bad.all();
    all.push_back({s.tid(), "itself"});
    all.push_back({other.tid(), "another server"});
    for (const auto& [tid, what] : all) {
        SCOPED_TRACE(what);
        s.task()->next_tid = static_cast<uint32_t>(tid);
        const umcg_task before = *s.task();
        EXPECT_EQ(raw::wait(0, hard_deadline()), -ESRCH);
        EXPECT_TRUE(same(before, *s.task())) << task_text(s.task());
    }
    s.task()->next_tid = 0;
}

TEST_F(WaitArgs, ServerTargetsThatAreNotRunnable) {
    Group g;
    FifoServer other;
    std::atomic<bool> over{false};
    Gate gate;
    // one that spins on another server, one that is blocked there
    Worker& spins = g.worker(
        [&](Worker&) {
            while (!over) __builtin_ia32_pause();
        },
        {.home = other.tid()});
    ASSERT_EVENTUALLY(spins.low_state() == UMCG_TASK_RUNNING);
    FifoServer third;
    Worker& sleeps = g.worker([&](Worker&) { gate.wait(); }, {.home = third.tid()});
    ASSERT_EVENTUALLY(sleeps.low_state() == UMCG_TASK_BLOCKED);
    for (const Worker* w : {&spins, &sleeps}) {
        g.task()->next_tid = w->tid();
        const umcg_task before = *g.task();
        EXPECT_EQ(raw::wait(0, hard_deadline()), -EAGAIN);
        EXPECT_TRUE(same(before, *g.task())) << task_text(g.task());
    }
    g.task()->next_tid = 0;
    over = true;
    gate.open();
    EVENTUALLY(spins.done() && sleeps.done());
}

TEST_F(WaitArgs, Worker) {
    BadTids bad;
    Group g;
    FifoServer other;
    Worker& w = g.worker([&](Worker& me) {
        const umcg_task before = *me.task();
        for (int bit = 0; bit < 32; bit++) {
            if (1U << bit == UMCG_WAIT_ENQUEUE) continue;
            EXPECT_EQ(raw::wait(1U << bit, 0), -EINVAL) << "bit " << bit;
        }
        for (const unsigned long ns : {1UL, ~0UL >> 1, 1UL << 63, ~0UL}) {
            EXPECT_EQ(raw::wait(0, ns), -EINVAL) << "timeout " << ns;
            EXPECT_EQ(raw::wait(UMCG_WAIT_ENQUEUE, ns), -EINVAL) << "timeout " << ns;
        }
        EXPECT_EQ(memcmp(&before, me.task(), sizeof(before)), 0) << task_text(me.task());
        std::vector<BadTids::Entry> all = bad.all();
        all.push_back({g.tid(), "its server"});
        all.push_back({other.tid(), "another server"});
        for (const auto& [tid, what] : all) {
            SCOPED_TRACE(what);
            for (const unsigned flags : {0U, UMCG_WAIT_ENQUEUE}) {
                EXPECT_EQ(me.hand_to(static_cast<pid_t>(tid), flags), -ESRCH);
                EXPECT_EQ(me.task()->next_tid, static_cast<uint32_t>(tid)) << "touched";
                EXPECT_EQ(me.state(), UMCG_TASK_RUNNING);
            }
        }
        // it is RUNNING itself
        EXPECT_EQ(me.hand_to(me.tid()), -EAGAIN);
        EXPECT_EQ(me.state(), UMCG_TASK_RUNNING);
        me.task()->next_tid = 0;
        EXPECT_TRUE(same(before, *me.task())) << task_text(me.task());
    });
    EXPECT_EQ(g.next(), runnable(w));
    EXPECT_EQ(g.run(w), 0);
    EXPECT_TRUE(g.next_exit());
    EXPECT_EQ(w.task()->running_tid, static_cast<uint32_t>(g.tid())) << "nobody else ran it";
    g.finish();
}

TEST_F(KickArgs, FlagsAndTargets) {
    BadTids bad;
    Server s;
    for (int bit = 0; bit < 32; bit++)
        EXPECT_EQ(raw::kick(1U << bit, s.tid()), -EINVAL) << "bit " << bit;
    EXPECT_EQ(raw::wait(0, 1), -ETIMEDOUT) << "a refused kick was remembered";
    for (const auto& [tid, what] : bad.all()) EXPECT_EQ(raw::kick(0, tid), -ESRCH) << what;
    EXPECT_EQ(raw::kick(0, 0), -ESRCH);
    in_thread([&] { EXPECT_EQ(raw::kick(0, gettid()), -ESRCH) << "itself, not registered"; });
}

TEST_F(KickArgs, ServerThatDoesNotWaitRemembersOne) {
    Server s;
    for (int i = 0; i < 3; i++) EXPECT_EQ(raw::kick(0, s.tid()), 0);
    EXPECT_EQ(raw::wait(0, hard_deadline()), -EAGAIN);
    EXPECT_EQ(raw::wait(0, 1), -ETIMEDOUT) << "kicks do not add up";
    in_thread([&] { EXPECT_EQ(raw::kick(0, s.tid()), 0) << "by a thread that is not registered"; });
    EXPECT_EQ(raw::wait(0, hard_deadline()), -EAGAIN);
}

TEST_F(KickArgs, WorkerThatDoesNotRun) {
    Group g;
    Gate gate;
    Worker& w = g.worker([&](Worker&) { gate.wait(); });
    EXPECT_EQ(g.next(), runnable(w));
    EXPECT_EQ(raw::kick(0, w.tid()), -EAGAIN) << "held";
    EXPECT_EQ(g.run(w), 0);
    EXPECT_EQ(g.next(), blocked(w));
    EXPECT_EQ(raw::kick(0, w.tid()), -EAGAIN) << "blocked";
    gate.open();
    EXPECT_EQ(g.next(), runnable(w));
    EXPECT_EQ(raw::kick(0, w.tid()), -EAGAIN) << "held again";
    EXPECT_EQ(w.state(), UMCG_TASK_RUNNABLE);
    EXPECT_EQ(g.run(w), 0);
    g.run_to_exit(w);
    g.finish();
    EXPECT_EQ(raw::kick(0, w.tid()), -ESRCH) << "exited";
}

}  // namespace
}  // namespace umcg_test
