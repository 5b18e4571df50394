// SPDX-License-Identifier: MIT
//
// Waiting and waking: park(), finish(), the short lock and sections. A waiter's word is described
// in docs/runtime.md; R1 is the pair here.
#include <linux/futex.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <umcg/cancellation.hpp>
#include <umcg/xstate.h>

#include "core.hpp"

namespace umcg::detail {

namespace {

thread_local worker* the_worker = nullptr;

}  // namespace

__attribute__((noinline)) worker* this_worker() noexcept {
    // the compiler must not take two calls for one
    asm volatile("" ::: "memory");
    return the_worker;
}

__attribute__((noinline)) void set_this_worker(worker* w) noexcept { the_worker = w; }

// ---- futex ----

// Errors are told by the value alone: whoever waits looks at its word again.
long futex_wait(std::atomic<uint32_t>& word, uint32_t value, uint64_t abs_ns) noexcept {
    const timespec until = {static_cast<time_t>(abs_ns / 1000000000),
                            static_cast<long>(abs_ns % 1000000000)};
    const int saved = errno;
    long ret = syscall(SYS_futex, &word, FUTEX_WAIT_BITSET_PRIVATE, value,
                       abs_ns ? &until : nullptr, nullptr, FUTEX_BITSET_MATCH_ANY);
    if (ret) ret = -errno;
    errno = saved;
    return ret;
}

void futex_wake(std::atomic<uint32_t>& word, int n) noexcept {
    const int saved = errno;
    syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, n, nullptr, nullptr, 0);
    errno = saved;
}

void short_lock::lock_slowly() noexcept {
    for (int i = 0; i < 100; i++) {
        uint32_t free = 0;
        if (word_.load(std::memory_order_relaxed) == 0 &&
            word_.compare_exchange_weak(free, 1, std::memory_order_acquire,
                                        std::memory_order_relaxed))
            return;
        __builtin_ia32_pause();
    }
    while (word_.exchange(2, std::memory_order_acquire) != 0) futex_wait(word_, 2, 0);
}

void short_lock::wake_one() noexcept { futex_wake(word_, 1); }

// ---- sections ----

// Like this_worker() not inlined, for the same reason.
__attribute__((noinline)) worker* enter_section() noexcept {
    asm volatile("" ::: "memory");
    worker* w = the_worker;
    if (!w || w->depth++ != 0) return w;
    if (w->hold_at_call) {
        // R5: whoever sees what the checkpoint does to the word sees this, too
        __atomic_store_n(&w->kernel->user_flags, UMCG_UF_LOCKED, __ATOMIC_RELEASE);
        umcg_checkpoint();
    } else {
        // looked at by this thread's own trips into the kernel only
        __atomic_store_n(&w->kernel->user_flags, UMCG_UF_LOCKED, __ATOMIC_RELAXED);
        std::atomic_signal_fence(std::memory_order_seq_cst);
    }
    tsan_acquire(w->home);
    return w;
}

void leave_section(worker* w) noexcept {
    if (--w->depth != 0) return;
    tsan_release(w->home);
    __atomic_store_n(&w->kernel->user_flags, 0, __ATOMIC_RELEASE);
    // it was to be stopped meanwhile: it stops now, and comes by the runnable list
    while (umcg_state(w->kernel) & UMCG_TF_PREEMPT_PENDING) {
        w->gave_in = true;
        umcg_xstate_release();
        const int err = umcg_wait(UMCG_WAIT_ENQUEUE, 0);
        w->gave_in = false;  // where it was not let go
        if (err && err != -EAGAIN) die("umcg_wait", err);
    }
}

section::section() noexcept { enter_section(); }

// The fiber may have moved while it was in there.
section::~section() {
    if (worker* w = this_worker()) leave_section(w);
}

// ---- waiting ----

waiter::waiter() noexcept {
    const worker* w = this_worker();
    who = w ? w->current : nullptr;
    // what a fiber has to say before it switches, said before anybody can see it
    if (who && who->kind == kind::fiber) word.store(parking, std::memory_order_relaxed);
}

