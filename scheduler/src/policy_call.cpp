// SPDX-License-Identifier: MIT
//
// See policy_call.hpp; the few instructions that a compiler must not touch are in policy_call.S.
#include "policy_call.hpp"

#include <signal.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <mutex>

#include "policy_host.hpp"

struct umcg_policy_call_result {
    uint64_t value, ended;
};
extern "C" umcg_policy_call_result umcg_policy_call(umcg::detail::policy_call* call, void (*fn)(),
                                                    const uint64_t* args);
extern "C" void umcg_policy_call_out();

namespace umcg::detail {

namespace {

thread_local policy_call* calling = nullptr;
thread_local pid_t tid_here = 0;

constexpr int crash_signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
struct sigaction before[_NSIG];

// The highest but one that there is: low ones are popular, the highest is debuggers'.
int watchdog_signal() { return SIGRTMAX - 1; }

bool come_out(void* context, policy_call::end how) noexcept {
    policy_call* call = calling;
    if (!call || !call->sp) return false;
    call->how.store(static_cast<uint32_t>(how), std::memory_order_relaxed);
    auto& regs = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
    regs[REG_RSP] = reinterpret_cast<greg_t>(call->sp);
    regs[REG_RBX] = reinterpret_cast<greg_t>(call);
    regs[REG_RIP] = reinterpret_cast<greg_t>(umcg_policy_call_out);
    return true;
}

void crashed(int signal, siginfo_t* info, void* context) {
    if (come_out(context, policy_call::end::crashed)) return;
    // somebody else's: as if we were not there
    const struct sigaction& old = before[signal];
    if (old.sa_flags & SA_SIGINFO) {
        old.sa_sigaction(signal, info, context);
    } else if (old.sa_handler == SIG_DFL || old.sa_handler == SIG_IGN) {
        // the instruction is run again, and abort() does as much
        sigaction(signal, &old, nullptr);
        if (info->si_code <= 0 && signal != SIGABRT) raise(signal);
    } else {
        old.sa_handler(signal);
    }
}

void expired(int, siginfo_t*, void* context) {
    const policy_call* call = calling;
    // it may have come out by itself meanwhile
    if (call && call->expired.load(std::memory_order_acquire) ==
                    call->seq.load(std::memory_order_relaxed))
        come_out(context, policy_call::end::overrun);
}

}  // namespace

// Not inlined: a fiber may call here on one thread, then on another.
__attribute__((noinline)) policy_call::end policy_call::run(const char* op_name, uint64_t task_id,
                                                            void (*fn)(), const uint64_t (&args)[4],
                                                            uint64_t& value) noexcept {
    if (!tid_here) tid_here = static_cast<pid_t>(syscall(SYS_gettid));
    policy_call* const outer = calling;
    op.store(op_name, std::memory_order_relaxed);
    task.store(task_id, std::memory_order_relaxed);
    tid.store(tid_here, std::memory_order_relaxed);
    const uint32_t in = seq.load(std::memory_order_relaxed) + 1;
    calling = this;
    store_lightly(seq, in);
    if (host) host->call_begun();
    end result = end::returned;
    try {
        const auto r = umcg_policy_call(this, fn, args);
        value = r.value;
        if (r.ended) result = static_cast<end>(how.load(std::memory_order_relaxed));
    } catch (...) {
        sp = nullptr;
        result = end::exception;
    }
    seq.store(in + 1, std::memory_order_release);
    calling = outer;
    return result;
}

void end_policy_call(policy_call& call, uint32_t seq) noexcept {
    call.expired.store(seq, std::memory_order_release);
    if (call.seq.load(std::memory_order_acquire) == seq)
        syscall(SYS_tgkill, getpid(), call.tid.load(std::memory_order_relaxed), watchdog_signal());
}

bool can_end_calls() noexcept {
#ifdef __SANITIZE_THREAD__
    return false;
#else
    return true;
#endif
}

int install_policy_handlers() noexcept {
    static std::mutex once;
    static bool done = false;
    std::lock_guard hold(once);
    if (done) return 0;
    struct sigaction act = {};
    if (sigaction(watchdog_signal(), nullptr, &act)) return errno;
    if (act.sa_flags & SA_SIGINFO || act.sa_handler != SIG_DFL) return EBUSY;
    act = {};
    act.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
    sigemptyset(&act.sa_mask);
    act.sa_sigaction = expired;
    if (sigaction(watchdog_signal(), &act, nullptr)) return errno;
    act.sa_sigaction = crashed;
    for (int signal : crash_signals)
        if (sigaction(signal, &act, &before[signal])) return errno;
    done = true;
    return 0;
}

}  // namespace umcg::detail
