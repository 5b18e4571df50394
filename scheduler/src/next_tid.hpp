// SPDX-License-Identifier: MIT
//
// The word by which a server, or the worker that runs there, says who runs next.
#ifndef UMCG_SRC_NEXT_TID_HPP
#define UMCG_SRC_NEXT_TID_HPP

#include "core.hpp"

namespace umcg::detail {

inline uint32_t next_tid(const umcg_task* kernel) noexcept {
    return __atomic_load_n(&kernel->next_tid, __ATOMIC_SEQ_CST);
}

inline bool replace_next(umcg_task* kernel, uint32_t from, uint32_t to) noexcept {
    return __atomic_compare_exchange_n(&kernel->next_tid, &from, to, false, __ATOMIC_SEQ_CST,
                                       __ATOMIC_SEQ_CST);
}

inline uint32_t tid_of(const worker& w) noexcept {
    return __atomic_load_n(&w.kernel->tid, __ATOMIC_RELAXED);
}

}  // namespace umcg::detail

#endif
