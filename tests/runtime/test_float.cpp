// SPDX-License-Identifier: MIT
//
// What of the floating-point state belongs to a task: the control words of those that asked for their
// own, and nothing else.
#include <cfenv>
#include <cstdint>
#include <thread>
#include <vector>

#include "harness.hpp"

namespace {

struct controls {
    uint32_t mxcsr;
    uint16_t x87;
    bool operator==(const controls&) const = default;
};

controls read() {
    controls c = {};
    asm volatile("stmxcsr %0" : "=m"(c.mxcsr));
    asm volatile("fnstcw %0" : "=m"(c.x87));
    c.mxcsr &= 0xffc0;
    return c;
}

// All four rounding modes, with flush to zero (MXCSR alone) in half of them.
controls use(unsigned i) {
    constexpr int modes[] = {FE_DOWNWARD, FE_UPWARD, FE_TOWARDZERO, FE_TONEAREST};
    fesetround(modes[i % 4]);
    controls c = read();
    if (i & 4) {
        c.mxcsr |= 0x8000;
        asm volatile("ldmxcsr %0" : : "m"(c.mxcsr));
    }
    return read();
}

class Float : public Runtime {};
IN_EVERY_CONFIGURATION(Float);

TEST_P(Float, ATaskThatAskedKeepsItsOwn) {
    const controls before = read();
    umcg::runtime rt(options());
    std::vector<umcg::task<bool>> tasks;
    for (unsigned i = 0; i < 64; i++) {
        tasks.push_back(rt.spawn(
            [i] {
                const controls mine = use(i);
                for (int n = 0; n < scaled(200); n++) {
                    if (n % 50 == 7)
                        umcg::sleep_for(1ms);
                    else if (n % 50 == 11)
                        usleep(10);
                    else
                        umcg::yield();
                    if (read() != mine) return false;
                }
                return true;
            },
            {.float_environment = true}));
        // beside those that did not ask
        tasks.push_back(rt.spawn([before] {
            for (int n = 0; n < scaled(200); n++) {
                umcg::yield();
                if (read() != before) return false;
            }
            return true;
        }));
    }
    for (auto& t : tasks) EXPECT_TRUE(t.join());
    EXPECT_EQ(read(), before);
}

TEST_P(Float, AThreadTaskHasItsOwnAndLeavesNothingBehind) {
    const controls before = read();
    umcg::runtime rt(options());
    for (unsigned i = 0; i < 40; i++) {
        EXPECT_TRUE(rt.spawn(
                          [i] {
                              const controls mine = use(i);
                              umcg::yield();
                              umcg::sleep_for(1us);
                              return read() == mine;
                          },
                          {.kind = umcg::kind::thread})
                        .join());
        EXPECT_TRUE(rt.spawn([before] { return read() == before; }).join());
        EXPECT_TRUE(
            rt.spawn([before] { return read() == before; }, {.kind = umcg::kind::thread}).join());
    }
}

TEST_P(Float, AChildStartsWithItsSpawners) {
    umcg::runtime rt(options());
    const controls before = read();
    for (const auto kind : {umcg::kind::fiber, umcg::kind::thread}) {
        EXPECT_TRUE(rt.spawn(
                          [kind] {
                              const controls mine = use(5);
                              auto child = umcg::spawn([mine] { return read() == mine; },
                                                       {.kind = kind, .float_environment = true});
                              return child.join() && read() == mine;
                          },
                          {.float_environment = true})
                        .join());
        // who has not asked has the runtime's
        EXPECT_TRUE(rt.spawn(
                          [before] {
                              use(5);
                              return umcg::spawn([before] { return read() == before; }).join();
                          },
                          {.float_environment = true})
                        .join());
    }
}

// The runtime is made in an environment of its own: all its threads have that one.
TEST_P(Float, TheRuntimesIsItsMakers) {
    std::thread([this] {
        const controls mine = use(6);
        umcg::runtime rt(options());
        std::thread([&] {
            const controls other = use(1);
            EXPECT_NE(other, mine);
            for (int i = 0; i < 20; i++)
                EXPECT_TRUE(rt.spawn([mine] {
                                  usleep(1);
                                  umcg::yield();
                                  return read() == mine;
                              }).join());
        }).join();
    }).join();
}

// That a difference is seen.
TEST(FloatControl, EachOfTheEightIsAnother) {
    std::thread([] {
        std::vector<controls> seen;
        for (unsigned i = 0; i < 8; i++) {
            // back to none first
            fesetenv(FE_DFL_ENV);
            const controls c = use(i);
            for (const controls& other : seen) EXPECT_NE(c, other) << i;
            seen.push_back(c);
        }
    }).join();
}

}  // namespace
