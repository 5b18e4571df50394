// SPDX-License-Identifier: MIT
//
// The runtime's side of every row of `./umcg bench runtime`: runtime-bench CASE N.
// Those of the peers are in bench/peers/, with the same names.
#include "cases.hpp"

int main(int argc, char** argv) {
    static const bench::measured_case cases[] = {
        {"switch", raw_switch}, {"yield", yields},           {"spawn_join", spawn_join},
        {"channel", channel},   {"mutex", mutex_held},       {"mutex_2", mutex_two_cpus},
        {"timer", timers},      {"timer_insert", timer_insert}, {"timer_fire", timer_fire},
        {"skynet", skynet},     {"fib", fib},
        {"parked", parked},     {"syscalls", syscall_storm}, {"faults", fault_storm},
        {"cold", cold_ring},    {"cold_plain", cold_plain},
    };
    return bench::run_case(cases, argc, argv);
}
