// SPDX-License-Identifier: MIT
//
// Workers and stacks that nobody needs now; all of it the executor's. docs/runtime.md, "Idle workers".
#include <algorithm>

#include "core.hpp"
#include "next_tid.hpp"

namespace umcg::detail {

void server::add_spare(worker& w) noexcept {
    w.next_spare = spares_;
    w.spare = true;
    w.retire = false;
    spares_ = &w;
    n_spares_++;
}

worker* server::pop_spare() noexcept {
    worker* w = spares_;
    if (!w) return nullptr;
    spares_ = w->next_spare;
    w->spare = false;
    n_spares_--;
    least_spares_ = std::min(least_spares_, n_spares_);
    return w;
}

void server::arm_spare() noexcept {
    if (replace_next(kernel, 0, tid_of(*spares_))) armed_ = pop_spare();
}

void server::disarm() noexcept {
    if (!armed_) return;
    if (replace_next(kernel, tid_of(*armed_), 0)) add_spare(*armed_);
    armed_ = nullptr;
}

worker* server::take_spare() noexcept {
    if (!spares_) disarm();
    return pop_spare();
}

bool server::surplus() const noexcept {
    return workers - with_thread_task > owner.opts.max_workers;
}

void server::retired(worker& w) noexcept {
    running(w);
    workers--;
    count(&stats::workers, static_cast<uint64_t>(-1));
}

// ---- those that nobody has needed for a while ----

bool server::has_idle_spares() const noexcept {
    return n_spares_ > 1 && owner.opts.idle_worker_time.count() &&
           workers - with_thread_task > owner.workers_at_start();
}

// Nobody has to be told of idle spares: there are none, or the server's wait ends for them.
bool server::expects_review() const noexcept {
    return !has_idle_spares() || review_wake_.load(std::memory_order_relaxed) != timer_heap::never;
}

// The server thread, nobody runs. As many as were left at the worst moment since the last review were
// not needed since then; one is kept.
void server::review_spares() noexcept {
    if (!has_idle_spares()) {
        if (review_at_ == timer_heap::never) return;
        review_at_ = timer_heap::never;
        review_wake_.store(review_at_, std::memory_order_relaxed);
        unneeded_ = 0;
        return;
    }
    const uint64_t now = now_ns();
    if (review_at_ != timer_heap::never) {
        if (now < review_at_) return;
        const unsigned more_than_at_start = workers - with_thread_task - owner.workers_at_start();
        unneeded_ = std::min(least_spares_ ? least_spares_ - 1 : 0, more_than_at_start);
    }
    least_spares_ = n_spares_;
    review_at_ = now + idle_worker_ns();
    review_wake_.store(review_at_, std::memory_order_relaxed);
}

uint64_t server::idle_worker_ns() const noexcept {
    return static_cast<uint64_t>(owner.opts.idle_worker_time.count());
}

// The server thread, beside a worker: a review is for when nobody runs.
void server::put_off_review() noexcept {
    const uint64_t until = review_wake_.load(std::memory_order_relaxed);
    if (until == timer_heap::never) return;
    const uint64_t now = now_ns();
    if (now >= until) review_wake_.store(now + idle_worker_ns(), std::memory_order_relaxed);
}

// The server thread, right before it waits.
void server::retire_spare() noexcept {
    // some may have been needed since
    unneeded_ = std::min(unneeded_, least_spares_ ? least_spares_ - 1 : 0);
    if (!unneeded_ || armed_ || !has_idle_spares()) return;
    unneeded_--;
    send_off(*pop_spare());
}

// It is dispatched by the wait that follows, and ends. One that is not taken back, by disarm(), before
// it could carry anything.
void server::send_off(worker& w) noexcept {
    if (!replace_next(kernel, 0, tid_of(w))) {
        add_spare(w);
        return;
    }
    w.retire = true;
    armed_ = &w;
}

void server::write_off_refused() noexcept {
    const unsigned n = refused_.exchange(0, std::memory_order_relaxed);
    if (!n) return;
    workers -= n;
    pending -= n;
    refused_before_ = true;
    count(&stats::create_failed, n);
}

// Where tasks are stopped for others one is made before it is needed: it takes longer than a short task waits.
void server::keep_a_spare() noexcept {
    if (!slice_.load(std::memory_order_relaxed) || has_spare() || pending || refused_before_ || owner.stopping.load(std::memory_order_relaxed) ||
        workers - with_thread_task >= owner.opts.max_workers)
        return;
    ask_for_worker();
}

void server::ask_for_worker() noexcept {
    write_off_refused();
    if (pending) return;
    if (workers - with_thread_task >= owner.opts.max_workers) {
        count(&stats::cap_reached);
        return;
    }
    workers++;
    pending++;
    owner.want_worker(*this);
}

void* server::get_stack() noexcept {
    if (!stacks_.head) owner.stacks.get_some(stacks_, 32);
    return stacks_.pop();
}

void server::put_stack(void* top) noexcept {
    stacks_.push(top);
    if (stacks_.count > 128) owner.stacks.put_some(stacks_, 64);
}

}  // namespace umcg::detail
