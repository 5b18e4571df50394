// SPDX-License-Identifier: MIT
//
// A server: what its executor owns, what is shared, and what is its thread's. docs/runtime.md has the
// states, the meaning of "executor" and "section", and the pairs of barriers.
#ifndef UMCG_SRC_SERVER_HPP
#define UMCG_SRC_SERVER_HPP

#include <pthread.h>

#include <atomic>
#include <memory>
#include <vector>

#include <umcg/runtime.hpp>

#include "ring.hpp"
#include "state_memory.hpp"
#include "timer.hpp"
#include "worker.hpp"

namespace umcg::detail {

class server {
  public:
    server(core& owner, unsigned index, int cpu);

    // ---- executor only ----

    // The first half of a scheduling step: kernel lists, timers, inbox.
    void take() noexcept;
    // The next to run, or nullptr. `carry`: can it be a task that is bound to no worker? `carrier`: who
    // runs it then, if that is known.
    task_body* next(bool carry, worker* carrier, bool may_steal = true) noexcept;
    // R12: who was picked last runs no more, and the executor looks at the inbox when it has picked another.
    void begin_step() noexcept { runner_.store(nobody, std::memory_order_relaxed); }
    // R12: nobody picks, and a worker that is back may take the place of the idle server.
    void unpicked_may_run() noexcept {
        runner_.store(0, std::memory_order_relaxed);
        room_turn_.store(UINT64_MAX, std::memory_order_relaxed);
    }
    // `w` is about to go on with what was picked last.
    void will_run(const worker& w) noexcept;
    // The step has found nobody, and the task goes on that was picked last. False: look again, R12.
    bool goes_on(const worker& w) noexcept;
    void enqueue(task_body& t, enqueue_reason reason) noexcept;
    // What has to be so before user code goes on. `may_arm`: next_tid is free for a successor.
    void settle(bool may_arm = true) noexcept;
    bool has_spare() const noexcept { return armed_ || spares_; }
    worker* take_spare() noexcept;
    void add_spare(worker& w) noexcept;
    void disarm() noexcept;
    // `w` runs: it is not armed any more.
    void running(worker& w) noexcept {
        if (armed_ == &w) armed_ = nullptr;
    }
    // It ends: it is not counted any more.
    void retired(worker& w) noexcept;
    void* get_stack() noexcept;  // nullptr: the cache is empty and so is the pool
    void put_stack(void* top) noexcept;
    bool surplus() const noexcept;
    // A fiber has filled an entry of `io`, and is about to wait for it. `at_once`: without company.
    void io_prepared(bool at_once = false) noexcept;
    // Nothing to run: if I/O is in flight, wait for it. False: somebody does already, or there is none.
    bool attend_io(worker& w) noexcept;
    void count(uint64_t stats::*what, uint64_t n = 1) noexcept {
        // one writer at a time
        auto& c = counters_.*what;
        __atomic_store_n(&c, c + n, __ATOMIC_RELAXED);
    }

    std::unique_ptr<ring> io;    // nullptr: operations are plain calls
    state_cache states;
    unsigned workers = 0;        // alive or being made
    unsigned pending = 0;        // of these, not seen yet
    unsigned with_thread_task = 0;

    // `t` has stopped and is not queued. `since`: when, in ns; 0: now.
    void blocked(task_body& t, umcg_blocked_reason why, uint64_t since) noexcept;
    void forget(task_body& t) noexcept;
    // The kernel lets a worker that has nobody to wait for run on after its block, and says nothing.
    // Before the policy is told anything else of its task, it learns that this one is back: it is
    // queued and taken out at once.
    void back(task_body& t) noexcept {
        if (__builtin_expect(t.away, 0)) tell_back(t);
    }

    // ---- shared ----

    // Written by the executor alone: R7.
    std::atomic<uint64_t> spawned{0};
    std::atomic<uint64_t> ended{0};

