// SPDX-License-Identifier: MIT
//
// The cases; `n` is how many operations, tasks or leaves.
#ifndef BENCH_RUNTIME_CASES_HPP
#define BENCH_RUNTIME_CASES_HPP

#include <umcg/runtime.hpp>

#include "measure.hpp"

void raw_switch(long n);

void yields(long n);
void spawn_join(long n);
void channel(long n);
void mutex_held(long n);
void mutex_two_cpus(long n);

void skynet(long n);
void fib(long n);

void timers(long n);
void timer_insert(long n);
void timer_fire(long n);
void parked(long n);
void syscall_storm(long n);
void fault_storm(long n);
void cold_ring(long n);
void cold_plain(long n);

inline umcg::options with_servers(unsigned n) {
    umcg::options o;
    o.servers = n;
    return o;
}

// Run fn() as a task and wait for it.
template <class F>
void in_runtime(unsigned servers, F fn) {
    umcg::runtime rt(with_servers(servers));
    rt.spawn(fn).join();
}

#endif
