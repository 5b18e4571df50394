// SPDX-License-Identifier: MIT
//
// A runtime's threads: those of servers and workers, and the nursery, a plain thread that makes
// workers. The server threads cannot do that themselves, since pthread_create() takes locks
// (malloc's, for one) that a held worker may own.
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <new>
#include <utility>
#include <vector>

#include <umcg/umcg.h>

#include "core.hpp"
#include "overflow.hpp"
#include "startup.hpp"

namespace umcg::detail {

namespace {

// A thread that is to serve `s`. It begins on that one's CPU: elsewhere it might wait for one.
int start_thread(const core& c, const server& s, pthread_t* thread, void* (*run)(void*), void* arg) {
    if (!c.opts.pin) return pthread_create(thread, nullptr, run, arg);
    pthread_attr_t attr;
    if (const int err = pthread_attr_init(&attr)) return err;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(s.cpu, &set);
    int err = pthread_attr_setaffinity_np(&attr, sizeof(set), &set);
    if (!err) err = pthread_create(thread, &attr, run, arg);
    pthread_attr_destroy(&attr);
    // the CPU has gone meanwhile, or it may not be asked for: then anywhere
    return err && err != EAGAIN ? pthread_create(thread, nullptr, run, arg) : err;
}

// A server thread runs for some microseconds and is waited for by all its server: it asks the kernel for slices
// of that order, so that it gets the CPU from a worker when it wakes, and not when that one's slice of some
// ms is over. So does the nursery, and a worker until it is registered, for which a server may wait. Linux
// 6.12; before it nobody looks at the number. Their share of the CPU stays the same.
constexpr uint64_t short_slices = 100'000;  // ns, the shortest that the kernel grants

// What it was before; 0: not known, or not changed.
uint64_t ask_for_slices(uint64_t ns) noexcept {
    // struct sched_attr in its first version; the headers disagree on who defines it
    struct {
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime, deadline, period;
    } attr = {};
    if (syscall(SYS_sched_getattr, 0, &attr, sizeof(attr), 0) || attr.policy != SCHED_OTHER) return 0;
    attr.size = sizeof(attr);
    const uint64_t before = std::exchange(attr.runtime, ns);
    // as before, if that is forbidden
    return syscall(SYS_sched_setattr, 0, &attr, 0) ? 0 : before;
}

struct server_start {
    core* owner;
    server* self;
    std::atomic<uint32_t>* up;
    std::atomic<int>* error;
};

void describe_stack([[maybe_unused]] worker& w) {
#ifdef UMCG_ASAN
    pthread_attr_t attr;
    void* bottom = nullptr;
    size_t size = 0;
    if (!pthread_getattr_np(pthread_self(), &attr)) {
        pthread_attr_getstack(&attr, &bottom, &size);
        pthread_attr_destroy(&attr);
    }
    w.native.sanitizer.this_thread(bottom, size);
#else
    w.native.sanitizer.this_thread(nullptr, 0);
#endif
}

}  // namespace

void* core::worker_thread(void* arg) {
    worker& w = *static_cast<worker*>(arg);
    server& home = *w.home;
    alternative_stack signals;
    describe_stack(w);
    learn_thread_stack(w);
    w.exceptions = this_thread_exceptions();
    w.hold_at_call = home.owner.hold_at_call;
    w.kernel->server_tid = home.kernel->tid;
    w.kernel->user_flags = UMCG_UF_LOCKED;
    const int err = signals.good() ? umcg_register(w.kernel, UMCG_REG_WORKER) : -ENOMEM;
    if (err) {
        // before the look at stopping: either we tell, or the server finds it when it is told to stop
        home.refused_.fetch_add(1, std::memory_order_seq_cst);
        home.owner.worker_known(err);
        if (home.owner.stopping.load(std::memory_order_seq_cst)) home.notify();
        home.owner.ends(w);
        return nullptr;
    }
    // made by the nursery, it has that one's
    if (const uint64_t usual = home.owner.usual_slices_.load(std::memory_order_relaxed)) ask_for_slices(usual);
    tsan_acquire(&home);
    set_this_worker(&w);
    // this thread is made by the constructor's, or by one that was
    home.owner.control.load();
    w.native.control = home.owner.control;
    run_worker(w);
    set_this_worker(nullptr);
    tsan_release(&home);
    if (const int failed = umcg_unregister(w.kernel)) die("umcg_unregister", failed);
    home.owner.ends(w);
    return nullptr;
}

// The last that a worker's thread does.
void core::ends(worker& w) noexcept {
    // R11
    w.next_spare = ended_.load(std::memory_order_relaxed);
    while (!ended_.compare_exchange_weak(w.next_spare, &w, std::memory_order_release,
                                         std::memory_order_relaxed)) {
    }
    ring_nursery();
}

void* core::server_thread(void* arg) {
    const server_start s = *static_cast<server_start*>(arg);
    const alternative_stack signals;
    ask_for_slices(short_slices);
    s.self->kernel->user_flags = UMCG_UF_DIRECT_RESUME;
    const int err = signals.good() ? umcg_register(s.self->kernel, UMCG_REG_SERVER) : -ENOMEM;
    if (err) s.error->store(err, std::memory_order_relaxed);
    s.up->fetch_add(1, std::memory_order_release);
    futex_wake(*s.up, 1);
    if (err) return nullptr;
    s.self->run();
    if (const int failed = umcg_unregister(s.self->kernel)) die("umcg_unregister", failed);
    return nullptr;
}

int core::make_worker(server& s) {
    worker* w = new_worker(s);
    if (!w) return ENOMEM;
    try {
        workers_.reserve(workers_.size() + 1);
    } catch (const std::bad_alloc&) {
        free_worker(w);
        return ENOMEM;
    }
    const int err = start_thread(*this, s, &w->thread, worker_thread, w);
    if (err)
        free_worker(w);
    else
        workers_.push_back(w);
    return err;
}

// A block that was told before the worker's end may be on its server's list still, by its umcg_task.
void core::join_ended() noexcept {
    worker* w = ended_.exchange(nullptr, std::memory_order_acquire);
    while (w) {
        worker* next = w->next_spare;
        pthread_join(w->thread, nullptr);
        std::erase(workers_, w);
        w->next_spare = joined_;
        joined_ = w;
        w = next;
    }
    for (worker** at = &joined_; *at;) {
        w = *at;
        if (!umcg_task_unlinked(w->kernel)) {
            at = &w->next_spare;
            continue;
        }
        *at = w->next_spare;
        free_worker(w);
    }
}

void* core::nursery_thread(void* arg) {
    auto& self = *static_cast<core*>(arg);
    self.usual_slices_.store(ask_for_slices(short_slices), std::memory_order_relaxed);
    for (;;) {
        const uint32_t bell = self.nursery_bell_.load(std::memory_order_acquire);
        if (self.nursery_ends_.load(std::memory_order_acquire)) return nullptr;
        for (auto& s : self.servers) {
            for (unsigned n = s->wanted_.exchange(0, std::memory_order_acquire); n; n--)
                if (self.make_worker(*s)) s->refused_.fetch_add(1, std::memory_order_relaxed);
        }
        // after those that are waited for
        self.join_ended();
        futex_wait(self.nursery_bell_, bell, 0);
    }
}

void core::want_worker(server& s) noexcept {
    s.wanted_.fetch_add(1, std::memory_order_seq_cst);
    // either the end takes it off, or we see that nobody makes it any more
    if (nursery_ends_.load(std::memory_order_seq_cst))
        s.refused_.fetch_add(s.wanted_.exchange(0, std::memory_order_seq_cst), std::memory_order_seq_cst);
    ring_nursery();
}

void core::ring_nursery() noexcept {
    nursery_bell_.fetch_add(1, std::memory_order_release);
    futex_wake(nursery_bell_, 1);
}

void core::worker_known(int err) noexcept {
    if (err) known_error_.store(err, std::memory_order_relaxed);
    known_.fetch_add(1, std::memory_order_release);
    futex_wake(known_, 1);
}

// ---- all of them ----

void core::start_servers() {
    std::atomic<uint32_t> up{0};
    std::atomic<int> error{0};
    std::vector<server_start> starts;
    uint32_t begun = 0;
    int err = 0;
    const unsigned at_start = workers_at_start();
    for (auto& s : servers) starts.push_back({this, s.get(), &up, &error});
    for (auto& s : servers) {
        s->workers = s->pending = at_start;
        s->wanted_.store(at_start, std::memory_order_relaxed);
        s->kernel = new_server_task();
        err = s->kernel ? start_thread(*this, *s, &s->thread, server_thread, &starts[s->index]) : ENOMEM;
        if (err) break;
        s->begun = true;
        begun++;
    }
    for (uint32_t n; (n = up.load(std::memory_order_acquire)) < begun;) futex_wait(up, n, 0);
    if (!err) err = -error.load(std::memory_order_relaxed);
    if (err) fail(err, "umcg: a server thread cannot be started");

    uint32_t made = 0;
    for (auto& s : servers) {
        for (; s->wanted_.load(std::memory_order_relaxed); made++) {
            err = make_worker(*s);
            if (err) fail(err, "umcg: a worker thread cannot be started");
            s->wanted_.fetch_sub(1, std::memory_order_relaxed);
        }
    }
    for (uint32_t n; (n = known_.load(std::memory_order_acquire)) < made;)
        futex_wait(known_, n, 0);
    err = -known_error_.load(std::memory_order_relaxed);
    if (err) fail(err, "umcg: a worker cannot be registered");
    err = pthread_create(&nursery_, nullptr, nursery_thread, this);
    if (err) fail(err, "umcg: the nursery thread cannot be started");
    has_nursery_ = true;
}

void core::stop() noexcept {
    if (has_nursery_) {
        nursery_ends_.store(true, std::memory_order_seq_cst);
        ring_nursery();
        pthread_join(nursery_, nullptr);
    }
    // nobody makes these any more
    for (auto& s : servers)
        s->refused_.fetch_add(s->wanted_.exchange(0, std::memory_order_seq_cst),
                              std::memory_order_relaxed);
    stopping.store(true, std::memory_order_seq_cst);
    for (auto& s : servers)
        if (s->begun) s->notify();
    for (worker* w : workers_) pthread_join(w->thread, nullptr);
    for (auto& s : servers) {
        if (s->begun) pthread_join(s->thread, nullptr);
        if (s->kernel) free_server_task(s->kernel);
    }
    // nobody looks at a list any more
    for (worker* w : workers_) free_worker(w);
    while (joined_) free_worker(std::exchange(joined_, joined_->next_spare));
    policy.stop();
}

}  // namespace umcg::detail
