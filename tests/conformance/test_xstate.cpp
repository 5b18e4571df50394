// SPDX-License-Identifier: MIT
// Registers survive every way in which a worker can lose the CPU without having asked for it: all
// vector and mask registers, x87, and the control words hold a pattern, another one each time, while
// other workers on the same server fill the same registers with theirs. And what a worker has released
// is initial when it is back, and never anybody else's.
#include <elf.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <umcg/xstate.h>

#include <algorithm>
#include <map>

#include "blocks.hpp"
#include "registers.hpp"
#include "signals.hpp"
#include "uffd.hpp"

namespace umcg_test {
namespace {

class Xstate : public Conformance {
  protected:
    void SetUp() override {
        Conformance::SetUp();
        // where the process may: before the workers, which have it from us
        std::string why;
        if (!use_tiles(&why)) RecordProperty("amx", why);
    }
};

// Long enough that the thread is off its CPU before the timer comes; nearly always.
constexpr long kNap = 30000;

// 600 turns as a rule; UMCG_TEST_MORE=170 makes 102,000 of them (tests/run --all).
int turns_of(int workers) { return (scaled(600, 60) + workers - 1) / workers; }
uint64_t stream(int worker, int turn) { return uint64_t(worker) * 1000003 + uint64_t(turn); }
void quick_timers() { prctl(PR_SET_TIMERSLACK, 1); }

// Three workers of one server in turn. `turn(worker, i)` is one turn of a worker; the server runs
// each for at most `slice_ns` (0: as long as it likes) and tells `stopped` whom it found preempted.
struct Turns {
    std::function<void(int worker, int turn)> turn;
    uint64_t slice_ns = 0;
    std::function<void(int worker)> stopped = [](int) {};
    std::atomic<pid_t> tids[3] = {};
    int blocked = 0;  // reports of it

    int run() {
        const int turns = turns_of(3);
        Group g;
        std::map<pid_t, int> number;
        for (int i = 0; i < 3; i++) {
            Worker& w = g.worker([&, i](Worker&) {
                quick_timers();
                for (int t = 0; t < turns && !::testing::Test::HasFailure(); t++) turn(i, t);
                tids[i] = 0;
            });
            number[w.tid()] = i;
            tids[i] = w.tid();
        }
        std::deque<pid_t> queue;
        int preempted = 0, exited = 0;
        uint64_t runs = 0;
        while (exited < 3) {
            while (const Event e = g.poll()) {
                const auto who = pid_t(e.task->tid);
                if (e.exited())
                    exited++;
                else if (e.kind == Event::kBlocked)
                    blocked++;
                else if (e.kind == Event::kRunnable) {
                    queue.push_back(who);
                    if (e.preempted()) {
                        preempted++;
                        stopped(number[who]);
                    }
                }
            }
            if (exited == 3) break;
            if (queue.empty()) {
                g.wait();
                continue;
            }
            const pid_t next = queue.front();
            queue.pop_front();
            // longer slices where these are over before a worker has made a step
            const uint64_t slice = slice_ns * (1 + runs++ / uint64_t(64 * turns));
            const int rc =
                g.run(next, slice ? UMCG_WAIT_PREEMPT : 0, slice ? now_ns() + slice : 0);
            // a worker that a signal-held backend has let go meanwhile
            EXPECT_TRUE(rc == 0 || rc == -ETIMEDOUT) << rc;
        }
        return preempted;
    }
};

void expect_kept(int worker, int turn, const Operation& o) {
    const Registers in(stream(worker, turn));
    Registers out;
    hold(in, out, o);
    EXPECT_EQ(difference(in, out), "") << "worker " << worker << ", turn " << turn;
}

TEST_F(Xstate, AcrossABlock) {
    printf("registers: %s\n", level_text().c_str());
    Turns t;
    // a nap that is over before the thread is off the CPU is no block: half of them are 1 to 15 ms
    t.turn = [&](int w, int i) {
        timespec nap = {0, kNap << i % 10};
        expect_kept(w, i, system_call(SYS_nanosleep, &nap));
    };
    t.run();
    if (promised(UMCG_CAP_BLOCK_EVENTS)) {
        EXPECT_GT(t.blocked, turns_of(3)) << "of " << 3 * turns_of(3);
    }
}

TEST_F(Xstate, AcrossAPageFault) {
    MissingPages pages(3);
    REQUIRE_USERFAULTFD(pages);
    Turns t;
    std::thread filler([&] {
        for (int n = 3 * turns_of(3); n; n--) {
            const uint64_t at = pages.fault();
            // not before the worker has gone to sleep, or it would be no block
            const pid_t who = t.tids[(at - uint64_t(pages.page())) / MissingPages::kPage];
            while (!off_cpu(who)) sched_yield();
            EXPECT_TRUE(pages.fill(reinterpret_cast<void*>(at)));
        }
    });
    t.turn = [&](int w, int i) {
        EXPECT_TRUE(pages.drop(size_t(w)));
        expect_kept(w, i, touch(pages.page(size_t(w))));
    };
    t.run();
    if (promised(UMCG_CAP_BLOCK_EVENTS | UMCG_CAP_FAULT_EVENTS)) {
        EXPECT_GT(t.blocked, turns_of(3)) << "of " << 3 * turns_of(3);
    }
    filler.join();
}

// Each turn spins in user space until its worker was stopped there.
class Stops {
  public:
    explicit Stops(Turns& t) {
        t.turn = [this](int w, int i) {
            __atomic_store_n(&leave_[w], 0, __ATOMIC_SEQ_CST);
            inside_[w] = true;
            expect_kept(w, i, spin(&leave_[w]));
        };
        t.stopped = [this](int w) {
            if (inside_[w].exchange(false)) __atomic_store_n(&leave_[w], 1, __ATOMIC_SEQ_CST);
        };
    }
    bool inside(int w) const { return inside_[w]; }

