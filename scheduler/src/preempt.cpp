// SPDX-License-Identifier: MIT
//
// The tick: what the server thread does beside a running worker, so that neither the tasks behind
// it nor timers wait for longer than two slices. Shared things only: the executor is the worker.
// docs/runtime.md has the states and what the end of a slice can meet; R8 and R9 are the pairs
// here.
#include <algorithm>

#include "core.hpp"
#include "light_barrier.hpp"

namespace umcg::detail {

bool server::others_wait() const noexcept {
    // completions are among those: nobody else looks for them
    return owner.policy.depth_from_outside(index) || inbox_.load(std::memory_order_seq_cst) ||
           arrivals_.load(std::memory_order_seq_cst) || (io && io->unattended());
}

// The executor, in a section: the server thread is to look within a slice.
void server::begin_ticks() noexcept {
    if (this_server() == this || ticking_.exchange(true, std::memory_order_seq_cst)) return;
    wake(__atomic_load_n(&kernel->tid, __ATOMIC_RELAXED));
}

// The executor, in a section: who runs now has a shorter slice than who ran when the server thread went
// to sleep.
void server::look_earlier() noexcept {
    if (this_server() == this) return;
    look_at_.store(due_, std::memory_order_relaxed);
    wake(__atomic_load_n(&kernel->tid, __ATOMIC_RELAXED));
}

// Who runs in this turn does so for want of a worker for others.
void server::stand_in() noexcept {
    if (owner.policy.wants_preempts())
        stands_in_.store(turn_.load(std::memory_order_relaxed), std::memory_order_relaxed);
}

// ---- the server thread, beside a worker ----

// We could not wait with entries on them. The executor takes them as it takes its inbox.
void server::pass_on_lists() noexcept {
    if (!umcg_has_news(kernel)) return;
    umcg_news news;
    umcg_take(kernel, &news);
    while (umcg_task* w = umcg_next_blocked(&news))
        if ((umcg_state(w) & UMCG_TASK_MASK) == UMCG_TASK_BLOCKED)
            late_blocks_.fetch_add(1, std::memory_order_relaxed);
    bool any = false;
    while (umcg_task* k = umcg_next_runnable(&news)) {
        worker* w = worker_of(k);
        w->next_spare = arrivals_.load(std::memory_order_relaxed);
        while (!arrivals_.compare_exchange_weak(w->next_spare, w, std::memory_order_seq_cst,
                                                std::memory_order_relaxed)) {
        }
        any = true;
    }
    if (!any) return;
    // R9
    __atomic_fetch_and(&kernel->user_flags, ~UMCG_UF_QUIET, __ATOMIC_SEQ_CST);
    if (one_stands_in())
        room_turn_.store(turn_.load(std::memory_order_relaxed), std::memory_order_relaxed);
}

void server::watch() noexcept {
    pass_on_lists();
    const uint32_t tid = __atomic_load_n(&kernel->running_tid, __ATOMIC_RELAXED);
    if (!slice_.load(std::memory_order_relaxed) || !tid || !others_wait()) {
        watched_tid_ = 0;
        return;
    }
    // whoever has been picked since is another one
    const uint64_t turn = turn_.load(std::memory_order_acquire);
    const uint64_t slice = slice_.load(std::memory_order_relaxed);
    const uint64_t since = runs_since();
    const uint64_t now = now_ns();
    uint64_t look = look_at_.load(std::memory_order_relaxed);
    const bool again = tid == watched_tid_ && turn == watched_turn_;
    if (!again) {
        watched_tid_ = tid;
        watched_turn_ = turn;
        look = (since ? since : now) + slice;
        look_at_.store(std::max(look, now + look_grain), std::memory_order_relaxed);
    }
    // R12: who was to make room did not run when it was asked to, or has only stood in. Who runs and is not
    // that one is the executor that hands over to it; or, at the second look, has taken the place of an idle
    // server.
    if (room_turn_.load(std::memory_order_seq_cst) == turn) {
        const uint32_t runner = runner_.load(std::memory_order_relaxed);
        const bool picked = tid == runner || (one_stands_in() && tid == dispatching_tid_);
        const bool stops = (picked || (again && runner != nobody)) &&
                           turn_.load(std::memory_order_acquire) == turn && stop(tid);
        const uint64_t then = !stops ? look_grain : picked ? slice : std::min(slice, 20 * look_grain);
        look_at_.store(now + then, std::memory_order_relaxed);
        return;
    }
    if (now < look) return;
    if (owner.policy.tick(index, since ? now - since : slice)) stop(tid);
    look_at_.store(now + slice, std::memory_order_relaxed);
}

void server::set_wake_on_runnable(bool on) noexcept {
    const uint32_t now = __atomic_load_n(&kernel->user_flags, __ATOMIC_RELAXED);
    if (!(now & UMCG_UF_WAKE_ON_RUNNABLE) == !on) return;
    if (on)
        __atomic_fetch_or(&kernel->user_flags, UMCG_UF_WAKE_ON_RUNNABLE, __ATOMIC_SEQ_CST);
    else
        __atomic_fetch_and(&kernel->user_flags, ~UMCG_UF_WAKE_ON_RUNNABLE, __ATOMIC_SEQ_CST);
}

// Right before the server's wait. When to look next; `never`: nobody has to be looked after.
uint64_t server::next_look() noexcept {
    const uint64_t slice = slice_.load(std::memory_order_relaxed);
    if (!slice) return timer_heap::never;
    const bool beside = __atomic_load_n(&kernel->running_tid, __ATOMIC_SEQ_CST) != 0;
    const bool runs = beside || __atomic_load_n(&kernel->next_tid, __ATOMIC_SEQ_CST) != 0;
    bool tick = runs && others_wait();
    if (!tick && ticking_.load(std::memory_order_relaxed)) {
        // R8. Where nobody runs there is nobody to be seen by
        if (beside && !light_barriers) {
            tick = true;
        } else {
            ticking_.store(false, std::memory_order_seq_cst);
            if (beside) heavy_barrier();
            tick = runs && others_wait();
        }
    }
    if (tick) ticking_.store(true, std::memory_order_seq_cst);
    set_wake_on_runnable(!tick || one_stands_in());
    if (!tick) {
        watched_tid_ = 0;
        return timer_heap::never;
    }
    if (!beside) {
        // dispatched now: a spare, mostly, that will pick somebody whose slice is not known yet. Were the
        // shorter one not reckoned with, that one would have to wake us at once.
        watched_tid_ = 0;
        const uint64_t first = other_slice_ < slice ? other_slice_ + look_grain : slice;
        look_at_.store(now_ns() + std::min(first, slice), std::memory_order_relaxed);
    } else if (!watched_tid_) {
        // it has just begun to matter
        const uint64_t since = runs_since();
        look_at_.store((since ? since : now_ns()) + slice, std::memory_order_relaxed);
    }
    return look_at_.load(std::memory_order_relaxed);
}

}  // namespace umcg::detail
