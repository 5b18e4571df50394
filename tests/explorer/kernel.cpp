// SPDX-License-Identifier: MIT
//
// libumcg's calls on a kernel that is simulated: docs/kernel-protocol.md in short, for one process.
// A call of it is one step, but for the places where user space may come in between, which are
// marked; all else of its concurrency is the model's matter (tests/model).
#include "kernel.hpp"

#include <errno.h>
#include <stdlib.h>

#include <memory>
#include <vector>

#include <umcg/umcg.h>
#include <umcg/xstate.h>

#include "explorer.hpp"

namespace explore {

bool kernel_forgets_quiet = false;
bool kernel_forgets_kicks = false;
kernel_counts counts;

namespace {

struct task {
    umcg_task* user = nullptr;
    vthread* thread = nullptr;
    bool server = false;
    uint32_t inside = 0;  // system calls, which nest here
    // worker
    uint32_t phase = UMCG_TASK_RUNNING;
    task* on = nullptr;  // whose running worker it is
    bool preempt = false;
    // server
    task* runs = nullptr;
    bool waiting = false, idle = false, missed = false;
};

std::vector<std::unique_ptr<task>> tasks;
bool locked;  // the one lock of this kernel

void lock() {
    drain();
    while (locked) yield();
    locked = true;
}
void unlock() { locked = false; }
// User space goes on elsewhere while the kernel is in the middle of something.
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

// `w` does not run any more.
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

void hold(task& w) {
    unlock();
    while (w.phase != UMCG_TASK_RUNNING) block("held", 0);
    lock();
}

// ---- the running worker stops ----

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

int park(task& w, uint32_t flags) {
    const uint32_t next = w.user->next_tid;
    task* v = nullptr;
    if (next) {
        v = by_tid(next);
        if (!v) return -ESRCH;
        if (v->phase != UMCG_TASK_RUNNABLE) return -EAGAIN;
        w.user->next_tid = 0;
    }
    w.preempt = false;
    task* s = w.on;
    w.user->state = UMCG_TASK_RUNNABLE;
    w.phase = UMCG_TASK_RUNNABLE;
    if (flags & UMCG_WAIT_ENQUEUE) enqueue(w, 0);
    if (v && s && s->runs == &w) {
        w.on = nullptr;
        w.user->running_tid = 0;
        dispatch(*s, *v);
    } else {
        stopped(w, false, false);
    }
    hold(w);
    return 0;
}

int wait_as_server(task& s, uint64_t until) {
    s.waiting = true;
    s.idle = !s.runs && !s.user->next_tid;
    s.user->state = UMCG_TASK_RUNNABLE | (s.idle ? UMCG_TF_IDLE : 0);
    others();
    const auto undo = [&](int err) {
        s.waiting = s.idle = false;
        s.user->state = UMCG_TASK_RUNNING;
        return err;
    };
    if (s.user->runnable_ptr || s.user->blocked_ptr || s.missed) {
        s.missed = false;
        return undo(-EAGAIN);
    }
    if (const uint32_t next = s.user->next_tid; next && !s.runs) {
        task* w = by_tid(next);
        if (!w) return undo(-ESRCH);
        if (w->phase != UMCG_TASK_RUNNABLE) return undo(-EAGAIN);
        s.user->next_tid = 0;
        dispatch(s, *w);
    }
    unlock();
    bool in_time = true;
    while (s.waiting && in_time) in_time = block("umcg_wait", until);
    lock();
    return s.waiting ? undo(-ETIMEDOUT) : 0;
}

}  // namespace

void kernel_reset() noexcept {
    tasks.clear();
    locked = false;
}

void kernel_point() noexcept {
    task* w = self();
    if (w && !w->server && w->preempt && !w->inside && w->phase == UMCG_TASK_RUNNING) preempted(*w);
}

bool kernel_sleep_begins() noexcept {
    task* w = self();
    if (!w || w->server) return false;
    w->inside++;
    drain();
    if (w->user->user_flags & UMCG_UF_LOCKED) {
        w->inside--;
        return false;
    }
    lock();
    const bool kicked = w->preempt;
    w->preempt = false;
    w->user->state = UMCG_TASK_BLOCKED;
    w->phase = UMCG_TASK_BLOCKED;
    w->user->stamp = now();
    counts.blocks++;
    if (w->on) push(&w->on->user->blocked_ptr, &w->user->blocked_ptr, w->user);
    stopped(*w, true, kicked);
    unlock();
    return true;
}

void kernel_sleep_ends() noexcept {
    task& w = *self();
    lock();
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
    unlock();
    w.inside--;
}

void event::wait() {
    drain();
    while (!set_) {
        waiting_.push_back(current());
        const bool told = kernel_sleep_begins();
        while (!set_) block("event", 0);
        if (told) kernel_sleep_ends();
    }
}

void event::set() {
    drain();
    set_ = true;
    for (vthread* t : waiting_) wake(t);
    waiting_.clear();
}

}  // namespace explore

