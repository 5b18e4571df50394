// SPDX-License-Identifier: MIT
//
// Kernel threads: pthreads, std::mutex and condition variables for what the runtime's tasks do.
#include <pthread.h>
#include <sched.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <semaphore>
#include <thread>
#include <vector>

#include "cold.hpp"
#include "faults.h"
#include "measure.hpp"

using namespace std::chrono_literals;

namespace {

void use_cpus(int n) {
    cpu_set_t all, some;
    if (sched_getaffinity(0, sizeof(all), &all)) bench::fail("sched_getaffinity");
    CPU_ZERO(&some);
    for (int cpu = 0; cpu < CPU_SETSIZE && n; cpu++)
        if (CPU_ISSET(cpu, &all)) CPU_SET(cpu, &some), n--;
    if (sched_setaffinity(0, sizeof(some), &some)) bench::fail("sched_setaffinity");
}

void yields(long n) {
    use_cpus(1);
    const auto half = [n] {
        for (long i = 0; i < n / 2; i++) sched_yield();
    };
    std::thread other(half);
    const bench::stopwatch watch;
    half();
    other.join();
    watch.report(static_cast<double>(n));
}

void spawn_join(long n) {
    use_cpus(1);
    const bench::stopwatch watch;
    for (long i = 0; i < n; i++) std::thread([] {}).join();
    watch.report(static_cast<double>(n));
}

// A rendezvous of one value, as short as a mutex and two condition variables make it.
class channel {
  public:
    void send(long v) {
        std::unique_lock lock(m_);
        empty_.wait(lock, [this] { return !full_; });
        value_ = v;
        full_ = true;
        filled_.notify_one();
    }
    long receive() {
        std::unique_lock lock(m_);
        filled_.wait(lock, [this] { return full_; });
        full_ = false;
        empty_.notify_one();
        return value_;
    }

  private:
    std::mutex m_;
    std::condition_variable empty_, filled_;
    bool full_ = false;
    long value_ = 0;
};

void channels(long n) {
    use_cpus(1);
    channel there, back;
    std::thread echo([&] {
        for (long i = 0; i < n; i++) back.send(there.receive());
    });
    const bench::stopwatch watch;
    for (long i = 0; i < n; i++) {
        there.send(i);
        if (back.receive() != i) bench::fail("channel: another value came back");
    }
    watch.report(static_cast<double>(n));
    echo.join();
}

template <class Hold>
void contend(int cpus, long n, Hold hold) {
    use_cpus(cpus);
    constexpr int contenders = 8;
    std::mutex m;
    long count = 0;
    std::vector<std::thread> all;
    const bench::stopwatch watch;
    for (int t = 0; t < contenders; t++)
        all.emplace_back([&] {
            for (long i = 0; i < n / contenders; i++) {
                std::lock_guard lock(m);
                count++;
                hold();
            }
        });
    for (auto& t : all) t.join();
    watch.report(static_cast<double>(n));
    if (count != n / contenders * contenders) bench::fail("mutex: a count was lost");
}

void mutex_held(long n) {
    contend(1, n, [] { sched_yield(); });
}

void mutex_two_cpus(long n) {
    contend(2, n, [] {});
}

void timers(long n) {
    use_cpus(1);
    std::vector<std::thread> all;
    const bench::stopwatch watch;
    for (long t = 0; t < n; t++)
        all.emplace_back([t] {
            for (int i = 0; i < 10; i++)
                std::this_thread::sleep_for(1ms + (t * 7919 + i * 104729) % 1000 * 1us);
        });
    for (auto& t : all) t.join();
    watch.report(static_cast<double>(n) * 10);
}

void timer_fire(long n) {
    use_cpus(1);
    std::vector<std::thread> all;
    const auto due = std::chrono::steady_clock::now() + bench::timers_due;
    for (long t = 0; t < n; t++) all.emplace_back([due] { std::this_thread::sleep_until(due); });
    std::this_thread::sleep_until(due - bench::timers_due / 10);
    if (std::chrono::steady_clock::now() >= due)
        bench::fail("this machine is too slow: the timers were due before they were set");
    const bench::stopwatch watch;
    for (auto& t : all) t.join();
    watch.report(static_cast<double>(n));
}

void parked(long n) {
    use_cpus(2);
    std::counting_semaphore<> never(0), up(0);
    bench::stage("empty");
    for (long i = 0; i < n; i++)
        std::thread([&] {
            up.release();
            never.acquire();
        }).detach();
    for (long i = 0; i < n; i++) up.acquire();
    bench::stage("parked");
    _exit(0);
}

template <class Wait>
void storm(Wait wait) {
    use_cpus(2);
    std::vector<std::thread> all;
    const bench::stopwatch watch;
    for (int t = 0; t < bench::storm_tasks; t++)
        all.emplace_back([&, t] {
            for (int i = 0; i < bench::storm_waits; i++) wait(t, i);
        });
    for (auto& t : all) t.join();
    watch.report(1);
}

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

void cold(long n) {
    const bench::cold_file file(n);
    std::vector<std::thread> all;
    const bench::stopwatch watch;
    for (long t = 0; t < COLD_TASKS; t++) all.emplace_back([&file, t] { file.read_as(t, pread); });
    for (auto& t : all) t.join();
    watch.report(file.reads());
}

}  // namespace

int main(int argc, char** argv) {
    static const bench::measured_case cases[] = {
        {"yield", yields},     {"spawn_join", spawn_join},  {"channel", channels},
        {"mutex", mutex_held}, {"mutex_2", mutex_two_cpus}, {"timer", timers}, {"timer_fire", timer_fire},
        {"parked", parked},    {"syscalls", syscall_storm}, {"faults", fault_storm},
        {"cold", cold},
    };
    return bench::run_case(cases, argc, argv);
}
