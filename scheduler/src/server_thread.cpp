// SPDX-License-Identifier: MIT
//
// The server thread: the executor of its server while no worker runs. What it does beside one is in
// preempt.cpp.
#include <algorithm>
#include <cerrno>
#include <utility>

#include <umcg/xstate.h>

#include "core.hpp"
#include "next_tid.hpp"

namespace umcg::detail {

namespace {

thread_local server* executing = nullptr;  // server threads only: they carry no fiber

}  // namespace

server* this_server() noexcept { return executing; }

// What the running worker has named in next_tid, or we have, is dispatched if nobody runs.
void server::wait() noexcept {
    if (std::exchange(executing, nullptr) && !next_tid(kernel)) {
        unpicked_may_run();
        // for what waits for a worker
        if (depth()) stand_in();
    }
    // R8: before R4
    const uint64_t look = next_look();
    const uint64_t until = std::min({timers.announce(wait_until_), look,
                                     review_wake_.load(std::memory_order_relaxed)});
    tsan_release(this);
    umcg_xstate_release();
    const int err = umcg_wait(0, until == timer_heap::never ? 0 : until);
    tsan_acquire(this);
    if (err && err != -EAGAIN && err != -ETIMEDOUT && err != -EINTR) die("umcg_wait", err);
}

// A worker in the middle of its task, which goes on where it is.
void server::dispatch_bound() noexcept {
    // where all are bound whoever the policy picks can go on by itself
    task_body* t = next(n_bound_ == depth(), nullptr, false);
    if (!t->bound) {
        // R12: it has come since, and waits for a worker with the rest
        enqueue(*t, UMCG_ENQUEUE_PREEMPTED);
        return;
    }
    // no use in stopping it before there is a worker for the others
    if (one_stands_in()) begin_step();
    disarm();
    settle(false);
    dispatching_ = t->bound;
    dispatching_tid_ = tid_of(*t->bound);
    replace_next(kernel, 0, dispatching_tid_);
    wait();
}

// Nobody runs: has it been, or is it still named, because the wait ended before it had begun? Not by
// the tid that it has now: it may have run, ended its task and unregistered.
void server::undo_dispatch() noexcept {
    worker* w = std::exchange(dispatching_, nullptr);
    if (!w || armed_ == w || !replace_next(kernel, dispatching_tid_, 0)) return;
    w->cpu.forget();
    enqueue(w->assigned ? *w->assigned : *w->current, UMCG_ENQUEUE_UNBLOCKED);
}

// Nobody runs, and nothing is queued.
void server::idle() noexcept {
    // settle() has armed a spare, if there is one; it finds nothing else to do than to wait for I/O
    if (io && io->unattended() && !has_spare()) ask_for_worker();
    retire_spare();
    wait();
}

// Nobody runs, something is queued.
void server::feed() noexcept {
    // what it carries may run long, and others beside what is bound wait for it
    if (!has_spare() && n_bound_ < depth()) {
        if (!io || !io->wake_waiter()) ask_for_worker();
    }
    if (n_bound_ && (n_bound_ == depth() || !has_spare())) {
        dispatch_bound();
        return;
    }
    settle();
    if (depth())
        wait();
    else
        idle();  // thieves had the rest
}

// Nothing is left: let the workers go, one at a time. False: all are gone.
bool server::wind_up() noexcept {
    write_off_refused();
    if (!workers) return false;
    disarm();
    if (worker* w = take_spare()) send_off(*w);
    // I5, and one that was woken for a completion that another one took sleeps on
    if (io) io->wake_all();
    wait();
    return true;
}

void server::run() noexcept {
    for (;;) {
        wakes_.fetch_add(1, std::memory_order_relaxed);
        if (__atomic_load_n(&kernel->running_tid, __ATOMIC_SEQ_CST)) {
            // the worker is the executor; what we do here comes to it by the inbox
            dispatching_ = nullptr;
            if (timers.earliest() != timer_heap::never) timers.fire(now_ns());
            put_off_review();
            watch();
            wait();
            continue;
        }
        executing = this;
        begin_step();
        calm_ = 0;
        undo_dispatch();
        if (armed_ && armed_->retire) disarm();
        take();
        review_spares();
        // a thief may take the last at any moment: one look decides, and idle() comes after settle()
        bool queued = depth();
        if (!queued && !owner.stopping.load(std::memory_order_acquire)) {
            settle();
            queued = depth();
        }
        if (queued) {
            feed();
        } else if (owner.stopping.load(std::memory_order_acquire)) {
            if (!wind_up()) break;
        } else {
            idle();
        }
    }
    executing = nullptr;
}

}  // namespace umcg::detail
