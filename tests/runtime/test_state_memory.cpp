// SPDX-License-Identifier: MIT
//
// Tasks that hold little and much, spawned from everywhere, with handles that are dropped anywhere: what
// they hold stays theirs, where its type wants it.
#include <array>
#include <thread>
#include <vector>

#include "harness.hpp"

namespace {

class StateMemory : public Runtime {};
IN_EVERY_CONFIGURATION(StateMemory);

template <size_t Size>
struct alignas(8) block {
    explicit block(int v) { bytes.fill(static_cast<unsigned char>(v)); }
    bool intact(int v) const {
        for (unsigned char b : bytes)
            if (b != static_cast<unsigned char>(v)) return false;
        return true;
    }
    std::array<unsigned char, Size> bytes;
};

template <size_t Align>
struct alignas(Align) aligned {
    bool good() const { return reinterpret_cast<uintptr_t>(this) % Align == 0; }
    char c = 'x';
};

template <size_t Size, class Spawn>
umcg::task<bool> hold(Spawn spawn, int v) {
    return spawn([b = block<Size>(v), v] {
        umcg::yield();
        return b.intact(v);
    });
}

// Of every class of sizes, and beyond.
template <class Spawn>
unsigned hold_all(Spawn spawn, int rounds) {
    unsigned lost = 0;
    std::vector<umcg::task<bool>> all;
    for (int i = 0; i < rounds; i++) {
        all.push_back(hold<1>(spawn, i));
        all.push_back(hold<100>(spawn, i + 1));
        all.push_back(hold<200>(spawn, i + 2));
        all.push_back(hold<300>(spawn, i + 3));
        all.push_back(hold<400>(spawn, i + 4));
        all.push_back(hold<2000>(spawn, i + 5));
    }
    for (auto& t : all) lost += !t.join();
    return lost;
}

TEST_P(StateMemory, IsNobodyElses) {
    umcg::runtime rt(options());
    const auto outside = [&](auto f) { return rt.spawn(std::move(f)); };
    const auto inside = [](auto f) { return umcg::spawn(std::move(f)); };
    std::vector<std::thread> threads;
    std::atomic<unsigned> lost{0};
    for (int t = 0; t < 3; t++) threads.emplace_back([&] { lost += hold_all(outside, 100); });
    auto first = rt.spawn([&] { lost += hold_all(inside, 100); });
    auto second = rt.spawn([&] { lost += hold_all(inside, 100); }, {.kind = umcg::kind::thread});
    first.join();
    second.join();
    for (auto& t : threads) t.join();
    EXPECT_EQ(lost, 0U);
}

TEST_P(StateMemory, IsAlignedAsItsTypeIs) {
    umcg::runtime rt(options());
    for (int i = 0; i < 50; i++) {
        auto line = rt.spawn([a = aligned<64>()] { return a.good(); });
        auto page = rt.spawn([a = aligned<4096>()] { return a.good(); });
        auto plain = rt.spawn([a = aligned<16>()] { return a.good(); });
        EXPECT_TRUE(line.join() && page.join() && plain.join());
    }
}

TEST_P(StateMemory, OutlivesTheRuntime) {
    std::vector<umcg::task<bool>> kept;
    for (int round = 0; round < 3; round++) {
        umcg::runtime rt(options());
        for (int i = 0; i < 300; i++) kept.push_back(hold<100>([&](auto f) { return rt.spawn(std::move(f)); }, i));
    }
    for (auto& t : kept) EXPECT_TRUE(t.join());
}

}  // namespace