// ---- libumcg ----

using namespace explore;

extern "C" {

int umcg_init(const umcg_options*) { return 0; }
const char* umcg_backend_name(void) { return "simulated"; }
uint32_t umcg_capabilities(void) {
    return UMCG_CAP_BLOCK_EVENTS | UMCG_CAP_HOLD | UMCG_CAP_PREEMPT | UMCG_CAP_ONE_RUNNING;
}
size_t umcg_backend_probe(char*, size_t) { return 0; }
umcg_task* umcg_task_alloc(void) {
    auto* t = static_cast<umcg_task*>(aligned_alloc(64, sizeof(umcg_task)));
    *t = {};
    return t;
}
void umcg_task_free(umcg_task* t) { free(t); }

int umcg_register(umcg_task* user, uint32_t flags) {
    lock();
    tasks.push_back(std::make_unique<task>());
    task& t = *tasks.back();
    t.user = user;
    t.thread = current();
    t.server = flags & UMCG_REG_SERVER;
    user->tid = id(t.thread);
    user->state = UMCG_TASK_RUNNING;
    if (!t.server) {
        t.inside++;
        enqueue(t, 0);
        hold(t);
        t.inside--;
    }
    unlock();
    return 0;
}

int umcg_unregister(umcg_task* user) {
    lock();
    task& t = *self();
    user->state = UMCG_TASK_NONE;
    if (!t.server) stopped(t, false, false);
    user->tid = 0;
    t.thread = nullptr;
    t.phase = UMCG_TASK_NONE;
    for (auto it = tasks.begin(); it != tasks.end(); ++it)
        if (it->get() == &t) {
            tasks.erase(it);
            break;
        }
    unlock();
    return 0;
}

int umcg_wait(uint32_t flags, uint64_t until) {
    task& t = *self();
    t.inside++;
    lock();
    const int ret = t.server ? wait_as_server(t, until) : park(t, flags);
    unlock();
    t.inside--;
    return ret;
}

int umcg_kick(uint32_t, pid_t tid) {
    if (control_applies(access::kick)) return 0;
    lock();
    task* t = by_tid(static_cast<uint32_t>(tid));
    int ret = 0;
    if (!t)
        ret = -ESRCH;
    else if (t->server)
        end_wait(*t, false);
    else if (t->phase != UMCG_TASK_RUNNING)
        ret = -EAGAIN;
    else
        t->preempt = true;
    unlock();
    return ret;
}

int umcg_checkpoint(void) { return 0; }
int umcg_blocking_begin(void) { return 0; }
int umcg_blocking_end(void) { return 0; }

uint64_t umcg_xstate_mask_ = 0;
uint32_t umcg_xstate_tiles_ = 0;
int umcg_xstate_init(const umcg_xstate_options*) { return 0; }
void umcg_xstate_release_(void) {}
void umcg_xstate_release_tiles_(void) {}
}