  private:
    int leave_[3] = {};
    std::atomic<bool> inside_[3] = {};
};

TEST_F(Xstate, AcrossAPreemptionByTick) {
    REQUIRE_CAP(UMCG_CAP_PREEMPT);
    Turns t;
    Stops s(t);
    t.slice_ns = 30000;
    EXPECT_GE(t.run(), 3 * turns_of(3));
}

TEST_F(Xstate, AcrossAPreemptionByKick) {
    REQUIRE_CAP(UMCG_CAP_PREEMPT);
    Turns t;
    Stops s(t);
    std::atomic<bool> over{false};
    std::thread kicker([&] {
        quick_timers();
        while (!over) {
            for (int i = 0; i < 3; i++)
                if (s.inside(i) && t.tids[i]) umcg_kick(0, t.tids[i]);
            sched_yield();
        }
    });
    EXPECT_GE(t.run(), 3 * turns_of(3));
    over = true;
    kicker.join();
}

// In every turn a worker blocks on one server and comes back on the other one.
TEST_F(Xstate, AcrossAMigration) {
    const int turns = turns_of(4);
    const bool must_move = promised(UMCG_CAP_BLOCK_EVENTS | UMCG_CAP_HOLD);
    std::atomic<int> moved{0};
    FifoServer a, b;
    {
        std::vector<std::unique_ptr<Worker>> workers;
        for (int w = 0; w < 4; w++) {
            Worker::Options o;
            o.home = w % 2 ? a.tid() : b.tid();
            workers.push_back(std::make_unique<Worker>(
                [&, w](Worker& me) {
                    quick_timers();
                    for (int i = 0; i < turns; i++) {
                        const uint32_t from = me.task()->running_tid;
                        const pid_t other = from == uint32_t(a.tid()) ? b.tid() : a.tid();
                        me.task()->server_tid = uint32_t(other);
                        // a nap that was over before the thread was off the CPU is no block
                        timespec nap = {0, kNap};
                        do {
                            expect_kept(w, i, system_call(SYS_nanosleep, &nap));
                            nap.tv_nsec = std::min(2 * nap.tv_nsec, 100000000L);
                        } while (must_move && me.task()->running_tid == from);
                        if (me.task()->running_tid != from) moved++;
                    }
                },
                o));
        }
        for (auto& w : workers) w->join();
    }
    if (must_move) {
        EXPECT_EQ(moved, 4 * turns);
    }
    printf("%d turns, %d ended on another server\n", 4 * turns, moved.load());
}

std::atomic<int> handled;
// Fills the registers with its own, and leaves them so.
void trash(int) {
    static const Registers mine(77);
    static Registers out;
    hold(mine, out, call([] {}));
    handled++;
}

// The next report of that kind; where a block is watched for, there may be others before.
::testing::AssertionResult comes(Group& g, Event::Kind kind) {
    for (;;) {
        const Event e = g.next();
        if (!e) return ::testing::AssertionFailure() << "no report";
        if (e.kind == kind) return ::testing::AssertionSuccess();
    }
}

// While it is held; without UMCG_CAP_HOLD while it is blocked.
TEST_F(Xstate, AcrossASignal) {
    const int turns = scaled(300, 20);
    const bool held = promised(UMCG_CAP_HOLD);
    Handler h(SIGUSR1, trash, SA_RESTART);
    handled = 0;
    Pipe p;
    Group g;
    Worker& w = g.worker([&](Worker&) {
        char c;
        for (int i = 0; i < turns; i++) {
            const Registers in(uint64_t(i) + 5000);
            Registers out;
            EXPECT_EQ(hold(in, out, system_call(SYS_read, p.fd[0], &c, 1)), 1);
            EXPECT_EQ(difference(in, out), "") << "turn " << i;
            EXPECT_EQ(umcg_checkpoint(), 0);
        }
    });
    ASSERT_EQ(g.next(), runnable(w));
    for (int i = 0; i < turns; i++) {
        ASSERT_EQ(g.run(w), 0);
        ASSERT_TRUE(comes(g, Event::kBlocked));
        if (!held) {
            send(w, SIGUSR1);
            ASSERT_EVENTUALLY(handled == i + 1);
        }
        p.put();
        ASSERT_TRUE(comes(g, Event::kRunnable));
        if (held) {
            send(w, SIGUSR1);
            // one at a time: two that wait are one
            ASSERT_EVENTUALLY(signal_settled(w.tid(), SIGUSR1));
        }
    }
    EXPECT_EQ(g.run(w), 0);
    g.finish();
    EXPECT_EQ(handled, turns);
}

TEST_F(Xstate, AcrossAFork) {
    const int turns = scaled(100, 10);
    FifoServer s;
    Worker::Options o;
    o.home = s.tid();
    Worker w(
        [&](Worker&) {
            for (int i = 0; i < turns; i++) {
                const Registers in(uint64_t(i) + 9000);
                Registers out;
                const long pid = hold(in, out, system_call(SYS_fork));
                if (pid == 0) syscall(SYS_exit_group, same(in, out) ? 0 : 1);
                EXPECT_EQ(difference(in, out), "") << "parent, turn " << i;
                int status = -1;
                EXPECT_EQ(waitpid(pid_t(pid), &status, 0), pid);
                EXPECT_EQ(status, 0) << "child, turn " << i;
            }
        },
        o);
    w.join();
}

// A tracer sees the worker's registers as they are, and the worker goes on with what it writes.
TEST_F(Xstate, AcrossATracer) {
    const int turns = scaled(20, 3);
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
    Pipe p;
    Group g;
    Worker& w = g.worker([&](Worker&) {
        char c;
        for (int i = 0; i < turns; i++) {
            const Registers in(uint64_t(i) + 1), written(uint64_t(i) + 100001);
            Registers out;
            EXPECT_EQ(hold(in, out, system_call(SYS_read, p.fd[0], &c, 1)), 1);
            EXPECT_EQ(difference(written, out), "") << "turn " << i;
            EXPECT_EQ(umcg_checkpoint(), 0);
        }
    });
    ASSERT_EQ(g.next(), runnable(w));
    for (int i = 0; i < turns; i++) {
        ASSERT_EQ(g.run(w), 0);
        ASSERT_TRUE(comes(g, Event::kBlocked));
        const pid_t tid = w.tid();
        Child tracer([&] {
            ASSERT_EQ(ptrace(PTRACE_SEIZE, tid, 0, 0), 0) << strerror(errno);
            ASSERT_EQ(ptrace(PTRACE_INTERRUPT, tid, 0, 0), 0) << strerror(errno);
            int status = 0;
            ASSERT_EQ(waitpid(tid, &status, __WALL), tid);
            std::vector<uint64_t> image(4096);
            iovec v = {image.data(), image.size() * 8};
            ASSERT_EQ(ptrace(PTRACE_GETREGSET, tid, NT_X86_XSTATE, &v), 0) << strerror(errno);
            Registers found;
            from_image(found, image.data());
            EXPECT_EQ(difference(Registers(uint64_t(i) + 1), found), "");
            to_image(Registers(uint64_t(i) + 100001), image.data());
            EXPECT_EQ(ptrace(PTRACE_SETREGSET, tid, NT_X86_XSTATE, &v), 0) << strerror(errno);
            EXPECT_EQ(ptrace(PTRACE_DETACH, tid, 0, 0), 0) << strerror(errno);
        });
        ASSERT_EQ(tracer.wait(), 0);
        p.put();
        ASSERT_TRUE(comes(g, Event::kRunnable));
    }
    g.finish();
}

// All cases hold tiles as well where there are any; where there are none, this one says so.
TEST_F(Xstate, TilesAreAmongThem) {
    std::string why;
    if (!use_tiles(&why)) GTEST_SKIP() << why << "; all the others ran without tiles";
    EXPECT_TRUE(level() & kAmx);
    const Registers in(6);
    Registers out;
    hold(in, out, system_call(SYS_getppid));
    EXPECT_EQ(difference(in, out), "");
    EXPECT_NE(out.in_use & UMCG_XSTATE_AMX, 0u);
}

// ---- after a release ----

void release_and_nap() {
    static const timespec nap = {0, kNap};
    long rc = SYS_nanosleep;
    umcg_xstate_release();
    asm volatile("syscall" : "+a"(rc) : "D"(&nap), "S"(nullptr) : "rcx", "r11", "memory");
}

uint64_t release_all() {
    umcg_xstate_options o = {};
    o.size = sizeof(o);
    o.mode = UMCG_XSTATE_ALL;
    EXPECT_EQ(umcg_xstate_init(&o), 0);
    umcg_xstate_decision d = {};
    d.size = sizeof(d);
    EXPECT_EQ(umcg_xstate_policy(&d), 0);
    return d.release;
}

void expect_initial(uint64_t number, const Registers& secret, uint64_t released) {
    const Registers in(number);
    Registers out;
    hold(in, out, call(release_and_nap));
    EXPECT_EQ(not_initial(out, released), "") << number;
    EXPECT_EQ(out.in_use & released, 0u) << number;
    EXPECT_EQ(taken_from(secret, out), "") << number;
}

// On one CPU with a process that has secrets in its registers.
TEST_F(Xstate, NothingOfAnotherProcess) {
    const uint64_t released = release_all();
    if (!released) GTEST_SKIP() << "nothing can be released here";
    const Registers secret(424242);
    cpu_set_t before, one;
    ASSERT_EQ(sched_getaffinity(0, sizeof(before), &before), 0);
    CPU_ZERO(&one);
    for (int c = 0; c < CPU_SETSIZE && !CPU_COUNT(&one); c++)
        if (CPU_ISSET(c, &before)) CPU_SET(c, &one);
    ASSERT_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
    std::atomic<bool>* over = static_cast<std::atomic<bool>*>(
        mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    ASSERT_NE(over, MAP_FAILED);
    Child other([&] {
        quick_timers();
        timespec nap = {0, kNap};
        Registers out;
        while (!*over) {
            hold(secret, out, system_call(SYS_nanosleep, &nap));
            if (!same(secret, out)) {
                ADD_FAILURE() << difference(secret, out);
                break;
            }
        }
    });
    quick_timers();
    for (int i = 0; i < scaled(600, 60) && !HasFailure(); i++)
        expect_initial(uint64_t(i), secret, released);
    *over = true;
    EXPECT_EQ(other.wait(), 0);
    munmap(over, 4096);
    EXPECT_EQ(sched_setaffinity(0, sizeof(before), &before), 0);
}

// Two workers of one server: one has secrets and is blocked with them, the other releases and blocks.
TEST_F(Xstate, NothingOfAnotherWorker) {
    const uint64_t released = release_all();
    if (!released) GTEST_SKIP() << "nothing can be released here";
    const Registers secret(434343);
    timespec nap = {0, kNap};
    Turns t;
    t.turn = [&](int w, int i) {
        if (w) {
            expect_initial(stream(w, i), secret, released);
        } else {
            Registers out;
            hold(secret, out, system_call(SYS_nanosleep, &nap));
            EXPECT_EQ(difference(secret, out), "");
        }
    };
    t.run();
}

// ---- negative controls: what the tests above must be able to see ----

// A signal frame that comes back with one bit changed.
void change_one_bit(int, siginfo_t*, void* context) {
    auto* u = static_cast<ucontext_t*>(context);
    u->uc_mcontext.fpregs->_xmm[3].element[1] ^= 1;
}

TEST_F(Xstate, OneLostBitIsSeen) {
    struct sigaction sa = {}, old;
    sa.sa_sigaction = change_one_bit;
    sa.sa_flags = SA_SIGINFO;
    ASSERT_EQ(sigaction(SIGUSR2, &sa, &old), 0);
    std::string seen;
    FifoServer s;
    {
        Worker::Options o;
        o.home = s.tid();
        Worker w(
            [&](Worker& me) {
                const Registers in(3);
                Registers out;
                hold(in, out, system_call(SYS_tgkill, getpid(), me.tid(), SIGUSR2));
                seen = difference(in, out);
            },
            o);
        w.join();
    }
    EXPECT_EQ(seen.substr(0, 9), "vector 3:") << seen;
    EXPECT_EQ(sigaction(SIGUSR2, &old, nullptr), 0);
}

// Without the release the data of before the wait are there after it.
TEST_F(Xstate, WhatWasNotReleasedIsSeen) {
    const uint64_t released = release_all();
    if (!released) GTEST_SKIP() << "nothing can be released here";
    const Registers secret(5);
    Registers out;
    hold(secret, out, call([] {
        static const timespec nap = {0, kNap};
        long rc = SYS_nanosleep;
        asm volatile("syscall" : "+a"(rc) : "D"(&nap), "S"(nullptr) : "rcx", "r11", "memory");
    }));
    EXPECT_NE(not_initial(out, released), "");
    EXPECT_NE(out.in_use & released, 0u);
    EXPECT_NE(taken_from(secret, out), "");
}

}  // namespace
}  // namespace umcg_test
