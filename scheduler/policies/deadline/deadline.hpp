// SPDX-License-Identifier: MIT
//
// Earliest deadline first, with admission control. See README.md.
#ifndef UMCG_POLICIES_DEADLINE_HPP
#define UMCG_POLICIES_DEADLINE_HPP

#include <atomic>

#include <umcg/policy.hpp>

#include "../heap.hpp"
#include "../options.hpp"

namespace umcg::policies {

class deadline {
  public:
    static constexpr const char* name = "deadline";
    static constexpr const char* description =
        "earliest deadline first (cost=TIME, most=PERCENT: refuse what cannot be met)";
    struct task {
        heap_link<task> heap;
        uint64_t key;     // deadline; without one: never
        uint64_t order;   // then the first first
        uint32_t server;  // where its cost is counted; 1 + the server, 0: nowhere
        bool queued;
    };
    struct alignas(64) server {
        policy_heap<task> queue;
        uint64_t queued = 0;                   // so far
        std::atomic<uint64_t> running{~0ULL};  // the deadline of who was picked last
        std::atomic<uint64_t> picked{0};       // the same, also after it was told that it waits
        std::atomic<uint64_t> admitted{0};     // tasks with a deadline that have not ended
    };

    int init(umcg_policy& p) noexcept {
        return each_option(p, [&](std::string_view key, std::string_view value) {
            if (key == "cost") {
                if (!parse_time(value, cost_) || !cost_)
                    return bad_option(p, value, "a cost is a time like 2ms, what a task with a deadline needs");
            } else if (key == "most") {
                if (!parse_number(value, most_) || most_ < 1 || most_ > 100)
                    return bad_option(p, value, "a percentage of the CPU from 1 to 100");
            } else {
                return bad_option(p, key, "there is no such one; there are cost and most");
            }
            return 0;
        });
    }
    // With n tasks admitted before it on the server with the fewest, it has ended after n + 1 times their
    // cost, at `most` per cent of the CPU. Is that in time?
    int attach(umcg_policy& p, umcg_policy_task& t, umcg_enqueue_reason reason) noexcept {
        task& d = task_data<deadline>(t);
        d.server = 0;
        if (!t.deadline_ns || reason != UMCG_ENQUEUE_SPAWN) return 0;
        unsigned best = 0;
        uint64_t fewest = ~0ULL;
        for (unsigned s = 0; s < p.n_servers; s++) {
            const uint64_t n = server_data<deadline>(p, s).admitted.load(std::memory_order_relaxed);
            if (n < fewest) {
                fewest = n;
                best = s;
            }
        }
        // counted before it is decided: of two that come at once one sees the other
        const uint64_t before =
            server_data<deadline>(p, best).admitted.fetch_add(1, std::memory_order_relaxed);
        if (cost_ && p.host->now(&p) + (before + 1) * cost_ * 100 / most_ > t.deadline_ns) {
            server_data<deadline>(p, best).admitted.fetch_sub(1, std::memory_order_relaxed);
            return -EBUSY;
        }
        d.server = best + 1;
        return 0;
    }
    void detach(umcg_policy& p, umcg_policy_task& t) noexcept {
        if (const uint32_t s = task_data<deadline>(t).server)
            server_data<deadline>(p, s - 1).admitted.fetch_sub(1, std::memory_order_relaxed);
    }
    unsigned select(umcg_policy& p, umcg_policy_task& t, unsigned, umcg_enqueue_reason reason) noexcept {
        if (reason != UMCG_ENQUEUE_SPAWN) return t.server;
        if (const uint32_t s = task_data<deadline>(t).server) return s - 1;
        return turn_.fetch_add(1, std::memory_order_relaxed) % p.n_servers;
    }
    void enqueue(umcg_policy& p, unsigned s, umcg_policy_task& t, umcg_enqueue_reason reason) noexcept {
        server& q = server_data<deadline>(p, s);
        task& d = task_data<deadline>(t);
        d.key = key_of(t);
        d.order = ++q.queued;
        d.queued = true;
        q.queue.insert(d);
        // it has run: nobody does now
        if (reason == UMCG_ENQUEUE_PREEMPTED || reason == UMCG_ENQUEUE_YIELD)
            q.running.store(0, std::memory_order_relaxed);
        // who runs is to make room for an earlier one
        if (d.key < q.running.load(std::memory_order_relaxed)) p.host->kick(&p, s);
    }
    void dequeue(umcg_policy& p, unsigned s, umcg_policy_task& t) noexcept {
        server& q = server_data<deadline>(p, s);
        q.queue.erase(task_data<deadline>(t));
        task_data<deadline>(t).queued = false;
        runs(q, task_data<deadline>(t).key);
    }
    umcg_policy_task* pick(umcg_policy& p, unsigned s, uint64_t&) noexcept {
        server& q = server_data<deadline>(p, s);
        task* t = q.queue.front();
        if (!t) return nullptr;
        q.queue.erase(*t);
        t->queued = false;
        runs(q, t->key);
        return task_of(t);
    }
    void blocked(umcg_policy& p, unsigned s, umcg_policy_task&, umcg_blocked_reason) noexcept {
        // nobody to be kicked
        server_data<deadline>(p, s).running.store(0, std::memory_order_relaxed);
    }

    int preempts(umcg_policy& p, unsigned s, const umcg_policy_task& t, uint64_t) noexcept {
        // of who was picked last; if he runs no more the answer is of no matter
        return key_of(t) < server_data<deadline>(p, s).picked.load(std::memory_order_relaxed);
    }

    // Another deadline: its turn is by that, and if it runs it makes room for who is due before it now.
    // Nothing of admission: that was asked for when it was spawned.
    void attr_changed(umcg_policy& p, umcg_policy_task& t) noexcept {
        server& q = server_data<deadline>(p, t.server);
        task& d = task_data<deadline>(t);
        if (!d.queued) {
            d.key = key_of(t);
            runs(q, d.key);
            if (q.queue.front() && q.queue.front()->key < d.key) p.host->kick(&p, t.server);
            return;
        }
        q.queue.erase(d);
        d.key = key_of(t);
        q.queue.insert(d);
        if (d.key < q.running.load(std::memory_order_relaxed)) p.host->kick(&p, t.server);
    }

  private:
    static void runs(server& q, uint64_t key) noexcept {
        q.running.store(key, std::memory_order_relaxed);
        q.picked.store(key, std::memory_order_relaxed);
    }
    static uint64_t key_of(const umcg_policy_task& t) noexcept {
        return t.deadline_ns ? t.deadline_ns : ~0ULL;
    }
    friend bool before(const task& a, const task& b) noexcept {
        return a.key != b.key ? a.key < b.key : a.order < b.order;
    }

    uint64_t cost_ = 0;  // 0: everybody is admitted
    uint64_t most_ = 100;
    std::atomic<unsigned> turn_{0};
};

}  // namespace umcg::policies

#endif
