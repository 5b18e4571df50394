// SPDX-License-Identifier: MIT
//
// What the files of the simulated kernel share: its tasks, its one lock, and how a worker stops and goes
// on under it.
#ifndef TESTS_EXPLORER_KERNEL_STATE_HPP
#define TESTS_EXPLORER_KERNEL_STATE_HPP

#include <umcg/umcg.h>

#include <memory>
#include <vector>

#include "explorer.hpp"
#include "kernel.hpp"

namespace explore {

struct task {
    umcg_task* user = nullptr;
    vthread* thread = nullptr;
    bool server = false;
    uint32_t inside = 0;  // system calls, which nest here
    // worker
    uint32_t phase = UMCG_TASK_RUNNING;
    bool asleep = false;     // late.cpp: in a system call that may be reported
    uint32_t entries = 0;    // late.cpp: how often it has been in the library
    task* on = nullptr;  // whose running worker it is
    bool preempt = false;
    // server
    task* runs = nullptr;
    bool waiting = false, idle = false, missed = false;
};

extern std::vector<std::unique_ptr<task>> tasks;

void lock(bool barrier = true);
void unlock();
// User space goes on elsewhere while the kernel is in the middle of something.
void others();
task* by_tid(uint32_t tid);
task* self();

// ---- under the lock ----

void push(__u64* head, __u64* link, umcg_task* w);
void end_wait(task& s, bool runnable);
void dispatch(task& s, task& w);
void enqueue(task& w, uint32_t flags);
// Is there anything that a server must not sleep on?
bool news(const task& s);
// `w` does not run any more.
void stopped(task& w, bool blocked, bool kicked);
// It sleeps, and its server is told.
void blocked(task& w, bool kicked);
// It has woken: goes on, or is held until it is picked. By itself.
void returned(task& w);
// Until it is let go; without the lock meanwhile.
void hold(task& w);

// ---- late.cpp ----

void late_reset() noexcept;
void late_sleep_begins(task& w);
// In and out of the library: a worker that was reported is held here.
void late_checkpoint(task& w);

}  // namespace explore

#endif
