// SPDX-License-Identifier: MIT
//
// What policies see of a task, changed by the task itself.
#include <stdexcept>
#include <string>

#include "core.hpp"

namespace umcg {

namespace {

// It runs, so its server's executor is who calls, and nobody else looks at it meanwhile.
template <class F>
void change(F&& set) noexcept {
    using namespace detail;
    worker* w = enter_section();
    if (!w) return;
    if (task_body* self = w->current) {
        w->home->back(*self);
        set(*self);
        w->home->owner.policy.attr_changed(w->home->index, *self);
    }
    leave_section(w);
}

}  // namespace

void set_priority(int priority) noexcept {
    change([&](umcg_policy_task& t) { t.priority = priority; });
}

void set_weight(unsigned weight) {
    if (weight < 1 || weight > 10000)
        throw std::invalid_argument("umcg: weight is " + std::to_string(weight) + ", not 1 to 10000");
    change([&](umcg_policy_task& t) { t.weight = weight; });
}

void set_deadline(clock::time_point when) noexcept {
    change([&](umcg_policy_task& t) {
        t.deadline_ns = when == clock::time_point::max()
                            ? 0
                            : static_cast<uint64_t>(when.time_since_epoch().count());
    });
}

}  // namespace umcg
