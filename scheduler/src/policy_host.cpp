// SPDX-License-Identifier: MIT
//
// The calls. Compiled-in policies are called directly and trusted; the others through their table,
// with a list beside of what is queued, so that what they do is seen and nothing is lost with them.
#include "policy_host.hpp"

#include <climits>
#include <cstring>

#include "core.hpp"

namespace umcg::detail {

// ---- who is inside ----

void policy_host::ring() noexcept {
    bell_.fetch_add(1, std::memory_order_release);
    futex_wake(bell_, INT_MAX);
}

void policy_host::enter_slowly(policy_seat& s) noexcept {
    do {
        s.inside.store(0, std::memory_order_release);
        ring();
        while (swapping_.load(std::memory_order_acquire)) futex_wait(swapping_, 1, 0);
        store_lightly(s.inside, 1);
    } while (swapping_.load(std::memory_order_acquire));
}

void policy_host::stop_all() noexcept {
    for (uint32_t free = 0; !swapping_.compare_exchange_strong(free, 1, std::memory_order_seq_cst);
         free = 0)
        futex_wait(swapping_, 1, 0);
    heavy_barrier();
    for (;;) {
        const uint32_t bell = bell_.load(std::memory_order_acquire);
        bool inside = outside_.load(std::memory_order_seq_cst);
        for (unsigned s = 0; s < n_ && !inside; s++)
            inside = seat(s).inside.load(std::memory_order_acquire);
        if (!inside) return;
        futex_wait(bell_, bell, 0);
    }
}

void policy_host::resume_all() noexcept {
    swapping_.store(0, std::memory_order_release);
    futex_wake(swapping_, INT_MAX);
}

// ---- through the table ----

std::optional<policy_fault> policy_host::call(policy_call& at, const char* op, uint64_t task,
                                              void (*fn)(), const uint64_t (&args)[4],
                                              uint64_t& value) noexcept {
    if (!now_->is_plugin()) {
        // ours: watched, but not held back
        using function = uint64_t (*)(uint64_t, uint64_t, uint64_t, uint64_t);
        value = reinterpret_cast<function>(fn)(args[0], args[1], args[2], args[3]);
        return {};
    }
    const auto end = at.run(op, task, fn, args, value);
    switch (end) {
    case policy_call::end::returned: return {};
    case policy_call::end::crashed: return policy_fault{UMCG_POLICY_EXIT_CRASHED, op, task};
    case policy_call::end::overrun: return policy_fault{UMCG_POLICY_EXIT_OVERRUN, op, task};
    case policy_call::end::exception: return policy_fault{UMCG_POLICY_EXIT_EXCEPTION, op, task};
    }
    return {};
}

namespace {

// What came out is looked at where looking may crash.
policy_entry* checked(umcg_policy_task* t) {
    if (!t) return nullptr;
    auto* e = static_cast<policy_entry*>(t);
    if (reinterpret_cast<uintptr_t>(t) % 64 || e->self != reinterpret_cast<uintptr_t>(e))
        return reinterpret_cast<policy_entry*>(1);
    return e;
}
policy_entry* pick_and_look(umcg_policy* p, uint64_t s, uint64_t* slice) {
    return checked(policy_instance::of(p).ops.pick(p, static_cast<uint32_t>(s), slice));
}
policy_entry* steal_and_look(umcg_policy* p, uint64_t thief, uint64_t victim) {
    return checked(policy_instance::of(p).ops.steal(p, static_cast<uint32_t>(thief),
                                                    static_cast<uint32_t>(victim)));
}

}  // namespace

// True: once in a while.
bool policy_host::queued(policy_seat& at, unsigned s, policy_entry& t) noexcept {
    at.lock.lock();
    t.queued_on.store(s + 1, std::memory_order_relaxed);
    const uint64_t n = t.queue_seq = ++at.queue_seq;
    t.queued_at = beats_.load(std::memory_order_relaxed);
    at.queued.push_back(t);
    // R3
    at.depth.store(at.depth.load(std::memory_order_relaxed) + 1, std::memory_order_seq_cst);
    at.lock.unlock();
    // P3
    if (__builtin_expect(watchdog_rests_.load(std::memory_order_seq_cst), 0)) wake_watchdog();
    return n % 1024 == 0;
}

// Under the seat's lock.
void policy_host::unqueued(policy_seat& at, policy_entry& t) noexcept {
    t.queued_on.store(0, std::memory_order_relaxed);
    if (t.queue_seq > at.picked_seq) at.picked_seq = t.queue_seq;
    at.queued.erase(t);
    at.depth.store(at.depth.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
}

// The first time that this policy sees the task.
void policy_host::adopt(policy_entry& t, enqueue_reason reason, policy_call& at,
                        std::optional<policy_fault>& fault) noexcept {
    take_over(t);
    uint64_t value;
    if (kind_ == kind::table && now_->ops.attach)
        fault = call(at, "attach", t.id, erased(now_->ops.attach), {arg(p_), arg(&t), arg(reason), 0},
                     value);
}

// Whatever the kind: it may have changed since.
void policy_host::enqueue_slowly(unsigned s, policy_entry& t, enqueue_reason reason) noexcept {
    policy_seat& here = seat(s);
    std::optional<policy_fault> fault;
    uint64_t epoch;
    bool look;
    {
        bracket in(*this, here);
        epoch = epoch_.load(std::memory_order_relaxed);
        if (__builtin_expect(t.epoch != epoch, 0))
            adopt(t, reason == UMCG_ENQUEUE_SPAWN ? UMCG_ENQUEUE_MIGRATED : reason, here.call, fault);
        if (compiled_in()) return enqueue_directly(s, t, reason);
        look = queued(here, s, t);
        uint64_t value;
        if (!fault)
            fault = call(here.call, "enqueue", t.id, erased(now_->ops.enqueue),
                         {arg(p_), s, arg(&t), arg(reason)}, value);
    }
    if (fault) eject(epoch, *fault, here.call);
    if (look) look_at_watchdog();
}

void policy_host::dequeue(unsigned s, policy_entry& t) noexcept {
    policy_seat& here = seat(s);
    count_mine(s, static_cast<size_t>(-1));
    for (;;) {
        std::optional<policy_fault> fault;
        uint64_t epoch;
        {
            bracket in(*this, here);
            epoch = epoch_.load(std::memory_order_relaxed);
            if (compiled_in()) {
                with_compiled_in([&](auto& p) { p.dequeue(*p_, s, t); });
                return;
            }
            uint64_t value;
            fault = call(here.call, "dequeue", t.id, erased(now_->ops.dequeue),
                         {arg(p_), s, arg(&t), 0}, value);
            if (!fault) {
                guard g(here.lock);
                return unqueued(here, t);
            }
        }
        // it is queued by the one in its place: once more
        eject(epoch, *fault, here.call);
    }
}

// pick() and steal() from `s`; whether what comes out was in there.
std::optional<policy_fault> policy_host::take_out(unsigned s, const char* op, uint64_t& slice,
                                                  unsigned thief, policy_entry*& t) noexcept {
    const bool stealing = thief != no_server;
    policy_seat& from = seat(s);
    policy_call& at = stealing ? seat(thief).call : from.call;
    uint64_t value = 0;
    auto fault = stealing ? call(at, op, 0, erased(steal_and_look), {arg(p_), thief, s, 0}, value)
                          : call(at, op, 0, erased(pick_and_look), {arg(p_), s, arg(&slice), 0}, value);
    if (fault) return fault;
    t = reinterpret_cast<policy_entry*>(value);
    if (!t) return {};
    if (value == 1) return policy_fault{UMCG_POLICY_EXIT_FOREIGN, op, 0};
    guard g(from.lock);
    const uint32_t on = t->queued_on.load(std::memory_order_relaxed);
    if (!on) return policy_fault{UMCG_POLICY_EXIT_DOUBLED, op, t->id};
    if (on != s + 1 || (stealing && !(t->flags & UMCG_POLICY_TASK_MOVABLE)))
        return policy_fault{UMCG_POLICY_EXIT_FOREIGN, op, t->id};
    unqueued(from, *t);
    return {};
}

policy_entry* policy_host::pick_slowly(unsigned s, uint64_t& slice_ns) noexcept {
    policy_seat& here = seat(s);
    for (;;) {
        std::optional<policy_fault> fault;
        uint64_t epoch;
        {
            bracket in(*this, here);
            epoch = epoch_.load(std::memory_order_relaxed);
            slice_ns = p_->slice_ns;
            if (compiled_in()) return pick_directly(s, slice_ns);
            if (!here.depth.load(std::memory_order_relaxed)) return nullptr;
            policy_entry* e = nullptr;
            fault = take_out(s, "pick", slice_ns, no_server, e);
            if (!fault && e) return e;
            // a thief may have taken it and not said so yet: eject() looks when all is stopped
            if (!fault) fault = policy_fault{UMCG_POLICY_EXIT_LOST, "pick", 0, s};
        }
        eject(epoch, *fault, here.call);
    }
}

policy_entry* policy_host::steal(unsigned thief, unsigned victim) noexcept {
    policy_seat& here = seat(thief);
    policy_seat& there = seat(victim);
    std::optional<policy_fault> fault;
    uint64_t epoch;
    {
        bracket in(*this, here);
        policy_entry* e = nullptr;
        epoch = epoch_.load(std::memory_order_relaxed);
        if (kind_ == kind::work_stealing) {
            auto& p = policy_of<policies::work_stealing>(*p_);
            e = static_cast<policy_entry*>(p.steal(*p_, thief, victim));
        } else if (!compiled_in() && now_->ops.steal) {
            // R3
            if (!there.depth.load(std::memory_order_seq_cst)) return nullptr;
            uint64_t slice = 0;
            fault = take_out(victim, "steal", slice, thief, e);
        }
        if (!fault) {
            if (e) there.stolen.fetch_add(1, std::memory_order_relaxed);
            return e;
        }
    }
    eject(epoch, *fault, here.call);
    return nullptr;
}

bool policy_host::tell_blocked(unsigned s, policy_entry& t, umcg_blocked_reason why) noexcept {
    policy_seat& here = seat(s);
    std::optional<policy_fault> fault;
    uint64_t epoch;
    {
        bracket in(*this, here);
        epoch = epoch_.load(std::memory_order_relaxed);
        if (kind_ != kind::table || !now_->ops.blocked || t.epoch != epoch) return false;
        uint64_t value;
        fault = call(here.call, "blocked", t.id, erased(now_->ops.blocked),
                     {arg(p_), s, arg(&t), arg(why)}, value);
    }
    if (!fault) return true;
    eject(epoch, *fault, here.call);
    return false;
}

void policy_host::attr_changed(unsigned s, policy_entry& t) noexcept {
    policy_seat& here = seat(s);
    std::optional<policy_fault> fault;
    uint64_t epoch;
    {
        bracket in(*this, here);
        epoch = epoch_.load(std::memory_order_relaxed);
        if (kind_ != kind::table || !now_->ops.attr_changed || t.epoch != epoch) return;
        uint64_t value;
        fault = call(here.call, "attr_changed", t.id, erased(now_->ops.attr_changed),
                     {arg(p_), arg(&t), 0, 0}, value);
    }
    if (fault) eject(epoch, *fault, here.call);
}

}  // namespace umcg::detail
