// SPDX-License-Identifier: MIT
//
// Work for servers that have none: they steal it, and whoever queues some calls them. R3 is the pair.
#include "core.hpp"
#include "light_barrier.hpp"

namespace umcg::detail {

task_body* server::steal() noexcept {
    if (!owner.policy.steals()) return nullptr;
    for (unsigned victim : victims_) {
        if (policy_entry* t = owner.policy.steal(index, victim)) {
            count(&stats::steals);
            return static_cast<task_body*>(t);
        }
    }
    return nullptr;
}

// A task more in our queue than can run at once: who is hungry shall steal. What was woken alone is
// left where it is, it will run when its waker waits.
void server::call_thieves(enqueue_reason reason) noexcept {
    if (!owner.policy.steals()) return;
    if (reason != UMCG_ENQUEUE_SPAWN && depth() < 2) return;
    // R3
    if (!owner.n_hungry.load(std::memory_order_seq_cst)) return;
    // who is idle, rather than who will be if his task blocks
    for (const bool idle : {true, false}) {
        for (unsigned near : victims_) {
            server* s = owner.servers[near].get();
            if (!s->hungry_.load(std::memory_order_seq_cst)) continue;
            if (idle && !(umcg_state(s->kernel) & UMCG_TF_IDLE)) continue;
            if (!s->hungry_.exchange(false, std::memory_order_seq_cst)) continue;
            owner.n_hungry.fetch_sub(1, std::memory_order_seq_cst);
            s->notify(false);
            return;
        }
    }
}

void server::change_hungry(bool hungry) noexcept {
    if (hungry) {
        // counted first: whoever takes it away takes it off the count
        owner.n_hungry.fetch_add(1, std::memory_order_seq_cst);
        hungry_.store(true, std::memory_order_seq_cst);
        heavy_barrier();  // R3
    } else if (hungry_.exchange(false, std::memory_order_seq_cst)) {
        owner.n_hungry.fetch_sub(1, std::memory_order_seq_cst);
    }
}

}  // namespace umcg::detail
