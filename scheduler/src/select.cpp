// SPDX-License-Identifier: MIT
//
// select(): one waiter, the chief, with a place in the queue of each channel and in the list of each
// token. All channels are locked at once, in the order of their addresses, while it looks at them
// and queues up: so nothing can become ready in between. Whoever ends one place's wait ends the
// chief's (finish()); that happens once, and to the others the place is one whose wait has ended.
#include <algorithm>

#include <umcg/cancellation.hpp>
#include <umcg/select.hpp>

namespace umcg::detail {

namespace {

// The locks of all cases with one; a channel may be in several cases.
class all_locks {
  public:
    explicit all_locks(std::span<select_case*> sorted) : sorted_(sorted) {
        for (size_t i = 0; i < sorted_.size(); i++)
            if (first_of_its_lock(i)) sorted_[i]->lock->lock();
    }
    ~all_locks() {
        for (size_t i = sorted_.size(); i-- > 0;)
            if (first_of_its_lock(i)) sorted_[i]->lock->unlock();
    }
    all_locks(const all_locks&) = delete;
    all_locks& operator=(const all_locks&) = delete;

  private:
    bool first_of_its_lock(size_t i) const {
        return i == 0 || sorted_[i]->lock != sorted_[i - 1]->lock;
    }
    section section_;  // entered before, left after the locks
    std::span<select_case*> sorted_;
};

// Where to begin, so that none of several ready channels starves. Any number will do.
size_t somewhere(size_t n) { return (__builtin_ia32_rdtsc() * 0x9e3779b97f4a7c15 >> 33) % n; }

struct alarm {
    uint64_t at = 0;  // 0: none
    size_t whose = 0;
    wake how = wake::timeout;

    void earlier(uint64_t when, size_t i, wake end) {
        if (!when || (at && at <= when)) return;
        at = when;
        whose = i;
        how = end;
    }
};

}  // namespace

size_t select_of(std::span<select_case* const> cases, std::span<select_case*> order) {
    constexpr size_t none = ~size_t{0};
    const size_t n = cases.size();
    const auto end = std::copy_if(cases.begin(), cases.end(), order.begin(),
                                  [](const select_case* c) { return c->lock; });
    const auto sorted = order.first(static_cast<size_t>(end - order.begin()));
    std::sort(sorted.begin(), sorted.end(),
              [](const select_case* a, const select_case* b) { return std::less<>()(a->lock, b->lock); });

    size_t fallback = none;
    alarm first;
    for (size_t i = 0; i < n; i++) {
        if (cases[i]->otherwise && fallback == none) fallback = i;
        first.earlier(cases[i]->until.ns(), i, wake::timeout);
        if (const cancel_state* token = cases[i]->until.token())
            first.earlier(token->deadline(), i, wake::cancelled);
    }

    waiter w;
    {
        all_locks hold(sorted);
        const size_t start = somewhere(n);
        for (size_t k = 0; k < n; k++) {
            const size_t i = (start + k) % n;
            cases[i]->attempt();
            if (cases[i]->passed || cases[i]->closed) return i;
        }
        if (fallback != none) return fallback;
        for (select_case* c : sorted) {
            c->place.chief = &w;
            c->enqueue();
        }
    }
    for (select_case* c : cases) {
        cancel_state* token = c->until.token();
        if (!token) continue;
        c->place.chief = &w;
        if (!token->add(c->place)) finish(w, wake::cancelled);
    }
    const limit until = first.at ? limit(clock::time_point(std::chrono::nanoseconds(first.at))) : limit();
    const wake how = park(w, until);

    for (select_case* c : cases)
        if (cancel_state* token = c->until.token()) token->remove(c->place);
    // a value that was moved to us by somebody who came too late is back under the channel's lock
    for (select_case* c : sorted) {
        guard g(*c->lock);
        c->dequeue();
    }
    if (how == wake::timeout) {
        cases[first.whose]->end = first.how;
        return first.whose;
    }
    for (size_t i = 0; i < n; i++) {
        if (how == wake::cancelled) {
            const cancel_state* token = cases[i]->until.token();
            if (!token || !token->cancelled()) continue;
            cases[i]->end = how;
            return i;
        }
        if (cases[i]->passed) return i;
    }
    // no value: a channel was closed
    for (size_t i = 0; i < n; i++)
        if (cases[i]->closed) return i;
    misuse("umcg::select() woke for nothing");
}

}  // namespace umcg::detail
