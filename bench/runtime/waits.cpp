// SPDX-License-Identifier: MIT
//
// Tasks that wait: for time, for ever, in system calls, for pages.
#include <umcg/semaphore.hpp>
#include <vector>

#include "cases.hpp"
#include "faults.h"

using namespace std::chrono_literals;

// n tasks sleep ten times each, between 1 and 2 ms; per sleep.
void timers(long n) {
    in_runtime(1, [n] {
        std::vector<umcg::task<void>> all;
        const bench::stopwatch watch;
        for (long t = 0; t < n; t++)
            all.push_back(umcg::spawn([t] {
                for (int i = 0; i < 10; i++)
                    umcg::sleep_for(1ms + (t * 7919 + i * 104729) % 1000 * 1us);
            }));
        for (auto& t : all) t.join();
        watch.report(static_cast<double>(n) * 10);
    });
}

// n tasks that wait for what never comes: the runner looks at our memory and at our wake-ups.
void parked(long n) {
    umcg::options o = with_servers(2);
    o.stack_size = 16 * 1024;
    umcg::runtime rt(o);
    umcg::semaphore never(0), up(0);
    bench::stage("empty");
    for (long i = 0; i < n; i++)
        rt.spawn([&] {
              up.release();
              never.acquire();
          }).detach();
    for (long i = 0; i < n; i++) up.acquire();
    bench::stage("parked");
    exit(0);
}

namespace {

template <class Wait>
void storm(Wait wait) {
    umcg::runtime rt(with_servers(2));
    std::vector<umcg::task<void>> all;
    const bench::stopwatch watch;
    for (int t = 0; t < bench::storm_tasks; t++)
        all.push_back(rt.spawn([&, t] {
            for (int i = 0; i < bench::storm_waits; i++) wait(t, i);
        }));
    for (auto& t : all) t.join();
    watch.report(1);
}

}  // namespace

void syscall_storm(long) {
    storm([](int, int) { bench::sleep_in_kernel(); });
}

void fault_storm(long) {
    late_pages pages;
    if (late_pages_init(&pages, bench::storm_tasks * bench::storm_waits, bench::storm_wait_ns))
        bench::fail("no userfaultfd here");
    storm([&](int t, int i) {
        const long page = t * bench::storm_waits + i;
        *const_cast<volatile char*>(pages.memory + page * FAULT_PAGE) = 1;
    });
    late_pages_end(&pages);
}
