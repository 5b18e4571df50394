// SPDX-License-Identifier: MIT
//
// The worker's side of the scheduling step: its native loop, the switch from fiber to fiber, and
// what is done after it. All of it in a section: the caller is the executor of its home.
#include <sched.h>

#include <cerrno>

#include <umcg/native_handle.hpp>
#include <umcg/xstate.h>

#include "core.hpp"

namespace umcg::detail {

namespace {

// Done by the context that was switched to: now `a.from` is saved and may run elsewhere.
void after_switch(arrival a) noexcept {
    auto* prev = static_cast<task_body*>(a.from->owner);
    if (!prev) return;  // the native context of this worker
    server& s = *a.on->home;
    switch (std::exchange(prev->then, task_body::after::nothing)) {
    case task_body::after::yield:
        s.enqueue(*prev, UMCG_ENQUEUE_YIELD);
        return;
    case task_body::after::end: {
        prev->ctx.sanitizer.end_fiber();
        stack_pool* pool = prev->pool;
        prev->~task_body();
        if (pool == &s.owner.stacks)
            s.put_stack(prev);
        else
            pool->put(prev);
        return;
    }
    case task_body::after::nothing:
        break;
    }
    // R1. With the word PARKED, prev and the waiter on its stack are somebody else's.
    waiter& w = *std::exchange(prev->parking, nullptr);
    s.blocked(*prev, w.for_io ? UMCG_BLOCKED_IO : UMCG_BLOCKED_PARK, 0);
    uint32_t old = waiter::parking;
    if (!w.word.compare_exchange_strong(old, waiter::parked, std::memory_order_acq_rel,
                                        std::memory_order_acquire))
        s.enqueue(*prev, UMCG_ENQUEUE_WAKE);
}

// Park this worker. 0 and EAGAIN: it has been picked again or was not let go.
void wait_as_worker(worker* w) noexcept {
    w->cpu.forget();
    tsan_release(w->home);
    umcg_xstate_release();
    const int err = umcg_wait(0, 0);
    tsan_acquire(w->home);
    if (err && err != -EAGAIN) die("umcg_wait", err);
}

// Let `v` run in the place of `w`, which returns when it is picked again.
void hand_over(worker* w, worker* v) noexcept {
    server& s = *w->home;
    s.settle();
    // I5: before what it is to carry
    if (v->in_ring.linked) s.io->wake_all();
    s.count(&stats::hand_overs);
    s.will_run(*v);
    __atomic_store_n(&w->kernel->next_tid, __atomic_load_n(&v->kernel->tid, __ATOMIC_RELAXED),
                     __ATOMIC_RELAXED);
    // not taken: a tracer was in the way
    do
        wait_as_worker(w);
    while (__atomic_load_n(&w->kernel->next_tid, __ATOMIC_ACQUIRE));
}

worker* leave_fiber(worker* w, task_body& self, task_body* next) noexcept {
    context* to;
    self.bound = nullptr;
    if (next && next->kind == kind::fiber && !next->bound) {
        w->current = next;
        to = &next->ctx;
        w->home->count(&stats::switches);
    } else {
        w->current = nullptr;
        w->assigned = next;
        to = &w->native;
    }
    const arrival a =
        switch_context(w, w->exceptions, self.ctx, *to, self.then == task_body::after::end);
    after_switch(a);
    a.on->home->settle();
    return a.on;
}

// The worker stays with its thread task; somebody else has to run what comes next.
void leave_thread(worker* w, task_body& self, task_body* next) noexcept {
    server& s = *w->home;
    if (next == &self) return;
    if (next && next->bound) {
        hand_over(w, next->bound);
    } else if (next) {
        worker* spare = s.take_spare();
        spare->assigned = next;
        hand_over(w, spare);
    } else {
        // no successor: it would find nothing, either
        s.disarm();
        wait_as_worker(w);
    }
}

void run_thread_task(worker* w, task_body& t) noexcept {
    server& s = *w->home;
    w->current = &t;
    t.bound = w;
    s.with_thread_task++;
    s.settle();
    leave_section(w);

    // a thread has control words of its own
    t.ctx.control.load();
    t.state->run();
    s.owner.control.load();
    t.state->complete();

    enter_section();
    s.with_thread_task--;
    s.forget(t);
    w->current = nullptr;
    core& owner = *t.owner;
    t.~task_body();
    owner.put_thread_task(t);
    owner.task_ended(s);
}

}  // namespace

worker* give_way(worker* w, task_body* next) noexcept {
    task_body& self = *w->current;
    server& s = *w->home;
    if (!next) {
        s.begin_step();
        s.take();
        const bool fiber = self.kind == kind::fiber;
        next = s.next(fiber || s.has_spare(), fiber ? w : nullptr);
    }
    if (self.kind == kind::fiber) return leave_fiber(w, self, next);
    leave_thread(w, self, next);
    s.settle();
    return w;
}

void run_fiber(arrival a) noexcept {
    after_switch(a);
    a.on->home->settle();
    task_body& self = *a.on->current;
    leave_section(a.on);

    self.state->run();
    self.name = "";
    self.state->complete();

    // what a large one has used is not kept
    if (self.pool != &self.owner->stacks) self.pool->trim(&self);
    worker* w = enter_section();
    self.then = task_body::after::end;
    w->home->forget(self);
    self.owner->task_ended(*w->home);
    give_way(w, nullptr);
    __builtin_unreachable();
}

void run_worker(worker& me) noexcept {
    worker* w = &me;
    server& s = *w->home;
    while (!w->retire) {
        s.running(*w);
        task_body* t = std::exchange(w->assigned, nullptr);
        if (!t) {
            s.begin_step();
            s.take();
            t = s.next(true, w);
        }
        if (!t) {
            // the server thread goes on: it knows how to be idle
            if (s.surplus()) break;
            if (s.attend_io(*w)) continue;
            s.disarm();
            s.add_spare(*w);
            while (w->spare) wait_as_worker(w);
        } else if (t->bound && t->bound != w) {
            s.add_spare(*w);
            hand_over(w, t->bound);
        } else if (t->kind == kind::thread) {
            run_thread_task(w, *t);
        } else {
            w->current = t;
            s.count(&stats::switches);
            after_switch(switch_context(w, w->exceptions, w->native, t->ctx, false));
        }
    }
    s.retired(*w);
}

void make_runnable(task_body& t, enqueue_reason reason) noexcept {
    worker* w = enter_section();
    server* here = w ? w->home : this_server();
    core& owner = *t.owner;
    if (here && &here->owner != &owner) here = nullptr;
    server& s = t.bound ? *t.bound->home
                        : *owner.servers[owner.policy.select(here ? here->index : no_server, t, reason)];
    if (here == &s) {
        s.enqueue(t, reason);
        if (w) s.settle();
    } else {
        s.push_remote(t, reason, here ? here->index : no_server);
    }
    if (w) leave_section(w);
}

}  // namespace umcg::detail

