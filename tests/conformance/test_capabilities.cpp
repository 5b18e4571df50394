// SPDX-License-Identifier: MIT
// Which backend was chosen, and what it says of itself.
#include <stdlib.h>
#include <string.h>

#include "harness.hpp"

namespace umcg_test {
namespace {

using Capabilities = Conformance;
// What is good to have, and what says how it is less than that.
constexpr uint32_t kGood = UMCG_CAP_BLOCK_EVENTS | UMCG_CAP_HOLD | UMCG_CAP_PREEMPT |
                           UMCG_CAP_FAULT_EVENTS | UMCG_CAP_ONE_RUNNING;
constexpr uint32_t kLimits = UMCG_CAP_WATCHED | UMCG_CAP_HOLD_AT_CALL | UMCG_CAP_BY_SIGNAL;

TEST_F(Capabilities, NameIsTheOneThatWasAskedFor) {
    const char* asked = getenv("UMCG_BACKEND");
    ASSERT_NE(umcg_backend_name(), nullptr);
    if (asked && *asked && strcmp(asked, "auto")) {
        EXPECT_STREQ(umcg_backend_name(), asked);
    }
}

TEST_F(Capabilities, Consistent) {
    const uint32_t caps = umcg_capabilities();
    EXPECT_EQ(caps & ~(kGood | kLimits), 0u) << "bits that umcg.h does not name";
    if (caps & UMCG_CAP_ONE_RUNNING) {
        EXPECT_TRUE(caps & UMCG_CAP_HOLD) << "who is not held runs beside who was picked";
    }
    EXPECT_FALSE((caps & UMCG_CAP_BLOCK_EVENTS) && (caps & UMCG_CAP_WATCHED)) << "at once, and late";
    EXPECT_FALSE((caps & UMCG_CAP_HOLD) && (caps & UMCG_CAP_HOLD_AT_CALL));
    EXPECT_TRUE(caps & (UMCG_CAP_HOLD | UMCG_CAP_HOLD_AT_CALL)) << "nobody is ever held";
    if (!strcmp(umcg_backend_name(), "kernel")) {
        EXPECT_EQ(caps, kGood);
    }
    printf("%s: capabilities 0x%x\n", umcg_backend_name(), caps);
}

TEST_F(Capabilities, ChosenOnceForTheProcess) {
    static const struct { enum umcg_backend id; const char* name; } kBackends[] = {
        {UMCG_BACKEND_KERNEL, "kernel"},
        {UMCG_BACKEND_BPF, "bpf"},
        {UMCG_BACKEND_PORTABLE, "portable"}};
    for (const auto& b : kBackends) {
        umcg_options o = {};
        o.size = sizeof(o);
        o.backend = b.id;
        EXPECT_EQ(umcg_init(&o), strcmp(b.name, umcg_backend_name()) ? -EBUSY : 0) << b.name;
    }
    EXPECT_EQ(umcg_init(nullptr), 0);
}

// A child of fork() keeps the choice, and its threads can register.
TEST_F(Capabilities, InAChild) {
    const std::string name = umcg_backend_name();
    const uint32_t caps = umcg_capabilities();
    in_child([&] {
        EXPECT_STREQ(umcg_backend_name(), name.c_str());
        EXPECT_EQ(umcg_capabilities(), caps);
        Server s;
        EXPECT_EQ(s.wait(0, 1), -ETIMEDOUT);
    });
}

}  // namespace
}  // namespace umcg_test
