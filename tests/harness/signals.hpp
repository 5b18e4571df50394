// SPDX-License-Identifier: MIT
// Signal handlers that come and go with a test.
#pragma once

#include <pthread.h>
#include <signal.h>

#include "harness.hpp"

namespace umcg_test {

class Handler {
  public:
    Handler(int sig, void (*fn)(int), int flags = 0) : sig_(sig) {
        struct sigaction sa = {};
        sa.sa_handler = fn;
        sa.sa_flags = flags;
        EXPECT_EQ(sigaction(sig, &sa, &old_), 0);
    }
    ~Handler() { sigaction(sig_, &old_, nullptr); }
    Handler(const Handler&) = delete;
    Handler& operator=(const Handler&) = delete;

  private:
    int sig_;
    struct sigaction old_;
};

inline void send(const Worker& w, int sig) {
    EXPECT_EQ(syscall(SYS_tgkill, getpid(), w.tid(), sig), 0);
}

// The signals of one line of the thread's status file, such as "SigPnd"; a bit each.
inline uint64_t signal_set(pid_t tid, const std::string& key) {
    const std::string text = slurp("/proc/self/task/" + std::to_string(tid) + "/status");
    const size_t at = text.find(key + ":");
    return at == std::string::npos ? 0 : strtoull(text.c_str() + at + key.size() + 1, nullptr, 16);
}

// Has the thread taken the signal (built its frame, or is doing so)?
inline bool signal_taken(pid_t tid, int sig) {
    return !(signal_set(tid, "SigPnd") >> (sig - 1) & 1);
}

// Taken, or it waits until the thread lets it in, as a backend in user space does
// with the signals of a held worker.
inline bool signal_settled(pid_t tid, int sig) {
    return signal_taken(tid, sig) || signal_set(tid, "SigBlk") >> (sig - 1) & 1;
}

}  // namespace umcg_test
