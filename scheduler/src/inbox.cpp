// SPDX-License-Identifier: MIT
//
// What other threads may do to a server: queue a task there, wake it, stop what runs there, and count.
// R2 is the pair here.
#include <cerrno>

#include "core.hpp"

namespace umcg::detail {

void server::push_remote(task_body& t, enqueue_reason reason) noexcept {
    t.reason = reason;
    task_body* head = inbox_.load(std::memory_order_relaxed);
    do
        t.next_in_inbox = head;
    while (!inbox_.compare_exchange_weak(head, &t, std::memory_order_seq_cst,
                                         std::memory_order_relaxed));
    // whoever pushed into the empty inbox tells, after his push
    if (!head) notify();
}

void server::notify(bool queued) noexcept {
    // R2
    __atomic_fetch_and(&kernel->user_flags, ~UMCG_UF_QUIET, __ATOMIC_SEQ_CST);
    const uint32_t state = umcg_state(kernel);
    // R8
    const bool looks = !queued || !slice_.load(std::memory_order_relaxed) ||
                       ticking_.load(std::memory_order_seq_cst);
    if ((state & UMCG_TASK_MASK) == UMCG_TASK_RUNNABLE && !(state & UMCG_TF_IDLE) && looks) return;
    const int err = umcg_kick(0, static_cast<pid_t>(__atomic_load_n(&kernel->tid, __ATOMIC_RELAXED)));
    if (err && err != -ESRCH) die("umcg_kick", err);
}

void server::kick() noexcept {
    const uint32_t tid = __atomic_load_n(&kernel->running_tid, __ATOMIC_RELAXED);
    if (!tid) return;
    // it may have stopped, or ended, meanwhile
    const int err = umcg_kick(0, static_cast<pid_t>(tid));
    if (err && err != -ESRCH && err != -EAGAIN) die("umcg_kick", err);
}

void server::add_counters(stats& sum) const noexcept {
    for (auto what : {&stats::workers, &stats::workers_created, &stats::cap_reached,
                      &stats::create_failed, &stats::blocks, &stats::returns, &stats::switches,
                      &stats::hand_overs, &stats::steals, &stats::preemptions,
                      &stats::io_ops})
        sum.*what += __atomic_load_n(&(counters_.*what), __ATOMIC_RELAXED);
    // those that no executor has heard of yet
    sum.create_failed += refused_.load(std::memory_order_relaxed);
    sum.server_wakes += wakes_.load(std::memory_order_relaxed);
    sum.blocks += late_blocks_.load(std::memory_order_relaxed);
    if (io) sum.io_enters += io->enters();
}

// ---- the executor ----

void server::take_inbox() noexcept {
    // newest first; turned round
    task_body* newest = inbox_.exchange(nullptr, std::memory_order_acquire);
    task_body* oldest = nullptr;
    while (newest) {
        task_body* t = newest;
        newest = t->next_in_inbox;
        t->next_in_inbox = oldest;
        oldest = t;
    }
    while (oldest) {
        task_body* t = oldest;
        oldest = t->next_in_inbox;
        enqueue(*t, t->reason);
    }
}

}  // namespace umcg::detail
