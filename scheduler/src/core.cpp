// SPDX-License-Identifier: MIT
//
// Starting and stopping a runtime, spawning, and the nursery: a plain thread that makes workers.
// The server threads cannot do that themselves, since pthread_create() takes locks (malloc's, for
// one) that a held worker may own.
#include "core.hpp"
#include "light_barrier.hpp"
#include "overflow.hpp"

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstdio>
#include <cstring>
#include <new>
#include <stdexcept>
#include <system_error>

#include <umcg/xstate.h>

namespace umcg::detail {

namespace {

constexpr unsigned workers_at_start = 2;

[[noreturn]] void fail(int err, const char* what) {
    throw std::system_error(err, std::generic_category(), what);
}

options checked(options opts) {
    if (opts.policy.empty()) {
        const char* env = secure_getenv("UMCG_POLICY");
        opts.policy = env && *env ? env : "work_stealing";
    }
    // before any thread is started
    parse_policy_spec(opts.policy);
    if (opts.policy_timeout < std::chrono::milliseconds(10))
        throw std::invalid_argument("umcg: policy_timeout is " +
                                    std::to_string(opts.policy_timeout.count()) + " ns, at least 10000000");
    if (!opts.max_workers) throw std::invalid_argument("umcg: max_workers is 0, at least 1");
    if (opts.stack_size < 8192)
        throw std::invalid_argument("umcg: stack_size is " + std::to_string(opts.stack_size) +
                                    ", at least 8192");
    if (!opts.ring_entries || opts.ring_entries > 8192)
        throw std::invalid_argument("umcg: ring_entries is " + std::to_string(opts.ring_entries) +
                                    ", 1 to 8192");
    if (opts.servers > 4096)
        throw std::invalid_argument("umcg: servers is " + std::to_string(opts.servers) +
                                    ", at most 4096");
    if (opts.slice.count() != 0 && opts.slice < std::chrono::microseconds(100))
        throw std::invalid_argument("umcg: slice is " + std::to_string(opts.slice.count()) +
                                    " ns, at least 100000, or 0 for no preemption");
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof(allowed), &allowed)) fail(errno, "umcg: sched_getaffinity");
    for (int cpu : opts.cpus)
        if (cpu < 0 || cpu >= CPU_SETSIZE || !CPU_ISSET(cpu, &allowed))
            throw std::invalid_argument("umcg: CPU " + std::to_string(cpu) +
                                        " is not one that this thread may run on");
    if (opts.cpus.empty())
        for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
            if (CPU_ISSET(cpu, &allowed)) opts.cpus.push_back(cpu);
    if (!opts.servers) opts.servers = static_cast<unsigned>(opts.cpus.size());
    return opts;
}

void init_backend(std::string name) {
    if (name.empty())
        if (const char* env = secure_getenv("UMCG_BACKEND")) name = env;
    // the better one first
    constexpr std::pair<const char*, umcg_backend> backends[] = {{"kernel", UMCG_BACKEND_KERNEL},
                                                                 {"bpf", UMCG_BACKEND_BPF},
                                                                 {"portable", UMCG_BACKEND_PORTABLE}};
    const bool any = name.empty() || name == "auto";
    int err = any ? -ENOTSUP : 0;
    for (const auto& [known, id] : backends) {
        if (!any && name != known) continue;
        umcg_options o = {};
        o.size = sizeof(o);
        o.backend = id;
        const int refused = umcg_init(&o);
        if (!refused) return;
        if (!any) err = refused;
    }
    if (!err) throw std::invalid_argument("umcg: no backend '" + name + "'");
    std::string why(umcg_backend_probe(nullptr, 0) + 1, '\0');
    umcg_backend_probe(why.data(), why.size());
    fail(-err, ("umcg: backend '" + (name.empty() ? "auto" : name) + "' cannot be used; " + why.c_str()).c_str());
}

// Where its servers are.
topology topology_of(const options& opts) {
    std::vector<int> cpus;
    for (unsigned i = 0; i < opts.servers; i++) cpus.push_back(opts.cpus[i % opts.cpus.size()]);
    return topology(cpus);
}

