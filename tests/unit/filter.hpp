// SPDX-License-Identifier: MIT
// Any kernel, on any machine: a seccomp filter answers the four calls with what a test wants.
#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <optional>
#include <vector>

enum Call : unsigned { kRegister = 480, kUnregister = 481, kWait = 482, kKick = 483 };

struct Answer {
    Call call;
    int error;                             // 0: the call succeeds and does nothing
    std::optional<uint64_t> args[2] = {};  // only for these arguments; all 64 bits are compared
};

// For the calling thread, for good. The first answer that fits is taken.
inline bool answer_calls(const std::vector<Answer>& answers) {
    std::vector<sock_filter> code;
    for (const Answer& a : answers) {
        // each check that fails jumps over what is left of this answer
        std::vector<sock_filter> checks;
        const auto check = [&](unsigned offset, uint32_t value) {
            checks.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset));
            checks.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 0));
        };
        check(offsetof(seccomp_data, nr), a.call);
        for (int i = 0; i < 2; i++) {
            if (!a.args[i]) continue;
            const unsigned at = offsetof(seccomp_data, args) + i * sizeof(uint64_t);
            check(at, static_cast<uint32_t>(*a.args[i]));
            check(at + 4, static_cast<uint32_t>(*a.args[i] >> 32));
        }
        for (size_t i = 1; i < checks.size(); i += 2) checks[i].jf = checks.size() - i;
        code.insert(code.end(), checks.begin(), checks.end());
        code.push_back(
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<uint32_t>(a.error)));
    }
    code.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    const sock_fprog program{static_cast<unsigned short>(code.size()), code.data()};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

// For this process: the portable backend, which works everywhere, finds no signal.
inline void without_portable() {
    setenv("UMCG_SIGNAL", "none", 1);
}

// A kernel with the patch series, as far as umcg_init() looks.
inline std::vector<Answer> patched_kernel() {
    return {{kKick, EINVAL}, {kRegister, 0}, {kUnregister, 0}};
}

inline std::vector<Answer> stock_kernel(int error = ENOSYS) {
    return {{kKick, error}, {kRegister, error}, {kUnregister, error}, {kWait, error}};
}