    // Queue a task here, from anywhere; `from` is the server whose executor does it, or no_server.
    void push_remote(task_body& t, enqueue_reason reason, unsigned from) noexcept;
    // It may have something to do that it did not know of. `queued`: nobody else can do it, so it is
    // to be done within two slices even if a worker runs there.
    void notify(bool queued = true) noexcept;
    // What runs here is to stop, and to be queued as preempted.
    void kick() noexcept;
    void add_counters(stats& sum) const noexcept;

    core& owner;
    const unsigned index;
    const int cpu;
    umcg_task* kernel = nullptr;
    timer_heap timers;
    pthread_t thread = {};
    bool begun = false;  // has a thread

    // ---- the server thread ----
    void run() noexcept;

  private:
    size_t depth() const noexcept;
    // How long it has run until `now` (0: it is asked for), if somebody wants to know; else 0.
    void charge(task_body& t, uint64_t now) noexcept {
        t.ran_ns = 0;
        if (__builtin_expect(t.picked_at, 0)) t.ran_ns = stop_clock(t, now);
    }
    static uint64_t stop_clock(task_body& t, uint64_t now) noexcept;
    void tell_back(task_body& t) noexcept;
    // For how long who runs next may run: the policy's word, where tasks are preempted at all.
    void use_slice(uint64_t ns) noexcept {
        if (ns && ns != slice_.load(std::memory_order_relaxed)) change_slice(ns);
    }
    void change_slice(uint64_t ns) noexcept;
    void arrived(worker& w) noexcept;
    task_body* choose(bool carry, bool may_steal) noexcept;
    void was_stopped(worker& w, task_body& t) noexcept;
    void take_inbox() noexcept;
    // False: it does not run.
    static bool stop(uint32_t tid) noexcept;
    // Who calls reads the tid itself: by that the explorer's controls tell these kicks apart.
    static void wake(uint32_t server_tid) noexcept;
    void be_heard() noexcept;
    void tell(bool queued) noexcept;
    uint64_t runs_since() const noexcept;
    bool looks_in_time() const noexcept;
    bool make_room(policy_comer& t, unsigned from) noexcept;
    bool room_is_wanted() noexcept;
    bool makes_room_first(task_body& t) noexcept;
    void take_consumed() noexcept;
    void take_lists() noexcept;
    void take_arrivals() noexcept;
    void set_quiet(bool quiet) noexcept {
        const uint32_t now = __atomic_load_n(&kernel->user_flags, __ATOMIC_RELAXED);
        if (!(now & UMCG_UF_QUIET) != !quiet) change_quiet(quiet);
    }
    void change_quiet(bool quiet) noexcept;
    // steal.cpp
    task_body* steal() noexcept;
    void set_hungry(bool hungry) noexcept {
        if (hungry_.load(std::memory_order_relaxed) != hungry) change_hungry(hungry);
    }
    void change_hungry(bool hungry) noexcept;
    void call_thieves(enqueue_reason reason) noexcept;
    // spares.cpp
    void arm() noexcept {
        if (!armed_ && spares_) arm_spare();
    }
    void arm_spare() noexcept;
    worker* pop_spare() noexcept;
    void keep_a_spare() noexcept;
    void ask_for_worker() noexcept;
    void write_off_refused() noexcept;
    bool has_idle_spares() const noexcept;
    bool expects_review() const noexcept;
    uint64_t idle_worker_ns() const noexcept;
    void review_spares() noexcept;
    void put_off_review() noexcept;
    void retire_spare() noexcept;
    void send_off(worker& w) noexcept;
    // server_thread.cpp
    void feed() noexcept;
    void dispatch_bound() noexcept;
    void undo_dispatch() noexcept;
    void idle() noexcept;
    bool wind_up() noexcept;
    void wait() noexcept;
    // preempt.cpp
    void look_soon() noexcept {
        if (!slice_.load(std::memory_order_relaxed)) return;
        if (!ticking_.load(std::memory_order_seq_cst))
            begin_ticks();
        else if (__builtin_expect(due_ < look_at_.load(std::memory_order_relaxed), 0))
            look_earlier();
    }
    void begin_ticks() noexcept;
    void look_earlier() noexcept;
    bool others_wait() const noexcept;
    void pass_on_lists() noexcept;
    void watch() noexcept;
    void set_wake_on_runnable(bool on) noexcept;
    uint64_t next_look() noexcept;

