// SPDX-License-Identifier: MIT
// A test's body in a process of its own: libumcg chooses a backend once per process, and limits
// and seccomp filters cannot be taken back.
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>

// Expectations that fail in `body` are printed by the child and fail the caller's too.
template <class Body>
::testing::AssertionResult in_child(Body body) {
    fflush(nullptr);
    const pid_t pid = fork();
    if (pid == 0) {
        alarm(120);
        body();
        fflush(nullptr);
        _exit(::testing::Test::HasFailure() ? 1 : 0);
    }
    int status = 0;
    if (pid < 0 || waitpid(pid, &status, 0) != pid) {
        return ::testing::AssertionFailure() << "no child: errno " << errno;
    }
    if (WIFSIGNALED(status)) {
        return ::testing::AssertionFailure() << "killed by signal " << WTERMSIG(status);
    }
    if (WEXITSTATUS(status)) return ::testing::AssertionFailure() << "failed in the child, above";
    return ::testing::AssertionSuccess();
}
