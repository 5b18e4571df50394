// SPDX-License-Identifier: MIT
//
// A fifo plugin that steals, and holds the runtime to the contract of umcg/policy.h: who calls what, in
// which order, with which arguments.
#include "audit.hpp"

namespace {

enum class at : uint32_t { nowhere, attached, queued, running, waiting };

struct task {
    umcg_policy_task *next, *prev;
    at where;
    uint32_t flags;
};
struct server {
    uint32_t lock;
    uint32_t inside;  // its executor is in a call
    umcg_policy_task *head, *tail;
    uint64_t n;
};

task& data(umcg_policy_task* t) { return *reinterpret_cast<task*>(t->data); }
server& queue(umcg_policy* p, uint32_t s) { return *static_cast<server*>(umcg_policy_server(p, s)); }

void wrong(umcg_policy* p, const char* op, const char* what, const umcg_policy_task* t) {
    audit& a = *audit::of(p);
    if (a.wrong.fetch_add(1)) return;
    snprintf(a.first_wrong, sizeof(a.first_wrong), "%s(): %s; task %llu is in state %u", op, what,
             static_cast<unsigned long long>(t ? t->id : 0),
             t ? static_cast<unsigned>(data(const_cast<umcg_policy_task*>(t)).where) : 0);
}

// The executor of a server: one at a time.
class executor {
  public:
    executor(umcg_policy* p, uint32_t s, const char* op) : p_(p), s_(s), op_(op) {
        if (s >= p->n_servers)
            wrong(p, op, "there is no such server", nullptr);
        else if (__atomic_exchange_n(&queue(p, s).inside, 1, __ATOMIC_ACQ_REL))
            wrong(p, op, "its executor is in another call", nullptr);
    }
    ~executor() {
        if (s_ < p_->n_servers && !__atomic_exchange_n(&queue(p_, s_).inside, 0, __ATOMIC_ACQ_REL))
            wrong(p_, op_, "two at once", nullptr);
    }

