// SPDX-License-Identifier: MIT
//
// liburing's calls on a ring that is simulated. The memory that user space shares with the kernel is
// an io_uring's, so liburing's inline functions work as they are; a completion comes at any moment, by
// whoever puts something into a source.
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "explorer.hpp"
#include "kernel.hpp"

namespace explore {

bool kernel_forgets_completions = false;

namespace {

constexpr int first_source = 1000, first_ring = 2000;

struct operation {
    uint64_t user_data;
    int fd;
};

struct uring {
    unsigned sq_head = 0, sq_tail = 0, sq_flags = 0, cq_head = 0, cq_tail = 0;
    std::vector<io_uring_sqe> sqes;
    std::vector<io_uring_cqe> cqes;
    std::vector<operation> in_flight;
    std::vector<vthread*> waiting;
    bool locked = false;  // a submission or a cancellation is under way

    void complete(uint64_t user_data, int res) {
        if (cq_tail - cq_head == cqes.size()) failed("the queue of completions is full");
        io_uring_cqe& c = cqes[cq_tail % cqes.size()];
        c = {};
        c.user_data = user_data;
        c.res = res;
        cq_tail++;
        counts.completions++;
        for (vthread* t : waiting) wake(t);
        waiting.clear();
    }
};

std::vector<std::unique_ptr<uring>> rings;
std::vector<source*> sources;

uring& of(const io_uring* r) { return *rings.at(static_cast<size_t>(r->ring_fd - first_ring)); }

// Other threads go on in the middle of a call, but no second one is in the ring.
class in_ring {
  public:
    explicit in_ring(uring& r) : ring_(r) {
        kernel_call_begins();
        drain();
        while (ring_.locked) yield();
        ring_.locked = true;
    }
    ~in_ring() {
        ring_.locked = false;
        kernel_call_ends();
    }

  private:
    uring& ring_;
};

void take(uring& r, const io_uring_sqe& sqe) {
    if (sqe.opcode == IORING_OP_NOP) {
        r.complete(sqe.user_data, 0);
        return;
    }
    const auto i = static_cast<size_t>(sqe.fd - first_source);
    if (sqe.opcode != IORING_OP_RECV || i >= sources.size()) failed("an operation of a kind that is not simulated");
    if (sources[i]->get())
        r.complete(sqe.user_data, 1);
    else
        r.in_flight.push_back({sqe.user_data, sqe.fd});
}

}  // namespace

source::source() : fd_(first_source + static_cast<int>(sources.size())) { sources.push_back(this); }

bool source::get() {
    if (!there_) return false;
    there_--;
    return true;
}

void source::put() {
    drain();
    for (auto& r : rings)
        for (auto& op : r->in_flight)
            if (op.fd == fd_) {
                const uint64_t user_data = op.user_data;
                std::erase_if(r->in_flight, [&](const operation& o) { return o.user_data == user_data; });
                r->complete(user_data, 1);
                return;
            }
    there_++;
}

void uring_reset() noexcept {
    rings.clear();
    sources.clear();
}

}  // namespace explore

// ---- liburing ----

using namespace explore;

extern "C" {

int io_uring_queue_init_params(unsigned entries, io_uring* r, io_uring_params* p) {
    rings.push_back(std::make_unique<uring>());
    uring& u = *rings.back();
    u.sqes.resize(entries);
    u.cqes.resize(p->cq_entries);
    *r = {};
    r->ring_fd = first_ring + static_cast<int>(rings.size()) - 1;
    r->features = p->features = IORING_FEAT_NODROP | IORING_FEAT_SUBMIT_STABLE | IORING_FEAT_RW_CUR_POS;
    r->sq.khead = &u.sq_head;
    r->sq.ktail = &u.sq_tail;
    r->sq.kflags = &u.sq_flags;
    r->sq.sqes = u.sqes.data();
    r->sq.ring_entries = entries;
    r->sq.ring_mask = entries - 1;
    r->cq.khead = &u.cq_head;
    r->cq.ktail = &u.cq_tail;
    r->cq.cqes = u.cqes.data();
    r->cq.ring_entries = p->cq_entries;
    r->cq.ring_mask = p->cq_entries - 1;
    return 0;
}

void io_uring_queue_exit(io_uring*) {}
int io_uring_ring_dontfork(io_uring*) { return 0; }

io_uring_probe* io_uring_get_probe_ring(io_uring*) {
    constexpr unsigned n = IORING_OP_LAST;
    auto* p = static_cast<io_uring_probe*>(calloc(1, sizeof(io_uring_probe) + n * sizeof(io_uring_probe_op)));
    if (!p) abort();
    p->last_op = n - 1;
    for (unsigned i = 0; i < n; i++) p->ops[i].flags = IO_URING_OP_SUPPORTED;
    return p;
}
void io_uring_free_probe(io_uring_probe* p) { free(p); }

int io_uring_submit(io_uring* r) {
    uring& u = of(r);
    in_ring in(u);
    int n = 0;
    // user space sees at the end how many were taken
    unsigned at = u.sq_head;
    for (; at != r->sq.sqe_tail; at++, n++) {
        take(u, u.sqes[at & r->sq.ring_mask]);
        if (random(2)) yield();
    }
    u.sq_head = r->sq.sqe_head = at;
    return n;
}

int io_uring_register_sync_cancel(io_uring* r, io_uring_sync_cancel_reg* reg) {
    uring& u = of(r);
    in_ring in(u);
    for (auto& op : u.in_flight)
        if (op.user_data == reg->addr) {
            std::erase_if(u.in_flight, [&](const operation& o) { return o.user_data == reg->addr; });
            u.complete(reg->addr, -ECANCELED);
            return 0;
        }
    return -ENOENT;
}

int io_uring_get_events(io_uring*) {
    drain();
    return 0;
}

int io_uring_enter(unsigned fd, unsigned, unsigned min, unsigned, sigset_t*) {
    if (!min) return 0;
    drain();
    uring& u = *rings.at(fd - first_ring);
    // also if somebody else takes it before we have run
    const unsigned enough = u.cq_head + min;
    const auto come = [&] { return static_cast<int>(u.cq_tail - enough) >= 0; };
    if (come() && !kernel_forgets_completions) return 0;
    const bool told = kernel_sleep_begins();
    // what has come meanwhile is seen before it sleeps
    for (bool look = !kernel_forgets_completions; !look || !come(); look = true) {
        u.waiting.push_back(current());
        block("io_uring_enter", 0);
    }
    if (told) kernel_sleep_ends();
    return 0;
}
}
