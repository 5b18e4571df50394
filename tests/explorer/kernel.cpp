// SPDX-License-Identifier: MIT
//
// A simulated kernel: docs/kernel-protocol.md in short, for one process. A call of it is one step, but
// for the places where user space may come in between, which are marked; all else of its concurrency
// is the model's matter (tests/model).
#include "kernel_state.hpp"

namespace explore {

bool kernel_forgets_quiet = false;
bool kernel_forgets_kicks = false;
kernel_counts counts;
std::vector<std::unique_ptr<task>> tasks;

namespace {

bool locked;  // the one lock of this kernel

}  // namespace

void lock(bool barrier) {
    if (barrier) drain();
    while (locked) yield();
    locked = true;
}
void unlock() { locked = false; }
void others() {
    if (random(2)) yield();
}

task* by_tid(uint32_t tid) {
    for (auto& t : tasks)
        if (tid && t->user->tid == tid) return t.get();
    return nullptr;
}
task* self() {
    for (auto& t : tasks)
        if (t->thread == current()) return t.get();
    return nullptr;
}

// ---- under the lock ----

void push(__u64* head, __u64* link, umcg_task* w) {
    if (*link != UMCG_LINK_NONE) return;
    *link = UMCG_LINK_PENDING;
    others();
    const __u64 before = *head;
    *head = reinterpret_cast<__u64>(w);
    others();
    *link = before ? before : UMCG_LINK_END;
}

void end_wait(task& s, bool runnable) {
    if (!s.waiting) {
        s.missed = !kernel_forgets_kicks;
        return;
    }
    if (runnable && !s.idle && !(s.user->user_flags & UMCG_UF_WAKE_ON_RUNNABLE)) return;
    s.waiting = s.idle = false;
    s.user->state = UMCG_TASK_RUNNING;
    wake(s.thread);
}

void dispatch(task& s, task& w) {
    s.runs = &w;
    s.user->running_tid = w.user->tid;
    w.on = &s;
    w.user->running_tid = s.user->tid;
    w.user->state = UMCG_TASK_RUNNING;
    w.phase = UMCG_TASK_RUNNING;
    counts.dispatches++;
    wake(w.thread);
}

void enqueue(task& w, uint32_t flags) {
    w.user->state = UMCG_TASK_RUNNABLE | flags;
    w.phase = UMCG_TASK_RUNNABLE;
    task* home = by_tid(w.user->server_tid);
    push(&home->user->runnable_ptr, &w.user->runnable_ptr, w.user);
    end_wait(*home, true);
}

bool news(const task& s) {
    return s.user->runnable_ptr || s.user->next_tid || !(s.user->user_flags & UMCG_UF_QUIET);
}

void stopped(task& w, bool blocked, bool kicked) {
    task* s = w.on;
    w.on = nullptr;
    w.user->running_tid = 0;
    if (!s || s->runs != &w) return;
    s->runs = nullptr;
    s->user->running_tid = 0;
    if (const uint32_t next = s->user->next_tid; next && !kicked) {
        task* v = by_tid(next);
        if (v && v->phase == UMCG_TASK_RUNNABLE) {
            s->user->next_tid = 0;
            counts.successors++;
            dispatch(*s, *v);
            return;
        }
    }
    if (blocked && s->waiting && !news(*s)) {
        others();
        s->idle = true;
        s->user->state |= UMCG_TF_IDLE;
        others();
        if (kernel_forgets_quiet || !news(*s)) {
            counts.quiet++;
            return;
        }
    }
    end_wait(*s, false);
}

void blocked(task& w, bool kicked) {
    w.user->state = UMCG_TASK_BLOCKED;
    w.phase = UMCG_TASK_BLOCKED;
    w.user->stamp = now();
    counts.blocks++;
    if (w.on) push(&w.on->user->blocked_ptr, &w.user->blocked_ptr, w.user);
    stopped(w, true, kicked);
}

void returned(task& w) {
    task* home = by_tid(w.user->server_tid);
    if (home->user->user_flags & UMCG_UF_DIRECT_RESUME && home->waiting && home->idle &&
        !home->user->runnable_ptr) {
        counts.direct_resumes++;
        home->idle = false;
        dispatch(*home, w);
        home->user->state = UMCG_TASK_RUNNABLE;
    } else {
        enqueue(w, 0);
        hold(w);
    }
}

void hold(task& w) {
    unlock();
    while (w.phase != UMCG_TASK_RUNNING) block("held", 0);
    lock();
}

// ---- the running worker stops ----

namespace {

void preempted(task& w) {
    w.preempt = false;
    drain();
    if (w.user->user_flags & UMCG_UF_LOCKED) {
        w.user->state |= UMCG_TF_PREEMPT_PENDING;
        return;
    }
    w.inside++;
    lock();
    counts.preemptions++;
    enqueue(w, UMCG_TF_PREEMPTED);
    stopped(w, false, true);
    hold(w);
    unlock();
    w.inside--;
}

}  // namespace

void kernel_reset() noexcept {
    tasks.clear();
    locked = false;
    late_reset();
}

void kernel_point() noexcept {
    task* w = self();
    if (w && !w->server && w->preempt && !w->inside && w->phase == UMCG_TASK_RUNNING) preempted(*w);
}

bool kernel_sleep_begins() noexcept {
    task* w = self();
    if (!w || w->server) return false;
    drain();
    if (kernel_is_late) {
        late_sleep_begins(*w);
        return true;
    }
    w->inside++;
    if (w->user->user_flags & UMCG_UF_LOCKED) {
        w->inside--;
        return false;
    }
    lock();
    const bool kicked = w->preempt;
    w->preempt = false;
    blocked(*w, kicked);
    unlock();
    return true;
}

void kernel_sleep_ends() noexcept {
    task& w = *self();
    if (kernel_is_late) {
        w.asleep = false;
        return;
    }
    lock();
    returned(w);
    unlock();
    w.inside--;
}

void kernel_call_begins() noexcept {
    if (task* t = self()) t->inside++;
}

void kernel_call_ends() noexcept {
    if (task* t = self()) t->inside--;
}

}  // namespace explore
