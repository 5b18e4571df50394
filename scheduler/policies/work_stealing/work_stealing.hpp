// SPDX-License-Identifier: MIT
//
// A queue per server and a slot for the task that its running task has woken or spawned last; who has
// nothing takes the oldest movable task of another. See README.md.
#ifndef UMCG_POLICIES_WORK_STEALING_HPP
#define UMCG_POLICIES_WORK_STEALING_HPP

#include <atomic>

#include <umcg/policy.hpp>

#include "../../src/owner_lock.hpp"
#include "../options.hpp"

namespace umcg::policies {

class work_stealing {
  public:
    static constexpr const char* name = "work_stealing";
    static constexpr const char* description =
        "a queue per server, idle servers steal (spawned=newest: trees of tasks in depth)";
    // How often the slot goes before a queue that is not empty.
    static constexpr unsigned slot_budget = 4;

    struct task {
        policy_link<task> link;
        bool local;  // select() was asked by a server, which has its data at hand
        enum : unsigned char { in_queue, in_slot, in_fresh } where;
    };
    struct alignas(64) server {
        detail::owner_lock lock;   // thieves visit
        task* slot = nullptr;      // under the lock, like all below
        policy_queue<task> queue;  // oldest first
        policy_queue<task> fresh;  // spawned=newest: those spawned here, newest first
        unsigned slots_in_row = 0;
        unsigned turn = 0;
        std::atomic<size_t> depth{0};  // written under the lock
    };

    int init(umcg_policy& p) noexcept {
        return each_option(p, [&](std::string_view key, std::string_view value) {
            if (key != "spawned") return bad_option(p, key, "there is no such one; there is spawned");
            newest_ = value == "newest";
            if (newest_ || value == "oldest") return 0;
            return bad_option(p, value, "who goes first of those that were spawned: oldest or newest");
        });
    }
    unsigned select(umcg_policy& p, umcg_policy_task& t, unsigned waker,
                    umcg_enqueue_reason reason) noexcept {
        task_data<work_stealing>(t).local = waker != UMCG_POLICY_NO_SERVER;
        if (waker != UMCG_POLICY_NO_SERVER) return waker;
        if (reason == UMCG_ENQUEUE_SPAWN)
            return turn_.fetch_add(1, std::memory_order_relaxed) % p.n_servers;
        return t.server;
    }
    void enqueue(umcg_policy& p, unsigned s, umcg_policy_task& t, umcg_enqueue_reason reason) noexcept {
        server& q = server_data<work_stealing>(p, s);
        task& d = task_data<work_stealing>(t);
        // asked for those two reasons only, and for tasks that are bound to a worker not at all
        const bool local = d.local && reason <= UMCG_ENQUEUE_WAKE, light = detail::light_barriers;
        if (d.local) d.local = false;
        q.lock.lock(light);
        if (!local) {
            put(q, d);
        } else if (newest_ && reason == UMCG_ENQUEUE_SPAWN) {
            d.where = task::in_fresh;
            q.fresh.push_front(d);
        } else {
            if (q.slot) put(q, *q.slot);
            d.where = task::in_slot;
            q.slot = &d;
        }
        // R3 in docs/runtime.md: before the runtime looks for hungry servers
        detail::store_lightly(q.depth, q.depth.load(std::memory_order_relaxed) + 1, light);
        q.lock.unlock(light);
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
        const bool light = detail::light_barriers;
        q.lock.lock(light);
        task* t = q.slot;
        if (t && (q.slots_in_row < slot_budget || (q.queue.empty() && q.fresh.empty()))) {
            q.slots_in_row++;
            q.slot = nullptr;
        } else {
            if (q.slots_in_row) q.slots_in_row = 0;
            t = __builtin_expect(q.fresh.empty(), 1) ? q.queue.pop_front() : pick_spawned(q);
        }
        if (t) count_down(q);
        q.lock.unlock(light);
        return task_of(t);
    }
    umcg_policy_task* steal(umcg_policy& p, unsigned, unsigned victim) noexcept {
        server& q = server_data<work_stealing>(p, victim);
        // R3: after the thief has said that it is hungry
        if (!q.depth.load(std::memory_order_seq_cst)) return nullptr;
        q.lock.visit();
        // of a tree the oldest has most before it; the slot's is the one whose data is in a cache
        task* t = q.fresh.back();
        for (int i = 0; t && !movable(t); i++) t = i < max_look ? t->link.prev : nullptr;
        if (!t) t = q.queue.front();
        for (int i = 0; t && !movable(t); i++) t = i < max_look ? t->link.next : nullptr;
        if (!t && q.slot && movable(q.slot)) t = q.slot;
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
    // spawned=newest: every so many picks the oldest.
    static constexpr unsigned oldest_every = 1024;

    static bool movable(task* t) noexcept { return task_of(t)->flags & UMCG_POLICY_TASK_MOVABLE; }
    static void put(server& q, task& t) noexcept {
        t.where = task::in_queue;
        q.queue.push_back(t);
    }
    // In turns with the queue, so that neither waits for the other to end; now and then the oldest.
    static task* pick_spawned(server& q) noexcept {
        const unsigned turn = q.turn++;
        if (turn % 2 && !q.queue.empty()) return q.queue.pop_front();
        if (turn % oldest_every >= 2) return q.fresh.pop_front();
        task* oldest = q.fresh.back();
        q.fresh.erase(*oldest);
        return oldest;
    }
    static void take(server& q, task& t) noexcept {
        if (t.where == task::in_slot)
            q.slot = nullptr;
        else
            (t.where == task::in_fresh ? q.fresh : q.queue).erase(t);
        count_down(q);
    }
    static void count_down(server& q) noexcept {
        q.depth.store(q.depth.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
    }

    bool newest_ = false;
    std::atomic<unsigned> turn_{0};
};

}  // namespace umcg::policies

#endif
