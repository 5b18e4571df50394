// SPDX-License-Identifier: MIT
//
// What enqueue() and pick() of a policy cost, by themselves: compiled in, through the table, and
// through the table of a plugin. No runtime around it.
#include <umcg/runtime.hpp>

#include <memory>
#include <vector>

#include "../../scheduler/policies/deadline/deadline.hpp"
#include "../../scheduler/policies/fair/fair.hpp"
#include "../../scheduler/policies/round_robin/round_robin.hpp"
#include "../../scheduler/policies/two_level/two_level.hpp"
#include "../../scheduler/policies/work_stealing/work_stealing.hpp"
#include "../../scheduler/policies/fifo/fifo.hpp"
#include "cases.hpp"
#include "light_barrier.hpp"
#include "measure.hpp"
#include "policy_instance.hpp"

using namespace umcg;
using namespace umcg::detail;

namespace {

constexpr int depth = 8;  // how many are queued

const umcg_policy_host host = {
    .size = sizeof(umcg_policy_host),
    .major = UMCG_POLICY_MAJOR,
    .minor = UMCG_POLICY_MINOR,
    .now = [](const umcg_policy*) { return uint64_t{1'000'000'000}; },
    .log = [](const umcg_policy*, umcg_policy_log, const char* text) { fprintf(stderr, "%s\n", text); },
    .kick = [](const umcg_policy*, uint32_t) {},
    .task_name = [](const umcg_policy*, const umcg_policy_task*) { return ""; },
    .lock_slowly = [](const umcg_policy*, uint32_t*) { bench::fail("a lock is taken twice"); },
    .wake_one = [](const umcg_policy*, uint32_t*) {},
};

struct queue {
    std::vector<umcg_policy_task> tasks = std::vector<umcg_policy_task>(depth);
    uint32_t domain = 0;
    std::unique_ptr<policy_instance> policy;

    explicit queue(const char* spec) {
        init_barriers();
        policy = policy_instance::make(parse_policy_spec(spec), {1, &domain, 10'000'000, &host, nullptr});
        if (policy->begin()) bench::fail("the policy does not begin");
        for (auto& t : tasks) {
            t = {};
            t.id = static_cast<uint64_t>(&t - tasks.data()) + 1;
            t.weight = 100;
            t.flags = UMCG_POLICY_TASK_MOVABLE;
            if (policy->ops.attach) policy->ops.attach(&policy->p, &t, UMCG_ENQUEUE_SPAWN);
            t.ran_ns = policy->ops.flags & UMCG_POLICY_WANTS_TIME ? 1000 : 0;
            policy->ops.enqueue(&policy->p, 0, &t, UMCG_ENQUEUE_WAKE);
        }
    }
};

template <class Enqueue, class Pick>
void measure(long n, Enqueue enqueue, Pick pick) {
    const double before = bench::seconds(CLOCK_THREAD_CPUTIME_ID);
    for (long i = 0; i < n; i++) {
        umcg_policy_task* t = pick();
        if (!t) bench::fail("pick() has nothing");
        // it has waited and is new again, so two_level does not demote it
        enqueue(*t, UMCG_ENQUEUE_WAKE);
        asm volatile("" ::: "memory");
    }
    const double ns = (bench::seconds(CLOCK_THREAD_CPUTIME_ID) - before) * 1e9;
    printf("cpu_ns\t%.3f\n", ns / static_cast<double>(n));
}

template <class P>
void compiled_in(long n) {
    queue q(P::name);
    umcg_policy& p = q.policy->p;
    P& policy = policy_of<P>(p);
    uint64_t slice = 0;
    measure(n, [&](umcg_policy_task& t, umcg_enqueue_reason why) { policy.enqueue(p, 0, t, why); },
            [&] { return policy.pick(p, 0, slice); });
}

}  // namespace

void call_table(const char* spec, long n) {
    queue q(spec);
    policy_instance& at = *q.policy;
    uint64_t slice = 0;
    measure(n, [&](umcg_policy_task& t, umcg_enqueue_reason why) { at.ops.enqueue(&at.p, 0, &t, why); },
            [&] { return at.ops.pick(&at.p, 0, &slice); });
}

void call_compiled(const char* name, long n) {
    using namespace policies;
    const struct {
        const char* name;
        void (*run)(long);
    } all[] = {
        {fifo::name, compiled_in<fifo>},           {work_stealing::name, compiled_in<work_stealing>},
        {round_robin::name, compiled_in<round_robin>}, {two_level::name, compiled_in<two_level>},
        {fair::name, compiled_in<fair>},           {deadline::name, compiled_in<deadline>},
    };
    for (const auto& one : all)
        if (!strcmp(one.name, name)) return one.run(n);
    bench::fail("there is no policy of that name compiled in");
}