// ---- what users call ----

namespace umcg {

using detail::enter_section;
using detail::give_way;
using detail::leave_section;
using detail::server;
using detail::task_body;
using detail::this_worker;
using detail::worker;

void yield() noexcept {
    worker* w = enter_section();
    if (!w) {
        sched_yield();
        return;
    }
    task_body& self = *w->current;
    server& s = *w->home;
    const bool fiber = self.kind == kind::fiber;
    task_body* next;
    do {
        s.begin_step();
        s.take();
        next = s.next(fiber || s.has_spare(), fiber ? w : nullptr, false);
    } while (!next && !s.goes_on(*w));
    if (next && &self != next) {
        if (fiber)
            self.then = task_body::after::yield;
        else
            s.enqueue(self, UMCG_ENQUEUE_YIELD);
        w = give_way(w, next);
    } else {
        s.settle();
    }
    leave_section(w);
}

wake sleep_until(const limit& until) {
    detail::waiter w;
    return detail::park(w, until);
}

bool in_task() noexcept {
    worker* w = this_worker();
    return w && w->current;
}

native_handles native_handle() noexcept {
    const worker* w = this_worker();
    if (!w || !w->current) return {};
    return {w->kernel, w->home->kernel, w->home->index};
}

const char* task_name() noexcept {
    worker* w = this_worker();
    return w && w->current ? w->current->state->attr().name.c_str() : "";
}

}  // namespace umcg
