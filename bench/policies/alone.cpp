// SPDX-License-Identifier: MIT
//
// What this machine does to the short requests of a load by itself: one thread that spins for them, on the
// CPU that serves the others' loads, and nothing else to do. No wake-up, no stop, no long request: what is
// left of their slowdown is the queue of a perfect server and what the rest of the machine takes of the CPU.
#include <atomic>
#include <thread>

#include "cases.hpp"
#include "load.h"

void serve_alone(const char* schedule, const char* result) {
    load l;
    load_read(&l, schedule);
    const double steps = load_steps_per_ns();
    std::atomic<long> handed_in{0};
    std::thread generator([&] {
        load_generate(&l);
        for (long i = 0; i < l.n; i++) {
            load_wait_for(&l, i);
            handed_in.store(i + 1, std::memory_order_release);
        }
    });
    std::thread server([&] {
        load_use_cpu(l.cpu);
        for (long i = 0; i < l.n; i++) {
            while (handed_in.load(std::memory_order_acquire) <= i) __builtin_ia32_pause();
            load_request& r = l.all[i];
            if (r.klass) {
                r.latency = LOAD_REFUSED;
                continue;
            }
            load_work(static_cast<uint64_t>(steps * static_cast<double>(r.service)));
            load_done(&l, i);
        }
    });
    generator.join();
    server.join();
    load_write(&l, result);
    printf("steps_per_ns\t%.4f\n", steps);
}
