// SPDX-License-Identifier: MIT
//
// A kernel without UMCG_CAP_ONE_RUNNING, as libumcg's portable backend and late holds of its bpf one
// make it: that a worker sleeps is found out later, by a monitor, and a worker that has woken runs on
// beside another one until it calls the library. libumcg/src/emul/ is what this is in short.
#include "kernel_state.hpp"

namespace explore {

bool kernel_is_late = false;
bool checkpoint_is_no_barrier = false;

namespace {

vthread* monitor = nullptr;
bool monitor_sleeps, monitor_ends;

// Asleep, and nobody has been told.
task* to_report() {
    for (auto& t : tasks)
        if (t->asleep && t->phase == UMCG_TASK_RUNNING) return t.get();
    return nullptr;
}

void watch() {
    monitor = current();
    while (!monitor_ends) {
        task* w = to_report();
        if (!w) {
            monitor_sleeps = true;
            block("the monitor: nobody sleeps", 0);
            monitor_sleeps = false;
            continue;
        }
        const uint32_t seen = w->entries, tid = w->user->tid;
        // meanwhile it may have woken, and be in a section
        for (unsigned n = random(30); n; n--) point(access::load, 0, -1, site::current());
        lock();
        // the exchange of its word: it has not been in the library since
        if (by_tid(tid) == w && w->phase == UMCG_TASK_RUNNING && w->entries == seen &&
            !(w->user->user_flags & UMCG_UF_LOCKED)) {
            const bool kicked = w->preempt;
            w->preempt = false;
            counts.late += !w->asleep;
            blocked(*w, kicked);
        }
        unlock();
        yield();
    }
}

}  // namespace

late_kernel::late_kernel() : monitor_(start(watch)) { kernel_is_late = true; }

late_kernel::~late_kernel() {
    monitor_ends = true;
    if (monitor) wake(monitor);
    join(monitor_);
    kernel_is_late = false;
}

void late_reset() noexcept {
    monitor = nullptr;
    monitor_sleeps = monitor_ends = false;
}

void late_sleep_begins(task& w) {
    // in the library no sleep is reported
    w.asleep = !w.inside;
    if (monitor && monitor_sleeps) wake(monitor);
}

void late_checkpoint(task& w) {
    if (w.server) return;
    if (w.phase == UMCG_TASK_RUNNING && checkpoint_is_no_barrier) return;
    drain();
    w.entries++;
    if (w.phase == UMCG_TASK_RUNNING) return;
    w.inside++;
    lock();
    returned(w);
    unlock();
    w.inside--;
}

}  // namespace explore
