// SPDX-License-Identifier: MIT
//
// Plugins in a running runtime: what they may not do, and what becomes of the tasks then. Arguments:
// the folder of the plugins.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <umcg/channel.hpp>
#include <umcg/runtime.hpp>

#include "audit.hpp"
#include "policy_host.hpp"

namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

fs::path folder;

umcg::options two_servers(const std::string& policy) {
    umcg::options o;
    o.servers = 2;
    o.policy = policy;
    o.guard = umcg::stack_guard::when_possible;
    return o;
}

// Ends a test that hangs.
class Deadline : public testing::EmptyTestEventListener {
    void OnTestStart(const testing::TestInfo&) override { alarm(240); }
    void OnTestEnd(const testing::TestInfo&) override { alarm(0); }
};

std::string plugin(const std::string& name) { return (folder / (name + ".so")).string(); }

// Tasks that yield, wait and wake each other until `enough`. Returns how many went through it all.
uint64_t load(umcg::runtime& rt, const std::function<bool()>& enough) {
    std::atomic<bool> stop{false};
    std::atomic<uint64_t> rounds{0};
    std::vector<umcg::task<void>> tasks;
    for (int i = 0; i < 8; i++)
        tasks.push_back(rt.spawn([&, i] {
            while (!stop.load(std::memory_order_relaxed)) {
                auto child = umcg::spawn([] { umcg::yield(); });
                if (i % 2) umcg::yield();
                child.join();
                if (i == 3) umcg::sleep_for(100us);
                rounds.fetch_add(1, std::memory_order_relaxed);
            }
        }));
    // some that are always there
    for (int i = 0; i < 8; i++)
        tasks.push_back(rt.spawn([&] {
            while (!stop.load(std::memory_order_relaxed)) umcg::yield();
        }));
    while (!enough()) std::this_thread::sleep_for(1ms);
    stop.store(true);
    for (auto& t : tasks) t.join();
    // who is joined may not have been counted off yet; a lost one never is
    while (rt.stats().tasks_live) std::this_thread::sleep_for(1ms);
    return rounds.load();
}

// ---- what a plugin may not do ----

struct sin {
    const char* name;
    const char* says;  // in the report
};

class Sin : public testing::TestWithParam<sin> {};

TEST_P(Sin, IsEjectedAndNoTaskIsLost) {
    const sin& s = GetParam();
    if (!umcg::detail::can_end_calls() &&
        (std::string(s.name).find("hangs") == 0 || std::string(s.name) == "sleeps"))
        GTEST_SKIP() << "ThreadSanitizer delays the signal that ends a call";
    umcg::options o = two_servers(plugin(s.name));
    // one that is lost on a server that is never without another is seen by the time that it waits
    o.policy_timeout = 500ms;
    umcg::runtime rt(o);
    load(rt, [&] { return rt.stats().policy_ejections == 1; });
    EXPECT_EQ(rt.policy(), "fifo");
    const std::string report = rt.policy_report();
    EXPECT_NE(report.find("policy 'sinner' ejected"), report.npos) << report;
    EXPECT_NE(report.find(s.says), report.npos) << report;
    EXPECT_NE(report.find("what the sinner says of itself"), report.npos) << report;
    // and it goes on, and another one may come
    rt.set_policy("work_stealing");
    EXPECT_EQ(rt.spawn([] { return umcg::spawn([] { return 7; }).join(); }).join(), 7);
    EXPECT_EQ(rt.stats().policy_ejections, 1U);
}

INSTANTIATE_TEST_SUITE_P(, Sin,
                         testing::Values(sin{"lost", "pick(), task"},
                                         sin{"doubled", "a task came out that is not queued"},
                                         sin{"foreign", "what came out is no task"},
                                         sin{"unmapped", "crashed"},
                                         sin{"other_server", "pick(), task"},
                                         sin{"hangs", "did not return in time"},
                                         sin{"sleeps", "did not return in time"},
                                         sin{"crashes", "pick(): it crashed"},
                                         sin{"aborts", "it crashed"},
                                         sin{"throws", "it let an exception out"},
                                         sin{"starves", "waits too long"},
                                         sin{"bad_server", "chose a server that there is not"},
                                         sin{"hangs_in_enqueue", "enqueue(), task"}),
                         [](const auto& s) { return s.param.name; });

