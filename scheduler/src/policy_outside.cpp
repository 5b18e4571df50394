// SPDX-License-Identifier: MIT
//
// The calls that may come from anywhere: by the executor of a server, or by whoever is none.
#include "policy_host.hpp"

#include "core.hpp"

namespace umcg::detail {

// In the bracket of the server whose executor calls, or, for no_server, in the one of all others.
template <class F>
void policy_host::bracketed(unsigned here, F&& ask) noexcept {
    if (here != no_server) {
        bracket in(*this, seat(here));
        ask();
    } else {
        outside_bracket in(*this);
        ask();
    }
}

unsigned policy_host::select_slowly(unsigned here, policy_entry& t, enqueue_reason reason) noexcept {
    unsigned chosen;
    const auto ask = [&](policy_call& at) -> std::optional<policy_fault> {
        if (compiled_in())
            chosen = select_directly(here, t, reason);
        else if (!now_->ops.select)
            chosen = reason != UMCG_ENQUEUE_SPAWN ? t.server
                     : here != no_server          ? here
                                                  : static_cast<unsigned>(t.id % n_);
        else {
            uint64_t value = 0;
            chosen = here == no_server ? t.server : here;
            // told of a task that it knows only; a new one is nobody else's yet
            std::optional<policy_fault> fault;
            if (t.epoch != epoch_.load(std::memory_order_relaxed)) {
                if (reason != UMCG_ENQUEUE_SPAWN) return {};
                adopt(t, UMCG_ENQUEUE_MIGRATED, at, fault);
                if (fault) return fault;
            }
            fault = call(at, "select", t.id, erased(now_->ops.select),
                              {arg(p_), arg(&t), here, arg(reason)}, value);
            if (fault) return fault;
            if (static_cast<uint32_t>(value) >= n_)
                return policy_fault{UMCG_POLICY_EXIT_BAD_SERVER, "select", t.id};
            chosen = static_cast<uint32_t>(value);
        }
        return {};
    };
    std::optional<policy_fault> fault;
    uint64_t epoch;
    policy_call& at = seat(here == no_server ? n_ : here).call;
    bracketed(here, [&] {
        epoch = epoch_.load(std::memory_order_relaxed);
        fault = ask(at);
    });
    if (fault) eject(epoch, *fault, at);
    return chosen;
}

bool policy_host::preempts(unsigned here, unsigned s, policy_comer& t, uint64_t ran_ns) noexcept {
    std::optional<policy_fault> fault;
    uint64_t epoch, value = 0;
    policy_call& at = seat(here == no_server ? n_ : here).call;
    const auto ask = [&] {
        epoch = epoch_.load(std::memory_order_relaxed);
        // not of a task that was another policy's, and is not attached to this one
        const bool known = t.epoch == epoch || (!t.epoch && !now_->ops.attach);
        if (kind_ == kind::table && now_->ops.preempts && known)
            fault = call(at, "preempts", t.id, erased(now_->ops.preempts), {arg(p_), s, arg(&t), ran_ns},
                         value);
    };
    bracketed(here, ask);
    if (!fault) return static_cast<int>(value);
    eject(epoch, *fault, at);
    return false;
}

int policy_host::attach(unsigned here, policy_entry& t) noexcept {
    // seen by a policy that took over meanwhile: it is adopted when it is queued
    t.epoch = epoch_.load(std::memory_order_relaxed);
    if (!attaches_.load(std::memory_order_relaxed)) return 0;
    std::optional<policy_fault> fault;
    uint64_t epoch, value = 0;
    policy_call& at = seat(here == no_server ? n_ : here).call;
    const auto ask = [&] {
        t.epoch = static_cast<uint32_t>(epoch = epoch_.load(std::memory_order_relaxed));
        if (kind_ == kind::table && now_->ops.attach)
            fault = call(at, "attach", t.id, erased(now_->ops.attach),
                         {arg(p_), arg(&t), UMCG_ENQUEUE_SPAWN, 0}, value);
    };
    bracketed(here, ask);
    if (!fault) return static_cast<int>(value);
    eject(epoch, *fault, at);
    return 0;
}

void policy_host::detach(unsigned here, policy_entry& t) noexcept {
    if (!attaches_.load(std::memory_order_relaxed)) return;
    std::optional<policy_fault> fault;
    uint64_t epoch, value;
    policy_call& at = seat(here == no_server ? n_ : here).call;
    const auto ask = [&] {
        epoch = epoch_.load(std::memory_order_relaxed);
        if (kind_ == kind::table && now_->ops.detach && t.epoch == epoch)
            fault = call(at, "detach", t.id, erased(now_->ops.detach), {arg(p_), arg(&t), 0, 0}, value);
    };
    bracketed(here, ask);
    if (fault) eject(epoch, *fault, at);
}

size_t policy_host::depth_from_outside(unsigned s) noexcept {
    outside_bracket in(*this);
    if (compiled_in()) return with_compiled_in([&](auto& p) { return p.depth(*p_, s); });
    return seat(s).depth.load(std::memory_order_seq_cst);
}

bool policy_host::tick(unsigned s, uint64_t ran_ns) noexcept {
    std::optional<policy_fault> fault;
    uint64_t epoch, value = 1;
    policy_call& at = seat(n_).call;
    {
        outside_bracket in(*this);
        epoch = epoch_.load(std::memory_order_relaxed);
        if (kind_ != kind::table || !now_->ops.tick) return true;
        fault = call(at, "tick", 0, erased(now_->ops.tick), {arg(p_), s, ran_ns, 0}, value);
    }
    if (fault) eject(epoch, *fault, at);
    return static_cast<int>(value);
}

}  // namespace umcg::detail
