// SPDX-License-Identifier: MIT
//
// A policy called by hand: its table, with a host that only writes down what it is asked for.
#ifndef TESTS_POLICIES_FIXTURE_HPP
#define TESTS_POLICIES_FIXTURE_HPP

#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <vector>

#include "policy_instance.hpp"

class by_hand {
  public:
    explicit by_hand(const std::string& spec, unsigned servers = 1)
        : domains_(servers, 0),
          policy_(umcg::detail::policy_instance::make(umcg::detail::parse_policy_spec(spec),
                                                      {servers, domains_.data(), 10'000'000, &host, this})) {
        EXPECT_EQ(policy_->begin(), 0) << policy_->said;
    }

    // A new one: its id is its number, 1, 2, ...
    umcg_policy_task& make() {
        umcg_policy_task& t = tasks_.emplace_back();
        t = {};
        t.id = tasks_.size();
        t.weight = 100;
        t.flags = UMCG_POLICY_TASK_MOVABLE;
        return t;
    }
    int attach(umcg_policy_task& t) {
        return ops().attach ? ops().attach(p(), &t, UMCG_ENQUEUE_SPAWN) : 0;
    }
    void enqueue(unsigned s, umcg_policy_task& t, umcg_enqueue_reason reason, uint64_t ran = 0) {
        t.server = s;
        t.ran_ns = ran;
        ops().enqueue(p(), s, &t, reason);
        t.ran_ns = 0;
    }
    // As the runtime does for a task that `waker`'s running task wakes or spawns.
    void wake(umcg_policy_task& t, umcg_enqueue_reason reason, unsigned waker) {
        enqueue(ops().select(p(), &t, waker, reason), t, reason);
    }
    void dequeue(umcg_policy_task& t) { ops().dequeue(p(), t.server, &t); }
    // The id of who comes out; 0: nobody.
    uint64_t pick(unsigned s = 0) {
        slice = 10'000'000;
        umcg_policy_task* t = ops().pick(p(), s, &slice);
        return t ? t->id : 0;
    }
    // Is who was picked last to stop for this one?
    bool preempts(umcg_policy_task& t, uint64_t ran, unsigned s = 0) {
        return ops().preempts(p(), s, &t, ran);
    }
    uint64_t steal(unsigned thief, unsigned victim) {
        umcg_policy_task* t = ops().steal(p(), thief, victim);
        return t ? t->id : 0;
    }
    const umcg_policy_ops& ops() const { return policy_->ops; }
    umcg_policy* p() { return &policy_->p; }

    uint64_t now = 1'000'000'000;
    uint64_t slice = 0;          // of who was picked last
    std::vector<unsigned> kicks;

  private:
    static by_hand& of(const umcg_policy* p) {
        return *static_cast<by_hand*>(umcg::detail::policy_instance::of(p).owner());
    }
    static constexpr umcg_policy_host host = {
        .size = sizeof(umcg_policy_host),
        .major = UMCG_POLICY_MAJOR,
        .minor = UMCG_POLICY_MINOR,
        .now = [](const umcg_policy* p) { return of(p).now; },
        .log = [](const umcg_policy*, umcg_policy_log, const char*) {},
        .kick = [](const umcg_policy* p, uint32_t s) { of(p).kicks.push_back(s); },
        .task_name = [](const umcg_policy*, const umcg_policy_task*) { return ""; },
        // one thread: nobody else has it
        .lock_slowly = [](const umcg_policy*, uint32_t*) { FAIL() << "a lock that it has"; },
        .wake_one = [](const umcg_policy*, uint32_t*) {},
    };

    std::vector<uint32_t> domains_;
    std::unique_ptr<umcg::detail::policy_instance> policy_;
    std::deque<umcg_policy_task> tasks_;
};

#endif
