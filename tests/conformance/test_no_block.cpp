// SPDX-License-Identifier: MIT
// What does not sleep is no event: the server hears nothing and seq stands still.
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "blocks.hpp"

namespace umcg_test {
namespace {

using NoBlock = Conformance;

// Runs @call 100 times on a worker; it must stay RUNNING all the while.
void expect_no_block(const std::function<void()>& call) {
    Group g;
    uint32_t before = 0, after = 1;
    Worker& w = g.worker([&](Worker& me) {
        call();  // what is slow only the first time
        before = me.task()->seq;
        for (int i = 0; i < 100; i++) call();
        after = me.task()->seq;
    });
    ASSERT_EQ(g.next(), runnable(w));
    g.finish();
    EXPECT_EQ(before, after);
}

TEST_F(NoBlock, TrivialCalls) {
    expect_no_block([] {
        EXPECT_GT(syscall(SYS_getppid), 0);
        timespec ts;
        syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &ts);
        sigset_t set;
        sigprocmask(SIG_BLOCK, nullptr, &set);
        cpu_set_t cpus;
        sched_getaffinity(0, sizeof(cpus), &cpus);
    });
}

TEST_F(NoBlock, ReadyPipe) {
    Pipe p;
    expect_no_block([&] {
        p.put();
        char c;
        EXPECT_EQ(read(p.fd[0], &c, 1), 1);
    });
}

TEST_F(NoBlock, PollWithoutTimeout) {
    Pipe p;
    const int ep = epoll_create1(EPOLL_CLOEXEC);
    epoll_event ev = {EPOLLIN, {}};
    ASSERT_EQ(epoll_ctl(ep, EPOLL_CTL_ADD, p.fd[0], &ev), 0);
    expect_no_block([&] {
        epoll_event out;
        EXPECT_EQ(epoll_wait(ep, &out, 1, 0), 0);
        pollfd fd = {p.fd[0], POLLIN, 0};
        EXPECT_EQ(::poll(&fd, 1, 0), 0);
    });
    close(ep);
}

TEST_F(NoBlock, NonblockingReadOfNothing) {
    Pipe p;
    ASSERT_EQ(fcntl(p.fd[0], F_SETFL, O_NONBLOCK), 0);
    expect_no_block([&] {
        char c;
        EXPECT_EQ(read(p.fd[0], &c, 1), -1);
        EXPECT_EQ(errno, EAGAIN);
    });
}

TEST_F(NoBlock, FutexWakeAndWrongValue) {
    int word = 1;
    expect_no_block([&] {
        EXPECT_EQ(syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0), 0);
        EXPECT_EQ(syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, nullptr, nullptr, 0), -1);
    });
}

// Giving the CPU to other threads by preemption or sched_yield() is no block.
TEST_F(NoBlock, SchedYieldAndPreemptionByOthers) {
    std::atomic<bool> stop{false};
    std::thread hog([&] {
        while (!stop) sched_yield();
    });
    expect_no_block([] {
        sched_yield();
        for (int i = 0; i < 1000; i++) __builtin_ia32_pause();
    });
    stop = true;
    hog.join();
}

// Nor is a long computation, beside others that want the CPU.
TEST_F(NoBlock, LongComputation) {
    std::atomic<bool> stop{false};
    std::vector<std::thread> hogs;
    for (int i = 0; i < cpus(); i++)
        hogs.emplace_back([&] {
            while (!stop) __builtin_ia32_pause();
        });
    expect_no_block([] {
        const uint64_t end = now_ns() + 1000000;
        while (now_ns() < end) __builtin_ia32_pause();
    });
    stop = true;
    for (auto& t : hogs) t.join();
}

TEST_F(NoBlock, MinorFaults) {
    constexpr size_t kSize = 16 * 4096;
    void* m = mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(m, MAP_FAILED);
    expect_no_block([&] {
        memset(m, 1, kSize);
        EXPECT_EQ(madvise(m, kSize, MADV_DONTNEED), 0);
    });
    munmap(m, kSize);
}

TEST_F(NoBlock, SignalToItself) {
    static std::atomic<int> handled;
    handled = 0;
    struct sigaction sa = {}, old;
    sa.sa_handler = [](int) { handled++; };
    ASSERT_EQ(sigaction(SIGUSR1, &sa, &old), 0);
    expect_no_block([] { EXPECT_EQ(raise(SIGUSR1), 0); });
    EXPECT_EQ(handled, 101);
    sigaction(SIGUSR1, &old, nullptr);
}

// LOCKED: the worker does sleep, and nobody is told.
TEST_F(NoBlock, SleepWithLocked) {
    Group g;
    uint32_t before = 0, after = 1;
    Worker& w = g.worker([&](Worker& me) {
        me.task()->user_flags = UMCG_UF_LOCKED;
        before = me.task()->seq;
        sleep_us(1000);
        after = me.task()->seq;
        me.task()->user_flags = 0;
    });
    ASSERT_EQ(g.next(), runnable(w));
    ASSERT_EQ(g.run(w), 0);
    EXPECT_TRUE(g.next_exit()) << "the first news is its end";
    EXPECT_EQ(before, after);
    g.finish();
}

}  // namespace
}  // namespace umcg_test
