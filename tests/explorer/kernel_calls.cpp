// SPDX-License-Identifier: MIT
//
// libumcg's calls on the simulated kernel, and what a worker may block on there.
#include <errno.h>
#include <stdlib.h>

#include <umcg/xstate.h>

#include "kernel_state.hpp"

namespace explore {

bool kernel_hands_over_early = false;

namespace {

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
        if (kernel_hands_over_early) {
            unlock();
            for (unsigned n = random(300); n; n--) point(access::load, 0, -1, site::current());
            lock(false);
        }
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

using namespace explore;

extern "C" {

int umcg_init(const umcg_options*) { return 0; }
const char* umcg_backend_name(void) { return "simulated"; }
uint32_t umcg_capabilities(void) {
    return UMCG_CAP_BLOCK_EVENTS | UMCG_CAP_HOLD | UMCG_CAP_PREEMPT | (kernel_is_late ? 0 : UMCG_CAP_ONE_RUNNING);
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
    if (kernel_is_late && !t.server) late_checkpoint(t);
    t.inside++;
    const bool barrier = t.server || !kernel_hands_over_early;
    // what the kernel itself is to read
    if (!barrier) drain(t.user, sizeof(*t.user));
    lock(barrier);
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

int umcg_checkpoint(void) {
    if (kernel_is_late) late_checkpoint(*self());
    return 0;
}
int umcg_blocking_begin(void) { return 0; }
int umcg_blocking_end(void) { return 0; }

uint64_t umcg_xstate_mask_ = 0;
uint32_t umcg_xstate_tiles_ = 0;
int umcg_xstate_init(const umcg_xstate_options*) { return 0; }
void umcg_xstate_release_(void) {}
void umcg_xstate_release_tiles_(void) {}
}
