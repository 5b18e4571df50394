// SPDX-License-Identifier: MIT
//
// One queue per server and a slice for each task. See README.md.
#ifndef UMCG_POLICIES_ROUND_ROBIN_HPP
#define UMCG_POLICIES_ROUND_ROBIN_HPP

#include <atomic>

#include <umcg/policy.hpp>

#include "../options.hpp"

namespace umcg::policies {

class round_robin {
  public:
    static constexpr const char* name = "round_robin";
    static constexpr const char* description = "in turn, each for a slice (slice=TIME)";
    struct task {
        policy_link<task> link;
    };
    struct server {
        policy_queue<task> queue;
    };

    int init(umcg_policy& p) noexcept {
        return each_option(p, [&](std::string_view key, std::string_view value) {
            if (key != "slice") return bad_option(p, key, "there is no such one; there is slice");
            if (!parse_time(value, slice_) || slice_ < 100'000)
                return bad_option(p, value, "a slice is a time like 5ms, at least 100us");
            return 0;
        });
    }
    unsigned select(umcg_policy& p, umcg_policy_task& t, unsigned, umcg_enqueue_reason reason) noexcept {
        if (reason == UMCG_ENQUEUE_SPAWN)
            return turn_.fetch_add(1, std::memory_order_relaxed) % p.n_servers;
        return t.server;
    }
    void enqueue(umcg_policy& p, unsigned s, umcg_policy_task& t, umcg_enqueue_reason) noexcept {
        server_data<round_robin>(p, s).queue.push_back(task_data<round_robin>(t));
    }
    void dequeue(umcg_policy& p, unsigned s, umcg_policy_task& t) noexcept {
        server_data<round_robin>(p, s).queue.erase(task_data<round_robin>(t));
    }
    umcg_policy_task* pick(umcg_policy& p, unsigned s, uint64_t& slice) noexcept {
        slice = slice_;
        return task_of(server_data<round_robin>(p, s).queue.pop_front());
    }

  private:
    uint64_t slice_ = 4'000'000;
    std::atomic<unsigned> turn_{0};
};

}  // namespace umcg::policies

#endif
