// SPDX-License-Identifier: MIT
//
// From spawn() to who joins: the memory of a task, its admission, its end.
#include <cerrno>
#include <new>
#include <string>

#include "core.hpp"
#include "startup.hpp"

namespace umcg::detail {

void core::put_thread_task(task_body& t) noexcept {
    guard g(spare_tasks_lock_);
    spare_tasks_.push(&t);
}

task_body* core::new_thread_task() {
    {
        guard g(spare_tasks_lock_);
        if (void* memory = spare_tasks_.pop()) return new (memory) task_body;
    }
    std::lock_guard hold(task_memory_mutex_);
    task_memory_.push_back(std::make_unique<task_memory>());
    return new (task_memory_.back().get()) task_body;
}

task_body* core::new_fiber(size_t stack_size) {
    stack_pool& pool = stack_size > opts.stack_size ? larger.of(stack_size) : stacks;
    void* top = nullptr;
    if (&pool != &stacks) {
        top = pool.get();
    } else if (worker* w = enter_section()) {
        if (&w->home->owner == this) top = w->home->get_stack();
        leave_section(w);
    }
    if (!top) top = pool.get();
    auto* t = new (top) task_body;
    t->pool = &pool;
    make_context(t->ctx, pool.bottom(top), pool.usable(), run_fiber);
    t->ctx.owner = t;
    return t;
}

void core::spawn(task_state* state) {
    if (closing.load(std::memory_order_relaxed) && !own_task())
        fail(ECANCELED, "umcg: the runtime is being stopped");
    const kind kind = state->attr().kind;
    task_body* t = kind == kind::thread ? new_thread_task()
                                        : new_fiber(state->attr().stack_size);
    t->kind = kind;
    t->owner = this;
    t->state = state;
    // A thread starts with those of who makes it, and so does who is to be like one.
    t->ctx.own_control = kind == kind::thread || state->attr().float_environment;
    t->ctx.control = t->ctx.own_control ? float_control::read() : control;
    const attributes& attr = state->attr();
    t->id = last_id_.fetch_add(1, std::memory_order_relaxed) + 1;
    t->name = attr.name.c_str();
    t->priority = attr.priority;
    t->weight = attr.weight;
    t->group = attr.group;
    if (attr.deadline != clock::time_point::max())
        t->deadline_ns = static_cast<uint64_t>(attr.deadline.time_since_epoch().count());
    if (policy.asks_before_spawn()) admit(*t);
    // counted before it can end
    worker* w = enter_section();
    if (w && &w->home->owner == this) {
        auto& n = w->home->spawned;
        n.store(n.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    } else {
        spawned_outside.fetch_add(1, std::memory_order_relaxed);
    }
    make_runnable(*t, UMCG_ENQUEUE_SPAWN);
    if (w) leave_section(w);
}

// Throws if the policy does not take it.
void core::admit(task_body& t) {
    int err;
    {
        worker* w = enter_section();
        err = policy.attach(w && &w->home->owner == this ? w->home->index : no_server, t);
        if (w) leave_section(w);
    }
    if (!err) return;
    const std::string message = "umcg: policy '" + policy.name() + "' does not take task '" + t.name + "'";
    if (t.kind == kind::thread) {
        t.~task_body();
        put_thread_task(t);
    } else {
        t.ctx.sanitizer.end_fiber();
        stack_pool& pool = *t.pool;
        t.~task_body();
        pool.put(&t);
    }
    fail(-err, message.c_str());
}

void start(core* where, task_state* state) {
    if (!where) {
        const worker* w = this_worker();
        if (!w) misuse("umcg::spawn() outside of a task: use runtime::spawn()");
        where = &w->home->owner;
    }
    where->spawn(state);
}

void task_state::complete() noexcept {
    // in the task still: values of task_locals may be destroyed here, and may wait
    inherited_ = {};
    {
        guard g(lock_);
        done_.store(true, std::memory_order_release);
        while (waiter* w = joining_.pop_front()) finish(*w, wake::signalled);
    }
    drop();
}

wake task_state::wait(const limit& until) {
    if (done()) return wake::signalled;
    waiter w;
    {
        guard g(lock_);
        if (done()) return wake::signalled;
        joining_.push_back(w);
    }
    return park_on(w, until, lock_, joining_);
}

}  // namespace umcg::detail
