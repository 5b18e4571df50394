// SPDX-License-Identifier: MIT
//
// What a worker is blocked in: a call or a page fault.
#ifndef UMCG_SRC_BLOCK_REASON_HPP
#define UMCG_SRC_BLOCK_REASON_HPP

#include <umcg/policy.h>
#include <umcg/umcg.h>

namespace umcg::detail {

// FAULT: in no call, so perhaps stopped by a tracer or SIGSTOP. Else SYSCALL: also if it is over, and if
// nobody can know. Three system calls, which may wait until it has left its CPU; errno is kept.
umcg_blocked_reason why_blocked(const umcg_task& worker) noexcept;

}  // namespace umcg::detail

#endif