  private:
    umcg_policy* p_;
    uint32_t s_;
    const char* op_;
};

void look(umcg_policy* p, umcg_policy_task* t, unsigned when) {
    if (t->group != 77) return;
    audit& a = *audit::of(p);
    a.priority[when] = t->priority;
    a.weight[when] = t->weight;
    a.deadline_ns[when] = t->deadline_ns;
}

int init(umcg_policy* p) {
    if (audit::of(p)) return 0;
    p->host->log(p, UMCG_POLICY_LOG_ERROR, "at=ADDRESS is missing");
    return -22;
}
void exit(umcg_policy* p, const umcg_policy_exit* info) { audit::of(p)->exited(info); }
void server_online(umcg_policy* p, uint32_t s) {
    if (audit::of(p)->online++ != s) wrong(p, "server_online", "out of turn", nullptr);
}
void server_offline(umcg_policy* p, uint32_t s) {
    if (audit::of(p)->offline++ != s) wrong(p, "server_offline", "out of turn", nullptr);
}

int attach(umcg_policy* p, umcg_policy_task* t, umcg_enqueue_reason reason) {
    audit::of(p)->attached++;
    for (size_t i = 0; i < sizeof(task); i++)
        if (t->data[i]) wrong(p, "attach", "its data is not zero", t);
    if (reason > UMCG_ENQUEUE_MIGRATED)
        wrong(p, "attach", "there is no such reason", t);
    data(t).where = at::attached;
    look(p, t, 0);
    return 0;
}
void detach(umcg_policy* p, umcg_policy_task* t) {
    audit::of(p)->detached++;
    if (data(t).where != at::running) wrong(p, "detach", "it did not run", t);
    data(t).where = at::nowhere;
}
uint32_t select(umcg_policy* p, umcg_policy_task* t, uint32_t waker, umcg_enqueue_reason reason) {
    audit::of(p)->selected++;
    if (waker != UMCG_POLICY_NO_SERVER && waker >= p->n_servers)
        wrong(p, "select", "there is no such server", t);
    if (reason == UMCG_ENQUEUE_SPAWN) {
        if (data(t).where != at::attached) wrong(p, "select", "it is not new", t);
        return waker != UMCG_POLICY_NO_SERVER ? waker : static_cast<uint32_t>(t->id % p->n_servers);
    }
    if (reason != UMCG_ENQUEUE_WAKE) wrong(p, "select", "for a reason that it is not asked for", t);
    if (data(t).where != at::waiting && data(t).where != at::attached)
        wrong(p, "select", "it does not wait", t);
    return t->server;
}

void enqueue(umcg_policy* p, uint32_t s, umcg_policy_task* t, umcg_enqueue_reason reason) {
    const executor one(p, s, "enqueue");
    audit::of(p)->enqueued[reason]++;
    task& d = data(t);
    if (t->server != s) wrong(p, "enqueue", "the task says another server", t);
    if (d.where == at::queued || d.where == at::nowhere)
        wrong(p, "enqueue", "it is queued, or was not attached", t);
    const bool runs = d.where == at::running;
    // whoever was attached when this policy took over comes as what it is
    if (d.where != at::attached) {
        switch (reason) {
        case UMCG_ENQUEUE_SPAWN: wrong(p, "enqueue", "SPAWN, and it is not new", t); break;
        case UMCG_ENQUEUE_WAKE:
            if (d.where != at::waiting) wrong(p, "enqueue", "WAKE, and blocked() was not called", t);
            break;
        case UMCG_ENQUEUE_YIELD:
        case UMCG_ENQUEUE_PREEMPTED:
        case UMCG_ENQUEUE_MIGRATED:
            if (!runs) wrong(p, "enqueue", "YIELD, PREEMPTED or MIGRATED, and it did not run", t);
            break;
        case UMCG_ENQUEUE_UNBLOCKED: break;  // short blocks may be left out
        }
        if (t->ran_ns && (reason == UMCG_ENQUEUE_SPAWN || reason == UMCG_ENQUEUE_WAKE ||
                          reason == UMCG_ENQUEUE_UNBLOCKED))
            wrong(p, "enqueue", "ran_ns is not 0", t);
    }
    if (t->weight < 1 || t->weight > 10000) wrong(p, "enqueue", "its weight", t);
    look(p, t, 1);
    d.where = at::queued;
    d.flags = t->flags;
    server& q = queue(p, s);
    umcg_policy_lock(p, &q.lock);
    // whom room was made for goes before who has made it
    const bool first = audit::of(p)->makes_room && reason <= UMCG_ENQUEUE_WAKE;
    d.next = first ? q.head : nullptr;
    d.prev = first ? nullptr : q.tail;
    (d.prev ? data(d.prev).next : q.head) = t;
    (d.next ? data(d.next).prev : q.tail) = t;
    __atomic_store_n(&q.n, q.n + 1, __ATOMIC_SEQ_CST);
    umcg_policy_unlock(p, &q.lock);
}

// Under the lock.
void take(umcg_policy* p, server& q, umcg_policy_task* t, const char* op) {
    task& d = data(t);
    if (d.where != at::queued) wrong(p, op, "it is not queued", t);
    if (d.flags != t->flags) wrong(p, op, "its flags changed while it was queued", t);
    d.where = at::running;
    (d.prev ? data(d.prev).next : q.head) = d.next;
    (d.next ? data(d.next).prev : q.tail) = d.prev;
    __atomic_store_n(&q.n, q.n - 1, __ATOMIC_RELAXED);
}
void dequeue(umcg_policy* p, uint32_t s, umcg_policy_task* t) {
    const executor one(p, s, "dequeue");
    audit::of(p)->dequeued++;
    if (t->server != s) wrong(p, "dequeue", "it is queued elsewhere", t);
    server& q = queue(p, s);
    umcg_policy_lock(p, &q.lock);
    take(p, q, t, "dequeue");
    umcg_policy_unlock(p, &q.lock);
}
umcg_policy_task* pick(umcg_policy* p, uint32_t s, uint64_t* slice) {
    const executor one(p, s, "pick");
    if (*slice != p->slice_ns) wrong(p, "pick", "the slice is not the runtime's at first", nullptr);
    server& q = queue(p, s);
    umcg_policy_lock(p, &q.lock);
    umcg_policy_task* t = q.head;
    if (t) {
        audit::of(p)->picked++;
        take(p, q, t, "pick");
    }
    umcg_policy_unlock(p, &q.lock);
    return t;
}
umcg_policy_task* steal(umcg_policy* p, uint32_t thief, uint32_t victim) {
    const executor one(p, thief, "steal");
    if (thief == victim || victim >= p->n_servers) wrong(p, "steal", "such a victim", nullptr);
    server& q = queue(p, victim);
    if (!__atomic_load_n(&q.n, __ATOMIC_SEQ_CST)) return nullptr;
    umcg_policy_lock(p, &q.lock);
    umcg_policy_task* t = q.head;
    while (t && !(t->flags & UMCG_POLICY_TASK_MOVABLE)) t = data(t).next;
    if (t) {
        audit::of(p)->stolen++;
        take(p, q, t, "steal");
    }
    umcg_policy_unlock(p, &q.lock);
    return t;
}
void blocked(umcg_policy* p, uint32_t s, umcg_policy_task* t, umcg_blocked_reason reason) {
    const executor one(p, s, "blocked");
    audit::of(p)->blocked[reason]++;
    // who took over while it ran has not seen it picked: the runtime does not tell
    if (data(t).where != at::running) wrong(p, "blocked", "it did not run", t);
    data(t).where = at::waiting;
}
void attr_changed(umcg_policy* p, umcg_policy_task* t) {
    audit::of(p)->changed++;
    if (data(t).where != at::running) wrong(p, "attr_changed", "it does not run", t);
    look(p, t, 2);
}
int preempts(umcg_policy* p, uint32_t s, const umcg_policy_task* t, uint64_t ran_ns) {
    audit& a = *audit::of(p);
    const at where = data(const_cast<umcg_policy_task*>(t)).where;
    if (s >= p->n_servers) wrong(p, "preempts", "there is no such server", t);
    if (where != at::attached && where != at::waiting) wrong(p, "preempts", "it is not on its way", t);
    a.ran_ns = ran_ns;
    a.asked_for_room++;
    return a.makes_room;
}
size_t dump(umcg_policy* p, char* text, size_t size) {
    audit::of(p)->dumped++;
    snprintf(text, size, "%llu queued on the first",
             static_cast<unsigned long long>(queue(p, 0).n));
    return strlen(text);
}

constexpr umcg_policy_ops make() {
    umcg_policy_ops ops = {};
    ops.size = sizeof(ops);
    ops.major = UMCG_POLICY_MAJOR;
    ops.minor = UMCG_POLICY_MINOR;
#ifdef NO_FAULTS
    ops.flags = UMCG_POLICY_WANTS_TIME;
#else
    ops.flags = UMCG_POLICY_WANTS_TIME | UMCG_POLICY_WANTS_FAULTS;
#endif
    ops.name = "auditor";
    ops.server_size = sizeof(server);
    ops.task_size = sizeof(task);
    ops.init = init;
    ops.exit = exit;
    ops.server_online = server_online;
    ops.server_offline = server_offline;
    ops.attach = attach;
    ops.detach = detach;
    ops.select = select;
    ops.enqueue = enqueue;
    ops.dequeue = dequeue;
    ops.pick = pick;
    ops.steal = steal;
    ops.blocked = blocked;
    ops.attr_changed = attr_changed;
    ops.dump = dump;
    ops.preempts = preempts;
    return ops;
}
constexpr umcg_policy_ops table = make();

}  // namespace

UMCG_POLICY_EXPORT(table)
