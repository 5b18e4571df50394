// SPDX-License-Identifier: MIT
//
// One queue per server; a woken task goes back to the server where it was. See README.md.
#ifndef UMCG_POLICIES_FIFO_HPP
#define UMCG_POLICIES_FIFO_HPP

#include <atomic>

#include <umcg/policy.hpp>

namespace umcg::policies {

class fifo {
  public:
    static constexpr const char* name = "fifo";
    static constexpr const char* description = "first in, first out, a queue per server";
    struct task {
        policy_link<task> link;
    };
    struct alignas(64) server {
        policy_queue<task> queue;
        std::atomic<size_t> depth{0};  // written by the executor alone
    };

    unsigned select(umcg_policy& p, umcg_policy_task& t, unsigned, umcg_enqueue_reason reason) noexcept {
        if (reason == UMCG_ENQUEUE_SPAWN)
            return turn_.fetch_add(1, std::memory_order_relaxed) % p.n_servers;
        return t.server;
    }
    void enqueue(umcg_policy& p, unsigned s, umcg_policy_task& t, umcg_enqueue_reason) noexcept {
        server& q = server_data<fifo>(p, s);
        q.queue.push_back(task_data<fifo>(t));
        change(q, 1);
    }
    void dequeue(umcg_policy& p, unsigned s, umcg_policy_task& t) noexcept {
        server& q = server_data<fifo>(p, s);
        q.queue.erase(task_data<fifo>(t));
        change(q, static_cast<size_t>(-1));
    }
    umcg_policy_task* pick(umcg_policy& p, unsigned s, uint64_t&) noexcept {
        server& q = server_data<fifo>(p, s);
        task* t = q.queue.pop_front();
        if (t) change(q, static_cast<size_t>(-1));
        return task_of(t);
    }
    // How many are queued? From any thread.
    size_t depth(umcg_policy& p, unsigned s) noexcept {
        return server_data<fifo>(p, s).depth.load(std::memory_order_relaxed);
    }

  private:
    static void change(server& q, size_t by) noexcept {
        q.depth.store(q.depth.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
    }

    std::atomic<unsigned> turn_{0};
};

}  // namespace umcg::policies

#endif
