// SPDX-License-Identifier: MIT
//
// The conformance suite on the runtime: under every policy, built in or not, well-behaved or not, each
// task runs exactly once and ends; and the runtime keeps its side of the contract. The same in
// virtual time: test_simulator.cpp.
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>

#include "../harness/uffd.hpp"
#include "audit.hpp"
#include "policy_call.hpp"
#include "workload.hpp"

namespace {

// ---- what keeps the rules ----

class Conforms : public testing::TestWithParam<const char*> {
  protected:
    std::string spec() const {
        const std::string name = GetParam();
        return name.find(".so") == name.npos ? name : plugin(name.substr(0, name.find(".so")));
    }
};

TEST_P(Conforms, EachTaskRunsOnce) {
    umcg::runtime rt(two_servers(spec()));
    const std::string name = rt.policy();
    const workload w(rt, scaled(300));
    EXPECT_EQ(w.wrong(), 0U) << "of " << w.tasks();
    EXPECT_EQ(rt.policy(), name) << rt.policy_report();
    EXPECT_GT(rt.stats().preemptions, 0U);
}

TEST_P(Conforms, OnOneServer) {
    umcg::options o = two_servers(spec());
    o.servers = 1;
    umcg::runtime rt(o);
    const workload w(rt, scaled(80));
    EXPECT_EQ(w.wrong(), 0U) << "of " << w.tasks();
    EXPECT_EQ(rt.stats().policy_ejections, 0U) << rt.policy_report();
}

// It takes over in the middle, and is taken over.
TEST_P(Conforms, WhileItComesAndGoes) {
    umcg::runtime rt(two_servers("work_stealing"));
    std::atomic<bool> end{false};
    std::thread swaps([&] {
        do {
            for (const char* other : {"two_level", "fifo", "fair", "work_stealing"}) {
                rt.set_policy(spec());
                rt.set_policy(other);
            }
        } while (!end);
    });
    const workload w(rt, scaled(200));
    end = true;
    swaps.join();
    EXPECT_EQ(w.wrong(), 0U) << "of " << w.tasks();
    EXPECT_EQ(rt.stats().policy_ejections, 0U) << rt.policy_report();
    EXPECT_GE(rt.stats().policy_swaps, 8U);
}

// The runtime ends with tasks of it that are queued, wait and run.
TEST_P(Conforms, EndOfTheRuntime) {
    std::atomic<unsigned> ran{0};
    {
        umcg::runtime rt(two_servers(spec()));
        for (int i = 0; i < 100; i++)
            rt.spawn([&ran, i] {
                if (i % 3 == 1) umcg::sleep_for(1ms);
                if (i % 3 == 2) usleep(100);
                umcg::yield();
                ran++;
            }).detach();
    }
    EXPECT_EQ(ran, 100U);
}

INSTANTIATE_TEST_SUITE_P(, Conforms,
                         testing::Values("work_stealing", "work_stealing:spawned=newest", "fifo",
                                         "round_robin", "round_robin:slice=200us", "fair",
                                         "fair:groups=1/0:200,slice=500us", "deadline", "two_level",
                                         "two_level:slice=50us,every=3", "lottery.so", "version_1_0.so",
                                         "none.so"),
                         [](const auto& i) {
                             std::string name = i.param;
                             for (char& c : name)
                                 if (!isalnum(static_cast<unsigned char>(c))) c = '_';
                             return name;
                         });

// ---- what breaks them ----

struct sin {
    const char* name;
    umcg_policy_exit_reason reason;
    const char* op;
    bool about_a_task;
};

class Sins : public testing::TestWithParam<sin> {};

TEST_P(Sins, LoseNoTask) {
    const sin& s = GetParam();
    if (!umcg::detail::can_end_calls() &&
        (std::string(s.name).find("hangs") == 0 || std::string(s.name) == "sleeps"))
        GTEST_SKIP() << "ThreadSanitizer delays the signal that ends a call";
    audit seen;
    umcg::options o = two_servers(plugin(s.name) + seen.option());
    o.policy_timeout = 500ms;
    // one queue, which is never empty once all of those below are in it: so others pass whoever is lost. A
    // queue that is empty but for that one is seen at once: Lost.WithNobodyToPassIt
    const bool lost = std::string(s.name) == "lost";
    if (lost) {
        o.servers = 1;
        seen.sins = false;
    }
    umcg::runtime rt(o);
    // always there, and more than one in each queue, so that whoever is starved is passed by somebody
    std::atomic<bool> end{false};
    std::atomic<int> begun{0};
    std::vector<umcg::task<void>> yielders;
    for (int i = 0; i < 8; i++)
        yielders.push_back(rt.spawn([&] {
            begun++;
            while (!end) umcg::yield();
        }));
    while (begun < 8) std::this_thread::sleep_for(1ms);
    seen.sins = true;
    while (!rt.stats().policy_ejections) {
        std::vector<umcg::task<void>> tasks;
        std::deque<std::atomic<unsigned>> ran;
        for (int i = 0; i < 100; i++)
            tasks.push_back(rt.spawn([&count = ran.emplace_back(0), i] {
                count++;
                if (i % 3 == 0) umcg::yield();
                if (i % 3 == 1) umcg::sleep_for(100us);
                if (i % 10 == 2) usleep(100);
            }));
        for (auto& t : tasks) t.join();
        for (auto& n : ran) EXPECT_EQ(n, 1U);
    }
    end = true;
    for (auto& t : yielders) t.join();
    // what exit() was told
    EXPECT_EQ(seen.exits, 1U);
    EXPECT_EQ(seen.reason, s.reason) << seen.message;
    EXPECT_STREQ(seen.op, s.op);
    EXPECT_EQ(seen.task_id != 0, s.about_a_task) << seen.message;
    const std::string report = rt.policy_report();
    EXPECT_EQ(report.substr(0, report.find('\n')), seen.message);
    EXPECT_EQ(seen.dumped, 1U);
    EXPECT_NE(report.find("what the sinner says of itself"), report.npos) << report;
    // and all goes on under fifo
    EXPECT_EQ(rt.policy(), "fifo");
    const workload w(rt, scaled(50));
    EXPECT_EQ(w.wrong(), 0U) << "of " << w.tasks();
    EXPECT_EQ(rt.stats().policy_ejections, 1U);
}

INSTANTIATE_TEST_SUITE_P(
    , Sins,
    testing::Values(sin{"lost", UMCG_POLICY_EXIT_STARVED, "pick", true},
                    sin{"doubled", UMCG_POLICY_EXIT_DOUBLED, "pick", true},
                    sin{"foreign", UMCG_POLICY_EXIT_FOREIGN, "pick", false},
                    sin{"unmapped", UMCG_POLICY_EXIT_CRASHED, "pick", false},
                    sin{"other_server", UMCG_POLICY_EXIT_FOREIGN, "pick", true},
                    sin{"hangs", UMCG_POLICY_EXIT_OVERRUN, "pick", false},
                    sin{"sleeps", UMCG_POLICY_EXIT_OVERRUN, "pick", false},
                    sin{"crashes", UMCG_POLICY_EXIT_CRASHED, "pick", false},
                    sin{"aborts", UMCG_POLICY_EXIT_CRASHED, "enqueue", true},
                    sin{"throws", UMCG_POLICY_EXIT_EXCEPTION, "pick", false},
                    sin{"starves", UMCG_POLICY_EXIT_STARVED, "pick", true},
                    sin{"bad_server", UMCG_POLICY_EXIT_BAD_SERVER, "select", true},
                    sin{"hangs_in_enqueue", UMCG_POLICY_EXIT_OVERRUN, "enqueue", true}),
    [](const auto& s) { return s.param.name; });

// Two in turn: once one of them is lost the other one's yield finds nothing where something is queued.
TEST(Lost, WithNobodyToPassIt) {
    audit seen;
    umcg::options o = two_servers(plugin("lost") + seen.option());
    o.servers = 1;
    umcg::runtime rt(o);
    std::atomic<bool> end{false};
    std::vector<umcg::task<void>> two;
    for (int i = 0; i < 2; i++)
        two.push_back(rt.spawn([&] {
            while (!end) umcg::yield();
        }));
    while (!rt.stats().policy_ejections) std::this_thread::sleep_for(1ms);
    end = true;
    for (auto& t : two) t.join();
    EXPECT_EQ(seen.reason, UMCG_POLICY_EXIT_LOST) << seen.message;
    EXPECT_STREQ(seen.op, "pick");
    EXPECT_NE(seen.task_id, 0U);
    EXPECT_EQ(seen.dumped, 1U);
    EXPECT_EQ(rt.policy(), "fifo");
}

// ---- the runtime's side ----

TEST(Contract, IsKept) {
    audit seen;
    uint64_t tasks;
    {
        umcg::runtime rt(two_servers(plugin("auditor") + seen.option()));
        const workload w(rt, scaled(300));
        tasks = w.tasks();
        EXPECT_EQ(w.wrong(), 0U);
        EXPECT_EQ(seen.online, 2U);
        EXPECT_EQ(seen.offline, 0U);
        EXPECT_EQ(rt.stats().policy_ejections, 0U) << rt.policy_report();
    }
    EXPECT_EQ(seen.wrong, 0U) << seen.first_wrong;
    // all that are counted, and their helpers
    EXPECT_GE(seen.attached, tasks);
    EXPECT_EQ(seen.detached, seen.attached);
    EXPECT_EQ(seen.enqueued[UMCG_ENQUEUE_SPAWN], seen.attached);
    for (auto reason : {UMCG_ENQUEUE_WAKE, UMCG_ENQUEUE_YIELD, UMCG_ENQUEUE_PREEMPTED, UMCG_ENQUEUE_UNBLOCKED})
        EXPECT_GT(seen.enqueued[reason], 0U) << reason;
    EXPECT_GT(seen.blocked[UMCG_BLOCKED_PARK], 0U);
    EXPECT_EQ(seen.picked + seen.stolen + seen.dequeued,
              seen.enqueued[0] + seen.enqueued[1] + seen.enqueued[2] + seen.enqueued[3] +
                  seen.enqueued[4] + seen.enqueued[5]);
    EXPECT_EQ(seen.exits, 1U);
    EXPECT_EQ(seen.reason, UMCG_POLICY_EXIT_STOP);
    EXPECT_EQ(seen.offline, 2U);
    EXPECT_EQ(seen.dumped, 0U);
}

TEST(Contract, IsKeptWhileItComesAndGoes) {
    audit seen;
    umcg::runtime rt(two_servers("work_stealing"));
    std::atomic<bool> end{false};
    uint64_t rounds = 0;
    std::thread swaps([&] {
        do {
            rounds++;
            seen.online = seen.offline = 0;
            rt.set_policy(plugin("auditor") + seen.option());
            EXPECT_EQ(seen.online, 2U);
            rt.set_policy(rounds % 2 ? "fair" : "work_stealing");
            EXPECT_EQ(seen.exits, rounds);
            EXPECT_EQ(seen.reason, UMCG_POLICY_EXIT_REPLACED);
            EXPECT_EQ(seen.offline, 2U);
        } while (!end);
    });
    const workload w(rt, scaled(200));
    end = true;
    swaps.join();
    EXPECT_EQ(w.wrong(), 0U);
    EXPECT_EQ(seen.wrong, 0U) << seen.first_wrong;
    EXPECT_EQ(rt.stats().policy_ejections, 0U) << rt.policy_report();
}

TEST(Contract, IoIsABlockOfItsOwn) {
    audit seen;
    umcg::runtime rt(two_servers(plugin("auditor") + seen.option()));
    if (!rt.spawn([] { return umcg::io::uses_io_uring(); }).join())
        GTEST_SKIP() << "io_uring cannot be used here: umcg::io makes plain calls";
    int ends[2];
    ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
    auto reader = rt.spawn([&] {
        char c;
        return umcg::io::read(ends[0], &c, 1);
    });
    // nobody writes before it is seen
    while (!seen.blocked[UMCG_BLOCKED_IO]) std::this_thread::sleep_for(1ms);
    EXPECT_EQ(seen.blocked[UMCG_BLOCKED_PARK], 0U);
    EXPECT_EQ(write(ends[1], "x", 1), 1);
    EXPECT_EQ(reader.join(), 1);
    close(ends[0]);
    close(ends[1]);
    EXPECT_EQ(seen.wrong, 0U) << seen.first_wrong;
}

// What it waits in is asked while it does, so for a while nobody ends the block.
class Blocks : public testing::Test {
  protected:
    // What blocks on the server's only worker that runs, with another task that is queued.
    void begin(const char* policy) {
        umcg::options o = two_servers(plugin(policy) + seen_.option());
        o.servers = 1;
        rt_.emplace(o);
        other_ = rt_->spawn([this] {
            while (!end_) umcg::yield();
        });
    }
    void finish() {
        end_ = true;
        other_.join();
        EXPECT_EQ(seen_.wrong, 0U) << seen_.first_wrong;
    }
    template <class Block, class End>
    void once(Block block, End end) {
        const uint64_t before = rt_->stats().blocks;
        auto who = rt_->spawn(block);
        while (rt_->stats().blocks == before) std::this_thread::sleep_for(1ms);
        std::this_thread::sleep_for(5ms);
        end();
        who.join();
    }
    audit seen_;
    std::optional<umcg::runtime> rt_;

