// SPDX-License-Identifier: MIT
//
// What runs and what carries it: tasks and workers.
#ifndef UMCG_SRC_WORKER_HPP
#define UMCG_SRC_WORKER_HPP

#include <pthread.h>

#include <umcg/runtime.hpp>
#include <umcg/umcg.h>

#include "cpu_time.hpp"
#include "fiber.hpp"
#include "policy_host.hpp"
#include "stack.hpp"

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
    cpu_account cpu;
    list_link<worker> in_ring;  // waits for I/O, or is about to
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

// Memory for workers' and servers' umcg_task, with a way back to the worker.
worker* new_worker(server& home);
worker* worker_of(const umcg_task* kernel) noexcept;
void free_worker(worker* w) noexcept;
// The same for a server's.
umcg_task* new_server_task();
void free_server_task(umcg_task* task) noexcept;

}  // namespace umcg::detail

#endif
