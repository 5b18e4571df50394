// SPDX-License-Identifier: MIT
//
// The parts of a runtime and what each owns. docs/runtime.md has the states, the meaning of
// "executor" and "section", and the pairs of barriers.
#ifndef UMCG_SRC_CORE_HPP
#define UMCG_SRC_CORE_HPP

#include <pthread.h>

#include <memory>
#include <mutex>
#include <vector>

#include <umcg/cancellation.hpp>
#include <umcg/runtime.hpp>
#include <umcg/umcg.h>

#include "fiber.hpp"
#include "policy_host.hpp"
#include "ring.hpp"
#include "stack.hpp"
#include "timer.hpp"
#include "topology.hpp"

namespace umcg::detail {

class server;
class core;

// What a policy sees, and what it takes to go on. A fiber's is at the top of its stack.
struct task_body : policy_entry {
    enum class after { nothing, yield, end };

    umcg::kind kind = umcg::kind::fiber;
    core* owner = nullptr;
    task_state* state = nullptr;      // its reference; until it has ended
    worker* bound = nullptr;          // only this one can go on with it
    task_body* next_in_inbox = nullptr;
    list_link<task_body> in_bound;         // server::bound_
    enqueue_reason reason = UMCG_ENQUEUE_SPAWN;  // while in an inbox
    bool picked = false;                   // since it was queued last; the executor's
    // Fibers: what the context that is switched to does with it.
    after then = after::nothing;
    waiter* parking = nullptr;
    stack_pool* pool = nullptr;  // of its stack
    context ctx;
};
using bound_list = list<task_body, &task_body::in_bound>;

// A kernel thread that runs tasks. All but `kernel` belongs to the executor of its home.
struct worker {
    umcg_task* kernel = nullptr;
    server* home = nullptr;
    task_body* current = nullptr;   // whose code it runs, or will go on with
    task_body* assigned = nullptr;  // to begin with when it is dispatched
    unsigned depth = 1;        // of nested sections; begins in one
    bool hold_at_call = false; // umcg_checkpoint() is needed
    bool spare = false;        // on its home's list of them
    bool retire = false;
    bool seen = false;         // has been on its home's runnable list
    bool gave_in = false;      // stopped by itself, because it was asked to while in a section
    exception_state* exceptions = nullptr;
    context native;
    worker* next_spare = nullptr;
    pthread_t thread = {};
    // its own stack, and how much below it is no memory
    uintptr_t stack_low = 0;
    size_t stack_guard = 0;
};

// The calling thread's. Not inlined, not cached by the compiler: a fiber may have moved between
// two calls.
worker* this_worker() noexcept;
void set_this_worker(worker* w) noexcept;

worker* enter_section() noexcept;  // nullptr: not a worker
void leave_section(worker* w) noexcept;

class server {
  public:
    server(core& owner, unsigned index, int cpu);

    // ---- executor only ----

    // The first half of a scheduling step: kernel lists, timers, inbox.
    void take() noexcept;
    // The next to run, or nullptr. `carry`: can it be a task that is bound to no worker?
    task_body* next(bool carry, bool may_steal = true) noexcept;
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
    void* get_stack() noexcept;  // nullptr: the cache is empty and so is the pool
    void put_stack(void* top) noexcept;
    bool surplus() const noexcept;
    // A fiber has filled an entry of `io`, and is about to wait for it.
    void io_prepared() noexcept;
    // Nothing to run: if I/O is in flight, wait for it. False: somebody does already, or there is none.
    bool attend_io(worker& w) noexcept;
    void count(uint64_t stats::*what, uint64_t n = 1) noexcept {
        // one writer at a time
        auto& c = counters_.*what;
        __atomic_store_n(&c, c + n, __ATOMIC_RELAXED);
    }

    std::unique_ptr<ring> io;    // nullptr: operations are plain calls
    unsigned workers = 0;        // alive or being made
    unsigned pending = 0;        // of these, not seen yet
    unsigned with_thread_task = 0;

    // `t` has stopped and is not queued. `since`: when, in ns; 0: now.
    void blocked(task_body& t, umcg_blocked_reason why, uint64_t since) noexcept;
    void forget(task_body& t) noexcept;

    // ---- shared ----

    // Written by the executor alone: R7.
    std::atomic<uint64_t> spawned{0};
    std::atomic<uint64_t> ended{0};

    // Queue a task here, from anywhere.
    void push_remote(task_body& t, enqueue_reason reason) noexcept;
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
    size_t depth() noexcept;
    void charge(task_body& t, uint64_t now) noexcept;
    // For how long who runs next may run: the policy's word, where tasks are preempted at all.
    void use_slice(uint64_t ns) noexcept;
    void arrived(worker& w) noexcept;
    void take_inbox() noexcept;
    task_body* steal() noexcept;
    void set_hungry(bool hungry) noexcept;
    void set_quiet(bool quiet) noexcept;
    void arm() noexcept;
    void call_thieves(enqueue_reason reason) noexcept;
    void ask_for_worker() noexcept;
    void feed() noexcept;
    void dispatch_bound() noexcept;
    void undo_dispatch() noexcept;
    void idle() noexcept;
    bool wind_up() noexcept;
    void wait() noexcept;
    // preempt.cpp
    void look_soon() noexcept {
        if (slice_.load(std::memory_order_relaxed) && !ticking_.load(std::memory_order_seq_cst))
            begin_ticks();
    }
    void begin_ticks() noexcept;
    bool others_wait() const noexcept;
    void pass_on_lists() noexcept;
    void watch() noexcept;
    void set_wake_on_runnable(bool on) noexcept;
    uint64_t next_look() noexcept;

