// SPDX-License-Identifier: MIT
#include "span_check.h"

#include <umcg/umcg.h>

#include <utility>

namespace kv {

namespace {

uint32_t LowState(const umcg_task& task) {
    return umcg_state(&task) & UMCG_TASK_MASK;
}

}  // namespace

SpanCheck::~SpanCheck() {
    for (Record* record = all_.load(); record;) delete std::exchange(record, record->next);
}

// Only the worker itself adds its record, so there is one of each.
SpanCheck::Record* SpanCheck::RecordOf(const umcg::native_handles& on) {
    Record* head = all_.load(std::memory_order_acquire);
    for (Record* r = head; r; r = r->next)
        if (r->worker == on.worker) return r;
    auto* mine = new Record{.worker = on.worker, .next = head};
    while (!all_.compare_exchange_weak(mine->next, mine)) {
    }
    return mine;
}

// I execute a user instruction, so the kernel must show me as my server's running worker.
void SpanCheck::CheckSelf(const umcg::native_handles& on) {
    if (LowState(*on.worker) != UMCG_TASK_RUNNING ||
        __atomic_load_n(&on.worker->running_tid, __ATOMIC_ACQUIRE) != on.server->tid ||
        __atomic_load_n(&on.server->running_tid, __ATOMIC_ACQUIRE) != on.worker->tid)
        home_.wrong_state.fetch_add(1, std::memory_order_relaxed);
}

// Another worker may be inside too: one that was stopped there by a page fault. It is not RUNNING
// then, and cannot become so before I stop: to see it RUNNING, now, is to see two of us in user
// space.
void SpanCheck::Enter(Record* mine, const umcg::native_handles& on) {
    mine->inside.store(true);
    int inside = home_.inside.fetch_add(1) + 1, running = 1;
    home_.spans.fetch_add(1, std::memory_order_relaxed);
    if (inside > 1)
        for (Record* r = all_.load(std::memory_order_acquire); r; r = r->next)
            if (r != mine && r->inside.load() && LowState(*r->worker) == UMCG_TASK_RUNNING)
                ++running;
    home_.Found(running);
    CheckSelf(on);
}

void SpanCheck::Leave(Record* mine, const umcg::native_handles& on) {
    CheckSelf(on);
    home_.inside.fetch_sub(1);
    mine->inside.store(false);
}

}  // namespace kv
