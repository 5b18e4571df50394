// SPDX-License-Identifier: MIT
//
// What other threads may do to a server: queue a task there, wake it, stop what runs there, and count.
// R2 and R12 are the pairs here.
#include <cerrno>
#include <optional>

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

// After the push of `t`. True: who runs is about to stop, or the server thread to look. False: the policy does
// not want that, or who picks next sees `t`.
bool server::make_room(policy_comer& t, unsigned from) noexcept {
    // R12
    const uint64_t turn = turn_.load(std::memory_order_seq_cst);
    const uint32_t runner = runner_.load(std::memory_order_seq_cst);
    // An executor is between two tasks, or has taken t. Whether the server is idle is not asked here: a worker
    // may take its place before tell() asks.
    if (runner == nobody || !inbox_.load(std::memory_order_relaxed)) return false;
    const uint64_t since = runs_since(), now = since ? now_ns() : 0;
    // the policy does not know who has taken the place of the idle server, if anybody has
    if (runner && !owner.policy.preempts(from, index, t, now > since ? now - since : 0)) return false;
    // not another one, it may be t itself; and once
    if (turn_.load(std::memory_order_acquire) != turn ||
        room_turn_.exchange(turn, std::memory_order_seq_cst) == turn)
        return false;
    const uint32_t tid = __atomic_load_n(&kernel->running_tid, __ATOMIC_RELAXED);
    // else it is on its way to run, or has taken the place of the idle server: watch() sees it
    if (tid != runner || !stop(tid)) wake(__atomic_load_n(&kernel->tid, __ATOMIC_RELAXED));
    return true;
}

void server::push_remote(task_body& t, enqueue_reason reason, unsigned from) noexcept {
    // of one that is bound the policy may not have heard yet that it waits
    std::optional<policy_comer> comer;
    if (__builtin_expect(owner.policy.wants_preempts(), 0) && !t.bound &&
        slice_.load(std::memory_order_relaxed))
        comer.emplace(t);
    t.reason = reason;
    task_body* head = inbox_.load(std::memory_order_relaxed);
    do
        t.next_in_inbox = head;
    while (!inbox_.compare_exchange_weak(head, &t, std::memory_order_seq_cst,
                                         std::memory_order_relaxed));
    // whoever pushed into the empty inbox tells, after his push
    if (!head) be_heard();
    // A stop reaches the server, or is used up by a hand-over, to somebody who was picked with R12.
    if (comer && make_room(*comer, from)) return;
    if (!head) tell(true);
}

void server::notify(bool queued) noexcept {
    be_heard();
    tell(queued);
}

// R2, in this order.
void server::be_heard() noexcept {
    __atomic_fetch_and(&kernel->user_flags, ~UMCG_UF_QUIET, __ATOMIC_SEQ_CST);
}

void server::tell(bool queued) noexcept {
    const uint32_t state = umcg_state(kernel);
    // R8
    const bool looks = !queued || !slice_.load(std::memory_order_relaxed) ||
                       (ticking_.load(std::memory_order_seq_cst) && looks_in_time());
    if ((state & UMCG_TASK_MASK) == UMCG_TASK_RUNNABLE && !(state & UMCG_TF_IDLE) && looks) return;
    wake(__atomic_load_n(&kernel->tid, __ATOMIC_RELAXED));
}

// Its server thread looks, whatever it does.
void server::wake(uint32_t server_tid) noexcept {
    const int err = umcg_kick(0, static_cast<pid_t>(server_tid));
    if (err && err != -ESRCH) die("umcg_kick", err);
}

void server::kick() noexcept {
    // asked for by what the executor does between two tasks: nobody is to stop
    const uint32_t runner = runner_.load(std::memory_order_relaxed);
    if (runner == nobody || umcg_state(kernel) & UMCG_TF_IDLE) return;
    const uint32_t tid = __atomic_load_n(&kernel->running_tid, __ATOMIC_RELAXED);
    if (tid == runner && stop(tid)) return;
    // as in make_room()
    room_turn_.store(turn_.load(std::memory_order_relaxed), std::memory_order_seq_cst);
    wake(__atomic_load_n(&kernel->tid, __ATOMIC_RELAXED));
}

bool server::stop(uint32_t tid) noexcept {
    // it may have stopped by itself, or ended, meanwhile
    const int err = umcg_kick(0, static_cast<pid_t>(tid));
    if (err && err != -ESRCH && err != -EAGAIN) die("umcg_kick", err);
    return !err;
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

// Somebody has been picked, and runs as soon as we let him. Who is in the inbox was pushed before its
// enqueuer could see that.
bool server::room_is_wanted() noexcept {
    const task_body* t = inbox_.load(std::memory_order_seq_cst);
    for (; t; t = t->next_in_inbox) {
        if (t->bound) continue;
        policy_comer comer(*t);
        if (owner.policy.preempts(index, index, comer, 0)) return true;
    }
    return false;
}

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
