// SPDX-License-Identifier: MIT
//
// What the runtime's tests share: a deadline for a test that hangs, and the configurations that each
// is run with.
#ifndef TESTS_RUNTIME_HARNESS_HPP
#define TESTS_RUNTIME_HARNESS_HPP

#include <gtest/gtest.h>

#include <cstring>

#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include <umcg/runtime.hpp>

using namespace std::chrono_literals;

struct configuration {
    const char* policy;
    unsigned servers;
};

class Runtime : public testing::TestWithParam<configuration> {
  protected:
    umcg::options options() const {
        umcg::options o;
        o.policy = GetParam().policy;
        o.servers = GetParam().servers;
        // pages may be in mappings of their own on kernels before 6.13
        o.guard = umcg::stack_guard::when_possible;
        return o;
    }
    // fn(i) on fibers, thread tasks and plain threads at once; returns when all have ended.
    template <class F>
    static void everywhere(umcg::runtime& rt, int n, F fn) {
        std::vector<umcg::task<void>> tasks;
        std::vector<std::jthread> threads;
        for (int i = 0; i < n; i++) {
            if (i % 4 == 3)
                threads.emplace_back([=] { fn(i); });
            else
                tasks.push_back(rt.spawn(
                    [=] { fn(i); },
                    {.kind = i % 4 == 2 ? umcg::kind::thread : umcg::kind::fiber}));
        }
        for (auto& t : tasks) t.join();
    }
};

template <class F>
void until(F condition) {
    while (!condition()) std::this_thread::sleep_for(1ms);
}

// A line of /proc/self/status, by its name with the colon.
unsigned long status_field(const char* name);

inline std::string name_of(const testing::TestParamInfo<configuration>& c) {
    return std::string(c.param.policy) + "_" + std::to_string(c.param.servers);
}

// `TEST_P(Name, ...)` of a class derived from Runtime, in every configuration.
#define IN_EVERY_CONFIGURATION(Name)                                                \
    INSTANTIATE_TEST_SUITE_P(, Name,                                                \
                             testing::Values(configuration{"work_stealing", 2},     \
                                             configuration{"work_stealing", 1},     \
                                             configuration{"fifo", 2}),             \
                             name_of)

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define UNDER_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define UNDER_SANITIZER 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNDER_TSAN 1
#endif
#endif

// How often to repeat: less under a sanitizer, and where $UMCG_TEST_SCALE (per cent) says so.
int scaled(int n);

// A little work without a call of the runtime's. ThreadSanitizer lets signals in at calls that it
// intercepts only.
inline void burn() {
    for (int i = 0; i < 200; i++) asm volatile("");
#ifdef UNDER_TSAN
    char from[8] = "burn", to[8];
    volatile size_t n = sizeof(from);
    memcpy(to, from, n);
#endif
}

#endif
