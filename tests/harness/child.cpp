// SPDX-License-Identifier: MIT
// Tests in a process of their own.
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#include "harness.hpp"

namespace umcg_test {

Child::Child(const std::function<void()>& fn, int seconds) {
    fflush(stdout);
    pid_ = fork();
    if (pid_) {
        EXPECT_GT(pid_, 0) << "fork: errno " << errno;
        return;
    }
    // default action: it ends held and spinning threads alike
    signal(SIGALRM, SIG_DFL);
    alarm(seconds * std::min(slowness(), 4));
    fn();
    fflush(stdout);
    _exit(::testing::Test::HasFailure() ? 1 : 0);
}

Child::~Child() {
    if (pid_ > 0) kill_and_wait();
}

int Child::wait(uint64_t ms) {
    int status = -1;
    const pid_t pid = pid_;
    if (pid <= 0) return -1;
    if (!poll_until([&] { return waitpid(pid, &status, WNOHANG) == pid; }, ms)) {
        ADD_FAILURE() << "process " << pid << " is not gone after " << ms * slowness()
                      << " ms, state " << thread_state(pid, pid);
        return -1;
    }
    pid_ = 0;
    return status;
}

int Child::kill_and_wait(int sig, uint64_t ms) {
    kill(pid_, sig);
    return wait(ms);
}

void in_child(const std::function<void()>& fn) {
    Child child(fn);
    // its own deadlines come first, and say more
    const int status = child.wait((kTestSeconds - 5) * 1000ULL);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0)
        << "child: " << (WIFSIGNALED(status) ? "signal " : "exit code ")
        << (WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

}  // namespace umcg_test
