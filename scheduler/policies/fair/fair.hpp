// SPDX-License-Identifier: MIT
//
// Weighted fair shares by virtual time, in nested groups. See README.md.
#ifndef UMCG_POLICIES_FAIR_HPP
#define UMCG_POLICIES_FAIR_HPP

#include <atomic>

#include <umcg/policy.hpp>

#include "../heap.hpp"
#include "../options.hpp"

namespace umcg::policies {

class fair {
    // What competes within a group: a task, or a group in it.
    struct entity {
        heap_link<entity> heap;
        uint64_t time;    // virtual: what it had, divided by its weight
        uint64_t order;   // of equals
        uint32_t placed;  // of a task: 1 + the server whose virtual time `time` is of
        uint8_t group;    // of a group: its number; 0: it is a task
        bool queued;
    };

  public:
    static constexpr const char* name = "fair";
    static constexpr const char* description =
        "shares by weight, in groups (groups=ID/PARENT:WEIGHT+..., slice=TIME)";
    static constexpr uint32_t flags = UMCG_POLICY_WANTS_TIME;
    static constexpr unsigned max_groups = 32;

    struct task {
        entity self;
        uint64_t pace;     // of its virtual time: see pace_of()
        uint32_t counted;  // the weight that it has in that server's load
    };
    struct group {
        entity self;
        policy_heap<entity> members;
        uint64_t now;  // the virtual time of who was picked last: who comes begins here
    };
    struct alignas(64) server {
        group groups[max_groups] = {};  // 0: the root
        std::atomic<uint64_t> load{0};  // weights of those that are attached
        // Who was picked last while nobody else was queued: it is not stopped, and so not charged, until
        // somebody comes.
        uint64_t alone_since = 0;  // 0: that is not so
        uint32_t alone_weight = 0, alone_group = 0;
    };

