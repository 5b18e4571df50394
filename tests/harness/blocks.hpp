// SPDX-License-Identifier: MIT
// "One block": a call that stops in the kernel must be reported exactly once,
// its return exactly once, and the worker must not make a step of its own
// between its return and the moment it is picked.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>

#include <atomic>
#include <functional>

#include "harness.hpp"

namespace umcg_test {

// @call runs on a worker and has to block; @release, on the server, ends that.
// @call is already in the kernel, and was reported, when @release runs.
inline void expect_one_block(const std::function<void()>& call,
                             const std::function<void()>& release) {
    Group g;
    std::atomic<int> steps{0};
    Worker& w = g.worker([&](Worker&) {
        call();
        steps++;
    });
    const Event born = g.next();
    ASSERT_EQ(born, runnable(w));
    EXPECT_EQ(born.state, UMCG_TASK_RUNNABLE);

    ASSERT_EQ(g.run(w), 0);
    const Event block = g.next();
    ASSERT_EQ(block, blocked(w));
    EXPECT_EQ(block.state, UMCG_TASK_BLOCKED);
    EXPECT_EQ(block.seq - born.seq, 2u) << "picked, blocked";
    EXPECT_GT(block.stamp, born.stamp);
    EXPECT_EQ(g.task()->running_tid, 0u);
    EXPECT_EQ(g.task()->next_tid, 0u);
    EXPECT_EQ(steps, 0);
    EXPECT_FALSE(g.poll());

    release();
    const Event back = g.next();
    ASSERT_EQ(back, runnable(w));
    EXPECT_EQ(back.state, UMCG_TASK_RUNNABLE);
    EXPECT_EQ(back.seq - block.seq, 1u) << "one change: runnable";
    EXPECT_GE(back.stamp, block.stamp);
    sleep_us(3000);  // time for a worker that slipped the hold to be seen
    EXPECT_EQ(steps, 0) << "it went on before it was picked";
    EXPECT_FALSE(g.poll());

    ASSERT_EQ(g.run(w), 0);
    const Event end = g.next();
    EXPECT_EQ(end, blocked(w));
    EXPECT_TRUE(end.exited());
    EXPECT_EQ(steps, 1);
    g.finish();
}

// A pipe whose ends close themselves.
struct Pipe {
    Pipe() { EXPECT_EQ(pipe2(fd, O_CLOEXEC), 0); }
    ~Pipe() {
        close(fd[0]);
        close(fd[1]);
    }
    Pipe(const Pipe&) = delete;
    Pipe& operator=(const Pipe&) = delete;
    void put() const { EXPECT_EQ(write(fd[1], "x", 1), 1); }
    void get() const {  // announced
        const Blocking mark;
        char c;
        EXPECT_EQ(read(fd[0], &c, 1), 1);
    }
    int fd[2] = {-1, -1};
};

}  // namespace umcg_test
