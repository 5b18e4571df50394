// SPDX-License-Identifier: MIT
//
// Who gets how much: tasks that compute without end, with weights and groups.
#include <umcg/runtime.hpp>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "cases.hpp"
#include "load.h"
#include "measure.hpp"
#include "policy_simulator.hpp"

namespace {

struct share {
    unsigned weight = 0, group = 0;
};

share parse(const char* text) {
    share s;
    if (sscanf(text, "%u/%u", &s.weight, &s.group) != 2) bench::fail("a task is WEIGHT/GROUP");
    return s;
}

template <class Got>
void print(const std::vector<Got>& all) {
    double sum = 0;
    for (const auto& got : all) sum += static_cast<double>(got);
    if (sum <= 0) bench::fail("nobody got anything");
    for (const auto& got : all) printf("share\t%.6f\n", static_cast<double>(got) / sum);
}

}  // namespace

void shares_runtime(const char* policy, double seconds, int n, char** tasks) {
    load where;
    load_choose_cpus(&where);
    umcg::options o;
    o.servers = 1;
    o.cpus = {where.cpu};
    o.policy = policy;
    umcg::runtime rt(o);
    struct alignas(64) counter {
        std::atomic<uint64_t> done{0};
    };
    std::vector<counter> counters(static_cast<size_t>(n));
    std::atomic<int> begun{0};
    std::atomic<bool> ends{false};
    std::vector<umcg::task<void>> all;
    for (int i = 0; i < n; i++) {
        const share s = parse(tasks[i]);
        umcg::attributes attr;
        attr.weight = s.weight;
        attr.group = s.group;
        all.push_back(rt.spawn(
            [&, i] {
                begun++;
                auto& mine = counters[static_cast<size_t>(i)].done;
                while (!ends.load(std::memory_order_relaxed)) {
                    load_work(1000);
                    mine.store(mine.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
                }
            },
            attr));
    }
    const auto look = [&] {
        std::vector<uint64_t> now;
        for (auto& c : counters) now.push_back(c.done.load(std::memory_order_relaxed));
        return now;
    };
    // from when all of them are there
    while (begun.load() < n) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    std::vector<uint64_t> before = look();
    std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
    std::vector<uint64_t> got = look();
    ends = true;
    for (size_t i = 0; i < got.size(); i++) got[i] -= before[i];
    for (auto& t : all) t.join();
    print(got);
}

void shares_simulator(const char* policy, double seconds, int n, char** tasks) {
    using namespace umcg::detail;
    std::vector<sim_arrival> arrivals;
    for (int i = 0; i < n; i++) {
        const share s = parse(tasks[i]);
        sim_arrival a;
        a.service = ~0ULL >> 2;
        a.weight = s.weight;
        a.group = s.group;
        arrivals.push_back(a);
    }
    sim_options o;
    o.until = static_cast<uint64_t>(seconds * 1e9);
    o.switch_ns = 100;
    o.preempt_ns = 1000;
    const sim_result r = simulate(parse_policy_spec(policy), arrivals, o);
    if (!r.wrong.empty()) bench::fail(r.wrong.c_str());
    print(r.ran);
}
