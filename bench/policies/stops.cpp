// SPDX-License-Identifier: MIT
//
// What it costs to stop a task that computes for one that comes: a thread on the other CPU spawns a task
// every 200 us, which is due before the one that computes, and notes when it has begun.
#include <umcg/runtime.hpp>

#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include "cases.hpp"
#include "load.h"

namespace {

double system_us(int who) {
    rusage r;
    getrusage(who, &r);
    return static_cast<double>(r.ru_stime.tv_sec) * 1e6 + static_cast<double>(r.ru_stime.tv_usec);
}

struct stop_costs {
    std::vector<int64_t> latencies;
    double spawner_us, others_us;
    umcg::stats before, after;
};

stop_costs measure(umcg::runtime& rt, int n) {
    stop_costs c;
    c.before = rt.stats();
    const double mine = system_us(RUSAGE_THREAD), all = system_us(RUSAGE_SELF);
    for (int i = 0; i < n; i++) {
        const int64_t at = load_now();
        std::atomic<int64_t> begun{0};
        rt.spawn([&] { begun = load_now(); }, {.deadline = umcg::clock::now()}).detach();
        while (!begun) __builtin_ia32_pause();
        c.latencies.push_back(begun - at);
        while (load_now() < at + 200'000) __builtin_ia32_pause();
    }
    c.spawner_us = system_us(RUSAGE_THREAD) - mine;
    c.others_us = system_us(RUSAGE_SELF) - all - c.spawner_us;
    c.after = rt.stats();
    return c;
}

}  // namespace

void stops(int n) {
    load l = {};
    load_choose_cpus(&l);
    umcg::options o;
    o.servers = 1;
    o.cpus = {l.cpu};
    o.policy = "deadline";
    umcg::runtime rt(o);
    std::atomic<bool> end{false};
    umcg::task<void> computes = rt.spawn([&] {
        while (!end.load(std::memory_order_relaxed)) load_work(1000);
    });
    stop_costs c;
    std::thread spawner([&] {
        load_generate(&l);
        measure(rt, n / 10 + 1);  // workers are made, memory is touched
        c = measure(rt, n);
    });
    spawner.join();
    end = true;
    computes.join();
    std::sort(c.latencies.begin(), c.latencies.end());
    const auto each = [&](auto figure) { return static_cast<double>(figure) / n; };
    printf("latency_p50_us\t%.1f\nlatency_p99_us\t%.1f\n", static_cast<double>(c.latencies[static_cast<size_t>(n) / 2]) / 1e3,
           static_cast<double>(c.latencies[static_cast<size_t>(n) * 99 / 100]) / 1e3);
    printf("system_us_of_spawner\t%.1f\nsystem_us_of_runtime\t%.1f\n", each(c.spawner_us), each(c.others_us));
    printf("stops\t%.2f\nserver_wakes\t%.2f\nhand_overs\t%.2f\n", each(c.after.preemptions - c.before.preemptions),
           each(c.after.server_wakes - c.before.server_wakes), each(c.after.hand_overs - c.before.hand_overs));
}
