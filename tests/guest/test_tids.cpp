// SPDX-License-Identifier: MIT
// What a tid means: pid namespaces, and tids that are used again (R10).
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

#include "memory.hpp"
#include "raw.hpp"

namespace umcg_test {
namespace {

class Tids : public Guest {};

// Workers that sleep, yield and end, on servers of this process.
void traffic(int workers_n, int turns) {
    FifoServer a, b;
    std::vector<std::unique_ptr<Worker>> workers;
    std::atomic<int> ended{0};
    for (int i = 0; i < workers_n; i++)
        workers.push_back(std::make_unique<Worker>(
            [&](Worker& w) {
                EXPECT_EQ(w.task()->tid, static_cast<uint32_t>(gettid()));
                for (int t = 0; t < turns; t++) {
                    sleep_us(10);
                    EXPECT_EQ(w.yield(), 0);
                }
                ended++;
            },
            Worker::Options{.home = i & 1 ? a.tid() : b.tid()}));
    for (auto& w : workers) w->join();
    EXPECT_EQ(ended, workers_n);
}

TEST_F(Tids, InAPidNamespace) {
    in_child([] {
        if (unshare(CLONE_NEWPID)) {
            EXPECT_EQ(errno, 0) << "no pid namespaces";
            return;
        }
        // the first process of the namespace
        in_child([] {
            EXPECT_EQ(getpid(), 1);
            EXPECT_EQ(raw::kick(0, getppid()), -ESRCH);
            traffic(6, 10);
        });
    });
}

// Both sides have a thread with the same number; each means its own.
TEST_F(Tids, SameNumberInTwoNamespaces) {
    in_child([] {
        Server outer;
        ASSERT_EQ(unshare(CLONE_NEWPID), 0);
        in_child([&] {
            Server inner;
            EXPECT_EQ(inner.tid(), 1);
            EXPECT_EQ(inner.task()->tid, 1U);
            EXPECT_EQ(raw::kick(0, outer.tid()), -ESRCH) << "a tid of the outer namespace";
            EXPECT_EQ(raw::kick(0, 1), 0);
            EXPECT_EQ(inner.wait(), -EAGAIN) << "the kick was for us";
        });
        EXPECT_EQ(raw::kick(0, 1), -ESRCH);
        EXPECT_EQ(outer.wait(0, 1), -ETIMEDOUT) << "told by somebody in another namespace";
    });
}

// Few tids, so that a stale one soon names somebody else.
class PidMax {
  public:
    PidMax() : before_(slurp("/proc/sys/kernel/pid_max")) {
        ok_ = spew("/proc/sys/kernel/pid_max", "400");
    }
    ~PidMax() { spew("/proc/sys/kernel/pid_max", before_); }
    bool ok() const { return ok_; }

  private:
    std::string before_;
    bool ok_;
};

TEST_F(Tids, ReusedTidsNeverWakeTheWrongOne) {
    PidMax few;
    ASSERT_TRUE(few.ok());
    Group g;
    std::vector<pid_t> stale;
    std::atomic<int> ran{0};
    for (int round = 0; round < scaled(150, 30); round++) {
        Worker& w = g.worker([&](Worker&) { ran++; });
        ASSERT_EQ(g.next(), runnable(w));
        // none of the tids of those that are gone names a worker, unless it is this one
        for (const pid_t tid : stale)
            if (tid != w.tid()) {
                ASSERT_EQ(raw::kick(0, tid), -ESRCH) << tid;
            }
        ASSERT_EQ(ran, round);
        ASSERT_EQ(g.run(w), 0);
        g.run_to_exit(w);
        w.join();
        ASSERT_EQ(ran, round + 1);
        stale.push_back(w.tid());
        if (stale.size() > 30) stale.erase(stale.begin());
        // use some up, by threads and by processes
        in_thread([&] { EXPECT_EQ(raw::kick(0, gettid()), -ESRCH); });
        if (round % 10 == 0) in_child([] {});
    }
}

// The cached lookup of a home must not outlive the thread whose tid it was.
TEST_F(Tids, HomeWhoseTidIsReusedByAnotherServer) {
    PidMax few;
    ASSERT_TRUE(few.ok());
    Group g;
    Gate gate;
    std::atomic<bool> over{false};
    pid_t home = 0;
    Worker* w = nullptr;
    {
        FifoServer first;
        home = first.tid();
        w = &g.worker(
            [&](Worker&) {
                while (!over) gate.wait();
            },
            {.home = home});
        ASSERT_EVENTUALLY(w->low_state() == UMCG_TASK_BLOCKED);
    }
    // threads until one has that tid: it becomes a server and gets the worker back
    bool found = false;
    for (int i = 0; i < 2000 && !found; i++)
        in_thread([&] {
            if (gettid() != home) return;
            found = true;
            Server again;
            gate.open();
            EXPECT_EQ(again.next(), runnable(*w));
            over = true;
            EXPECT_EQ(again.run(*w), 0);
            EXPECT_TRUE(again.next().kind == Event::kBlocked);
        });
    if (!found) {
        over = true;
        gate.open();
        // a thread of the kernel's own, for one
        if (!kill(home, 0) || errno != ESRCH) GTEST_SKIP() << "tid " << home << " is somebody else's";
    }
    EXPECT_TRUE(found) << "tid " << home << " was not used again";
}

}  // namespace
}  // namespace umcg_test
