// SPDX-License-Identifier: MIT
//
// Tasks that wait: for time, for ever, in system calls, for pages.
#include <umcg/io.hpp>
#include <umcg/semaphore.hpp>
#include <vector>

#include "cases.hpp"
#include "cold.hpp"
#include "faults.h"
#include "timer.hpp"

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

// A timer is set and taken away again, n times, among others that are not due for an hour; per pair.
void timer_insert(long n) {
    umcg::detail::timer_heap heap;
    std::vector<umcg::detail::waiter> others(bench::timers_pending);
    const uint64_t hour = umcg::detail::now_ns() + 3600'000'000'000;
    for (size_t i = 0; i < others.size(); i++) heap.insert(others[i].timer, hour + i * 7919 % 10007 * 1000);
    umcg::detail::waiter mine;
    const bench::stopwatch watch;
    for (long i = 0; i < n; i++) {
        heap.insert(mine.timer, hour + static_cast<uint64_t>(i) * 104729 % 10007 * 1000);
        heap.erase(mine.timer);
    }
    watch.report(static_cast<double>(n));
    for (auto& w : others) heap.erase(w.timer);
}

// n tasks are due at once, and end; per task. They sleep when the watch is started.
void timer_fire(long n) {
    in_runtime(1, [n] {
        std::vector<umcg::task<void>> all;
        const auto due = umcg::clock::now() + bench::timers_due;
        for (long t = 0; t < n; t++) all.push_back(umcg::spawn([due] { umcg::sleep_until(due); }));
        umcg::sleep_until(due - bench::timers_due / 10);
        if (umcg::clock::now() >= due) bench::fail("this machine is too slow: the timers were due before they were set");
        const bench::stopwatch watch;
        for (auto& t : all) t.join();
        watch.report(static_cast<double>(n));
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

namespace {

// Per read.
template <class Read>
void cold(long n, Read read) {
    const bench::cold_file file(n);
    umcg::runtime rt(with_servers(2));
    std::vector<umcg::task<void>> all;
    const bench::stopwatch watch;
    for (long t = 0; t < COLD_TASKS; t++) all.push_back(rt.spawn([&file, read, t] { file.read_as(t, read); }));
    for (auto& t : all) t.join();
    watch.report(file.reads());
}

}  // namespace

void cold_ring(long n) {
    cold(n, [](int fd, void* to, size_t size, off_t at) { return umcg::io::pread(fd, to, size, at); });
}

void cold_plain(long n) {
    cold(n, [](int fd, void* to, size_t size, off_t at) { return ::pread(fd, to, size, at); });
}
