// SPDX-License-Identifier: MIT
//
// What a task takes over from its spawner: values of task_locals, tokens, deadlines. And what is
// said of it when it is spawned.
#include <signal.h>

#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>

#include <umcg/cancellation.hpp>
#include <umcg/channel.hpp>
#include <umcg/latch.hpp>
#include <umcg/scope.hpp>
#include <umcg/task_local.hpp>

#include "harness.hpp"

namespace {

class Inherit : public Runtime {};
IN_EVERY_CONFIGURATION(Inherit);

umcg::task_local<std::string> user("nobody");
umcg::task_local<int> depth;

// ---- task_local ----

TEST_P(Inherit, ChildSeesTheValueAtSpawn) {
    umcg::runtime rt(options());
    for (auto kind : {umcg::kind::fiber, umcg::kind::thread})
        rt.spawn(
              [&] {
                  EXPECT_EQ(user.get(), "nobody");
                  user.set("ada");
                  umcg::latch go(1);
                  auto child = umcg::spawn(
                      [&] {
                          go.wait();
                          EXPECT_EQ(*user, "ada");
                          user.set("bob");
                          umcg::yield();
                          return umcg::spawn([] { return *user; }).join();
                      },
                      {.kind = kind});
                  // not seen by the one who was spawned before
                  user.set("eve");
                  go.count_down();
                  EXPECT_EQ(child.join(), "bob");
                  EXPECT_EQ(*user, "eve");
                  EXPECT_EQ(user->size(), 3U);
                  EXPECT_EQ(umcg::spawn([] { return *user; }, {.inherit = false}).join(), "nobody");
              },
              {.kind = kind})
            .join();
    EXPECT_EQ(*user, "nobody");
}

TEST_P(Inherit, FromPlainThreadsAndInScopes) {
    umcg::runtime rt(options());
    std::thread([&] {
        user.set("thread");
        const umcg::task_local<int>::binding bound(depth, 1);
        rt.spawn([] {
              EXPECT_EQ(*user, "thread");
              const umcg::task_local<int>::binding deeper(depth, *depth + 1);
              umcg::scope s;
              for (int i = 0; i < 4; i++)
                  s.spawn([] {
                      EXPECT_EQ(*user, "thread");
                      EXPECT_EQ(*depth, 2);
                  });
              s.join();
          }).join();
        EXPECT_EQ(*depth, 1);
    }).join();
    EXPECT_EQ(*depth, 0);
    EXPECT_EQ(*user, "nobody");
}

TEST_P(Inherit, BindingEnds) {
    umcg::runtime rt(options());
    rt.spawn([] {
          {
              const umcg::task_local<int>::binding one(depth, 1);
              {
                  const umcg::task_local<int>::binding two(depth, 2);
                  EXPECT_EQ(*depth, 2);
              }
              EXPECT_EQ(*depth, 1);
          }
          EXPECT_EQ(*depth, 0);
          depth.set(5);
          { const umcg::task_local<int>::binding six(depth, 6); }
          EXPECT_EQ(*depth, 5);
      }).join();
}

// Each has its own while it moves from worker to worker, and all values are gone in the end.
TEST_P(Inherit, ValuesStayWithTheTaskAndGo) {
    auto counted = std::make_shared<int>(0);
    umcg::task_local<std::shared_ptr<int>> holds;
    {
        umcg::runtime rt(options());
        everywhere(rt, 12, [&](int i) {
            const umcg::task_local<int>::binding mine(depth, i);
            holds.set(counted);
            for (int r = 0; r < 100; r++) {
                if (r % 10 == 0) umcg::sleep_for(10us);
                umcg::yield();
                EXPECT_EQ(*depth, i);
            }
            holds.set(nullptr);
        });
        // the last one to know it ends with the value
        auto t = rt.spawn([&] { holds.set(counted); });
        t.join();
        EXPECT_EQ(counted.use_count(), 1);
    }
}

// ---- tokens and deadlines ----

TEST_P(Inherit, ScopeTokenIsItsTasksToken) {
    umcg::runtime rt(options());
    std::atomic<int> cancelled{0};
    EXPECT_FALSE(umcg::task_token().cancelled());
    auto t = rt.spawn([&] {
        umcg::scope outer;
        for (int i = 0; i < 3; i++)
            outer.spawn([&] {
                // down into a scope within, a plain task, and a thread task of it
                umcg::scope inner;
                inner.spawn([&] { cancelled += umcg::sleep_until(umcg::task_limit()) == umcg::wake::cancelled; },
                            {.kind = umcg::kind::thread});
                auto plain = umcg::spawn([&] { return umcg::sleep_until(umcg::task_limit()); });
                cancelled += plain.join() == umcg::wake::cancelled;
                cancelled += inner.token().cancelled();
                inner.join();
            });
        outer.spawn([] { throw std::runtime_error("first"); });
        outer.join();
    });
    EXPECT_THROW(t.join(), std::runtime_error);
    EXPECT_EQ(cancelled, 9);
}

// Up nothing goes but the error.
TEST_P(Inherit, InnerScopeDoesNotCancelTheOuter) {
    umcg::runtime rt(options());
    rt.spawn([] {
          umcg::scope outer;
          outer.spawn([&] {
              umcg::scope inner;
              inner.spawn([] { throw std::runtime_error("inner"); });
              EXPECT_THROW(inner.join(), std::runtime_error);
              EXPECT_TRUE(inner.token().cancelled());
              EXPECT_FALSE(outer.token().cancelled());
          });
          outer.join();
          EXPECT_FALSE(outer.token().cancelled());
      }).join();
}

TEST_P(Inherit, ErrorGoesUpThroughScopes) {
    umcg::runtime rt(options());
    auto t = rt.spawn([] {
        umcg::scope outer;
        outer.spawn([] {
            umcg::scope inner;
            inner.spawn([] { throw std::out_of_range("deep"); });
            inner.join();
        });
        outer.join();
    });
    EXPECT_THROW(t.join(), std::out_of_range);
}

TEST_P(Inherit, ScopeDeadline) {
    umcg::runtime rt(options());
    rt.spawn([] {
          const auto soon = umcg::clock::now() + 2ms;
          umcg::scope outer(soon);
          EXPECT_EQ(outer.token().deadline(), soon);
          outer.spawn([&] {
              EXPECT_EQ(umcg::task_deadline(), soon);
              umcg::scope inner(1h);  // the earlier one counts
              inner.spawn([&] {
                  EXPECT_EQ(umcg::task_deadline(), soon);
                  umcg::channel<int> none;
                  umcg::channel_status how;
                  none.receive(umcg::task_limit(), &how);
                  EXPECT_EQ(how, umcg::channel_status::cancelled);
                  EXPECT_TRUE(umcg::task_token().cancelled());
                  // one who does not wait with it, but asks
                  umcg::sleep_for(1ms);
              });
              inner.join();
          });
          outer.spawn([&] { EXPECT_EQ(umcg::task_deadline(), umcg::clock::time_point::min()); },
                      {.deadline = umcg::clock::time_point::min()});
          outer.join();
          EXPECT_TRUE(outer.token().cancelled());
          // too late for anything
          umcg::scope late(umcg::clock::now());
          late.spawn([] { EXPECT_EQ(umcg::sleep_until(umcg::task_limit()), umcg::wake::cancelled); });
          late.join();
      }).join();
    // a plain thread has none
    EXPECT_EQ(umcg::task_deadline(), umcg::clock::time_point::max());
    EXPECT_EQ(umcg::task_limit().ns(), 0U);
}

TEST_P(Inherit, DeadlineOfATask) {
    umcg::runtime rt(options());
    const auto at = umcg::clock::now() + 1h;
    rt.spawn(
          [&] {
              EXPECT_EQ(umcg::task_deadline(), at);
              EXPECT_EQ(umcg::spawn([] { return umcg::task_deadline(); }).join(), at);
              EXPECT_EQ(umcg::spawn([] { return umcg::task_deadline(); }, {.deadline = at + 1h}).join(), at);
              EXPECT_EQ(umcg::spawn([] { return umcg::task_deadline(); }, {.deadline = at - 1min}).join(), at - 1min);
              EXPECT_EQ(umcg::spawn([] { return umcg::task_deadline(); }, {.inherit = false}).join(),
                        umcg::clock::time_point::max());
          },
          {.deadline = at})
        .join();
}

// Sources that hang on each other, cancelled from above while those below come and go.
TEST_P(Inherit, SourcesComeAndGoWhileCancelled) {
    umcg::runtime rt(options());
    for (int r = 0; r < scaled(200); r++) {
        umcg::cancel_source top;
        umcg::latch begun(4);
        std::vector<umcg::task<bool>> all;
        for (int i = 0; i < 8; i++)
            all.push_back(rt.spawn([&, i] {
                begun.try_wait();
                umcg::cancel_source mine(top.token());
                if (i % 2) {
                    begun.count_down();
                    return umcg::sleep_until(mine.token()) == umcg::wake::cancelled;
                }
                const umcg::cancel_source below(mine.token());
                return !below.cancelled() || top.cancelled();
            }));
        begun.wait();
        top.cancel();
        for (auto& t : all) EXPECT_TRUE(t.join());
    }
}

// ---- attributes ----

// How much stack is used in all by `n` calls deep.
__attribute__((noinline)) size_t use_stack(size_t kilobytes) {
    volatile char block[1024];
    for (size_t i = 0; i < sizeof(block); i += 64) block[i] = static_cast<char>(kilobytes);
    if (kilobytes > 1) return use_stack(kilobytes - 1) + static_cast<size_t>(block[0] != 0);
    return static_cast<size_t>(block[64] != 0);
}

TEST_P(Inherit, StackSizeOfOneTask) {
    umcg::options o = options();
    o.stack_size = 64 * 1024;
    umcg::runtime rt(o);
    for (int r = 0; r < 3; r++) {
        std::vector<umcg::task<size_t>> all;
        for (size_t kb : {16, 100, 300, 1024, 1024, 3000})
            all.push_back(rt.spawn(
                [kb] {
                    umcg::yield();
                    // a frame is a bit more than the block, under sanitizers much more
#ifdef UNDER_SANITIZER
                    return use_stack(kb / 4);
#else
                    return use_stack(kb / 2);
#endif
                },
                {.stack_size = kb * 1024}));
        for (auto& t : all) EXPECT_GT(t.join(), 0U);
    }
    // made once, and used again
    EXPECT_LE(rt.stats().stacks, 3 * 64U + 200);
}

#ifndef UNDER_SANITIZER
// Below it is a guard page, and not another stack.
TEST(Attributes, LargeStackHasAGuard) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_EXIT(
        {
            signal(SIGSEGV, SIG_DFL);
            umcg::options o;
            o.servers = 1;
            o.guard = umcg::stack_guard::when_possible;
            umcg::runtime rt(o);
            rt.spawn([] { return use_stack(2000); }, {.stack_size = 1024 * 1024}).join();
        },
        testing::KilledBySignal(SIGSEGV), "");
}
#endif

TEST_P(Inherit, AttributesAreChecked) {
    umcg::runtime rt(options());
    auto refused = [&](umcg::attributes attr, const char* value) {
        try {
            rt.spawn([] { FAIL(); }, attr).join();
            FAIL() << value;
        } catch (const std::invalid_argument& e) {
            EXPECT_NE(std::string(e.what()).find(value), std::string::npos) << e.what();
        }
    };
    refused({.stack_size = 100}, "100");
    refused({.stack_size = size_t{1} << 40}, std::to_string(size_t{1} << 40).c_str());
    refused({.weight = 0}, "weight is 0");
    refused({.weight = 10001}, "10001");
    EXPECT_EQ(rt.stats().tasks_live, 0U);
    EXPECT_EQ(rt.spawn([] { return 1; }, {.priority = -5, .weight = 10000, .group = 7}).join(), 1);
}

}  // namespace