    worker* spares_ = nullptr;
    unsigned n_spares_ = 0;      // on that list
    unsigned least_spares_ = 0;  // since the last review
    bool refused_before_ = false;  // the system gave no worker, and none has come since
    unsigned unneeded_ = 0;      // how many the last review found that have not been sent off
    worker* armed_ = nullptr;    // named in kernel->next_tid, by an executor that ran beside the server
    bound_list bound_;           // of those that are queued
    size_t n_bound_ = 0;
    worker* dispatching_ = nullptr;  // the server thread's: a bound one that it named in next_tid
    uint32_t dispatching_tid_ = 0;
    stack_list stacks_;
    // Times that the queue has run empty since a worker was seen blocked, up to calm_enough.
    static constexpr unsigned calm_enough = 64;
    unsigned calm_ = 0;
    // The server thread does not look at short tasks one by one: so late may it see the end of a slice.
    static constexpr uint64_t look_grain = 50'000;
    // When the slice of who was picked last is over, and look_grain has passed; `never`: nobody keeps the time.
    uint64_t due_ = timer_heap::never;
    uint64_t other_slice_ = UINT64_MAX;  // that slice_ was before it changed
    std::vector<unsigned> victims_;  // whom to steal from, the nearest first
    stats counters_ = {};

    alignas(64) std::atomic<task_body*> inbox_{nullptr};
    std::atomic<worker*> arrivals_{nullptr};  // R9: through next_spare
    std::atomic<bool> hungry_{false};
    std::atomic<bool> ticking_{false};     // R8
    // When the server thread looks next, if it ticks. Written by it, and by an executor that has it look
    // earlier. Who misses a change is looked at when another one's slice would be over.
    std::atomic<uint64_t> look_at_{0};
    std::atomic<uint64_t> slice_;          // ns of the running task; 0: no preemption
    // For who looks on: how often somebody was picked; when that was, for policies that want the time (0:
    // not known), and the tid of who runs then (0: not known, or `nobody`), both written before turn_.
    std::atomic<uint64_t> turn_{0}, picked_at_{0};
    static constexpr uint32_t nobody = UINT32_MAX;
    std::atomic<uint32_t> runner_{nobody};
    std::atomic<uint64_t> room_turn_{UINT64_MAX};  // R12: who was asked last to make room
    // The turn of one that runs because others wait for a worker. When one comes, and the policy is of those
    // that stop tasks for others, it makes room.
    std::atomic<uint64_t> stands_in_{UINT64_MAX};
    void stand_in() noexcept;
    bool one_stands_in() const noexcept {
        return turn_.load(std::memory_order_relaxed) == stands_in_.load(std::memory_order_relaxed);
    }
    // How often somebody who was picked is put back for who has come meanwhile, before he runs after all.
    static constexpr unsigned most_rounds = 8;
    std::atomic<uint64_t> wait_until_{0};  // R4
    friend class core;
    std::atomic<unsigned> wanted_{0};      // workers that the nursery is to make
    std::atomic<unsigned> refused_{0};     // and that it could not make

    // The server thread's, whoever is the executor.
    std::atomic<uint64_t> wakes_{0}, late_blocks_{0};
    uint64_t review_at_ = timer_heap::never;  // when its spares are looked at next, if nobody runs
    // and when its wait ends for that; the executor looks whether it does. `never` is stored by the executor.
    std::atomic<uint64_t> review_wake_{timer_heap::never};
    uint32_t watched_tid_ = 0;  // who ran at the last look; 0: nobody who mattered
    uint64_t watched_turn_ = 0;
};

}  // namespace umcg::detail

#endif
