// SPDX-License-Identifier: MIT
//
// Boost.Fiber, and below it Boost.Context's fcontext for the switch alone.
#include <boost/context/detail/fcontext.hpp>
#include <boost/fiber/all.hpp>
#include <chrono>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "cold.hpp"
#include "faults.h"
#include "measure.hpp"

namespace fibers = boost::fibers;
using namespace std::chrono_literals;

namespace {

// As small as the runtime's in the same case: a tree has very many at once.
constexpr size_t small_stack = 16 * 1024;

template <class F>
fibers::fiber spawn(F fn) {
    return fibers::fiber(std::allocator_arg, fibers::fixedsize_stack(small_stack), fn);
}

// fn() as a fiber, on two threads that steal from each other.
template <class F>
void on_two_threads(F fn) {
    fibers::mutex m;
    fibers::condition_variable_any over;
    bool done = false;
    fibers::barrier ready(2);
    std::thread second([&] {
        fibers::use_scheduling_algorithm<fibers::algo::work_stealing>(2, true);
        std::unique_lock lock(m);
        over.wait(lock, [&] { return done; });
    });
    fibers::use_scheduling_algorithm<fibers::algo::work_stealing>(2, true);
    spawn(fn).join();
    {
        std::lock_guard lock(m);
        done = true;
    }
    over.notify_all();
    second.join();
}

void raw_switch(long n) {
    namespace bctx = boost::context::detail;
    constexpr size_t size = 64 * 1024;
    const auto stack = std::make_unique<char[]>(size);
    bctx::fcontext_t there = bctx::make_fcontext(stack.get() + size, size, [](bctx::transfer_t t) {
        for (;;) t = bctx::jump_fcontext(t.fctx, nullptr);
    });
    const bench::stopwatch watch;
    for (long i = 0; i < n; i += 2) there = bctx::jump_fcontext(there, nullptr).fctx;
    watch.report(static_cast<double>(n));
}

void yields(long n) {
    const auto half = [n] {
        for (long i = 0; i < n / 2; i++) boost::this_fiber::yield();
    };
    fibers::fiber other(half);
    const bench::stopwatch watch;
    half();
    other.join();
    watch.report(static_cast<double>(n));
}

void spawn_join(long n) {
    const bench::stopwatch watch;
    for (long i = 0; i < n; i++) fibers::fiber([] {}).join();
    watch.report(static_cast<double>(n));
}

void channels(long n) {
    fibers::unbuffered_channel<long> there, back;
    fibers::fiber echo([&] {
        for (long v; there.pop(v) == fibers::channel_op_status::success;) back.push(v);
    });
    const bench::stopwatch watch;
    for (long i = 0; i < n; i++) {
        there.push(i);
        if (back.value_pop() != i) bench::fail("channel: another value came back");
    }
    watch.report(static_cast<double>(n));
    there.close();
    echo.join();
}

constexpr int contenders = 8;

template <class Hold>
void contend(long n, Hold hold) {
    fibers::mutex m;
    long count = 0;
    std::vector<fibers::fiber> all;
    const bench::stopwatch watch;
    for (int t = 0; t < contenders; t++)
        all.push_back(spawn([&] {
            for (long i = 0; i < n / contenders; i++) {
                std::lock_guard lock(m);
                count++;
                hold();
            }
        }));
    for (auto& t : all) t.join();
    watch.report(static_cast<double>(n));
    if (count != n / contenders * contenders) bench::fail("mutex: a count was lost");
}

void mutex_held(long n) {
    contend(n, [] { boost::this_fiber::yield(); });
}

void mutex_two_cpus(long n) {
    on_two_threads([n] { contend(n, [] {}); });
}

void timers(long n) {
    std::vector<fibers::fiber> all;
    const bench::stopwatch watch;
    for (long t = 0; t < n; t++)
        all.push_back(spawn([t] {
            for (int i = 0; i < 10; i++)
                boost::this_fiber::sleep_for(1ms + (t * 7919 + i * 104729) % 1000 * 1us);
        }));
    for (auto& t : all) t.join();
    watch.report(static_cast<double>(n) * 10);
}

void timer_fire(long n) {
    std::vector<fibers::fiber> all;
    const auto due = std::chrono::steady_clock::now() + bench::timers_due;
    for (long t = 0; t < n; t++) all.push_back(spawn([due] { boost::this_fiber::sleep_until(due); }));
    boost::this_fiber::sleep_until(due - bench::timers_due / 10);
    if (std::chrono::steady_clock::now() >= due)
        bench::fail("this machine is too slow: the timers were due before they were set");
    const bench::stopwatch watch;
    for (auto& t : all) t.join();
    watch.report(static_cast<double>(n));
}

long sum(long number, long leaves) {
    if (leaves <= 1) return number;
    long parts[10];
    std::vector<fibers::fiber> children;
    children.reserve(10);
    const long each = leaves / 10;
    for (long i = 0; i < 10; i++)
        children.push_back(spawn([=, &parts] { parts[i] = sum(number + i * each, each); }));
    long total = 0;
    for (auto& c : children) c.join();
    for (long part : parts) total += part;
    return total;
}

void skynet(long n) {
    long total = 0;
    on_two_threads([n, &total] {
        const bench::stopwatch watch;
        total = sum(0, n);
        watch.report(1);
    });
    if (total != n * (n - 1) / 2) bench::fail("skynet: wrong sum");
}

long fibonacci(long n) {
    if (n < 2) return n;
    long left = 0;
    auto child = spawn([n, &left] { left = fibonacci(n - 1); });
    const long right = fibonacci(n - 2);
    child.join();
    return left + right;
}

void fib(long n) {
    long result = 0;
    on_two_threads([n, &result] {
        const bench::stopwatch watch;
        result = fibonacci(n);
        watch.report(1);
    });
    long a = 0, b = 1;
    for (long i = 0; i < n; i++) b += std::exchange(a, b);
    if (result != a) bench::fail("fib: wrong number");
}

void parked(long n) {
    fibers::mutex m;
    fibers::condition_variable never;
    long up = 0;
    bench::stage("empty");
    for (long i = 0; i < n; i++)
        spawn([&] {
            std::unique_lock lock(m);
            up++;
            never.wait(lock);
        }).detach();
    while (up != n) boost::this_fiber::yield();
    bench::stage("parked");
    _exit(0);
}

template <class Wait>
void storm(Wait wait) {
    on_two_threads([wait] {
        std::vector<fibers::fiber> all;
        const bench::stopwatch watch;
        for (int t = 0; t < bench::storm_tasks; t++)
            all.push_back(spawn([wait, t] {
                for (int i = 0; i < bench::storm_waits; i++) {
                    wait(t, i);
                    boost::this_fiber::yield();
                }
            }));
        for (auto& t : all) t.join();
        watch.report(1);
    });
}

void syscall_storm(long) {
    storm([](int, int) { bench::sleep_in_kernel(); });
}

void fault_storm(long) {
    late_pages pages;
    if (late_pages_init(&pages, bench::storm_tasks * bench::storm_waits, bench::storm_wait_ns))
        bench::fail("no userfaultfd here");
    storm([&pages](int t, int i) {
        const long page = t * bench::storm_waits + i;
        *const_cast<volatile char*>(pages.memory + page * FAULT_PAGE) = 1;
    });
    late_pages_end(&pages);
}

// A read stops the thread, and all fibers on it.
void cold(long n) {
    const bench::cold_file file(n);
    on_two_threads([&file] {
        std::vector<fibers::fiber> all;
        const bench::stopwatch watch;
        for (long t = 0; t < COLD_TASKS; t++)
            all.push_back(spawn([&file, t] {
                file.read_as(t, [](int fd, void* to, size_t size, off_t at) {
                    const ssize_t got = pread(fd, to, size, at);
                    boost::this_fiber::yield();
                    return got;
                });
            }));
        for (auto& t : all) t.join();
        watch.report(file.reads());
    });
}

}  // namespace

int main(int argc, char** argv) {
    static const bench::measured_case cases[] = {
        {"switch", raw_switch}, {"yield", yields},           {"spawn_join", spawn_join},
        {"channel", channels},  {"mutex", mutex_held},       {"mutex_2", mutex_two_cpus},
        {"timer", timers},      {"timer_fire", timer_fire},
        {"skynet", skynet},          {"fib", fib},
        {"parked", parked},     {"syscalls", syscall_storm}, {"faults", fault_storm},
        {"cold", cold},
    };
    return bench::run_case(cases, argc, argv);
}
