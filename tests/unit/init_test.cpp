// SPDX-License-Identifier: MIT
// Which backend is chosen, what is refused, and that the calls reach the kernel unchanged.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "child.hpp"
#include "filter.hpp"
#include "umcg/umcg.h"

namespace {

constexpr uint32_t kAllCaps = UMCG_CAP_BLOCK_EVENTS | UMCG_CAP_HOLD | UMCG_CAP_PREEMPT |
                              UMCG_CAP_FAULT_EVENTS | UMCG_CAP_ONE_RUNNING;

umcg_options options(umcg_backend backend) { return {sizeof(umcg_options), backend, 0}; }

int init(umcg_backend backend) {
    const umcg_options o = options(backend);
    return umcg_init(&o);
}

int init_env(const char* value) {
    setenv("UMCG_BACKEND", value, 1);
    return umcg_init(nullptr);
}

// A child on a kernel that answers as told, with no word in the environment.
template <class Body>
::testing::AssertionResult on_kernel(const std::vector<Answer>& answers, Body body) {
    return in_child([&] {
        unsetenv("UMCG_BACKEND");
        without_portable();
        ASSERT_TRUE(answer_calls(answers));
        body();
    });
}

TEST(Init, NothingIsChosenBefore) {
    EXPECT_EQ(umcg_backend_name(), nullptr);
    EXPECT_EQ(umcg_capabilities(), 0u);
}

TEST(Init, WithoutThePatchNothingWorks) {
    EXPECT_TRUE(on_kernel(stock_kernel(), [] {
        errno = 12345;
        EXPECT_EQ(umcg_init(nullptr), -ENOTSUP);
        EXPECT_EQ(init(UMCG_BACKEND_AUTO), -ENOTSUP);
        EXPECT_EQ(init(UMCG_BACKEND_KERNEL), -ENOTSUP);
        EXPECT_EQ(init(UMCG_BACKEND_BPF), -ENOTSUP);
        EXPECT_EQ(init(UMCG_BACKEND_PORTABLE), -ENOTSUP);
        EXPECT_EQ(umcg_backend_name(), nullptr);
        EXPECT_EQ(umcg_capabilities(), 0u);
        EXPECT_EQ(umcg_register(nullptr, UMCG_REG_SERVER), -ENOTSUP);
        EXPECT_EQ(umcg_unregister(nullptr), -ENOTSUP);
        EXPECT_EQ(umcg_wait(0, 0), -ENOTSUP);
        EXPECT_EQ(umcg_kick(0, 1), -ENOTSUP);
        EXPECT_EQ(errno, 12345);
    }));
}

// The machine that this runs on, whatever it is.
TEST(Init, TheKernelAsItIs) {
    EXPECT_TRUE(in_child([] {
        unsetenv("UMCG_BACKEND");
        const bool patched = syscall(kKick, ~0u, -1) == -1 && errno == EINVAL;
        printf("this kernel %s UMCG\n", patched ? "has" : "lacks");
        EXPECT_EQ(umcg_init(nullptr), 0) << "portable works everywhere";
        printf("backend %s\n", umcg_backend_name());
        EXPECT_EQ(!strcmp(umcg_backend_name(), "kernel"), patched);
        umcg_task* self = umcg_task_alloc();
        EXPECT_EQ(umcg_register(self, UMCG_REG_SERVER), 0);
        EXPECT_EQ(self->tid, static_cast<uint32_t>(gettid()));
        EXPECT_EQ(umcg_unregister(self), 0);
        EXPECT_TRUE(umcg_task_unlinked(self));
        umcg_task_free(self);
    }));
}

TEST(Init, ThePatchedKernelIsTheBest) {
    EXPECT_TRUE(on_kernel(patched_kernel(), [] {
        EXPECT_EQ(umcg_init(nullptr), 0);
        EXPECT_STREQ(umcg_backend_name(), "kernel");
        EXPECT_EQ(umcg_capabilities(), kAllCaps);
    }));
}

TEST(Init, TheCallsChooseWhenNobodyDid) {
    EXPECT_TRUE(on_kernel(patched_kernel(), [] {
        EXPECT_EQ(umcg_kick(0, 1), -EINVAL);
        EXPECT_STREQ(umcg_backend_name(), "kernel");
    }));
}

TEST(Init, ASecondCallMustAgree) {
    EXPECT_TRUE(on_kernel(patched_kernel(), [] {
        EXPECT_EQ(init(UMCG_BACKEND_KERNEL), 0);
        EXPECT_EQ(init(UMCG_BACKEND_KERNEL), 0);
        EXPECT_EQ(init(UMCG_BACKEND_AUTO), 0);
        EXPECT_EQ(umcg_init(nullptr), 0);
        EXPECT_EQ(init(UMCG_BACKEND_PORTABLE), -EBUSY);
        EXPECT_EQ(init(UMCG_BACKEND_BPF), -EBUSY);
        EXPECT_STREQ(umcg_backend_name(), "kernel");
    }));
}

TEST(Init, ABadFirstCallDecidesNothing) {
    EXPECT_TRUE(on_kernel(patched_kernel(), [] {
        EXPECT_EQ(init(UMCG_BACKEND_PORTABLE), -ENOTSUP);
        EXPECT_EQ(umcg_backend_name(), nullptr);
        EXPECT_EQ(umcg_init(nullptr), 0);
    }));
}

TEST(Init, TheEnvironment) {
    for (const char* good : {"kernel", "auto", ""}) {
        EXPECT_TRUE(on_kernel(patched_kernel(), [&] {
            EXPECT_EQ(init_env(good), 0) << good;
            EXPECT_STREQ(umcg_backend_name(), "kernel");
        }));
    }
    for (const char* missing : {"bpf", "portable"}) {
        EXPECT_TRUE(on_kernel(patched_kernel(), [&] {
            EXPECT_EQ(init_env(missing), -ENOTSUP) << missing;
            EXPECT_EQ(init(UMCG_BACKEND_AUTO), -ENOTSUP) << "AUTO asks the environment too";
            EXPECT_EQ(init(UMCG_BACKEND_KERNEL), 0) << "a named backend does not";
        }));
    }
    for (const char* bad : {"Kernel", "kernel ", "none", "1"}) {
        EXPECT_TRUE(on_kernel(patched_kernel(), [&] {
            EXPECT_EQ(init_env(bad), -EINVAL) << bad;
            EXPECT_EQ(umcg_register(nullptr, 1), -EINVAL);
            EXPECT_EQ(umcg_backend_name(), nullptr);
        }));
    }
}

TEST(Init, BadOptions) {
    EXPECT_TRUE(on_kernel(patched_kernel(), [] {
        umcg_options o = options(UMCG_BACKEND_AUTO);
        for (size_t size : {size_t{0}, size_t{1}, sizeof(o) - 1, size_t{4097}, SIZE_MAX}) {
            o.size = size;
            EXPECT_EQ(umcg_init(&o), -EINVAL) << size;
        }
        for (unsigned backend : {4u, 1000u, ~0u}) {
            o = options(UMCG_BACKEND_AUTO);
            memcpy(&o.backend, &backend, sizeof(backend));
            EXPECT_EQ(umcg_init(&o), -EINVAL) << backend;
        }
        o = options(UMCG_BACKEND_AUTO);
        o.reserved = 1;
        EXPECT_EQ(umcg_init(&o), -EINVAL);
        EXPECT_EQ(umcg_backend_name(), nullptr);
    }));
}

// A program built against a later version, which has more options.
TEST(Init, LongerOptionsMustBeZeroBehind) {
    EXPECT_TRUE(on_kernel(patched_kernel(), [] {
        struct Later {
            umcg_options o;
            uint64_t more;
        } later{options(UMCG_BACKEND_AUTO), 1};
        later.o.size = sizeof(later);
        EXPECT_EQ(umcg_init(&later.o), -EINVAL);
        later.more = 0;
        EXPECT_EQ(umcg_init(&later.o), 0);
    }));
}

TEST(Init, RefusalsOfTheKernel) {
    for (int error : {EPERM, EACCES}) {  // seccomp, all calls
        EXPECT_TRUE(on_kernel(stock_kernel(error),
                              [] { EXPECT_EQ(umcg_init(nullptr), -ENOTSUP); }));
    }
    // sysctl kernel.umcg_disabled
    EXPECT_TRUE(on_kernel({{kKick, EINVAL}, {kRegister, EPERM}},
                          [] { EXPECT_EQ(umcg_init(nullptr), -ENOTSUP); }));
    // a kernel that uses the number for something else
    EXPECT_TRUE(on_kernel({{kKick, 0}}, [] { EXPECT_EQ(umcg_init(nullptr), -ENOTSUP); }));
    // the limit is umcg_register()'s to report; a registered thread may ask, too
    for (int error : {ENOMEM, EBUSY}) {
        EXPECT_TRUE(on_kernel({{kKick, EINVAL}, {kRegister, error}}, [&] {
            EXPECT_EQ(umcg_init(nullptr), 0);
            EXPECT_EQ(umcg_register(nullptr, UMCG_REG_WORKER), -error);
        }));
    }
}

// The last in the order of AUTO, and without privilege.
TEST(Init, PortableOnAStockKernel) {
    EXPECT_TRUE(in_child([] {
        unsetenv("UMCG_BACKEND");
        ASSERT_TRUE(answer_calls(stock_kernel()));
        errno = 12345;
        EXPECT_EQ(init(UMCG_BACKEND_PORTABLE), 0);
        EXPECT_EQ(errno, 12345);
        EXPECT_STREQ(umcg_backend_name(), "portable");
        const uint32_t caps = umcg_capabilities();
        EXPECT_EQ(caps & (UMCG_CAP_BLOCK_EVENTS | UMCG_CAP_HOLD | UMCG_CAP_ONE_RUNNING), 0u);
        EXPECT_TRUE(caps & UMCG_CAP_WATCHED);
        EXPECT_TRUE(caps & UMCG_CAP_HOLD_AT_CALL);
        EXPECT_TRUE(caps & UMCG_CAP_BY_SIGNAL);
        EXPECT_EQ(umcg_init(nullptr), 0);
        EXPECT_EQ(init(UMCG_BACKEND_KERNEL), -EBUSY);
        EXPECT_EQ(umcg_wait(0, 0), -ESRCH);
        EXPECT_EQ(umcg_blocking_begin(), 0);
        EXPECT_EQ(umcg_blocking_end(), 0);
    }));
}

// It takes no signal away from a program that handles it, and can be given another.
TEST(Init, PortableNeedsASignalOfItsOwn) {
    EXPECT_TRUE(in_child([] {
        ASSERT_TRUE(answer_calls(stock_kernel()));
        signal(SIGURG, [](int) {});
        EXPECT_EQ(init(UMCG_BACKEND_PORTABLE), -ENOTSUP);
        for (const char* bad : {"none", "-1", "0", "9", "10", "65", "23x"}) {
            setenv("UMCG_SIGNAL", bad, 1);
            EXPECT_EQ(init(UMCG_BACKEND_PORTABLE), -ENOTSUP) << bad;
        }
        setenv("UMCG_SIGNAL", std::to_string(SIGRTMIN + 3).c_str(), 1);
        EXPECT_EQ(init(UMCG_BACKEND_PORTABLE), 0);
        struct sigaction action = {};
        EXPECT_EQ(sigaction(SIGRTMIN + 3, nullptr, &action), 0);
        EXPECT_TRUE(action.sa_flags & SA_RESTART);
    }));
}

#ifndef __SANITIZE_ADDRESS__  // which wants memory of its own
// Whether registering works cannot be tried without a page; umcg_register() will say.
TEST(Init, WithoutMemory) {
    EXPECT_TRUE(on_kernel(patched_kernel(), [] {
        const rlimit none{0, 0};
        ASSERT_EQ(setrlimit(RLIMIT_AS, &none), 0);
        errno = 12345;
        EXPECT_EQ(umcg_init(nullptr), 0);
        EXPECT_EQ(errno, 12345);
    }));
}
#endif

TEST(Init, ThreadsThatStartTogetherAgree) {
    EXPECT_TRUE(on_kernel(patched_kernel(), [] {
        std::atomic<int> ready = 0, failed = 0;
        std::vector<std::thread> threads;
        for (int i = 0; i < 8; i++) {
            threads.emplace_back([&, i] {
                ready++;
                while (ready < 8) std::this_thread::yield();
                failed += i % 2 ? umcg_init(nullptr) != 0 : umcg_kick(0, 1) != -EINVAL;
                failed += !umcg_backend_name() || strcmp(umcg_backend_name(), "kernel") != 0;
            });
        }
        for (std::thread& t : threads) t.join();
        EXPECT_EQ(failed, 0);
    }));
}

TEST(Calls, ArgumentsAndErrorsPassUnchanged) {
    alignas(64) static umcg_task task;
    const uint64_t at = reinterpret_cast<uintptr_t>(&task);
    std::vector<Answer> answers = {
        {kRegister, EFAULT, {at, UMCG_REG_WORKER}},
        {kRegister, 0, {{}, UMCG_REG_SERVER}},
        {kUnregister, E2BIG, {at, {}}},
        {kUnregister, 0},
        {kWait, EINTR, {UMCG_WAIT_ENQUEUE, 0x1122334455667788u}},
        {kWait, 0, {0u, 0u}},
        {kKick, ESRCH, {0u, 0x7fffffffu}},
        {kKick, EINVAL, {0xffffffffu, {}}},
    };
    EXPECT_TRUE(on_kernel(answers, [] {
        errno = 12345;
        EXPECT_EQ(umcg_register(&task, UMCG_REG_WORKER), -EFAULT);
        EXPECT_EQ(umcg_register(&task, UMCG_REG_SERVER), 0);
        EXPECT_EQ(umcg_unregister(&task), -E2BIG);
        EXPECT_EQ(umcg_wait(UMCG_WAIT_ENQUEUE, 0x1122334455667788), -EINTR);
        EXPECT_EQ(umcg_wait(0, 0), 0);
        EXPECT_EQ(umcg_kick(0, 0x7fffffff), -ESRCH);
        EXPECT_EQ(umcg_kick(~0u, -1), -EINVAL);
        EXPECT_EQ(errno, 12345);
    }));
}

}  // namespace
