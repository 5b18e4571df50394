// SPDX-License-Identifier: MIT
// umcg_backend_probe(): every backend is named, with a reason and a way out where it does not work.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "child.hpp"
#include "filter.hpp"
#include "umcg/umcg.h"

namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

std::string probe() {
    std::string text(umcg_backend_probe(nullptr, 0) + 1, 'x');
    EXPECT_EQ(umcg_backend_probe(text.data(), text.size()), text.size() - 1);
    EXPECT_EQ(text.back(), '\0');
    text.pop_back();
    return text;
}

template <class Matcher>
::testing::AssertionResult probe_is(const std::vector<Answer>& answers, Matcher matcher,
                                    const char* env = "") {
    return in_child([&] {
        setenv("UMCG_BACKEND", env, 1);
        without_portable();
        ASSERT_TRUE(answer_calls(answers));
        EXPECT_THAT(probe(), matcher);
    });
}

TEST(Probe, TextOfThisMachine) {
    const std::string text = probe();
    printf("%s", text.c_str());
    EXPECT_THAT(text, AllOf(StartsWith("kernel: "), HasSubstr("\nbpf: "),
                            HasSubstr("\nportable: "), EndsWith("\n")));
    EXPECT_EQ(text.find('\0'), std::string::npos);
}

TEST(Probe, CutOffLikeSnprintf) {
    const std::string whole = probe();
    for (size_t len = 0; len <= whole.size() + 2; len++) {
        std::vector<char> buf(len + 1, '#');
        EXPECT_EQ(umcg_backend_probe(len ? buf.data() : nullptr, len), whole.size());
        EXPECT_EQ(buf[len], '#') << "wrote behind a buffer of " << len;
        if (len) {
            EXPECT_EQ(buf.data(), whole.substr(0, len - 1));
        }
    }
}

TEST(Probe, LeavesErrnoAloneAndChoosesNothing) {
    errno = 12345;
    umcg_backend_probe(nullptr, 0);
    EXPECT_EQ(errno, 12345);
    EXPECT_EQ(umcg_backend_name(), nullptr);
}

// It has no descriptor left to read the sysctl with.
TEST(Probe, LeavesErrnoAloneWhenItsOwnCallsFail) {
    EXPECT_TRUE(in_child([] {
        const rlimit none{0, 0};
        ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
        ASSERT_TRUE(answer_calls({{kKick, EINVAL}, {kRegister, EPERM}}));
        errno = 12345;
        umcg_backend_probe(nullptr, 0);
        EXPECT_EQ(errno, 12345);
    }));
}

TEST(Probe, WithoutThePatch) {
    EXPECT_TRUE(probe_is(
        stock_kernel(),
        AllOf(HasSubstr("kernel: no. This kernel ("), HasSubstr("umcg_register() system call"),
              HasSubstr("CONFIG_UMCG=y"), HasSubstr("bpf or portable"),
              HasSubstr("\nbpf: no. "),
              HasSubstr("portable: no. UMCG_SIGNAL is \"none\""),
              EndsWith("umcg_init() fails with ENOTSUP: no backend works here.\n"))));
}

TEST(Probe, Portable) {
    EXPECT_TRUE(in_child([] {
        setenv("UMCG_BACKEND", "portable", 1);
        EXPECT_THAT(probe(), AllOf(HasSubstr("portable: yes."), HasSubstr("Signal 23 "),
                                   EndsWith("chooses: portable.\n")));
        signal(SIGURG, [](int) {});
        EXPECT_THAT(probe(), AllOf(HasSubstr("portable: no."), HasSubstr("signal 23 has a handler"),
                                   HasSubstr("UMCG_SIGNAL")));
        signal(SIGURG, SIG_DFL);
        const rlimit none{0, 0};
        ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
        EXPECT_THAT(probe(), AllOf(HasSubstr("portable: no."), HasSubstr("/proc")));
    }));
}

TEST(Probe, AFilterThatHidesTheCalls) {
    EXPECT_TRUE(probe_is(stock_kernel(ENOSYS), HasSubstr("Let it allow the calls 480 to 483")));
}

TEST(Probe, AFilterThatDeniesTheCalls) {
    EXPECT_TRUE(probe_is(stock_kernel(EPERM),
                         AllOf(HasSubstr("kernel: no. A seccomp filter"), HasSubstr("EPERM"),
                               Not(HasSubstr("CONFIG_UMCG")))));
}

TEST(Probe, TheSysctl) {
    EXPECT_TRUE(probe_is({{kKick, EINVAL}, {kRegister, EPERM}},
                         AllOf(HasSubstr("kernel: no. The kernel has UMCG"),
                               HasSubstr("kernel.umcg_disabled"))));
}

TEST(Probe, AnotherKernelsNumbers) {
    EXPECT_TRUE(probe_is({{kKick, 0}}, HasSubstr("uses the number for something else")));
    EXPECT_TRUE(probe_is({{kKick, EBADF}}, HasSubstr("uses the number for something else")));
}

TEST(Probe, AnErrorThatNobodyExpects) {
    EXPECT_TRUE(probe_is({{kKick, EINVAL}, {kRegister, EXDEV}},
                         AllOf(HasSubstr("kernel: no."), HasSubstr("errno 18"))));
}

TEST(Probe, Works) {
    EXPECT_TRUE(probe_is(patched_kernel(),
                         AllOf(HasSubstr("kernel: yes."), HasSubstr("RLIMIT_MEMLOCK"),
                               Not(HasSubstr("too low")), EndsWith("chooses: kernel.\n"))));
}

TEST(Probe, MemlockLimit) {
    EXPECT_TRUE(in_child([] {
        const rlimit limit{64 * 1024, 64 * 1024};
        ASSERT_EQ(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
        ASSERT_TRUE(answer_calls({{kKick, EINVAL}, {kRegister, ENOMEM}}));
        EXPECT_THAT(probe(), AllOf(HasSubstr("kernel: yes."), HasSubstr("RLIMIT_MEMLOCK: 64 KiB"),
                                   HasSubstr("1024 tasks"), HasSubstr("too low now"),
                                   HasSubstr("ulimit -l"), HasSubstr("LimitMEMLOCK=")));
    }));
}

TEST(Probe, TheEnvironment) {
    EXPECT_TRUE(probe_is(patched_kernel(),
                         EndsWith("EINVAL: UMCG_BACKEND is \"fast\", it must be auto, kernel, bpf "
                                  "or portable.\n"),
                         "fast"));
    EXPECT_TRUE(
        probe_is(patched_kernel(), HasSubstr("ENOTSUP: UMCG_BACKEND is \"portable\""), "portable"));
    EXPECT_TRUE(probe_is(patched_kernel(), EndsWith("chooses: kernel.\n"), "kernel"));
    EXPECT_TRUE(probe_is(patched_kernel(), Not(HasSubstr(std::string(41, 'a'))),
                         std::string(5000, 'a').c_str()));
}

TEST(Probe, InUse) {
    EXPECT_TRUE(in_child([] {
        unsetenv("UMCG_BACKEND");
        ASSERT_TRUE(answer_calls(patched_kernel()));
        ASSERT_EQ(umcg_init(nullptr), 0);
        EXPECT_THAT(probe(), EndsWith("In use: kernel.\n"));
    }));
}

}  // namespace
