// SPDX-License-Identifier: MIT
#ifndef TESTS_EXPLORER_SCENARIOS_HPP
#define TESTS_EXPLORER_SCENARIOS_HPP

namespace explore {

struct scenario {
    const char* name;
    void (*run)();
};

// structures.cpp: one structure each, on plain threads.
void lists();
void short_locks();
void owner_locks();
void timed_waits();

// runtimes.cpp: a runtime each.
void messages();
void blocks();
void returns();
void late_returns();
void hand_overs();
void sleepers();
void hogs();
void ticks();
void room();
void thieves();
void idle_workers();
void swaps();
void stops();

// io.cpp: runtimes with rings.
void reads();
void reads_beside();
void completions();
void limits();

}  // namespace explore

#endif