TEST(Plugin, ThatDoesNothingWrongStays) {
    umcg::runtime rt(two_servers(plugin("none")));
    std::atomic<int> n{0};
    load(rt, [&] { return n++ == 50; });
    EXPECT_EQ(rt.policy(), "sinner");
    EXPECT_EQ(rt.stats().policy_ejections, 0U);
    EXPECT_EQ(rt.policy_report(), "");
}

TEST(Plugin, InitThatFailsChangesNothing) {
    umcg::runtime rt(two_servers("fifo"));
    for (const auto& [name, says] : {std::pair{"refuses_init", "it does not want to"},
                                     {"crashes_in_init", "its init() crashed"}}) {
        try {
            rt.set_policy(plugin(name));
            FAIL() << name;
        } catch (const std::system_error& e) {
            EXPECT_NE(std::string(e.what()).find(says), std::string::npos) << e.what();
        }
    }
    EXPECT_EQ(rt.policy(), "fifo");
    EXPECT_EQ(rt.spawn([] { return 1; }).join(), 1);
}

// ---- who watches the watchdog ----

// The watchdog's thread, stopped in a signal handler until it is let go.
class Stalled {
  public:
    Stalled() {
        struct sigaction sa = {};
        sa.sa_handler = [](int) {
            held_ = true;
            while (holds_) usleep(1000);
            held_ = false;
        };
        sigaction(SIGUSR2, &sa, &before_);
        holds_ = true;
        for (const auto& thread : fs::directory_iterator("/proc/self/task")) {
            std::string name;
            std::getline(std::ifstream(thread.path() / "comm"), name);
            if (name != "umcg-watchdog") continue;
            syscall(SYS_tgkill, getpid(), std::stoi(thread.path().filename()), SIGUSR2);
            while (!held_) std::this_thread::sleep_for(1ms);
            return;
        }
        ADD_FAILURE() << "there is no watchdog";
    }
    ~Stalled() {
        holds_ = false;
        while (held_) std::this_thread::sleep_for(1ms);
        sigaction(SIGUSR2, &before_, nullptr);
    }
    bool held() const { return held_; }

  private:
    static inline std::atomic<bool> holds_, held_{false};
    struct sigaction before_;
};

// The watchdog is held, and a plugin begins to sin.
void expect_stood_in_for(const char* sinner, umcg_policy_exit_reason reason) {
    audit seen;
    seen.sins = false;
    umcg::options o = two_servers(plugin(sinner) + seen.option());
    o.policy_timeout = 10ms;  // it is to have looked every 2.5 ms
    umcg::runtime rt(o);
    const Stalled watchdog;
    seen.sins = true;
    load(rt, [&] { return rt.stats().policy_ejections == 1; });
    EXPECT_TRUE(watchdog.held());
    EXPECT_EQ(seen.reason, reason) << seen.message;
    EXPECT_EQ(rt.policy(), "fifo");
}

// Whoever queues tasks looks in its place.
TEST(Watchdog, ThatStallsIsStoodInFor) { expect_stood_in_for("starves", UMCG_POLICY_EXIT_STARVED); }

// One server hangs in the policy; the others notice.
TEST(Watchdog, ThatStallsIsStoodInForWhenACallHangs) {
    if (!umcg::detail::can_end_calls())
        GTEST_SKIP() << "ThreadSanitizer delays the signal that ends a call";
    expect_stood_in_for("hangs_once", UMCG_POLICY_EXIT_OVERRUN);
}

// ---- one in the place of another ----

