// SPDX-License-Identifier: MIT
// A process that traces a thread of the test's.
#pragma once

#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "blocks.hpp"

namespace umcg_test {

// A child that traces one thread of ours, told what to do through a pipe.
class Tracer {
  public:
    using Script = std::function<void(pid_t tid, Pipe& ask, Pipe& answer)>;
    Tracer(pid_t tid, const Script& script) {
        prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
        child_ = std::make_unique<Child>([&, tid] {
            script(tid, ask, answer);
            _exit(0);
        });
    }
    void go() { ask.put(); }
    void done() { answer.get(); }  // blocks this thread, which is not a worker
    void end() { EXPECT_EQ(child_->wait(), 0); }
    Pipe ask, answer;

  private:
    std::unique_ptr<Child> child_;
};

inline void must(bool ok, int code) {
    if (!ok) _exit(code);
}
inline int wait_stop(pid_t tid) {
    int status = 0;
    must(waitpid(tid, &status, __WALL) == tid && WIFSTOPPED(status), 20);
    return status;
}
inline void seize_and_stop(pid_t tid) {
    must(!ptrace(PTRACE_SEIZE, tid, 0, PTRACE_O_TRACESYSGOOD), 10);
    must(!ptrace(PTRACE_INTERRUPT, tid, 0, 0), 11);
    wait_stop(tid);
}

// Let go by its tracer and asleep where it was, no longer in a stop.
inline bool asleep_again(const Worker& w) {
    return poll_until([&] { return asleep(w.tid()); });
}

}  // namespace umcg_test
