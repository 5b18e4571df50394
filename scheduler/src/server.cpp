// SPDX-License-Identifier: MIT
//
// The scheduling step of a server, as its executor does it: what has come, what is next, and what has
// to be so before user code goes on.
#include "block_reason.hpp"
#include "core.hpp"
#include "next_tid.hpp"

namespace umcg::detail {

server::server(core& o, unsigned i, int c)
    : owner(o),
      index(i),
      cpu(c),
      victims_(o.places.others(i)),
      slice_(static_cast<uint64_t>(o.opts.slice.count())) {}

// ---- what has come ----

void server::arrived(worker& w) noexcept {
    task_body* t = w.assigned ? w.assigned : w.current;
    running(w);
    if (!w.seen) {
        w.seen = true;
        pending--;
        refused_before_ = false;
        count(&stats::workers);
        count(&stats::workers_created);
        // after it is counted: the runtime's constructor waits for this
        owner.worker_known(0);
    }
    if (io) io->leave(w);
    if (!t) {
        // new, dispatched while it was away, or back from its wait for I/O
        add_spare(w);
        return;
    }
    t->bound = &w;
    const bool gave_in = std::exchange(w.gave_in, false);
    const bool preempted = gave_in || umcg_state(w.kernel) & UMCG_TF_PREEMPTED;
    count(preempted ? &stats::preemptions : &stats::returns);
    if (preempted)
        was_stopped(w, *t);
    else
        w.cpu.forget();
    enqueue(*t, preempted ? UMCG_ENQUEUE_PREEMPTED : UMCG_ENQUEUE_UNBLOCKED);
}

void server::was_stopped(worker& w, task_body& t) noexcept {
    if (!t.picked_at) return w.cpu.forget();
    const uint64_t now = now_ns();
    const uint64_t most = now > t.picked_at ? now - t.picked_at : 0;
    t.picked_at = now - w.cpu.stop(static_cast<pid_t>(tid_of(w)), t.picked_at, most);
}

// Consumed while its worker was away: that one comes by the list.
void server::take_consumed() noexcept {
    if (next_tid(kernel)) return;
    // I5: it was stopped on its way into the ring, where it is now
    if (armed_->in_ring.linked) io->attend(*armed_);
    armed_ = nullptr;
}

void server::take_lists() noexcept {
    umcg_news news;
    calm_ = 0;
    umcg_take(kernel, &news);
    while (umcg_task* w = umcg_next_blocked(&news))
        if ((umcg_state(w) & UMCG_TASK_MASK) == UMCG_TASK_BLOCKED) {
            count(&stats::blocks);
            worker_of(w)->cpu.forget();
            if (task_body* t = worker_of(w)->current) {
                // it may be on its way back already
                const uint64_t since = __atomic_load_n(&w->stamp, __ATOMIC_RELAXED);
                blocked(*t, owner.policy.wants_faults() ? why_blocked(*w) : UMCG_BLOCKED_SYSCALL, since);
            }
        }
    // newest first; turned round
    worker* oldest = nullptr;
    while (umcg_task* k = umcg_next_runnable(&news)) {
        worker* w = worker_of(k);
        w->next_spare = oldest;
        oldest = w;
    }
    while (oldest) {
        worker* w = oldest;
        oldest = w->next_spare;
        arrived(*w);
    }
}

void server::take_arrivals() noexcept {
    worker* w = arrivals_.exchange(nullptr, std::memory_order_acquire);
    while (w) arrived(*std::exchange(w, w->next_spare));
}

void server::take() noexcept {
    if (armed_) take_consumed();
    if (umcg_has_news(kernel)) take_lists();
    if (arrivals_.load(std::memory_order_relaxed)) take_arrivals();
    if (timers.earliest() != timer_heap::never) timers.fire(now_ns());
    if (inbox_.load(std::memory_order_relaxed)) take_inbox();
    if (io && io->has_work()) io->step(!depth());
}

// ---- what is next ----

void server::enqueue(task_body& t, enqueue_reason reason) noexcept {
    if (reason == UMCG_ENQUEUE_UNBLOCKED) t.away = false;
    back(t);
    t.server = index;
    t.picked = false;
    t.flags = (t.bound ? 0 : UMCG_POLICY_TASK_MOVABLE) |
              (t.kind == kind::thread ? UMCG_POLICY_TASK_THREAD : 0);
    charge(t, reason == UMCG_ENQUEUE_UNBLOCKED ? t.picked_at : 0);
    if (t.bound) {
        bound_.push_back(t);
        n_bound_++;
    }
    // from here on it belongs to whoever takes it
    owner.policy.enqueue(index, t, reason);
    if (owner.servers.size() > 1) call_thieves(reason);
}

uint64_t server::stop_clock(task_body& t, uint64_t now) noexcept {
    if (!now) now = now_ns();
    const uint64_t since = std::exchange(t.picked_at, 0);
    return now > since ? now - since : 0;
}

// It has ended.
void server::forget(task_body& t) noexcept {
    back(t);
    charge(t, 0);
    owner.policy.detach(index, t);
}

void server::blocked(task_body& t, umcg_blocked_reason why, uint64_t since) noexcept {
    back(t);
    charge(t, since);
    picked_at_.store(0, std::memory_order_relaxed);
    t.away = owner.policy.blocked(index, t, why) && why >= UMCG_BLOCKED_SYSCALL;
}

void server::tell_back(task_body& t) noexcept {
    t.away = false;
    t.server = index;
    t.ran_ns = 0;
    t.flags &= ~UMCG_POLICY_TASK_MOVABLE;  // no thief is to have it, for it runs
    owner.policy.enqueue(index, t, UMCG_ENQUEUE_UNBLOCKED);
    owner.policy.dequeue(index, t);
}

void server::change_slice(uint64_t ns) noexcept {
    if (!owner.opts.slice.count()) return;
    other_slice_ = slice_.load(std::memory_order_relaxed);
    slice_.store(ns, std::memory_order_relaxed);
}

[[gnu::always_inline]] inline task_body* server::choose(bool carry, bool may_steal) noexcept {
    task_body* t;
    uint64_t slice = slice_.load(std::memory_order_relaxed);
    if (carry) {
        t = static_cast<task_body*>(owner.policy.pick(index, slice));
        if (!t && may_steal) t = steal();
        if (!t) return nullptr;
    } else {
        t = bound_.front();
        if (!t) return nullptr;
        owner.policy.dequeue(index, *t);
    }
    if (t->in_bound.linked) {
        bound_.erase(*t);
        n_bound_--;
    }
    t->picked = true;
    if (carry) use_slice(slice);
    const uint64_t now = owner.policy.wants_time() ? now_ns() : 0;
    if (now) t->picked_at = now;
    picked_at_.store(now, std::memory_order_relaxed);
    due_ = now ? now + slice_.load(std::memory_order_relaxed) + look_grain : timer_heap::never;
    return t;
}

void server::will_run(const worker& w) noexcept { runner_.store(tid_of(w), std::memory_order_relaxed); }

bool server::goes_on(const worker& w) noexcept {
    if (__builtin_expect(!owner.policy.wants_preempts(), 1)) {
        will_run(w);
        return true;
    }
    // R12
    runner_.store(tid_of(w), std::memory_order_seq_cst);
    return !inbox_.load(std::memory_order_seq_cst);
}

task_body* server::next(bool carry, worker* carrier, bool may_steal) noexcept {
    task_body* t;
    unsigned rounds = 0;
    do {
        t = choose(carry, may_steal);
        if (!t) return nullptr;
        worker* w = t->bound ? t->bound : carrier;
        if (__builtin_expect(t->picked_at, 0) && w) w->cpu.begin(static_cast<pid_t>(tid_of(*w)), t->picked_at);
        runner_.store(w ? tid_of(*w) : 0, std::memory_order_relaxed);
        turn_.store(turn_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
    } while (__builtin_expect(owner.policy.wants_preempts(), 0) && rounds++ < most_rounds && makes_room_first(*t));
    if (!carry && n_bound_ < depth()) stand_in();
    return t;
}

// It has been picked, and was stopped before it began.
bool server::makes_room_first(task_body& t) noexcept {
    // R12
    turn_.exchange(turn_.load(std::memory_order_relaxed), std::memory_order_seq_cst);
    if (!room_is_wanted()) return false;
    if (t.bound) t.bound->cpu.forget();
    begin_step();
    enqueue(t, UMCG_ENQUEUE_PREEMPTED);
    take_inbox();
    return true;
}

// ---- before user code goes on ----

// Always read-modify-write: enqueuers take the flag away.
void server::change_quiet(bool quiet) noexcept {
    if (quiet)
        __atomic_fetch_or(&kernel->user_flags, UMCG_UF_QUIET, __ATOMIC_SEQ_CST);
    else
        __atomic_fetch_and(&kernel->user_flags, ~UMCG_UF_QUIET, __ATOMIC_SEQ_CST);
}

void server::settle(bool may_arm) noexcept {
    // nobody else comes by to submit what is pending
    size_t queued = depth();
    if (!queued && io && io->has_work()) {
        io->step(true);
        queued = depth();
    }
    if (!queued && !hungry_.load(std::memory_order_relaxed) && owner.policy.steals() &&
        owner.servers.size() > 1) {
        set_hungry(true);
        // R3: what was queued before anybody could see that we are hungry
        if (task_body* t = steal()) enqueue(*t, UMCG_ENQUEUE_MIGRATED);
        queued = depth();
    }
    if (queued) {
        // a single one comes and goes: that is not worth telling
        if (queued > 1) set_hungry(false);
        if (__builtin_expect(owner.policy.wants_preempts(), 0)) keep_a_spare();
        set_quiet(false);
        if (may_arm) arm();
        look_soon();
        return;
    }
    if (io && io->unattended()) {
        // I2: should the running worker block, somebody has to wait for completions
        set_quiet(false);
        if (may_arm) arm();
        look_soon();
        return;
    }
    // Nothing is lost if the kernel is not told that the queue is empty; a block costs more. Where
    // workers do not block for long, the telling does.
    // (QUIET from before that time goes through the looks below.)
    // R4: a timer that the server's wait does not know of
    const bool timed = timers.earliest() >= wait_until_.load(std::memory_order_relaxed);
    // nor does it know of workers that are idle; that is in no hurry
    const bool quiet = timed && expects_review();
    if (calm_ == calm_enough &&
        !(__atomic_load_n(&kernel->user_flags, __ATOMIC_RELAXED) & UMCG_UF_QUIET)) {
        if (!timed) look_soon();
        return;
    }
    if (calm_ < calm_enough) calm_++;
    disarm();
    set_quiet(quiet);
    // R2
    const bool more = quiet && (inbox_.load(std::memory_order_seq_cst) ||
                                arrivals_.load(std::memory_order_seq_cst));
    if (more) set_quiet(false);
    if (!timed || more) look_soon();
}

// ---- I/O ----

void server::io_prepared(bool at_once) noexcept {
    count(&stats::io_ops);
    // what completes in the submission needs no switch
    if (at_once || !depth()) io->step(true);
}

bool server::attend_io(worker& w) noexcept {
    if (!io || !io->unattended() || owner.stopping.load(std::memory_order_relaxed)) return false;
    io->attend(w);
    io->goes_in(w);
    // I1; it is to be told that the queue is empty
    calm_ = 0;
    settle();
    if (!depth()) {
        unpicked_may_run();
        leave_section(&w);
        io->wait();
        enter_section();
        begin_step();
    }
    io->is_back(w);
    io->leave(w);
    return true;
}

}  // namespace umcg::detail
