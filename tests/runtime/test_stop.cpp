// SPDX-License-Identifier: MIT
//
// The end of a runtime: waited for, cancelled, counted.
#include <alloca.h>

#include <atomic>
#include <cstring>
#include <memory>
#include <system_error>
#include <thread>
#include <umcg/cancellation.hpp>
#include <umcg/channel.hpp>
#include <umcg/scope.hpp>
#include <vector>

#include "harness.hpp"

namespace {

class Stop : public Runtime {};
IN_EVERY_CONFIGURATION(Stop);

TEST_P(Stop, JoinsWhatEnds) {
    umcg::runtime rt(options());
    std::atomic<int> ended{0};
    for (int i = 0; i < 100; i++)
        rt.spawn([&] {
              umcg::yield();
              // its own tasks may go on spawning
              umcg::spawn([&] { ended++; }).detach();
              ended++;
          }).detach();
    EXPECT_TRUE(rt.stop(1h));
    EXPECT_EQ(ended, 200);
    EXPECT_EQ(rt.stats().tasks_live, 0U);
    try {
        rt.spawn([] {}).detach();
        FAIL() << "spawned";
    } catch (const std::system_error& e) {
        EXPECT_EQ(e.code().value(), ECANCELED);
    }
    EXPECT_TRUE(rt.stop());
}

// Fibers and thread tasks, in scopes and outside, that wait for ever; each ends exactly once.
TEST_P(Stop, CancelsWhatIsLeft) {
    umcg::runtime rt(options());
    umcg::channel<int> never;
    std::atomic<int> begun{0}, cancelled{0};
    constexpr int n = 40;
    for (int i = 0; i < n; i++) {
        const auto kind = i % 8 ? umcg::kind::fiber : umcg::kind::thread;
        rt.spawn(
              [&, i] {
                  const auto wait = [&] {
                      begun++;
                      if (i % 2)
                          cancelled +=
                              umcg::sleep_until(umcg::task_limit()) == umcg::wake::cancelled;
                      else
                          cancelled += !never.receive(umcg::task_limit());
                  };
                  if (i % 3) {
                      wait();
                  } else {
                      umcg::scope s;
                      s.spawn(wait);
                      s.join();
                  }
              },
              {.kind = kind})
            .detach();
    }
    while (begun < n) std::this_thread::yield();
    EXPECT_FALSE(rt.stop(1ms));
    EXPECT_EQ(cancelled, n);
    EXPECT_EQ(rt.stats().tasks_live, 0U);
}

TEST_P(Stop, CancelAlone) {
    umcg::runtime rt(options());
    auto waits = rt.spawn([] { return umcg::sleep_until(umcg::task_token()); });
    // a scope's token is another one, which the scope's end cancels alone
    auto scoped = rt.spawn([&] {
        {
            umcg::scope s;
            s.spawn([] { umcg::sleep_until(umcg::task_limit()); });
        }
        return umcg::task_token().cancelled();
    });
    EXPECT_FALSE(scoped.join());
    EXPECT_TRUE(rt.cancel());
    EXPECT_FALSE(rt.cancel());
    EXPECT_EQ(waits.join(), umcg::wake::cancelled);
    // what comes later finds it cancelled, and can be spawned
    EXPECT_TRUE(rt.spawn([] { return umcg::task_token().cancelled(); }).join());
    EXPECT_FALSE(umcg::task_token().cancelled());
}

// Who breaks a contract is told which call it was.
TEST(StopContracts, AbortWithTheNameOfTheCall) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    umcg::options o;
    o.servers = 1;
    o.guard = umcg::stack_guard::when_possible;
    EXPECT_DEATH(umcg::spawn([] {}), "umcg::spawn\\(\\) outside of a task");
    EXPECT_DEATH(
        {
            umcg::runtime rt(o);
            rt.spawn([&] { rt.stop(); }).join();
        },
        "umcg::runtime::stop\\(\\) from one of its own tasks");
    EXPECT_DEATH(
        {
            auto* rt = new umcg::runtime(o);
            rt->spawn([rt] { delete rt; }).join();
        },
        "umcg::~runtime\\(\\) from one of its own tasks");
    EXPECT_DEATH(umcg::task<void>().join(), "umcg::task::join");
}

TEST_P(Stop, StackHighWater) {
    umcg::options o = options();
    o.stack_size = 256 * 1024;
    umcg::runtime rt(o);
    rt.spawn([] {}).join();
    const size_t little = rt.stack_high_water();
    if (!little) GTEST_SKIP() << "/proc/self/pagemap cannot be read";
    EXPECT_LT(little, 64U * 1024);
    rt.spawn([] {
          constexpr size_t n = 150 * 1024;
          auto* p = static_cast<volatile char*>(alloca(n));
          for (size_t i = 0; i < n; i += 1024) p[i] = 1;
      }).join();
    const size_t much = rt.stack_high_water();
    EXPECT_GE(much, 150U * 1024);
    EXPECT_LE(much, 256U * 1024);
}

}  // namespace