    int init(umcg_policy& p) noexcept {
        known_[0] = true;
        const int err = each_option(p, [&](std::string_view key, std::string_view value) {
            if (key == "slice") {
                if (parse_time(value, slice_) && slice_ >= 100'000) return 0;
                return bad_option(p, value, "a slice is a time like 3ms, at least 100us");
            }
            if (key != "groups") return bad_option(p, key, "there is no such one; there are groups and slice");
            while (!value.empty()) {
                const size_t end = value.find('+');
                if (const int bad = add_group(p, value.substr(0, end))) return bad;
                value = end == value.npos ? std::string_view() : value.substr(end + 1);
            }
            return 0;
        });
        if (err) return err;
        for (unsigned s = 0; s < p.n_servers; s++)
            for (unsigned g = 1; g < max_groups; g++) {
                entity& e = server_data<fair>(p, s).groups[g].self;
                e.group = static_cast<uint8_t>(g);
                e.order = g;
            }
        return 0;
    }
    int attach(umcg_policy& p, umcg_policy_task& t, umcg_enqueue_reason reason) noexcept {
        if (reason == UMCG_ENQUEUE_SPAWN && (t.group >= max_groups || !known_[t.group])) {
            p.host->log(&p, UMCG_POLICY_LOG_ERROR, "a task is of a group that 'groups' does not name");
            return -EINVAL;
        }
        task_data<fair>(t).self.placed = 0;
        return 0;
    }
    void detach(umcg_policy& p, umcg_policy_task& t) noexcept {
        task& d = task_data<fair>(t);
        if (!d.self.placed) return;
        server& q = server_data<fair>(p, d.self.placed - 1);
        charge(q, t, group_of(t));
        q.alone_since = 0;
        q.load.fetch_sub(d.counted, std::memory_order_relaxed);
    }
    // To where the least weight is.
    unsigned select(umcg_policy& p, umcg_policy_task& t, unsigned, umcg_enqueue_reason reason) noexcept {
        if (reason != UMCG_ENQUEUE_SPAWN) return t.server;
        const unsigned from = turn_.fetch_add(1, std::memory_order_relaxed);
        unsigned best = 0;
        uint64_t least = ~0ULL;
        for (unsigned i = 0; i < p.n_servers; i++) {
            const unsigned s = (from + i) % p.n_servers;
            const uint64_t load = server_data<fair>(p, s).load.load(std::memory_order_relaxed);
            if (load < least) {
                least = load;
                best = s;
            }
        }
        return best;
    }
    void enqueue(umcg_policy& p, unsigned s, umcg_policy_task& t, umcg_enqueue_reason) noexcept {
        server& q = server_data<fair>(p, s);
        task& d = task_data<fair>(t);
        const unsigned in = group_of(t);
        group& g = q.groups[in];
        if (q.alone_since) {
            // who has just run itself comes as another begins
            if (!t.ran_ns) settle(p, q);
            q.alone_since = 0;
        }
        if (d.self.placed != s + 1) {
            d.self.time = g.now;
            d.self.order = t.id;
            d.self.placed = s + 1;
            d.counted = weight(t);
            d.pace = pace_of(d.counted);
            q.load.fetch_add(d.counted, std::memory_order_relaxed);
        } else {
            charge(q, t, in);
        }
        // who has slept has no claim to what it did not use
        if (d.self.time < g.now) d.self.time = g.now;
        put(q, in, d.self);
    }
    void blocked(umcg_policy& p, unsigned s, umcg_policy_task& t, umcg_blocked_reason) noexcept {
        server& q = server_data<fair>(p, s);
        q.alone_since = 0;
        if (task_data<fair>(t).self.placed == s + 1) charge(q, t, group_of(t));
    }
    // What it uses from now on counts by its new weight, and what it is running for.
    void attr_changed(umcg_policy& p, umcg_policy_task& t) noexcept {
        task& d = task_data<fair>(t);
        if (!d.self.placed) return;
        auto& load = server_data<fair>(p, d.self.placed - 1).load;
        load.fetch_add(uint64_t{weight(t)} - d.counted, std::memory_order_relaxed);
        d.counted = weight(t);
        d.pace = pace_of(d.counted);
    }
    void dequeue(umcg_policy& p, unsigned s, umcg_policy_task& t) noexcept {
        take(server_data<fair>(p, s), group_of(t), task_data<fair>(t).self);
    }
    umcg_policy_task* pick(umcg_policy& p, unsigned s, uint64_t& slice) noexcept {
        server& q = server_data<fair>(p, s);
        entity* e = q.groups[0].members.front();
        if (!e) return nullptr;
        reach(q.groups[0], *e);
        if (slice_) slice = slice_;
        q.alone_since = 0;
        if (e->group) return descend(p, q, e);
        q.groups[0].members.pop_front();
        e->queued = false;
        if (q.groups[0].members.empty()) return picked_alone(p, q, 0, e);
        return task_of(reinterpret_cast<task*>(e));
    }

  private:
    friend bool before(const entity& a, const entity& b) noexcept {
        return a.time != b.time ? a.time < b.time : a.order < b.order;
    }
    static uint32_t weight(const umcg_policy_task& t) noexcept { return t.weight ? t.weight : 1; }
    unsigned group_of(const umcg_policy_task& t) const noexcept {
        return t.group < max_groups && known_[t.group] ? t.group : 0;
    }

    // "ID/PARENT:WEIGHT"
    int add_group(const umcg_policy& p, std::string_view text) noexcept {
        const size_t slash = text.find('/'), colon = text.find(':');
        uint64_t id, parent, share;
        if (slash == text.npos || colon == text.npos || colon < slash ||
            !parse_number(text.substr(0, slash), id) ||
            !parse_number(text.substr(slash + 1, colon - slash - 1), parent) ||
            !parse_number(text.substr(colon + 1), share))
            return bad_option(p, text, "a group is ID/PARENT:WEIGHT, as 1/0:200");
        if (id < 1 || id >= max_groups || known_[id])
            return bad_option(p, text, "an ID is 1 to 31, and named once");
        if (parent >= max_groups || !known_[parent])
            return bad_option(p, text, "the parent is 0 or a group that was named before");
        if (share < 1 || share > 10000) return bad_option(p, text, "a weight is 1 to 10000");
        known_[id] = true;
        parent_[id] = static_cast<uint8_t>(parent);
        weight_[id] = static_cast<uint32_t>(share);
        return 0;
    }
    void put(server& q, unsigned in, entity& e) noexcept {
        if (in) compete(q, in);
        e.queued = true;
        q.groups[in].members.insert(e);
    }
    // Somebody is put into the group: it competes again. What is for groups alone is out of the way of
    // those who have none.
    [[gnu::noinline]] void compete(server& q, unsigned in) noexcept {
        if (!q.groups[in].members.empty()) return;
        entity& self = q.groups[in].self;
        group& around = q.groups[parent_[in]];
        if (self.time < around.now) self.time = around.now;
        put(q, parent_[in], self);
    }
    [[gnu::noinline]] void take(server& q, unsigned in, entity& e) noexcept {
        q.groups[in].members.erase(e);
        e.queued = false;
        if (in && q.groups[in].members.empty()) take(q, parent_[in], q.groups[in].self);
    }
    static void reach(group& g, const entity& e) noexcept {
        if (e.time > g.now) g.now = e.time;
    }
    // Whose turn it is in the group `e`.
    [[gnu::noinline]] umcg_policy_task* descend(umcg_policy& p, server& q, entity* e) noexcept {
        unsigned in = 0;
        do {
            in = e->group;
            e = q.groups[in].members.front();
            reach(q.groups[in], *e);
        } while (e->group);
        take(q, in, *e);
        if (q.groups[0].members.empty()) return picked_alone(p, q, in, e);
        return task_of(reinterpret_cast<task*>(e));
    }
    [[gnu::noinline]] static umcg_policy_task* picked_alone(umcg_policy& p, server& q, unsigned in,
                                                            entity* e) noexcept {
        umcg_policy_task* t = task_of(reinterpret_cast<task*>(e));
        q.alone_since = p.host->now(&p);
        q.alone_weight = weight(*t);
        q.alone_group = in;
        return t;
    }
    // What a nanosecond is in virtual time, in 2^-32ths: a division for every weight instead of one for
    // every charge. Rounded up, so that what divides evenly, up to 4 s, still does.
    static uint64_t pace_of(uint32_t weight) noexcept {
        return ((uint64_t{1024} << 32) + weight - 1) / weight;
    }
    static uint64_t passed(uint64_t ns, uint64_t pace) noexcept {
        __extension__ using wide = unsigned __int128;
        return static_cast<uint64_t>(wide{ns} * pace >> 32);
    }
    // Somebody comes who has no claim to what the one that was alone has used.
    [[gnu::noinline]] void settle(umcg_policy& p, server& q) noexcept {
        const uint64_t ran = p.host->now(&p) - q.alone_since;
        unsigned in = q.alone_group;
        q.groups[in].now += ran * 1024 / q.alone_weight;
        for (; in; in = parent_[in]) q.groups[parent_[in]].now += ran * 1024 / weight_[in];
    }
    // It has run: its time and that of the groups around it, `in` the innermost, go on.
    void charge(server& q, umcg_policy_task& t, unsigned in) noexcept {
        if (!t.ran_ns) return;
        task& d = task_data<fair>(t);
        d.self.time += passed(t.ran_ns, d.pace);
        if (in) charge_groups(q, in, t.ran_ns);
    }
    [[gnu::noinline]] void charge_groups(server& q, unsigned g, uint64_t ran) noexcept {
        for (; g; g = parent_[g]) {
            entity& self = q.groups[g].self;
            policy_heap<entity>& around = q.groups[parent_[g]].members;
            if (self.queued) around.erase(self);
            self.time += ran * 1024 / weight_[g];
            if (self.queued) around.insert(self);
        }
    }

    uint64_t slice_ = 0;
    bool known_[max_groups] = {};
    uint8_t parent_[max_groups] = {};
    uint32_t weight_[max_groups] = {};
    std::atomic<unsigned> turn_{0};
};

}  // namespace umcg::policies

#endif