// The calling thread, not yet registered, is to serve `s`.
void settle_on_cpu(const core& c, const server& s) {
    if (!c.opts.pin) return;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(s.cpu, &set);
    // the CPU may have gone meanwhile: then anywhere
    sched_setaffinity(0, sizeof(set), &set);
}

struct server_start {
    core* owner;
    server* self;
    std::atomic<uint32_t>* up;
    std::atomic<int>* error;
};

}  // namespace

// ---- threads ----

namespace {

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
    settle_on_cpu(home.owner, home);
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
        return nullptr;
    }
    tsan_acquire(&home);
    set_this_worker(&w);
    // this thread is made by the constructor's, or by one that was
    home.owner.control.load();
    w.native.control = home.owner.control;
    run_worker(w);
    set_this_worker(nullptr);
    tsan_release(&home);
    if (const int failed = umcg_unregister(w.kernel)) die("umcg_unregister", failed);
    return nullptr;
}

void* core::server_thread(void* arg) {
    const server_start s = *static_cast<server_start*>(arg);
    const alternative_stack signals;
    settle_on_cpu(*s.owner, *s.self);
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
    const int err = pthread_create(&w->thread, nullptr, worker_thread, w);
    if (err)
        free_worker(w);
    else
        workers_.push_back(w);
    return err;
}

void* core::nursery_thread(void* arg) {
    auto& self = *static_cast<core*>(arg);
    for (;;) {
        const uint32_t bell = self.nursery_bell_.load(std::memory_order_acquire);
        if (self.nursery_ends_.load(std::memory_order_acquire)) return nullptr;
        for (auto& s : self.servers) {
            for (unsigned n = s->wanted_.exchange(0, std::memory_order_acquire); n; n--)
                if (self.make_worker(*s)) s->refused_.fetch_add(1, std::memory_order_relaxed);
        }
        futex_wait(self.nursery_bell_, bell, 0);
    }
}

void core::want_worker(server& s) noexcept {
    s.wanted_.fetch_add(1, std::memory_order_release);
    nursery_bell_.fetch_add(1, std::memory_order_release);
    futex_wake(nursery_bell_, 1);
}

void core::worker_known(int err) noexcept {
    if (err) known_error_.store(err, std::memory_order_relaxed);
    known_.fetch_add(1, std::memory_order_release);
    futex_wake(known_, 1);
}

// ---- start and stop ----

core::core(options o)
    : opts(checked(std::move(o))),
      places(topology_of(opts)),
      policy(*this, opts.servers, places.domains()),
      stacks(opts.stack_size, opts.guard, sizeof(task_body)),
      larger(opts.guard, sizeof(task_body)) {
    init_backend(opts.backend);
    // the program may have decided before
    if (const int err = umcg_xstate_init(nullptr)) {
        const char* text = getenv("UMCG_XSTATE");
        throw std::invalid_argument("umcg: UMCG_XSTATE='" + std::string(text ? text : "") +
                                    "': " + strerror(-err) +
                                    "; auto, none, all, or of avx,avx512,amx");
    }
    init_barriers();
    name_overflows();
    hold_at_call = !(umcg_capabilities() & UMCG_CAP_ONE_RUNNING);

    for (unsigned i = 0; i < opts.servers; i++)
        servers.push_back(std::make_unique<server>(*this, i, opts.cpus[i % opts.cpus.size()]));
    if (opts.io_uring)
        for (auto& s : servers) s->io = ring::make(opts.ring_entries);
    policy.limit.starved = static_cast<uint64_t>(opts.policy_timeout.count());
    policy.choose(opts.policy, static_cast<uint64_t>(opts.slice.count()));
    try {
        start_servers();
    } catch (...) {
        stop();
        throw;
    }
}

core::~core() {
    if (own_task()) misuse("umcg::~runtime() from one of its own tasks");
    join_all(0);
    stop();
}

bool core::own_task() const noexcept {
    const worker* w = this_worker();
    return w && &w->home->owner == this;
}

bool core::join_all(uint64_t until) noexcept {
    // R7
    closing.store(true, std::memory_order_seq_cst);
    heavy_barrier();
    for (;;) {
        const uint32_t bell = end_bell.load(std::memory_order_seq_cst);
        if (!live()) return true;
        if (futex_wait(end_bell, bell, until) == -ETIMEDOUT) return false;
    }
}

