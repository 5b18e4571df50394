// SPDX-License-Identifier: MIT
#include "policy_simulator.hpp"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <deque>
#include <queue>
#include <random>
#include <stdexcept>

namespace umcg::detail {

namespace {

struct sim_task : umcg_policy_task {
    enum class at { nowhere, queued, running, waiting, ended };

    size_t index = 0;
    at where = at::nowhere;
    uint64_t left = 0;      // of its service
    uint64_t burst = 0;     // until it blocks next or ends
    uint64_t since = 0;     // queued or running
    unsigned blocks_left = 0;
    bool attached = false;
};

struct event {
    uint64_t when, order;
    enum class kind { arrival, wake, stop } what;
    size_t who;        // task, or server
    uint64_t run;      // which run of the server
    bool operator>(const event& e) const {
        return when != e.when ? when > e.when : order > e.order;
    }
};

struct sim_server {
    sim_task* running = nullptr;
    uint64_t run = 0, began = 0, slice = 0;
    bool kicked = false;
    std::vector<sim_task*> queued;  // in the order that they came
};

class simulation {
  public:
    simulation(const policy_spec& spec, const std::vector<sim_arrival>& arrivals, const sim_options& opts);
    sim_result run();

  private:
    static simulation& of(const umcg_policy* p) {
        return *static_cast<simulation*>(policy_instance::of(p).owner());
    }
    static const umcg_policy_host host;

    void push(uint64_t when, event::kind what, size_t who, uint64_t run = 0) {
        events_.push({when, ++order_, what, who, run});
    }
    void wrong(const std::string& what) {
        if (result_.wrong.empty()) result_.wrong = what;
    }
    void arrive(sim_task& t);
    void enqueue(unsigned s, sim_task& t, umcg_enqueue_reason reason);
    sim_task* took(unsigned s, umcg_policy_task* t, const char* op, bool movable);
    void dispatch(unsigned s);
    void start(unsigned s, sim_task& t, uint64_t slice);
    void stopped(unsigned s);
    void next_burst(sim_task& t);
    void dequeue_some(unsigned s);
    unsigned select(sim_task& t, unsigned waker, umcg_enqueue_reason reason);

