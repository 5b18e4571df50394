// SPDX-License-Identifier: MIT
//
// One policy in the place of another: because the user says so, or because it broke the rules. All
// calls are stopped meanwhile, so that either has all of the tasks.
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <system_error>

#include "core.hpp"

namespace umcg::detail {

namespace {

// ---- what a policy gets from us ----

core& core_of(const umcg_policy* p) {
    return *static_cast<core*>(policy_instance::of(p).owner());
}

uint64_t host_now(const umcg_policy*) { return now_ns(); }

// From sections, too: no lock of stdio's, no allocation.
void host_log(const umcg_policy* p, umcg_policy_log level, const char* text) {
    policy_instance& who = policy_instance::of(p);
    if (who.in_init && level == UMCG_POLICY_LOG_ERROR && !who.said[0]) {
        // it is what the exception says
        snprintf(who.said, sizeof(who.said), "%s", text);
        return;
    }
    if (who.lines_left.load(std::memory_order_relaxed) <= 0 ||
        who.lines_left.fetch_sub(1, std::memory_order_relaxed) <= 0)
        return;
    char line[300];
    const int n = snprintf(line, sizeof(line), "umcg: policy '%s': %.200s\n", who.name.c_str(), text);
    if (write(STDERR_FILENO, line, static_cast<size_t>(n)) < 0) return;
}

void host_kick(const umcg_policy* p, uint32_t server) {
    core& owner = core_of(p);
    if (server < owner.servers.size()) owner.servers[server]->kick();
}

const char* host_task_name(const umcg_policy*, const umcg_policy_task* task) {
    return static_cast<const policy_entry*>(task)->name;
}

void host_lock_slowly(const umcg_policy*, uint32_t* word) {
    reinterpret_cast<short_lock*>(word)->lock_slowly();
}

void host_wake_one(const umcg_policy*, uint32_t* word) {
    reinterpret_cast<short_lock*>(word)->wake_one();
}
static_assert(sizeof(short_lock) == sizeof(uint32_t));

constexpr umcg_policy_host functions = {
    .size = sizeof(umcg_policy_host),
    .major = UMCG_POLICY_MAJOR,
    .minor = UMCG_POLICY_MINOR,
    .now = host_now,
    .log = host_log,
    .kick = host_kick,
    .task_name = host_task_name,
    .lock_slowly = host_lock_slowly,
    .wake_one = host_wake_one,
};

}  // namespace

policy_host::policy_host(core& owner, unsigned n, std::vector<uint32_t> domains)
    : n_(n),
      domains_(std::move(domains)),
      owner_(owner),
      seats_(std::make_unique<policy_seat[]>(n + 2)) {
    for (unsigned s = 0; s < n + 2; s++) seat(s).call.host = this;
}

policy_host::~policy_host() { stop(); }

void policy_host::stop() noexcept {
    if (std::exchange(has_watchdog_, false)) {
        watchdog_ends_.store(true, std::memory_order_release);
        wake_watchdog();
        pthread_join(watchdog_, nullptr);
    }
    if (now_) finish(*now_, UMCG_POLICY_EXIT_STOP);
}

// ---- moving tasks; all is stopped ----

// All that is queued, to the seats' lists.
void policy_host::gather() noexcept {
    if (!p_ || !compiled_in()) return;
    for (unsigned s = 0; s < n_; s++) {
        uint64_t slice;
        while (policy_entry* t = pick_directly(s, slice)) queued(seat(s), s, *t);
    }
}

std::unique_ptr<policy_instance> policy_host::install(std::unique_ptr<policy_instance> fresh) noexcept {
    std::swap(now_, fresh);
    p_ = &now_->p;
    kind_ = kind::table;
    if (!now_->watched())
        kind_ = now_->name == policies::fifo::name ? kind::fifo : kind::work_stealing;
    epoch_.fetch_add(1, std::memory_order_relaxed);
    steals_.store(now_->ops.steal, std::memory_order_relaxed);
    wants_time_.store(now_->ops.flags & UMCG_POLICY_WANTS_TIME, std::memory_order_relaxed);
    wants_faults_.store(now_->ops.flags & UMCG_POLICY_WANTS_FAULTS && now_->ops.blocked,
                        std::memory_order_relaxed);
    wants_blocks_.store(now_->ops.blocked, std::memory_order_relaxed);
    preempts_.store(now_->ops.preempts, std::memory_order_relaxed);
    attaches_.store(now_->ops.attach || now_->ops.detach, std::memory_order_relaxed);
    return fresh;
}

// From the seats' lists to the policy.
std::optional<policy_fault> policy_host::hand_out(policy_call& at) noexcept {
    for (unsigned s = 0; s < n_; s++) {
        auto& list = seat(s).queued;
        policy_entry* next;
        for (policy_entry* t = list.front(); t; t = next) {
            next = t->in_seat.next;
            t->ran_ns = 0;  // the one before knows
            std::optional<policy_fault> fault;
            adopt(*t, UMCG_ENQUEUE_MIGRATED, at, fault);
            if (kind_ == kind::table) {
                uint64_t value;
                if (!fault)
                    fault = call(at, "enqueue", t->id, reinterpret_cast<void (*)()>(now_->ops.enqueue),
                                 {reinterpret_cast<uint64_t>(p_), s, reinterpret_cast<uint64_t>(t),
                                  UMCG_ENQUEUE_MIGRATED},
                                 value);
                if (fault) return fault;
                continue;
            }
            {
                guard g(seat(s).lock);
                unqueued(seat(s), *t);
            }
            enqueue_directly(s, *t, UMCG_ENQUEUE_MIGRATED);
        }
    }
    return {};
}

// A server that was idle may be hungry under the new one.
void policy_host::tell_servers() noexcept {
    for (auto& s : owner_.servers)
        if (s->begun && s->kernel) s->notify();
}

// ---- chosen by the user ----

namespace {

uint64_t begin_it(policy_instance* who) { return static_cast<uint64_t>(who->begin()); }
uint64_t end_it(policy_instance* who, const umcg_policy_exit* info) {
    who->end(*info);
    return 0;
}

}  // namespace

void policy_host::begin(policy_instance& fresh) {
    uint64_t value = 0;
    auto end = policy_call::end::returned;
    if (fresh.is_plugin()) {
        end = seat(n_ + 1).call.run("init", 0, reinterpret_cast<void (*)()>(begin_it),
                                    {reinterpret_cast<uint64_t>(&fresh), 0, 0, 0}, value);
    } else {
        value = begin_it(&fresh);
    }
    const int err = static_cast<int>(value);
    if (end == policy_call::end::returned && !err) return;
    std::string why = fresh.said;
    // a thread was taken out of the middle of it
    if (end != policy_call::end::returned) {
        fresh.give_up();
        why = end == policy_call::end::crashed ? "its init() crashed" : "its init() let an exception out";
    } else if (why.empty()) {
        why = "its init() failed";
    }
    throw std::system_error(err ? -err : EFAULT, std::generic_category(),
                            "umcg: policy '" + fresh.name + "' with options '" + fresh.options + "': " + why);
}

void policy_host::finish(policy_instance& old, umcg_policy_exit_reason reason) noexcept {
    umcg_policy_exit info = {};
    info.size = sizeof(info);
    info.reason = reason;
    info.message = in_words(reason);
    if (!old.is_plugin()) return old.end(info);
    uint64_t value;
    const auto end =
        seat(n_ + 1).call.run("exit", 0, reinterpret_cast<void (*)()>(end_it),
                              {reinterpret_cast<uint64_t>(&old), reinterpret_cast<uint64_t>(&info), 0, 0},
                              value);
    if (end != policy_call::end::returned) {
        fprintf(stderr, "umcg: policy '%s': its exit() did not return\n", old.name.c_str());
        old.give_up();
    }
}

void policy_host::fill_fallback() {
    if (fallback_) return;
    policy_place place = {n_, domains_.data(), slice_ns_, &functions, &owner_};
    fallback_ = policy_instance::make(parse_policy_spec("fifo"), place);
    fallback_->begin();
}

void policy_host::choose(const std::string& text, uint64_t slice_ns) {
    std::lock_guard hold(choose_mutex_);
    slice_ns_ = slice_ns;
    const policy_place place = {n_, domains_.data(), slice_ns_, &functions, &owner_};
    auto fresh = policy_instance::make(parse_policy_spec(text), place);
    if (fresh->is_plugin())
        if (const int err = install_policy_handlers())
            throw std::system_error(err, std::generic_category(),
                                    "umcg: signal " + std::to_string(SIGRTMAX - 1) +
                                        " (SIGRTMAX - 1) is needed to watch plugins, and has a handler");
    begin(*fresh);
    std::unique_ptr<policy_instance> old;
    try {
        fill_fallback();
        // so that ejecting allocates nothing
        ejected_.reserve(ejected_.size() + 1);
        if (fresh->watched()) start_watchdog();
    } catch (...) {
        finish(*fresh, UMCG_POLICY_EXIT_STOP);
        throw;
    }
    {
        section no_hold;
        stop_all();
        gather();
        old = install(std::move(fresh));
        policy_call& at = seat(n_ + 1).call;
        if (auto fault = hand_out(at)) eject_stopped(*fault, at);
        if (old) swaps_.fetch_add(1, std::memory_order_relaxed);
        resume_all();
        tell_servers();
    }
    if (old) finish(*old, UMCG_POLICY_EXIT_REPLACED);
}

std::string policy_host::name() {
    char text[32];
    {
        outside_bracket in(*this);
        snprintf(text, sizeof(text), "%s", now_->name.c_str());
    }
    return text;
}

std::string policy_host::report() {
    auto text = std::make_unique<char[]>(sizeof(report_));
    {
        guard g(report_lock_);
        memcpy(text.get(), report_, sizeof(report_));
    }
    return text.get();
}

}  // namespace umcg::detail