void core::start_servers() {
    std::atomic<uint32_t> up{0};
    std::atomic<int> error{0};
    std::vector<server_start> starts;
    uint32_t begun = 0;
    int err = 0;
    const unsigned at_start = std::min(workers_at_start, opts.max_workers);
    for (auto& s : servers) starts.push_back({this, s.get(), &up, &error});
    for (auto& s : servers) {
        s->workers = s->pending = at_start;
        s->wanted_.store(at_start, std::memory_order_relaxed);
        s->kernel = new_server_task();
        err = s->kernel ? pthread_create(&s->thread, nullptr, server_thread, &starts[s->index])
                        : ENOMEM;
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
        nursery_ends_.store(true, std::memory_order_release);
        nursery_bell_.fetch_add(1, std::memory_order_release);
        futex_wake(nursery_bell_, 1);
        pthread_join(nursery_, nullptr);
    }
    // nobody makes these any more
    for (auto& s : servers)
        s->refused_.fetch_add(s->wanted_.exchange(0, std::memory_order_relaxed),
                              std::memory_order_relaxed);
    stopping.store(true, std::memory_order_seq_cst);
    for (auto& s : servers)
        if (s->begun) s->notify();
    for (worker* w : workers_) {
        pthread_join(w->thread, nullptr);
        free_worker(w);
    }
    for (auto& s : servers) {
        if (s->begun) pthread_join(s->thread, nullptr);
        if (s->kernel) free_server_task(s->kernel);
    }
    policy.stop();
}

// ---- tasks ----

void core::put_thread_task(task_body& t) noexcept {
    guard g(spare_tasks_lock_);
    spare_tasks_.push(&t);
}

void core::task_ended(server& on) noexcept {
    // R7
    store_lightly(on.ended, on.ended.load(std::memory_order_relaxed) + 1);
    if (!closing.load(std::memory_order_seq_cst)) return;
    // a full barrier: of the last two to come here, the later one sees both
    end_bell.fetch_add(1, std::memory_order_seq_cst);
    if (!live()) futex_wake(end_bell, INT_MAX);
}

uint64_t core::live() const noexcept {
    // What has ended is counted first: it was spawned before. If the sums are the same, then nothing
    // was alive in between, and only what is alive could have spawned more.
    uint64_t gone = 0, all = 0;
    for (auto& s : servers) gone += s->ended.load(std::memory_order_seq_cst);
    for (auto& s : servers) all += s->spawned.load(std::memory_order_seq_cst);
    return all + spawned_outside.load(std::memory_order_seq_cst) - gone;
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

stats core::sum() const {
    stats all = {};
    for (auto& s : servers) s->add_counters(all);
    all.tasks_live = live();
    all.stacks = stacks.slots() + larger.slots();
    all.stacks_guarded = stacks.guarded() + larger.guarded();
    all.policy_swaps = policy.swaps();
    all.policy_ejections = policy.ejections();
    return all;
}

size_t core::stack_high_water() {
    return std::max(stacks.high_water(), larger.high_water());
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

// ---- what users call ----

namespace umcg {

runtime::runtime(options opts) : core_(std::make_unique<detail::core>(std::move(opts))) {}

runtime::~runtime() = default;

stats runtime::stats() const { return core_->sum(); }

void runtime::set_policy(const std::string& policy) { core_->policy.choose(policy, static_cast<uint64_t>(core_->opts.slice.count())); }

std::string runtime::policy() const { return core_->policy.name(); }

std::string runtime::policy_report() const { return core_->policy.report(); }

unsigned runtime::servers() const { return core_->opts.servers; }

bool runtime::cancel() noexcept { return core_->cancelled.cancel(); }

bool runtime::stop_until(uint64_t ns) {
    if (core_->own_task()) detail::misuse("umcg::runtime::stop() from one of its own tasks");
    if (core_->join_all(ns)) return true;
    cancel();
    core_->join_all(0);
    return false;
}

size_t runtime::stack_high_water() const { return core_->stack_high_water(); }

const char* runtime::backend() const { return umcg_backend_name(); }

}  // namespace umcg