    const std::vector<sim_arrival>& arrivals_;
    const sim_options opts_;
    std::mt19937_64 random_;
    std::vector<uint32_t> domains_;
    std::unique_ptr<policy_instance> policy_;
    std::deque<sim_task> tasks_;
    std::vector<sim_server> servers_;
    std::priority_queue<event, std::vector<event>, std::greater<>> events_;
    uint64_t now_ = 0, order_ = 0;
    sim_result result_;
};

const umcg_policy_host simulation::host = {
    .size = sizeof(umcg_policy_host),
    .major = UMCG_POLICY_MAJOR,
    .minor = UMCG_POLICY_MINOR,
    .now = [](const umcg_policy* p) { return of(p).now_; },
    .log = [](const umcg_policy* p, umcg_policy_log level, const char* text) {
        policy_instance& who = policy_instance::of(p);
        if (who.in_init && level == UMCG_POLICY_LOG_ERROR) snprintf(who.said, sizeof(who.said), "%s", text);
    },
    .kick = [](const umcg_policy* p, uint32_t s) {
        if (s < of(p).servers_.size()) of(p).servers_[s].kicked = true;
    },
    .task_name = [](const umcg_policy*, const umcg_policy_task*) { return ""; },
    // one thread: nobody else has it, so the policy has
    .lock_slowly = [](const umcg_policy* p, uint32_t*) { of(p).wrong("it takes a lock that it has"); },
    .wake_one = [](const umcg_policy*, uint32_t*) {},
};

simulation::simulation(const policy_spec& spec, const std::vector<sim_arrival>& arrivals,
                       const sim_options& opts)
    : arrivals_(arrivals), opts_(opts), random_(opts.seed), domains_(opts.servers, 0), servers_(opts.servers) {
    // all bursts begin at a virtual time after 0, which says "none" in some places
    now_ = 1'000'000'000;
    policy_ = policy_instance::make(spec, {opts.servers, domains_.data(), opts.slice_ns, &host, this});
    if (policy_->begin())
        throw std::invalid_argument("umcg: policy '" + policy_->name + "' with options '" +
                                    policy_->options + "': " + policy_->said);
    result_.ran.resize(arrivals.size());
    for (size_t i = 0; i < arrivals.size(); i++) {
        const sim_arrival& a = arrivals[i];
        sim_task& t = tasks_.emplace_back();
        static_cast<umcg_policy_task&>(t) = {};
        t.index = i;
        t.id = i + 1;
        t.weight = a.weight;
        t.group = a.group;
        t.left = a.service;
        t.blocks_left = a.blocks;
        if (a.deadline) t.deadline_ns = now_ + a.at + a.deadline;
        push(now_ + a.at, event::kind::arrival, i);
    }
}

unsigned simulation::select(sim_task& t, unsigned waker, umcg_enqueue_reason reason) {
    if (!policy_->ops.select) return reason == UMCG_ENQUEUE_SPAWN ? t.index % opts_.servers : t.server;
    const uint32_t s = policy_->ops.select(&policy_->p, &t, waker, reason);
    if (s < opts_.servers) return s;
    wrong("select() named server " + std::to_string(s) + " of " + std::to_string(opts_.servers));
    return 0;
}

void simulation::next_burst(sim_task& t) {
    t.burst = t.blocks_left ? t.left / (t.blocks_left + 1) : t.left;
}

void simulation::arrive(sim_task& t) {
    if (policy_->ops.attach && policy_->ops.attach(&policy_->p, &t, UMCG_ENQUEUE_SPAWN)) {
        result_.refused++;
        t.where = sim_task::at::ended;
        return;
    }
    t.attached = true;
    next_burst(t);
    enqueue(select(t, UMCG_POLICY_NO_SERVER, UMCG_ENQUEUE_SPAWN), t, UMCG_ENQUEUE_SPAWN);
}

void simulation::enqueue(unsigned s, sim_task& t, umcg_enqueue_reason reason) {
    sim_server& at = servers_[s];
    t.where = sim_task::at::queued;
    t.since = now_;
    t.server = s;
    t.flags = UMCG_POLICY_TASK_MOVABLE;
    at.queued.push_back(&t);
    policy_->ops.enqueue(&policy_->p, s, &t, reason);
    t.ran_ns = 0;
    if (opts_.dequeue_percent) dequeue_some(s);
    if (!at.running) {
        dispatch(s);
    } else if (at.kicked) {
        // now, not at the end of the slice
        at.kicked = false;
        push(now_, event::kind::stop, s, at.run);
    } else if (policy_->ops.steal) {
        for (unsigned i = 0; i < opts_.servers; i++)
            if (!servers_[i].running) return dispatch(i);
    }
}

// As when a worker that is in the middle of a task is to go on, and no other.
void simulation::dequeue_some(unsigned s) {
    sim_server& at = servers_[s];
    if (at.queued.empty() || random_() % 100 >= opts_.dequeue_percent) return;
    const size_t i = random_() % at.queued.size();
    sim_task* t = at.queued[i];
    at.queued.erase(at.queued.begin() + static_cast<ptrdiff_t>(i));
    policy_->ops.dequeue(&policy_->p, s, t);
    at.queued.push_back(t);
    policy_->ops.enqueue(&policy_->p, s, t, UMCG_ENQUEUE_UNBLOCKED);
}

// Is what came out one that was in?
sim_task* simulation::took(unsigned s, umcg_policy_task* t, const char* op, bool movable) {
    auto& queued = servers_[s].queued;
    const auto found = std::find_if(queued.begin(), queued.end(), [&](sim_task* q) { return q == t; });
    if (found == queued.end()) {
        bool known = false;
        for (sim_task& k : tasks_) known |= &k == t;
        wrong(std::string(op) + (known ? "() returned a task that is not queued on that server: doubled or foreign"
                                       : "() returned what is no task: foreign"));
        return nullptr;
    }
    sim_task* mine = *found;
    if (movable && !(mine->flags & UMCG_POLICY_TASK_MOVABLE)) wrong("steal() returned one that is not movable");
    queued.erase(found);
    return mine;
}

void simulation::dispatch(unsigned s) {
    sim_server& at = servers_[s];
    uint64_t slice = policy_->p.slice_ns;
    if (!at.queued.empty()) {
        umcg_policy_task* t = policy_->ops.pick(&policy_->p, s, &slice);
        if (!t) return wrong("pick() returned NULL although " + std::to_string(at.queued.size()) + " are queued: lost or stalled");
        if (sim_task* mine = took(s, t, "pick", false)) start(s, *mine, slice);
        return;
    }
    slice = policy_->p.slice_ns;
    if (policy_->ops.pick(&policy_->p, s, &slice)) return wrong("pick() returned a task although none is queued: doubled");
    if (!policy_->ops.steal) return;
    for (unsigned i = 1; i < opts_.servers; i++) {
        const unsigned victim = (s + i) % opts_.servers;
        if (umcg_policy_task* t = policy_->ops.steal(&policy_->p, s, victim)) {
            sim_task* mine = took(victim, t, "steal", true);
            result_.steals++;
            if (mine) start(s, *mine, policy_->p.slice_ns);
            return;
        }
    }
}

void simulation::start(unsigned s, sim_task& t, uint64_t slice) {
    sim_server& at = servers_[s];
    result_.longest_wait = std::max(result_.longest_wait, now_ - t.since);
    result_.picks++;
    result_.trace = (result_.trace ^ (t.id * 0x9E3779B97F4A7C15 + now_ + s)) * 0xD6E8FEB86659FD93;
    t.where = sim_task::at::running;
    at.running = &t;
    at.run++;
    at.kicked = false;
    at.slice = slice;
    at.began = now_ + opts_.switch_ns;
    const uint64_t end = slice ? std::min(t.burst, slice) : t.burst;
    push(at.began + end, event::kind::stop, s, at.run);
}

// The slice of who runs is over, or his burst, or he was kicked.
void simulation::stopped(unsigned s) {
    sim_server& at = servers_[s];
    sim_task& t = *at.running;
    const uint64_t ran = now_ > at.began ? now_ - at.began : 0;
    const bool slice_over = ran < t.burst;
    if (slice_over) {
        const bool go_on = at.queued.empty() || (at.slice && ran >= at.slice && policy_->ops.tick &&
                                                 !policy_->ops.tick(&policy_->p, s, ran));
        if (go_on) {
            // another slice; it has been looked at up to here
            const uint64_t more = at.slice ? std::min(t.burst, ran + at.slice) : t.burst;
            push(at.began + more, event::kind::stop, s, at.run);
            return;
        }
    }
    at.running = nullptr;
    at.run++;
    t.burst -= std::min(t.burst, ran);
    t.left -= std::min(t.left, ran);
    t.ran_ns = policy_->ops.flags & UMCG_POLICY_WANTS_TIME ? ran : 0;
    result_.ran[t.index] += ran;
    const sim_arrival& a = arrivals_[t.index];
    if (slice_over) {
        result_.preemptions++;
        at.began = now_;
        now_ += opts_.preempt_ns;
        enqueue(s, t, UMCG_ENQUEUE_PREEMPTED);
        return;
    }
    if (t.blocks_left) {
        t.blocks_left--;
        t.where = sim_task::at::waiting;
        if (policy_->ops.blocked)
            policy_->ops.blocked(&policy_->p, s, &t, a.parks ? UMCG_BLOCKED_PARK : UMCG_BLOCKED_SYSCALL);
        t.ran_ns = 0;
        push(now_ + a.block_ns, event::kind::wake, t.index);
    } else {
        t.where = sim_task::at::ended;
        result_.done.push_back({a.klass, now_ - 1'000'000'000 - a.at, a.service,
                                t.deadline_ns && now_ > t.deadline_ns});
        if (policy_->ops.detach) policy_->ops.detach(&policy_->p, &t);
        memset(t.data, 0x5a, sizeof(t.data));  // not the policy's any more
    }
    dispatch(s);
}

sim_result simulation::run() {
    while (!events_.empty() && result_.wrong.empty()) {
        const event e = events_.top();
        events_.pop();
        if (e.when > now_) now_ = e.when;
        if (now_ - 1'000'000'000 > opts_.until) break;
        switch (e.what) {
        case event::kind::arrival:
            arrive(tasks_[e.who]);
            break;
        case event::kind::wake: {
            sim_task& t = tasks_[e.who];
            next_burst(t);
            if (!arrivals_[t.index].parks) {
                enqueue(t.server, t, UMCG_ENQUEUE_UNBLOCKED);
            } else {
                enqueue(select(t, UMCG_POLICY_NO_SERVER, UMCG_ENQUEUE_WAKE), t, UMCG_ENQUEUE_WAKE);
            }
            break;
        }
        case event::kind::stop:
            if (servers_[e.who].run == e.run && servers_[e.who].running) stopped(static_cast<unsigned>(e.who));
            break;
        }
    }
    if (result_.wrong.empty() && opts_.until == ~0ULL)
        for (sim_task& t : tasks_)
            if (t.where != sim_task::at::ended) {
                wrong("task " + std::to_string(t.id) + " never ended: lost or stalled");
                break;
            }
    for (sim_server& s : servers_)
        for (sim_task* t : s.queued) result_.longest_wait = std::max(result_.longest_wait, now_ - t->since);
    for (sim_server& s : servers_)
        if (s.running && now_ > s.began) result_.ran[s.running->index] += now_ - s.began;
    // not after what is wrong: it may be in any state
    if (!result_.wrong.empty()) policy_->give_up();
    return std::move(result_);
}

}  // namespace

sim_result simulate(const policy_spec& spec, const std::vector<sim_arrival>& arrivals,
                    const sim_options& opts) {
    return simulation(spec, arrivals, opts).run();
}

}  // namespace umcg::detail