TEST(Swap, UnderLoadLosesNothing) {
    umcg::runtime rt(two_servers("work_stealing"));
    const std::vector<std::string> all = {"fifo", "round_robin", "two_level", plugin("none"), "deadline",
                                          "fair:groups=1/0:200", "work_stealing"};
    uint64_t swaps = 0;
    load(rt, [&] {
        rt.set_policy(all[swaps++ % all.size()]);
        return swaps == 140;
    });
    EXPECT_EQ(rt.stats().policy_swaps, swaps);
    EXPECT_EQ(rt.stats().policy_ejections, 0U) << rt.policy_report();
}

// Another version of the file in its place, again and again: what is loaded is what is there.
TEST(Swap, ReloadsTheFileUnderLoad) {
    char name[] = "/tmp/umcg-reload-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    const fs::path dir = name, at = dir / "p.so";
    umcg::runtime rt(two_servers("work_stealing"));
    uint64_t loads = 0;
    load(rt, [&] {
        const bool first = loads++ % 2;
        fs::copy_file(plugin(first ? "none" : "lottery"), dir / "new.so");
        chmod((dir / "new.so").c_str(), 0644);
        fs::rename(dir / "new.so", at);
        rt.set_policy(at.string());
        EXPECT_EQ(rt.policy(), first ? "sinner" : "lottery");
        // the same file once more
        rt.set_policy(at.string());
        return loads == 40;
    });
    EXPECT_EQ(rt.stats().policy_swaps, 2 * loads);
    EXPECT_EQ(rt.stats().policy_ejections, 0U) << rt.policy_report();
    fs::remove_all(dir);
}

TEST(Swap, FromATask) {
    umcg::runtime rt(two_servers("work_stealing"));
    rt.spawn([&] {
          for (const char* name : {"fifo", "fair", "two_level", "round_robin", "deadline"}) {
              auto child = umcg::spawn([] { umcg::sleep_for(1ms); });
              rt.set_policy(name);
              EXPECT_EQ(rt.policy(), name);
              child.join();
          }
      }).join();
}

TEST(Options, AreTheirs) {
    umcg::runtime rt(two_servers("fifo"));
    for (const char* bad : {"fifo:x=1", "round_robin:slice=5", "fair:groups=1/2:100", "fair:groups=1",
                            "deadline:most=200", "two_level:every=0", "two_level:nothing"}) {
        try {
            rt.set_policy(bad);
            ADD_FAILURE() << bad;
        } catch (const std::system_error& e) {
            EXPECT_EQ(e.code().value(), EINVAL) << bad;
            // names the value
            EXPECT_NE(std::string(e.what()).find(std::string(bad).substr(std::string(bad).find(':') + 1)),
                      std::string::npos) << e.what();
        }
    }
    EXPECT_THROW(rt.set_policy("no_such"), std::invalid_argument);
    EXPECT_EQ(rt.policy(), "fifo");
}

TEST(Admission, IsRefusedWithTheTasksName) {
    umcg::runtime rt(two_servers("deadline:cost=1s"));
    umcg::attributes soon;
    soon.name = "hurried";
    soon.deadline = umcg::clock::now() + 10ms;
    try {
        rt.spawn([] {}, soon).join();
        FAIL();
    } catch (const std::system_error& e) {
        EXPECT_EQ(e.code().value(), EBUSY);
        EXPECT_NE(std::string(e.what()).find("hurried"), std::string::npos) << e.what();
    }
    soon.deadline = umcg::clock::now() + 1h;
    EXPECT_EQ(rt.spawn([] { return 1; }, soon).join(), 1);
    umcg::attributes unknown;
    unknown.group = 7;
    rt.set_policy("fair:groups=1/0:100");
    EXPECT_THROW(rt.spawn([] {}, unknown).join(), std::system_error);
}

}  // namespace

int main(int argc, char** argv) {
    testing::InitGoogleTest(&argc, argv);
    if (argc != 2) {
        fprintf(stderr, "usage: %s FOLDER-OF-PLUGINS\n", argv[0]);
        return 2;
    }
    folder = argv[1];
    testing::UnitTest::GetInstance()->listeners().Append(new Deadline);
    return RUN_ALL_TESTS();
}
