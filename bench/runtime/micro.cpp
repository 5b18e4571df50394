// SPDX-License-Identifier: MIT
//
// One operation, many times: yield, spawn and join, a channel's round trip, a mutex.
#include <mutex>
#include <umcg/channel.hpp>
#include <umcg/mutex.hpp>
#include <vector>

#include "cases.hpp"

// Two tasks that yield to each other.
void yields(long n) {
    in_runtime(1, [n] {
        const auto half = [n] {
            for (long i = 0; i < n / 2; i++) umcg::yield();
        };
        auto other = umcg::spawn(half);
        const bench::stopwatch watch;
        half();
        other.join();
        watch.report(static_cast<double>(n));
    });
}

void spawn_join(long n) {
    in_runtime(1, [n] {
        const bench::stopwatch watch;
        for (long i = 0; i < n; i++) umcg::spawn([] {}).join();
        watch.report(static_cast<double>(n));
    });
}

// A value there and back, no buffers.
void channel(long n) {
    in_runtime(1, [n] {
        umcg::channel<long> there, back;
        auto echo = umcg::spawn([&] {
            while (auto v = there.receive()) back.send(*v);
        });
        const bench::stopwatch watch;
        for (long i = 0; i < n; i++) {
            there.send(i);
            if (back.receive() != i) bench::fail("channel: another value came back");
        }
        watch.report(static_cast<double>(n));
        there.close();
        echo.join();
    });
}

namespace {

constexpr int contenders = 8;

template <class Hold>
void contend(unsigned servers, long n, Hold hold) {
    in_runtime(servers, [n, hold] {
        umcg::mutex m;
        long count = 0;
        std::vector<umcg::task<void>> all;
        const bench::stopwatch watch;
        for (int t = 0; t < contenders; t++)
            all.push_back(umcg::spawn([&] {
                for (long i = 0; i < n / contenders; i++) {
                    std::lock_guard lock(m);
                    count++;
                    hold();
                }
            }));
        for (auto& t : all) t.join();
        watch.report(static_cast<double>(n));
        if (count != n / contenders * contenders) bench::fail("mutex: a count was lost");
    });
}

}  // namespace

// One CPU, held across a yield, so that everybody else has to wait.
void mutex_held(long n) {
    contend(1, n, [] { umcg::yield(); });
}

// Two CPUs, held for one addition.
void mutex_two_cpus(long n) {
    contend(2, n, [] {});
}
