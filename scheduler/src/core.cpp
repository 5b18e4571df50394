// SPDX-License-Identifier: MIT
//
// A runtime as a whole: its beginning, its end, which waits for the last task (R7), and what users
// call of it.
#include "core.hpp"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

#include <umcg/xstate.h>

#include "light_barrier.hpp"
#include "overflow.hpp"
#include "startup.hpp"

namespace umcg::detail {

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
    const ring_options how = {opts.ring_entries, ring_operations(opts.io_missing),
                              opts.receive_buffers, opts.receive_buffer_size};
    if (opts.io_uring)
        for (auto& s : servers) {
            s->io = ring::make(how);
            const int err = s->io ? s->io->register_buffers(opts.registered_buffers) : 0;
            if (err) fail(-err, "umcg: registered_buffers");
        }
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