  private:
    std::atomic<bool> end_{false};
    umcg::task<void> other_;
};

TEST_F(Blocks, Calls) {
    int ends[2];
    ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
    begin("auditor");
    while (!seen_.blocked[UMCG_BLOCKED_SYSCALL]) {
        char c;
        once([&] { EXPECT_EQ(::read(ends[0], &c, 1), 1); },
             [&] { EXPECT_EQ(::write(ends[1], "x", 1), 1); });
    }
    finish();
    close(ends[0]);
    close(ends[1]);
}

class Faults : public Blocks {
  protected:
    void SetUp() override {
        if (pages_.error()) GTEST_SKIP() << "no userfaultfd here: " << strerror(pages_.error());
    }
    void fault(size_t n) {
        once([&] { EXPECT_EQ(*static_cast<volatile char*>(pages_.page(n)), 0); },
             [&] { EXPECT_TRUE(pages_.fill(reinterpret_cast<void*>(pages_.fault()))); });
    }
    static constexpr size_t pages = 1000;
    umcg_test::MissingPages pages_{pages};
};

TEST_F(Faults, AreToldFromCalls) {
    begin("auditor");
    for (size_t n = 0; n < pages && !seen_.blocked[UMCG_BLOCKED_FAULT]; n++) fault(n);
    EXPECT_GT(seen_.blocked[UMCG_BLOCKED_FAULT], 0U);
    finish();
}

// Only who asks for it pays for it.
TEST_F(Faults, AreCallsForWhoDoesNotAsk) {
    begin("auditor_no_faults");
    for (size_t n = 0; n < pages && !seen_.blocked[UMCG_BLOCKED_SYSCALL]; n++) fault(n);
    EXPECT_GT(seen_.blocked[UMCG_BLOCKED_SYSCALL], 0U);
    EXPECT_EQ(seen_.blocked[UMCG_BLOCKED_FAULT], 0U);
    finish();
}

// Most of these blocks are told, since another one is there to be picked, which goes before the block
// ends. So whoever is back runs on by itself, without having been queued, and what it does next is as
// if it had been.
TEST(Contract, WhoIsBackIsNoLongerBlocked) {
    const std::function<void()> what_comes_next[] = {
        [] {}, [] { umcg::yield(); }, [] { umcg::sleep_for(1ns); }, [] { usleep(1); }, [] { umcg::set_priority(1); }};
    audit seen;
    umcg::options o = two_servers(plugin("auditor") + seen.option());
    o.servers = 1;
    umcg::runtime rt(o);
    int ends[2];
    ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
    for (int i = 0; i < scaled(10); i++)
        for (const auto& next : what_comes_next) {
            const uint64_t before = rt.stats().blocks;
            std::atomic<bool> end{false};
            auto other = rt.spawn([&] {
                while (!end) umcg::yield();
            });
            auto reader = rt.spawn([&] {
                char c;
                const ssize_t n = ::read(ends[0], &c, 1);
                next();
                return n;
            });
            while (rt.stats().blocks == before) std::this_thread::sleep_for(1ms);
            end = true;
            other.join();
            std::this_thread::sleep_for(1ms);  // most times the server is idle then
            EXPECT_EQ(write(ends[1], "x", 1), 1);
            EXPECT_EQ(reader.join(), 1);
            while (rt.stats().tasks_live) std::this_thread::sleep_for(1ms);
            EXPECT_EQ(seen.wrong, 0U) << seen.first_wrong;
        }
    close(ends[0]);
    close(ends[1]);
}

// Five that yield on one server: one runs, and perhaps one is between running and being queued.
TEST(Contract, WhoIsQueuedWhenItTakesOverIsMigrated) {
    audit seen;
    umcg::options o = two_servers("work_stealing");
    o.servers = 1;
    umcg::runtime rt(o);
    std::atomic<bool> end{false};
    std::atomic<int> begun{0};
    std::vector<umcg::task<void>> five;
    for (int i = 0; i < 5; i++)
        five.push_back(rt.spawn([&] {
            begun++;
            while (!end) umcg::yield();
        }));
    while (begun < 5) std::this_thread::sleep_for(1ms);
    rt.set_policy(plugin("auditor") + seen.option());
    EXPECT_GE(seen.enqueued[UMCG_ENQUEUE_MIGRATED], 3U);
    while (seen.attached < 5) std::this_thread::sleep_for(1ms);
    end = true;
    for (auto& t : five) t.join();
    EXPECT_EQ(seen.enqueued[UMCG_ENQUEUE_SPAWN], 0U);
    EXPECT_EQ(seen.wrong, 0U) << seen.first_wrong;
}

TEST(Contract, AttributesReachThePolicy) {
    audit seen;
    umcg::runtime rt(two_servers(plugin("auditor") + seen.option()));
    umcg::attributes attr;
    attr.group = 77;
    attr.priority = -5;
    attr.weight = 321;
    attr.deadline = umcg::clock::now() + 1h;
    rt.spawn([] {}, attr).join();
    for (int when : {0, 1}) {
        EXPECT_EQ(seen.priority[when], -5);
        EXPECT_EQ(seen.weight[when], 321U);
        EXPECT_EQ(seen.deadline_ns[when], static_cast<uint64_t>(attr.deadline.time_since_epoch().count()));
    }
    EXPECT_EQ(seen.wrong, 0U) << seen.first_wrong;
}

// At once, and again when it is queued. Fibers and threads.
TEST(Contract, AttributesThatChangeReachThePolicy) {
    for (auto kind : {umcg::kind::fiber, umcg::kind::thread}) {
        audit seen;
        umcg::runtime rt(two_servers(plugin("auditor") + seen.option()));
        umcg::attributes attr;
        attr.group = 77;
        attr.kind = kind;
        rt.spawn([&] {
            const auto when = umcg::clock::now() + 2h;
            umcg::set_priority(9);
            EXPECT_EQ(seen.changed, 1U);
            EXPECT_EQ(seen.priority[2], 9);
            umcg::set_weight(4321);
            EXPECT_EQ(seen.changed, 2U);
            EXPECT_EQ(seen.weight[2], 4321U);
            umcg::set_deadline(when);
            EXPECT_EQ(seen.changed, 3U);
            EXPECT_EQ(seen.deadline_ns[2], static_cast<uint64_t>(when.time_since_epoch().count()));
            for (unsigned bad : {0U, 10001U}) EXPECT_THROW(umcg::set_weight(bad), std::invalid_argument);
            EXPECT_EQ(seen.changed, 3U);
            umcg::sleep_for(1ms);
            EXPECT_EQ(seen.priority[1], 9);
            EXPECT_EQ(seen.weight[1], 4321U);
            EXPECT_EQ(seen.deadline_ns[1], static_cast<uint64_t>(when.time_since_epoch().count()));
            umcg::set_deadline(umcg::clock::time_point::max());
            EXPECT_EQ(seen.deadline_ns[2], 0U);
        }, attr).join();
        EXPECT_EQ(seen.wrong, 0U) << seen.first_wrong;
    }
    umcg::set_priority(1);  // on a plain thread: nothing
}

}  // namespace
