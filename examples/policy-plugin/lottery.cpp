// SPDX-License-Identifier: MIT
//
// A lottery: who runs next is drawn, with as many tickets as the task's weight. A plugin of the runtime,
// built against its installed headers alone.
#include <umcg/policy.hpp>

#include <cstdint>

namespace {

struct lottery {
    static constexpr const char* name = "lottery";
    static constexpr const char* description = "who runs next is drawn; tickets are weights";

    // What each task and each server has. The runtime places it; all zero bytes at first.
    struct task {
        umcg::policy_link<task> link;
    };
    struct server {
        umcg::policy_queue<task> queue;
        uint64_t tickets = 0;
        uint64_t random = 0;
    };

    void server_online(umcg_policy& p, unsigned s) noexcept {
        umcg::server_data<lottery>(p, s).random = 0x9E3779B97F4A7C15 + s;
    }
    void enqueue(umcg_policy& p, unsigned s, umcg_policy_task& t, umcg_enqueue_reason) noexcept {
        server& q = umcg::server_data<lottery>(p, s);
        q.queue.push_back(umcg::task_data<lottery>(t));
        q.tickets += t.weight;
    }
    // The runtime needs this one now.
    void dequeue(umcg_policy& p, unsigned s, umcg_policy_task& t) noexcept {
        server& q = umcg::server_data<lottery>(p, s);
        q.queue.erase(umcg::task_data<lottery>(t));
        q.tickets -= t.weight;
    }
    umcg_policy_task* pick(umcg_policy& p, unsigned s, uint64_t& /* slice: the runtime's */) noexcept {
        server& q = umcg::server_data<lottery>(p, s);
        task* t = q.queue.front();
        if (!t) return nullptr;
        q.random ^= q.random << 13;
        q.random ^= q.random >> 7;
        q.random ^= q.random << 17;
        uint64_t drawn = q.random % q.tickets;
        while (drawn >= umcg::task_of(t)->weight) {
            drawn -= umcg::task_of(t)->weight;
            t = t->link.next;
        }
        dequeue(p, s, *umcg::task_of(t));
        return umcg::task_of(t);
    }
};

}  // namespace

UMCG_POLICY_PLUGIN(lottery)
