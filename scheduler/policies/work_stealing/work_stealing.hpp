// SPDX-License-Identifier: MIT
//
// Per server the spawned tasks, newest first, in turn with the others, oldest first; who has nothing
// takes the oldest movable task of another. See README.md.
#ifndef UMCG_POLICIES_WORK_STEALING_HPP
#define UMCG_POLICIES_WORK_STEALING_HPP

#include <atomic>

#include <umcg/policy.hpp>

#include "../../src/owner_lock.hpp"

namespace umcg::policies {

class work_stealing {
  public:
    static constexpr const char* name = "work_stealing";
    static constexpr const char* description = "a queue per server, idle servers steal";
    struct task {
        policy_link<task> link;
        bool fresh;  // which list it is on
    };
    struct alignas(64) server {
        detail::owner_lock lock;    // thieves visit
        policy_queue<task> fresh;   // spawned, newest first; under the lock, like all below
        policy_queue<task> others;  // oldest first
        unsigned turn = 0;
        std::atomic<size_t> depth{0};  // written under the lock
    };

    unsigned select(umcg_policy& p, umcg_policy_task& t, unsigned waker,
                    umcg_enqueue_reason reason) noexcept {
        if (waker != UMCG_POLICY_NO_SERVER) return waker;
        if (reason == UMCG_ENQUEUE_SPAWN)
            return turn_.fetch_add(1, std::memory_order_relaxed) % p.n_servers;
        return t.server;
    }
    void enqueue(umcg_policy& p, unsigned s, umcg_policy_task& t, umcg_enqueue_reason reason) noexcept {
        server& q = server_data<work_stealing>(p, s);
        task& d = task_data<work_stealing>(t);
        d.fresh = reason == UMCG_ENQUEUE_SPAWN;
        q.lock.lock();
        if (d.fresh)
            q.fresh.push_front(d);
        else
            q.others.push_back(d);
        // R3 in docs/runtime.md: before the runtime looks for hungry servers
        detail::store_lightly(q.depth, q.depth.load(std::memory_order_relaxed) + 1);
        q.lock.unlock();
    }
    void dequeue(umcg_policy& p, unsigned s, umcg_policy_task& t) noexcept {
        server& q = server_data<work_stealing>(p, s);
        q.lock.lock();
        take(q, task_data<work_stealing>(t));
        q.lock.unlock();
    }
    umcg_policy_task* pick(umcg_policy& p, unsigned s, uint64_t&) noexcept {
        server& q = server_data<work_stealing>(p, s);
        // only the owner adds: what it does not see now was stolen
        if (!q.depth.load(std::memory_order_relaxed)) return nullptr;
        q.lock.lock();
        // in turns while there are both, so that neither list waits for the other to end
        const unsigned turn = q.turn++;
        task* t = turn % 2 ? q.others.front() : q.fresh.front();
        if (!t) t = q.others.empty() ? q.fresh.front() : q.others.front();
        if (t) {
            if (t->fresh && turn % oldest_every < 2) t = q.fresh.back();
            take(q, *t);
        }
        q.lock.unlock();
        return task_of(t);
    }
    umcg_policy_task* steal(umcg_policy& p, unsigned, unsigned victim) noexcept {
        server& q = server_data<work_stealing>(p, victim);
        // R3: after the thief has said that it is hungry
        if (!q.depth.load(std::memory_order_seq_cst)) return nullptr;
        q.lock.visit();
        // spawned ones have most before them, and have touched nothing yet
        task* t = q.fresh.back();
        for (int i = 0; t && !movable(t); i++) t = i < max_look ? t->link.prev : nullptr;
        if (!t) t = q.others.front();
        for (int i = 0; t && !movable(t); i++) t = i < max_look ? t->link.next : nullptr;
        if (t) take(q, *t);
        q.lock.leave();
        return task_of(t);
    }
    // How many are queued? From any thread.
    size_t depth(umcg_policy& p, unsigned s) noexcept {
        return server_data<work_stealing>(p, s).depth.load(std::memory_order_relaxed);
    }

  private:
    // How many tasks that are not movable a thief looks over.
    static constexpr int max_look = 16;
    // Every so many picks the oldest spawned task, not the newest.
    static constexpr unsigned oldest_every = 64;

    static bool movable(task* t) noexcept { return task_of(t)->flags & UMCG_POLICY_TASK_MOVABLE; }
    static void take(server& q, task& t) noexcept {
        (t.fresh ? q.fresh : q.others).erase(t);
        q.depth.store(q.depth.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
    }

    std::atomic<unsigned> turn_{0};
};

}  // namespace umcg::policies

#endif
