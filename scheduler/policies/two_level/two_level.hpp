// SPDX-License-Identifier: MIT
//
// Short requests first: who has used up a slice is long, and waits behind those who have not. See
// README.md.
#ifndef UMCG_POLICIES_TWO_LEVEL_HPP
#define UMCG_POLICIES_TWO_LEVEL_HPP

#include <atomic>

#include <umcg/policy.hpp>

#include "../../src/owner_lock.hpp"
#include "../options.hpp"

namespace umcg::policies {

class two_level {
  public:
    static constexpr const char* name = "two_level";
    static constexpr const char* description =
        "short tasks first, long ones behind after a slice (slice=TIME, long_slice=TIME, least=TIME, every=N)";
    static constexpr uint32_t flags = UMCG_POLICY_WANTS_TIME;
    struct task {
        policy_link<task> link;
        uint64_t used;  // ns since it was last woken
        bool is_long;   // which queue it is in
    };
    struct alignas(64) server {
        detail::owner_lock lock;           // thieves visit
        policy_queue<task> first, second;  // under the lock
        uint64_t passed = 0;               // the owner's: short ones that went before a long one
        bool runs_long = false;            // the owner's: out of turn, it makes room for a short one
        std::atomic<bool> any{false};      // is one queued? Written under the lock
        // ns from its pick, after which who runs makes room for a short one
        std::atomic<uint64_t> room_after{UINT64_MAX};
    };

    int init(umcg_policy& p) noexcept {
        return each_option(p, [&](std::string_view key, std::string_view value) {
            if (key == "slice" || key == "long_slice") {
                uint64_t& at = key == "slice" ? slice_ : long_slice_;
                if (!parse_time(value, at) || at < 20'000)
                    return bad_option(p, value, "a slice is a time like 100us, at least 20us");
            } else if (key == "least") {
                if (!parse_time(value, least_))
                    return bad_option(p, value, "a time like 50us: how long a long one runs before it makes room");
            } else if (key == "every") {
                if (!parse_number(value, every_) || !every_)
                    return bad_option(p, value, "after how many short ones a long one goes, at least 1");
            } else {
                return bad_option(p, key, "there is no such one; there are slice, long_slice, least and every");
            }
            return 0;
        });
    }
    unsigned select(umcg_policy& p, umcg_policy_task& t, unsigned waker,
                    umcg_enqueue_reason reason) noexcept {
        if (reason != UMCG_ENQUEUE_SPAWN) return t.server;
        return waker != UMCG_POLICY_NO_SERVER
                   ? waker
                   : turn_.fetch_add(1, std::memory_order_relaxed) % p.n_servers;
    }
    void enqueue(umcg_policy& p, unsigned s, umcg_policy_task& t, umcg_enqueue_reason reason) noexcept {
        server& q = server_data<two_level>(p, s);
        task& d = task_data<two_level>(t);
        // it has run: nobody does now
        if (reason == UMCG_ENQUEUE_PREEMPTED || reason == UMCG_ENQUEUE_YIELD) q.runs_long = false;
        switch (reason) {
        case UMCG_ENQUEUE_SPAWN:
        case UMCG_ENQUEUE_WAKE:
            d.used = 0;  // a new request
            break;
        default:
            d.used += t.ran_ns;
        }
        const bool is_long = d.used >= slice_, light = detail::light_barriers;
        d.is_long = is_long;
        q.lock.lock(light);
        (is_long ? q.second : q.first).push_back(d);
        // R3 in docs/runtime.md: before the runtime looks for hungry servers
        detail::store_lightly(q.any, true, light);
        q.lock.unlock(light);
        if (!is_long && q.runs_long) {
            q.runs_long = false;
            p.host->kick(&p, s);
        }
    }
    void blocked(umcg_policy& p, unsigned s, umcg_policy_task& t, umcg_blocked_reason) noexcept {
        task_data<two_level>(t).used += t.ran_ns;
        server_data<two_level>(p, s).runs_long = false;
    }
    void dequeue(umcg_policy& p, unsigned s, umcg_policy_task& t) noexcept {
        server& q = server_data<two_level>(p, s);
        task& d = task_data<two_level>(t);
        q.lock.lock();
        take(q, d);
        q.lock.unlock();
        runs(q, d.is_long ? least_ : slice_ - d.used);
    }
    umcg_policy_task* pick(umcg_policy& p, unsigned s, uint64_t& slice) noexcept {
        server& q = server_data<two_level>(p, s);
        const bool light = detail::light_barriers;
        q.lock.lock(light);
        // the long ones have a turn, however many short ones there are
        const bool in_turn = !q.second.empty() && q.passed >= every_;
        task* t = in_turn ? nullptr : q.first.pop_front();
        uint64_t room_after = 0;
        if (__builtin_expect(t != nullptr, 1)) {
            if (!q.second.empty()) q.passed++;
            q.runs_long = false;
            room_after = slice = slice_ - t->used;
        } else if ((t = q.second.pop_front())) {
            q.passed = 0;
            q.runs_long = !in_turn;
            slice = in_turn ? slice_ : long_slice_;
            room_after = in_turn ? slice_ : least_;
        } else {
            room_after = slice_;  // of who is stolen next
            q.runs_long = false;
        }
        look(q);
        q.lock.unlock(light);
        runs(q, room_after);
        return task_of(t);
    }
    // Who comes is short: it has waited, or is new.
    int preempts(umcg_policy& p, unsigned s, const umcg_policy_task&, uint64_t ran_ns) noexcept {
        return ran_ns >= server_data<two_level>(p, s).room_after.load(std::memory_order_relaxed);
    }
    umcg_policy_task* steal(umcg_policy& p, unsigned, unsigned victim) noexcept {
        server& q = server_data<two_level>(p, victim);
        // R3: after the thief has said that it is hungry
        if (!q.any.load(std::memory_order_seq_cst)) return nullptr;
        q.lock.visit();
        task* t = movable(q.first);
        if (!t) t = movable(q.second);
        if (t) take(q, *t);
        q.lock.leave();
        return task_of(t);
    }

  private:
    // How many tasks of a queue that are not movable a thief looks over.
    static constexpr int max_look = 16;

    static void runs(server& q, uint64_t room_after) noexcept {
        q.room_after.store(room_after, std::memory_order_relaxed);
    }
    static task* movable(policy_queue<task>& queue) noexcept {
        task* t = queue.front();
        for (int i = 0; t && !(task_of(t)->flags & UMCG_POLICY_TASK_MOVABLE); i++)
            t = i < max_look ? t->link.next : nullptr;
        return t;
    }
    static void take(server& q, task& t) noexcept {
        (t.is_long ? q.second : q.first).erase(t);
        look(q);
    }
    // After one was taken.
    static void look(server& q) noexcept {
        if (q.first.empty() && q.second.empty()) q.any.store(false, std::memory_order_relaxed);
    }

    uint64_t slice_ = 20'000;
    uint64_t long_slice_ = 1'000'000;
    uint64_t least_ = 0;  // that a long one runs, whoever comes
    uint64_t every_ = 64;
    std::atomic<unsigned> turn_{0};
};

}  // namespace umcg::policies

#endif
