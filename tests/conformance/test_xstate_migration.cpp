// SPDX-License-Identifier: MIT
// Registers survive a migration at any instruction: a worker is stopped in user space by one server and
// taken by the other one, which runs it on another CPU where there is one. (On their way out of a
// system call workers change servers in test_xstate.cpp; a backend that holds them at calls of the
// library only cannot show that with registers in use, this it can.)
#include <sched.h>
#include <sys/prctl.h>

#include <deque>
#include <mutex>

#include "harness.hpp"
#include "registers.hpp"

namespace umcg_test {
namespace {

constexpr int kWorkers = 3;
constexpr uint64_t kSlice = 30000;  // ns

class Migration : public Conformance {
  protected:
    // Runs what is queued for it; whom it finds preempted it hands to the other one.
    void serve(int number) {
        prctl(PR_SET_TIMERSLACK, 1);
        bind(0, number);
        Server me;
        tids_[number] = me.tid();
        ready_.wait(false);  // until all workers are known
        pid_t running = 0;
        while (ended_ < kWorkers) {
            while (const Event e = me.poll()) {
                const auto who = pid_t(e.task->tid);
                if (e.exited()) {
                    ended_++;
                    umcg_kick(0, tids_[!number]);
                    running = 0;
                    continue;
                }
                if (who == running) running = 0;
                if (e.kind != Event::kRunnable) continue;
                Spinner& s = spinner(who);
                const bool stopped = e.preempted() && s.inside.exchange(false);
                if (stopped) {
                    s.migrates = true;
                    __atomic_store_n(&s.leave, 1, __ATOMIC_SEQ_CST);
                }
                give(stopped ? !number : number, who);
                if (stopped) umcg_kick(0, tids_[!number]);
            }
            if (ended_ == kWorkers) break;
            const uint64_t slice_ends = now_ns() + kSlice;
            if (running) {  // a kick for what was queued meanwhile
                const int rc = me.wait(UMCG_WAIT_PREEMPT, slice_ends);
                EXPECT_TRUE(rc == 0 || rc == -EAGAIN || rc == -ETIMEDOUT) << rc;
                continue;
            }
            const pid_t next = taken(number);
            if (!next) {
                me.wait();
                continue;
            }
            Spinner& s = spinner(next);
            s.worker->task()->server_tid = uint32_t(me.tid());
            bind(next, number);
            const int rc = me.run(next, UMCG_WAIT_PREEMPT, slice_ends);
            EXPECT_TRUE(rc == 0 || rc == -EAGAIN || rc == -ETIMEDOUT) << rc;
            if (rc == -EAGAIN)
                give(number, next);  // news first: it has not been run
            else
                running = next;
            if (rc != -EAGAIN && s.migrates.exchange(false)) moved_++;
        }
    }

    struct Spinner {
        std::unique_ptr<Worker> worker;
        int leave = 0;
        std::atomic<bool> inside{false}, migrates{false};
    };

    Spinner& spinner(pid_t tid) {
        for (Spinner& s : spinners_)
            if (s.worker->tid() == tid) return s;
        abort();
    }
    int cpu_of(int server) const { return cpus_[size_t(server) % cpus_.size()]; }
    void bind(pid_t tid, int server) {
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(cpu_of(server), &one);
        // a worker may just have ended
        if (sched_setaffinity(tid, sizeof(one), &one)) {
            EXPECT_EQ(errno, ESRCH);
        }
    }
    void give(int server, pid_t tid) {
        std::lock_guard lock(mutex_);
        queue_[server].push_back(tid);
    }
    pid_t taken(int server) {
        std::lock_guard lock(mutex_);
        if (queue_[server].empty()) return 0;
        const pid_t tid = queue_[server].front();
        queue_[server].pop_front();
        return tid;
    }

    void SetUp() override {
        Conformance::SetUp();
        std::string why;
        if (!use_tiles(&why)) RecordProperty("amx", why);
        ASSERT_EQ(sched_getaffinity(0, sizeof(before_), &before_), 0);
        for (int c = 0; c < CPU_SETSIZE; c++)
            if (CPU_ISSET(c, &before_)) cpus_.push_back(c);
    }
    void TearDown() override {
        EXPECT_EQ(sched_setaffinity(0, sizeof(before_), &before_), 0);
        Conformance::TearDown();
    }

    Spinner spinners_[kWorkers];
    std::atomic<pid_t> tids_[2] = {};
    std::atomic<bool> ready_{false};
    std::atomic<int> ended_{0}, moved_{0}, other_cpu_{0};
    cpu_set_t before_;
    std::vector<int> cpus_;
    std::mutex mutex_;
    std::deque<pid_t> queue_[2];
};

TEST_F(Migration, AtAnyInstruction) {
    REQUIRE_CAP(UMCG_CAP_PREEMPT);
    const int turns = scaled(600, 60) / kWorkers;
    std::thread other([&] { serve(1); });
    ASSERT_EVENTUALLY(tids_[1] != 0);
    std::thread first([&] { serve(0); });
    ASSERT_EVENTUALLY(tids_[0] != 0);
    Worker::Options o;
    o.home = tids_[0];
    for (int w = 0; w < kWorkers; w++) {
        Spinner& s = spinners_[w];
        s.worker = std::make_unique<Worker>(
            [&, w, turns](Worker&) {
                for (int t = 0; t < turns && !HasFailure(); t++) {
                    const Registers in(uint64_t(w) * 1000003 + uint64_t(t));
                    Registers out;
                    __atomic_store_n(&s.leave, 0, __ATOMIC_SEQ_CST);
                    const int cpu = sched_getcpu();
                    s.inside = true;
                    hold(in, out, spin(&s.leave));
                    other_cpu_ += cpu != sched_getcpu();
                    EXPECT_EQ(difference(in, out), "") << "worker " << w << ", turn " << t;
                }
            },
            o);
    }
    ready_ = true;
    ready_.notify_all();
    first.join();
    other.join();
    for (Spinner& s : spinners_) s.worker->join();
    printf("%d turns, %d migrations, %d of them to another CPU; registers: %s\n", kWorkers * turns,
           moved_.load(), other_cpu_.load(), level_text().c_str());
    EXPECT_EQ(moved_, kWorkers * turns);
    if (cpus_.size() > 1) {
        EXPECT_EQ(other_cpu_, moved_);
    }
}

}  // namespace
}  // namespace umcg_test
