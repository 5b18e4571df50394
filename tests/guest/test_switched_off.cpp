// SPDX-License-Identifier: MIT
// The administrator's switch, and a seccomp filter that denies the calls.
#include "deny.hpp"
#include "memory.hpp"

namespace umcg_test {
namespace {

constexpr char kSysctl[] = "/proc/sys/kernel/umcg_disabled";

class Sysctl : public Guest {
  protected:
    void SetUp() override {
        Guest::SetUp();
        if (IsSkipped()) return;
        before_ = slurp(kSysctl);
        ASSERT_EQ(before_, "0\n") << kSysctl;
    }
    void TearDown() override {
        if (!before_.empty()) {
            EXPECT_TRUE(spew(kSysctl, before_));
        }
    }
    std::string before_;
};

int try_register() {
    Mapping m;
    const int rc = raw::reg(m.task(), UMCG_REG_SERVER);
    if (!rc) {
        EXPECT_EQ(raw::unreg(m.task()), 0);
    }
    return rc;
}

void as_nobody(const std::function<void()>& fn) {
    in_child([&] {
        ASSERT_EQ(setresgid(65534, 65534, 65534), 0);
        ASSERT_EQ(setresuid(65534, 65534, 65534), 0);
        fn();
    });
}

TEST_F(Sysctl, WhoMayRegister) {
    EXPECT_EQ(try_register(), 0);
    as_nobody([] { EXPECT_EQ(try_register(), 0); });
    ASSERT_TRUE(spew(kSysctl, "1"));
    EXPECT_EQ(try_register(), 0) << "with CAP_SYS_ADMIN";
    as_nobody([] { EXPECT_EQ(try_register(), -EPERM); });
    ASSERT_TRUE(spew(kSysctl, "2"));
    EXPECT_EQ(try_register(), -EPERM);
    as_nobody([] { EXPECT_EQ(try_register(), -EPERM); });
    ASSERT_TRUE(spew(kSysctl, "0"));
    as_nobody([] { EXPECT_EQ(try_register(), 0); });
}

TEST_F(Sysctl, OtherValuesAreRefused) {
    for (const char* bad : {"-1", "3", "2147483648", "x"}) {
        EXPECT_FALSE(spew(kSysctl, bad)) << bad;
        EXPECT_EQ(slurp(kSysctl), "0\n") << "after " << bad;
    }
    as_nobody([] { EXPECT_FALSE(spew(kSysctl, "2")) << "only root may switch it"; });
}

TEST_F(Sysctl, WhoIsRegisteredStays) {
    Group g;
    Worker& w = g.worker([](Worker& me) { EXPECT_EQ(me.yield(), 0); });
    EXPECT_EQ(g.next(), runnable(w));
    ASSERT_TRUE(spew(kSysctl, "2"));
    EXPECT_EQ(g.run(w), 0);
    EXPECT_EQ(g.next(), runnable(w));
    EXPECT_EQ(g.run(w), 0);
    g.run_to_exit(w);
}

// ---- seccomp --------------------------------------------------------------

class Denied : public Guest {};

TEST_F(Denied, EveryCallBySeccomp) {
    in_child([] {
        deny_calls(EPERM);
        EXPECT_EQ(try_register(), -EPERM);
        EXPECT_EQ(raw::unreg(nullptr), -EPERM);
        EXPECT_EQ(raw::wait(0, 0), -EPERM);
        EXPECT_EQ(raw::kick(0, 1), -EPERM);
    });
}

// Denied in the middle: the worker cannot call, but is run, held and buried as before.
TEST_F(Denied, WorkerThatIsNotAllowedToCallAnyMore) {
    Gate gate;
    Group g;
    Worker& w = g.worker([&](Worker& me) {
        deny_calls(EPERM);
        EXPECT_EQ(me.yield(), -EPERM);
        EXPECT_EQ(umcg_unregister(me.task()), -EPERM);
        gate.wait();
    });
    EXPECT_EQ(g.next(), runnable(w));
    EXPECT_EQ(g.run(w), 0);
    EXPECT_EQ(g.next(), blocked(w));
    gate.open();
    EXPECT_EQ(g.next(), runnable(w));
    EXPECT_EQ(g.run(w), 0);
    g.run_to_exit(w);
}

}  // namespace
}  // namespace umcg_test
