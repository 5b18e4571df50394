// SPDX-License-Identifier: MIT
//
// A server: the scheduling step's data, which its executor changes, and the server thread, which
// is the executor while no worker runs.
#include "core.hpp"
#include "light_barrier.hpp"

#include <algorithm>
#include <cerrno>

#include <umcg/xstate.h>

namespace umcg::detail {

namespace {

thread_local server* executing = nullptr;  // server threads only: they carry no fiber

uint32_t next_tid(const umcg_task* kernel) noexcept {
    return __atomic_load_n(&kernel->next_tid, __ATOMIC_SEQ_CST);
}

bool replace_next(umcg_task* kernel, uint32_t from, uint32_t to) noexcept {
    return __atomic_compare_exchange_n(&kernel->next_tid, &from, to, false, __ATOMIC_SEQ_CST,
                                       __ATOMIC_SEQ_CST);
}

uint32_t tid_of(const worker& w) noexcept {
    return __atomic_load_n(&w.kernel->tid, __ATOMIC_RELAXED);
}

}  // namespace

server* this_server() noexcept { return executing; }

server::server(core& o, unsigned i, int c)
    : owner(o),
      index(i),
      cpu(c),
      victims_(o.places.others(i)),
      slice_(static_cast<uint64_t>(o.opts.slice.count())) {}

size_t server::depth() noexcept { return owner.policy.depth(index); }

// ---- the step: what has come ----

void server::arrived(worker& w) noexcept {
    task_body* t = w.assigned ? w.assigned : w.current;
    running(w);
    if (!w.seen) {
        w.seen = true;
        pending--;
        owner.worker_known(0);
        count(&stats::workers);
        count(&stats::workers_created);
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
    enqueue(*t, preempted ? UMCG_ENQUEUE_PREEMPTED : UMCG_ENQUEUE_UNBLOCKED);
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

void server::take() noexcept {
    // consumed while its worker was away: that one comes by the list
    if (armed_ && !next_tid(kernel)) armed_ = nullptr;
    if (umcg_has_news(kernel)) {
        umcg_news news;
        calm_ = 0;
        umcg_take(kernel, &news);
        while (umcg_task* w = umcg_next_blocked(&news))
            if ((umcg_state(w) & UMCG_TASK_MASK) == UMCG_TASK_BLOCKED) {
                count(&stats::blocks);
                if (task_body* t = worker_of(w)->current) blocked(*t, UMCG_BLOCKED_SYSCALL, w->stamp);
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
    if (arrivals_.load(std::memory_order_relaxed)) {
        worker* w = arrivals_.exchange(nullptr, std::memory_order_acquire);
        while (w) arrived(*std::exchange(w, w->next_spare));
    }
    if (timers.earliest() != timer_heap::never) timers.fire(now_ns());
    if (inbox_.load(std::memory_order_relaxed)) take_inbox();
    if (io) io->step(!depth());
}

// ---- the step: what is next ----

void server::enqueue(task_body& t, enqueue_reason reason) noexcept {
    t.server = index;
    t.picked = false;
    t.flags = (t.bound ? 0 : UMCG_POLICY_TASK_MOVABLE) |
              (t.kind == kind::thread ? UMCG_POLICY_TASK_THREAD : 0);
    if (t.picked_at) charge(t, reason == UMCG_ENQUEUE_UNBLOCKED ? t.picked_at : now_ns());
    if (t.bound) {
        bound_.push_back(t);
        n_bound_++;
    }
    owner.policy.enqueue(index, t, reason);
    t.ran_ns = 0;
    call_thieves(reason);
}

void server::charge(task_body& t, uint64_t now) noexcept {
    t.ran_ns = now > t.picked_at ? now - t.picked_at : 0;
    t.picked_at = 0;
}

// It has ended.
void server::forget(task_body& t) noexcept {
    if (t.picked_at) charge(t, now_ns());
    owner.policy.detach(index, t);
}

void server::blocked(task_body& t, umcg_blocked_reason why, uint64_t since) noexcept {
    if (t.picked_at) charge(t, since ? since : now_ns());
    owner.policy.blocked(index, t, why);
    t.ran_ns = 0;
}

void server::use_slice(uint64_t ns) noexcept {
    if (owner.opts.slice.count() && ns && ns != slice_.load(std::memory_order_relaxed))
        slice_.store(ns, std::memory_order_relaxed);
}

task_body* server::next(bool carry, bool may_steal) noexcept {
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
    if (owner.policy.wants_time()) t->picked_at = now_ns();
    return t;
}

task_body* server::steal() noexcept {
    if (!owner.policy.steals()) return nullptr;
    for (unsigned victim : victims_) {
        if (policy_entry* t = owner.policy.steal(index, victim)) {
            count(&stats::steals);
            return static_cast<task_body*>(t);
        }
    }
    return nullptr;
}

// A task more in our queue than can run at once: who is hungry shall steal. What was woken alone is
// left where it is, it will run when its waker waits.
void server::call_thieves(enqueue_reason reason) noexcept {
    if (!owner.policy.steals() || owner.servers.size() == 1) return;
    if (reason != UMCG_ENQUEUE_SPAWN && depth() < 2) return;
    // R3
    if (!owner.n_hungry.load(std::memory_order_seq_cst)) return;
    // who is idle, rather than who will be if his task blocks
    for (const bool idle : {true, false}) {
        for (unsigned near : victims_) {
            server* s = owner.servers[near].get();
            if (!s->hungry_.load(std::memory_order_seq_cst)) continue;
            if (idle && !(umcg_state(s->kernel) & UMCG_TF_IDLE)) continue;
            if (!s->hungry_.exchange(false, std::memory_order_seq_cst)) continue;
            owner.n_hungry.fetch_sub(1, std::memory_order_seq_cst);
            s->notify(false);
            return;
        }
    }
}

void server::set_hungry(bool hungry) noexcept {
    if (hungry_.load(std::memory_order_relaxed) == hungry) return;
    if (hungry) {
        // counted first: whoever takes it away takes it off the count
        owner.n_hungry.fetch_add(1, std::memory_order_seq_cst);
        hungry_.store(true, std::memory_order_seq_cst);
        heavy_barrier();  // R3
    } else if (hungry_.exchange(false, std::memory_order_seq_cst)) {
        owner.n_hungry.fetch_sub(1, std::memory_order_seq_cst);
    }
}

// Always read-modify-write: enqueuers take the flag away.
void server::set_quiet(bool quiet) noexcept {
    const uint32_t now = __atomic_load_n(&kernel->user_flags, __ATOMIC_RELAXED);
    if (!(now & UMCG_UF_QUIET) == !quiet) return;
    if (quiet)
        __atomic_fetch_or(&kernel->user_flags, UMCG_UF_QUIET, __ATOMIC_SEQ_CST);
    else
        __atomic_fetch_and(&kernel->user_flags, ~UMCG_UF_QUIET, __ATOMIC_SEQ_CST);
}

void server::settle(bool may_arm) noexcept {
    // nobody else comes by to submit what is pending
    if (io && !depth()) io->step(true);
    size_t queued = depth();
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
    const bool quiet = timers.earliest() >= wait_until_.load(std::memory_order_relaxed);
    if (calm_ == calm_enough &&
        !(__atomic_load_n(&kernel->user_flags, __ATOMIC_RELAXED) & UMCG_UF_QUIET)) {
        if (!quiet) look_soon();
        return;
    }
    if (calm_ < calm_enough) calm_++;
    disarm();
    set_quiet(quiet);
    // R2
    const bool more = quiet && (inbox_.load(std::memory_order_seq_cst) ||
                                arrivals_.load(std::memory_order_seq_cst));
    if (more) set_quiet(false);
    if (!quiet || more) look_soon();
}

// ---- spares ----

void server::add_spare(worker& w) noexcept {
    w.next_spare = spares_;
    w.spare = true;
    spares_ = &w;
}

void server::arm() noexcept {
    if (armed_ || !spares_) return;
    worker* w = spares_;
    if (!replace_next(kernel, 0, tid_of(*w))) return;
    spares_ = w->next_spare;
    w->spare = false;
    armed_ = w;
}

void server::disarm() noexcept {
    if (!armed_) return;
    if (replace_next(kernel, tid_of(*armed_), 0)) add_spare(*armed_);
    armed_ = nullptr;
}

worker* server::take_spare() noexcept {
    if (!spares_) disarm();
    worker* w = spares_;
    if (w) {
        spares_ = w->next_spare;
        w->spare = false;
    }
    return w;
}

bool server::surplus() const noexcept {
    return workers - with_thread_task > owner.opts.max_workers;
}

void server::ask_for_worker() noexcept {
    if (const unsigned n = refused_.exchange(0, std::memory_order_relaxed)) {
        workers -= n;
        pending -= n;
        count(&stats::create_failed, n);
    }
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

// ---- from outside ----

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
    sum.server_wakes += wakes_.load(std::memory_order_relaxed);
    sum.blocks += late_blocks_.load(std::memory_order_relaxed);
    if (io) sum.io_enters += io->enters();
}

// ---- the server thread ----

// What the running worker has named in next_tid, or we have, is dispatched if nobody runs.
void server::wait() noexcept {
    executing = nullptr;
    // R8: before R4
    const uint64_t look = next_look();
    const uint64_t until = std::min(timers.announce(wait_until_), look);
    tsan_release(this);
    umcg_xstate_release();
    const int err = umcg_wait(0, until == timer_heap::never ? 0 : until);
    tsan_acquire(this);
    if (err && err != -EAGAIN && err != -ETIMEDOUT && err != -EINTR) die("umcg_wait", err);
}

// A worker in the middle of its task, which goes on where it is.
void server::dispatch_bound() noexcept {
    // where all are bound whoever the policy picks can go on by itself
    task_body* t = next(n_bound_ == depth(), false);
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
    if (w && armed_ != w && replace_next(kernel, dispatching_tid_, 0))
        enqueue(w->assigned ? *w->assigned : *w->current, UMCG_ENQUEUE_UNBLOCKED);
}

// Nobody runs, and nothing is queued.
void server::idle() noexcept {
    // settle() has armed a spare, if there is one; it finds nothing else to do than to wait for I/O
    if (io && io->unattended() && !has_spare()) ask_for_worker();
    wait();
}

void server::io_prepared() noexcept {
    count(&stats::io_ops);
    // with nobody to wait for: what completes at once needs no switch
    if (!depth()) io->step(true);
}

bool server::attend_io(worker& w) noexcept {
    if (!io || !io->unattended() || owner.stopping.load(std::memory_order_relaxed)) return false;
    io->attend(w);
    // I1; it is to be told that the queue is empty
    calm_ = 0;
    settle();
    if (!depth()) {
        leave_section(&w);
        io->wait();
        enter_section();
    }
    io->leave(w);
    return true;
}

// Nobody runs, something is queued.
void server::feed() noexcept {
    // what it carries may run long, and others beside what is bound wait for it
    if (!has_spare() && n_bound_ < depth()) {
        if (io && io->attended())
            io->wake_waiter();
        else
            ask_for_worker();
    }
    if (n_bound_ && (n_bound_ == depth() || !has_spare())) {
        dispatch_bound();
        return;
    }
    settle();
    wait();
}

// Nothing is left: let the workers go, one at a time. False: all are gone.
bool server::wind_up() noexcept {
    if (const unsigned n = refused_.exchange(0, std::memory_order_relaxed)) workers -= n;
    if (!workers) return false;
    // it may have been woken for a completion that another one took, and sleep on
    if (io) io->wake_waiter();
    disarm();
    if (worker* w = take_spare()) {
        w->retire = true;
        armed_ = w;
        replace_next(kernel, 0, tid_of(*w));
    }
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
            watch();
            wait();
            continue;
        }
        executing = this;
        calm_ = 0;
        undo_dispatch();
        take();
        if (!depth() && !owner.stopping.load(std::memory_order_acquire)) settle();
        if (depth()) {
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
