// SPDX-License-Identifier: MIT
// The kernel's side of the lists, in user space: the push of docs/kernel-protocol.md, step by step.
#pragma once

#include <cstdint>
#include <thread>

#include "umcg/umcg.h"

namespace sim {

inline uint64_t address(const umcg_task* w) { return reinterpret_cast<uintptr_t>(w); }

// Between the two steps the kernel has preemption off; a thread of a test has not, and `pause`
// makes the consumer meet a PENDING link more often than chance would.
inline bool push(__u64* head, __u64* link, umcg_task* w, bool pause = false) {
    __u64 none = UMCG_LINK_NONE;
    if (!__atomic_compare_exchange_n(link, &none, UMCG_LINK_PENDING, false, __ATOMIC_SEQ_CST,
                                     __ATOMIC_SEQ_CST)) {
        return false;  // still queued: that entry will do
    }
    const __u64 before = __atomic_exchange_n(head, address(w), __ATOMIC_SEQ_CST);
    if (pause) std::this_thread::yield();
    __atomic_store_n(link, before ? before : UMCG_LINK_END, __ATOMIC_RELEASE);
    return true;
}

inline bool push_blocked(umcg_task* server, umcg_task* w, bool pause = false) {
    return push(&server->blocked_ptr, &w->blocked_ptr, w, pause);
}

inline bool push_runnable(umcg_task* server, umcg_task* w, bool pause = false) {
    return push(&server->runnable_ptr, &w->runnable_ptr, w, pause);
}

inline void set_state(umcg_task* w, uint32_t state) {
    __atomic_exchange_n(&w->state, state, __ATOMIC_SEQ_CST);
}

}  // namespace sim
