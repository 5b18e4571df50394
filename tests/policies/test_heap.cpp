// SPDX-License-Identifier: MIT
//
// The queue of those that do not go by arrival, against std::set: keys in order, in none, mostly in
// order, and alike; out comes the least, or anybody from the middle.
#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "../../scheduler/policies/heap.hpp"

namespace {

struct item {
    umcg::policies::heap_link<item> heap;
    uint64_t key, order;
};
bool before(const item& a, const item& b) {
    return a.key != b.key ? a.key < b.key : a.order < b.order;
}
struct by_before {
    bool operator()(const item* a, const item* b) const { return before(*a, *b); }
};

// The key of the n-th that comes.
using keys = uint64_t (*)(std::mt19937_64&, uint64_t n);

class Heap : public testing::TestWithParam<keys> {};

TEST_P(Heap, ComesOutInOrder) {
    std::mt19937_64 random(1);
    umcg::policies::policy_heap<item> heap;
    std::set<item*, by_before> oracle;
    std::vector<std::unique_ptr<item>> all;
    std::vector<item*> out;
    for (int i = 0; i < 64; i++) {
        all.push_back(std::make_unique<item>());
        out.push_back(all.back().get());
    }
    uint64_t n = 0;
    for (int step = 0; step < 200'000; step++) {
        ASSERT_EQ(heap.empty(), oracle.empty());
        ASSERT_EQ(heap.front(), oracle.empty() ? nullptr : *oracle.begin()) << "step " << step;
        // fuller and emptier in turn, to both ends
        const bool fill = random() % 16 < (step / 500 % 2 ? 10U : 6U);
        if (fill && !out.empty()) {
            item* t = out[random() % out.size()];
            std::erase(out, t);
            t->key = GetParam()(random, n);
            t->order = n++;
            heap.insert(*t);
            oracle.insert(t);
        } else if (!fill && !oracle.empty()) {
            auto at = oracle.begin();
            if (random() % 4 == 0) std::advance(at, random() % oracle.size());
            if (at == oracle.begin() && random() % 2)
                ASSERT_EQ(heap.pop_front(), *at);
            else
                heap.erase(**at);
            out.push_back(*at);
            oracle.erase(at);
        }
    }
}

constexpr keys in_order = [](std::mt19937_64&, uint64_t n) { return n; };
constexpr keys in_none = [](std::mt19937_64& random, uint64_t) -> uint64_t { return random() % 1000; };
constexpr keys mostly = [](std::mt19937_64& random, uint64_t n) { return n + (random() % 8 ? 0 : random() % 50); };
constexpr keys backwards = [](std::mt19937_64&, uint64_t n) { return 1'000'000 - n; };
constexpr keys alike = [](std::mt19937_64&, uint64_t) -> uint64_t { return 7; };

std::string name_of(const testing::TestParamInfo<keys>& c) {
    const char* const names[] = {"in_order", "in_none", "mostly_in_order", "backwards", "alike"};
    return names[c.index];
}
INSTANTIATE_TEST_SUITE_P(, Heap, testing::Values(in_order, in_none, mostly, backwards, alike), name_of);

}  // namespace