    worker* spares_ = nullptr;
    worker* armed_ = nullptr;    // named in kernel->next_tid, by an executor that ran beside the server
    bound_list bound_;           // of those that are queued
    size_t n_bound_ = 0;
    worker* dispatching_ = nullptr;  // the server thread's: a bound one that it named in next_tid
    uint32_t dispatching_tid_ = 0;
    stack_list stacks_;
    // Times that the queue has run empty since a worker was seen blocked, up to calm_enough.
    static constexpr unsigned calm_enough = 64;
    unsigned calm_ = 0;
    std::vector<unsigned> victims_;  // whom to steal from, the nearest first
    stats counters_ = {};

    alignas(64) std::atomic<task_body*> inbox_{nullptr};
    std::atomic<worker*> arrivals_{nullptr};  // R9: through next_spare
    std::atomic<bool> hungry_{false};
    std::atomic<bool> ticking_{false};     // R8
    std::atomic<uint64_t> slice_;          // ns of the running task; 0: no preemption
    std::atomic<uint64_t> wait_until_{0};  // R4
    friend class core;
    std::atomic<unsigned> wanted_{0};      // workers that the nursery is to make
    std::atomic<unsigned> refused_{0};     // and that it could not make

    // The server thread's, whoever is the executor.
    std::atomic<uint64_t> wakes_{0}, late_blocks_{0};
    uint32_t watched_tid_ = 0;  // who ran at the last look; 0: nobody who mattered
    uint64_t watched_switches_ = 0;
    uint64_t look_at_ = 0;      // when his slice is over
};

// Where a fiber starts.
void run_fiber(arrival a) noexcept;
// What runs on a worker's thread, from registration to its end.
void run_worker(worker& w) noexcept;
// The running task gives up its worker: the executor is in a section, and is again when it returns,
// perhaps on another worker, which it returns. `next`: who runs instead; nullptr: find somebody.
worker* give_way(worker* w, task_body* next) noexcept;
// The server whose executor the calling server thread is.
server* this_server() noexcept;
// Make a task runnable, from anywhere.
void make_runnable(task_body& t, enqueue_reason reason) noexcept;

class core {
  public:
    explicit core(options opts);
    ~core();

    // Throws; then nothing was queued.
    void spawn(task_state* state);
    stats sum() const;
    // Nothing more is spawned from outside. Until the last task has ended, or that time: false.
    bool join_all(uint64_t until) noexcept;
    // Is the caller one of our tasks?
    bool own_task() const noexcept;
    size_t stack_high_water();
    // Spawned and not ended. From any thread; 0 is exact once nobody spawns from outside.
    uint64_t live() const noexcept;

    // ---- in a section, or on a server thread ----
    void task_ended(server& on) noexcept;
    // The nursery makes one; it comes by the server's runnable list.
    void want_worker(server& s) noexcept;
    // A worker was seen for the first time, or could not register: what the start waits for.
    void worker_known(int err) noexcept;
    // Its memory is used again, and stays a task's.
    void put_thread_task(task_body& t) noexcept;

    const options opts;
    const topology places;
    policy_host policy;
    stack_pool stacks;
    large_stacks larger;
    std::vector<std::unique_ptr<server>> servers;
    bool hold_at_call = false;
    const float_control control = float_control::read();  // of tasks without their own
    cancel_source cancelled;
    cancel_token cancelled_token = cancelled.token();  // of tasks that have no other
    std::atomic<bool> stopping{false};  // servers: let the workers go, then end
    std::atomic<unsigned> n_hungry{0};  // about how many servers are
    std::atomic<uint64_t> spawned_outside{0};  // by threads that are no workers of ours
    std::atomic<uint32_t> end_bell{0};  // a task has ended while closing; a futex
    std::atomic<bool> closing{false};

  private:
    struct task_memory {
        alignas(task_body) char bytes[sizeof(task_body)];
    };

    static void* server_thread(void* arg);
    static void* worker_thread(void* arg);
    static void* nursery_thread(void* arg);
    void start_servers();
    void stop() noexcept;
    int make_worker(server& s);
    void admit(task_body& t);
    task_body* new_fiber(size_t stack_size);
    task_body* new_thread_task();

    std::atomic<uint64_t> last_id_{0};  // of tasks
    pthread_t nursery_ = {};
    bool has_nursery_ = false;
    std::atomic<uint32_t> nursery_bell_{0};  // futex
    std::atomic<uint32_t> known_{0};         // futex
    std::atomic<int> known_error_{0};
    std::atomic<bool> nursery_ends_{false};
    std::vector<worker*> workers_;  // all ever made: the nursery's while there is one
    short_lock spare_tasks_lock_;
    stack_list spare_tasks_;  // memory of thread tasks that have ended
    std::mutex task_memory_mutex_;
    std::vector<std::unique_ptr<task_memory>> task_memory_;
};

// Memory for workers' and servers' umcg_task, with a way back to the worker.
worker* new_worker(server& home);
worker* worker_of(const umcg_task* kernel) noexcept;
void free_worker(worker* w) noexcept;
// The same for a server's.
umcg_task* new_server_task();
void free_server_task(umcg_task* task) noexcept;

long futex_wait(std::atomic<uint32_t>& word, uint32_t value, uint64_t abs_ns) noexcept;
void futex_wake(std::atomic<uint32_t>& word, int n) noexcept;

[[noreturn]] void die(const char* call, int err) noexcept;

}  // namespace umcg::detail

#endif
