// SPDX-License-Identifier: MIT
//
// A call of a policy's function that cannot take the caller with it: a crash, an exception or the
// watchdog ends the function, not the program. docs/policies.md says what that cannot contain.
#ifndef UMCG_SRC_POLICY_CALL_HPP
#define UMCG_SRC_POLICY_CALL_HPP

#include <sys/types.h>

#include <atomic>
#include <cstdint>

namespace umcg::detail {

class policy_host;

// Where one thread at a time calls. Looked at by the watchdog.
struct policy_call {
    enum class end : uint32_t { returned, crashed, overrun, exception };

    // `sp` and `how` are known to policy_call.S.
    void* sp = nullptr;                    // not null: in the function, and where to come out
    std::atomic<uint32_t> how{0};          // why it came out
    std::atomic<uint32_t> seq{0};          // odd: in a call
    std::atomic<uint32_t> expired{0};      // this seq is to come out
    std::atomic<const char*> op{nullptr};
    std::atomic<uint64_t> task{0};
    std::atomic<pid_t> tid{0};
    policy_host* host = nullptr;  // whose watchdog looks here

    // fn(args[0], ...) as `op`, about a task of this id. `value`: what it returned.
    end run(const char* op_name, uint64_t task_id, void (*fn)(), const uint64_t (&args)[4],
            uint64_t& value) noexcept;
};

// The handlers of the five signals of crashes and that of the watchdog, once per process. 0, or
// EBUSY: the watchdog's signal has a handler.
int install_policy_handlers() noexcept;
// Is there something that delays signals to other places (ThreadSanitizer)?
bool can_end_calls() noexcept;
// The thread of `call`, which is in `seq`, is to come out.
void end_policy_call(policy_call& call, uint32_t seq) noexcept;

}  // namespace umcg::detail

#endif
