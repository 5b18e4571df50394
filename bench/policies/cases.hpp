// SPDX-License-Identifier: MIT
#ifndef BENCH_POLICIES_CASES_HPP
#define BENCH_POLICIES_CASES_HPP

// ns of CPU time of a pick() and an enqueue(); `n` of them.
void call_compiled(const char* name, long n);
void call_table(const char* spec, long n);

// Serve the load of `schedule`; `data` nullptr: all of it is CPU time, else long ones are scans of it, of so
// many records.
void serve(const char* schedule, const char* result, const char* data, int records);

// The short requests of `schedule` without the long ones and without a runtime: the least that can be had here.
void serve_alone(const char* schedule, const char* result);

// `n` tasks that come beside one that computes, and stop it: latency, and what each costs.
void stops(int n);

// Shares of tasks that compute for `seconds`, on the runtime and in the simulator; a task is
// "WEIGHT/GROUP". Prints what each got, as parts of 1.
void shares_runtime(const char* policy, double seconds, int n, char** tasks);
void shares_simulator(const char* policy, double seconds, int n, char** tasks);

#endif