bool finish(waiter& place, wake how) noexcept {
    // the chief leaves no list, so it is there, before its places have left theirs
    waiter& w = place.chief ? *place.chief : place;
    // not after the cmpxchg: the waiter may be gone then, unless it is parked, and what we have
    // read is the one thing that may go on with it
    task_body* who = w.who;
    const int event = w.event;
    uint32_t old = w.word.load(std::memory_order_relaxed);
    do {
        if (old > waiter::parked) return false;
    } while (!w.word.compare_exchange_weak(old, static_cast<uint32_t>(how),
                                           std::memory_order_acq_rel,
                                           std::memory_order_relaxed));
    if (old == waiter::parked) {
        if (who)
            make_runnable(*who, UMCG_ENQUEUE_WAKE);
        else if (event >= 0)
            eventfd_write(event, 1);  // a token's end: it is left, under its lock, before this is closed
        else
            futex_wake(w.word, 1);  // of an address that may be another's by now: harmless
    }
    return true;
}

namespace {

wake ended(const waiter& w) { return static_cast<wake>(w.word.load(std::memory_order_acquire)); }

bool change(waiter& w, uint32_t from, uint32_t to) {
    return w.word.compare_exchange_strong(from, to, std::memory_order_acq_rel,
                                          std::memory_order_acquire);
}

wake park_plain(waiter& w, uint64_t until) {
    if (change(w, waiter::empty, waiter::parked)) {
        while (w.word.load(std::memory_order_acquire) == waiter::parked) {
            if (futex_wait(w.word, waiter::parked, until) == -ETIMEDOUT)
                change(w, waiter::parked, static_cast<uint32_t>(wake::timeout));
        }
    }
    return ended(w);
}

// In a section, on the worker of the task that waits.
void park_task(worker* w, waiter& node, uint64_t until) {
    task_body* self = w->current;
    timer_heap& timers = w->home->timers;
    if (until) timers.insert(node.timer, until);
    if (self->kind == kind::thread) {
        // bound: nobody else can go on with it before it has given way. That the word says it is
        // over is not enough: who ended it is still about to queue the task, which might have ended
        // by then, and its memory be another's.
        if (change(node, waiter::empty, waiter::parked)) {
            w->home->blocked(*self, node.for_io ? UMCG_BLOCKED_IO : UMCG_BLOCKED_PARK, 0);
            do {
                self->picked = false;
                give_way(w, nullptr);
            } while (!self->picked || node.word.load(std::memory_order_acquire) == waiter::parked);
        }
    } else if (node.word.load(std::memory_order_acquire) == waiter::parking) {
        self->bound = nullptr;
        self->parking = &node;
        give_way(w, nullptr);
    }
    if (until) timers.erase(node.timer);
}

}  // namespace

wake park(waiter& w, const limit& until) {
    cancel_state* token = until.token();
    uint64_t at = until.ns();
    // a token that is cancelled at a time needs nobody to do it: whoever waits looks at the clock
    const uint64_t token_at = token ? token->deadline() : 0;
    const bool token_first = token_at && (!at || token_at <= at);
    if (token_first) at = token_at;
    if (token && !token->add(w)) {
        finish(w, wake::cancelled);
        return ended(w);
    }
    if (worker* here = w.who ? enter_section() : nullptr) {
        park_task(here, w, at);
        leave_section(this_worker());
    } else {
        park_plain(w, at);
    }
    if (token) token->remove(w);
    const wake how = ended(w);
    return how == wake::timeout && token_first ? wake::cancelled : how;
}

// ---- errors ----

void die(const char* call, int err) noexcept {
    fprintf(stderr, "umcg: %s failed in the scheduler: %s\n", call, strerrordesc_np(-err));
    abort();
}

void misuse(const char* what) noexcept {
    fprintf(stderr, "umcg: %s\n", what);
    abort();
}

}  // namespace umcg::detail
