// SPDX-License-Identifier: MIT
//
// What other threads may do to a server: queue a task there, wake it, stop what runs there, and count.
// R2 is the pair here.
#include <cerrno>

#include "core.hpp"

namespace umcg::detail {

// 0: not known. Read after turn_: who was picked since then is not taken for the one before.
uint64_t server::runs_since() const noexcept {
    return owner.policy.wants_time() ? picked_at_.load(std::memory_order_relaxed) : 0;
}

// Does the server thread, which ticks, look when who runs has had his slice? It may have gone to sleep
// for that of somebody else.
bool server::looks_in_time() const noexcept {
    const uint64_t since = runs_since();
    return !since || look_at_.load(std::memory_order_relaxed) <=
                         since + slice_.load(std::memory_order_relaxed) + look_grain;
}

// The worker that is to make room for `t`; 0: none. Of one that is bound the policy may not have heard yet
// that it waits.
uint32_t server::makes_room_for(task_body& t, unsigned from) noexcept {
    const uint32_t tid = __atomic_load_n(&kernel->running_tid, __ATOMIC_RELAXED);
    if (!tid || t.bound || !slice_.load(std::memory_order_relaxed)) return 0;
    const uint64_t since = runs_since(), now = since ? now_ns() : 0;
    return owner.policy.preempts(from, index, t, now > since ? now - since : 0) ? tid : 0;
}

void server::push_remote(task_body& t, enqueue_reason reason, unsigned from) noexcept {
    const uint64_t turn = turn_.load(std::memory_order_acquire);
    const uint32_t who = owner.policy.wants_preempts() ? makes_room_for(t, from) : 0;
    t.reason = reason;
    task_body* head = inbox_.load(std::memory_order_relaxed);
    do
        t.next_in_inbox = head;
    while (!inbox_.compare_exchange_weak(head, &t, std::memory_order_seq_cst,
                                         std::memory_order_relaxed));
    // whoever pushed into the empty inbox tells, after his push
    if (!head) notify();
    // not another one, it may be t itself; and once
    if (who && turn_.load(std::memory_order_relaxed) == turn &&
        stopped_turn_.exchange(turn, std::memory_order_relaxed) != turn)
        stop(who);
}

void server::notify(bool queued) noexcept {
    // R2
    __atomic_fetch_and(&kernel->user_flags, ~UMCG_UF_QUIET, __ATOMIC_SEQ_CST);
    const uint32_t state = umcg_state(kernel);
    // R8
    const bool looks = !queued || !slice_.load(std::memory_order_relaxed) ||
                       (ticking_.load(std::memory_order_seq_cst) && looks_in_time());
    if ((state & UMCG_TASK_MASK) == UMCG_TASK_RUNNABLE && !(state & UMCG_TF_IDLE) && looks) return;
    const int err = umcg_kick(0, static_cast<pid_t>(__atomic_load_n(&kernel->tid, __ATOMIC_RELAXED)));
    if (err && err != -ESRCH) die("umcg_kick", err);
}

void server::kick() noexcept {
    if (const uint32_t tid = __atomic_load_n(&kernel->running_tid, __ATOMIC_RELAXED)) stop(tid);
}

void server::stop(uint32_t tid) noexcept {
    // it may have stopped by itself, or ended, meanwhile
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
