// SPDX-License-Identifier: MIT
//
// A fifo plugin that commits one sin, SIN, after a while. Built once for each.
#include "audit.hpp"

#include <cstdlib>
#include <cstring>
#include <ctime>

namespace {

enum sin { none, lost, doubled, foreign, unmapped, other_server, hangs, sleeps, crashes, aborts, throws,
           starves, bad_server, hangs_in_enqueue, hangs_once, crashes_in_init, refuses_init };
constexpr sin committed = SIN;
constexpr uint64_t after = 300;  // picks

struct task {
    umcg_policy_task* next;
};
struct server {
    umcg_policy_task* head;
    umcg_policy_task* tail;
    umcg_policy_task* last;    // picked
    umcg_policy_task* victim;  // who is lost, never has a turn while there is another, or is left to another server
    uint64_t picks;
    size_t n;
};

task& data(umcg_policy_task* t) { return *reinterpret_cast<task*>(t->data); }
server& at(umcg_policy* p, uint32_t s) { return *static_cast<server*>(umcg_policy_server(p, s)); }

[[noreturn]] void hang() {
    for (;;) asm volatile("");
}

// Is it time to?
bool now(umcg_policy* p, const server& q) {
    const audit* a = audit::of(p);
    return q.picks > after && (!a || a->sins.load());
}

int init(umcg_policy* p) {
    if (committed == crashes_in_init) *static_cast<volatile int*>(nullptr) = 1;
    if (committed == refuses_init) {
        p->host->log(p, UMCG_POLICY_LOG_ERROR, "it does not want to");
        return -22;
    }
    return 0;
}

void enqueue(umcg_policy* p, uint32_t s, umcg_policy_task* t, umcg_enqueue_reason) {
    server& q = at(p, s);
    if (committed == hangs_in_enqueue && now(p, q)) hang();
    if (committed == aborts && now(p, q)) abort();
    // who is left to another server is one that stays queued, and that no worker comes back with
    const bool fits = committed != other_server || (t->flags & UMCG_POLICY_TASK_MOVABLE);
    if (!q.victim && fits && now(p, q)) {
        __atomic_store_n(&q.victim, t, __ATOMIC_RELEASE);  // with pick() on another server
        if (committed == lost || committed == other_server) return;
    }
    data(t).next = nullptr;
    if (q.n++)
        data(q.tail).next = t;
    else
        q.head = t;
    q.tail = t;
}

umcg_policy_task* take(server& q) {
    if (!q.n) return nullptr;
    umcg_policy_task* t = q.head;
    if (committed == starves && t == q.victim && q.n > 1) {
        umcg_policy_task* second = data(t).next;
        data(t).next = data(second).next;
        if (q.tail == second) q.tail = t;
        q.n--;
        return second;
    }
    q.n--;
    q.head = data(t).next;
    return t;
}

void dequeue(umcg_policy* p, uint32_t s, umcg_policy_task* t) {
    server& q = at(p, s);
    umcg_policy_task* before = nullptr;
    umcg_policy_task* i = q.head;
    for (; i && i != t; i = data(i).next) before = i;
    if (!i) {
        // it was lost, and its worker has returned with it: the next one is lost instead
        q.victim = nullptr;
        return;
    }
    q.n--;
    (before ? data(before).next : q.head) = data(t).next;
    if (q.tail == t) q.tail = before;
}

umcg_policy_task* pick(umcg_policy* p, uint32_t s, uint64_t*) {
    server& q = at(p, s);
    q.picks++;
    if (now(p, q)) {
        switch (committed) {
        case doubled: if (q.last) return q.last; break;
        case foreign: {
            alignas(64) static char other[512];
            return reinterpret_cast<umcg_policy_task*>(other);
        }
        case unmapped: return reinterpret_cast<umcg_policy_task*>(0x10000);
        case other_server:
            for (uint32_t i = 0; i < p->n_servers; i++) {
                umcg_policy_task* t = __atomic_load_n(&at(p, i).victim, __ATOMIC_ACQUIRE);
                if (i != s && t) return t;
            }
            break;
        case hangs: hang();
        case hangs_once: {
            static uint32_t hung;
            if (!__atomic_exchange_n(&hung, 1, __ATOMIC_RELAXED)) hang();
            break;
        }
        case sleeps: {
            timespec long_time = {1000, 0};
            while (nanosleep(&long_time, nullptr)) asm volatile("");
            break;
        }
        case crashes: *static_cast<volatile int*>(nullptr) = 1; break;
        case throws: throw 1;
        default: break;
        }
    }
    q.last = take(q);
    return q.last;
}

uint32_t select(umcg_policy* p, umcg_policy_task* t, uint32_t, umcg_enqueue_reason) {
    if (committed == bad_server && t->id > after) return p->n_servers + 5;
    return static_cast<uint32_t>(t->id) % p->n_servers;
}

void exit(umcg_policy* p, const umcg_policy_exit* info) {
    if (audit* a = audit::of(p)) a->exited(info);
}
size_t dump(umcg_policy* p, char* text, size_t size) {
    if (audit* a = audit::of(p)) a->dumped++;
    strncpy(text, "what the sinner says of itself", size - 1);
    text[size - 1] = 0;
    return strlen(text);
}

constexpr umcg_policy_ops make() {
    umcg_policy_ops ops = {};
    ops.size = sizeof(ops);
    ops.major = UMCG_POLICY_MAJOR;
    ops.minor = UMCG_POLICY_MINOR;
    ops.name = "sinner";
    ops.server_size = sizeof(server);
    ops.task_size = sizeof(task);
    ops.init = init;
    ops.exit = exit;
    ops.select = select;
    ops.enqueue = enqueue;
    ops.dequeue = dequeue;
    ops.pick = pick;
    ops.dump = dump;
#ifdef WRONG_MAJOR
    ops.major = UMCG_POLICY_MAJOR + 1;
#endif
#ifdef SHORT_TABLE
    ops.size = 40;
#endif
#ifdef NEWER_MINOR
    ops.size = sizeof(ops) + 64;
    ops.minor = UMCG_POLICY_MINOR + 1;
#endif
    return ops;
}
struct {
    umcg_policy_ops ops = make();
    void* more[8] = {};  // of a newer version
} const table;

}  // namespace

#ifdef NULL_TABLE
UMCG_POLICY_EXPORT(*static_cast<const umcg_policy_ops*>(nullptr))
#elif !defined(NO_SYMBOL)
UMCG_POLICY_EXPORT(table.ops)
#endif
