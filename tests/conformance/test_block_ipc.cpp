// SPDX-License-Identifier: MIT
// Block sources: sleeping calls and waits for data.
#include <linux/futex.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>

#include "blocks.hpp"

namespace umcg_test {
namespace {

// Nothing is announced here but the pipe's reads, and those only where it tells nothing new.
class BlockIpc : public Conformance {
  protected:
    void SetUp() override {
        Conformance::SetUp();
        if (IsSkipped()) return;
        REQUIRE_CAP(UMCG_CAP_BLOCK_EVENTS);
        REQUIRE_CAP(UMCG_CAP_HOLD);
    }
};

// A sleep that ends by itself may have ended when the server looks: one block, one
// return, held in between. One that is over before the thread is off its CPU is no
// block: longer, then.
void expect_one_block_that_ends(const std::function<void(long ns)>& sleep) {
    for (long ns = 50000000;; ns *= 2) {
        ASSERT_LT(ns, 10000000000) << "never a block";
        Group g;
        std::atomic<int> steps{0};
        Worker& w = g.worker([&](Worker&) {
            sleep(ns);
            steps++;
        });
        const Event born = g.next();
        ASSERT_EQ(born, runnable(w));
        ASSERT_EQ(g.run(w), 0);
        const Event block = g.next();
        ASSERT_EQ(block, blocked(w));
        if (block.exited()) continue;
        const Event back = g.next();
        ASSERT_EQ(back, runnable(w));
        EXPECT_EQ(back.state, UMCG_TASK_RUNNABLE);
        EXPECT_EQ(back.seq - born.seq, 3u) << "picked, blocked, runnable";
        sleep_us(3000);  // time for a worker that slipped the hold to be seen
        EXPECT_EQ(steps, 0) << "it went on before it was picked";
        EXPECT_FALSE(g.poll());
        ASSERT_EQ(g.run(w), 0);
        EXPECT_TRUE(g.next_exit());
        EXPECT_EQ(steps, 1);
        return;
    }
}

TEST_F(BlockIpc, Nanosleep) {
    expect_one_block_that_ends([](long ns) { sleep_us(ns / 1000); });
}

TEST_F(BlockIpc, ClockNanosleepUntil) {
    expect_one_block_that_ends([](long ns) {
        const uint64_t t = now_ns() + uint64_t(ns);
        timespec ts = {time_t(t / 1000000000), long(t % 1000000000)};
        EXPECT_EQ(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, nullptr), 0);
    });
}

TEST_F(BlockIpc, PipeRead) {
    Pipe p;
    expect_one_block([&] { p.get(); }, [&] { p.put(); });
}

TEST_F(BlockIpc, PipeWriteWhenFull) {
    Pipe p;
    const int size = fcntl(p.fd[1], F_SETPIPE_SZ, 4096);
    ASSERT_GT(size, 0);
    std::vector<char> fill(size_t(size), 'x');
    ASSERT_EQ(write(p.fd[1], fill.data(), fill.size()), size);
    expect_one_block([&] { p.put(); },
                     [&] { ASSERT_EQ(read(p.fd[0], fill.data(), fill.size()), size); });
}

TEST_F(BlockIpc, SocketReceive) {
    int s[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
    expect_one_block(
        [&] {
            char c;
            EXPECT_EQ(recv(s[0], &c, 1, 0), 1);
        },
        [&] { EXPECT_EQ(send(s[1], "x", 1, 0), 1); });
    close(s[0]);
    close(s[1]);
}

TEST_F(BlockIpc, EpollWait) {
    Pipe p;
    const int ep = epoll_create1(0);
    epoll_event ev = {EPOLLIN, {}};
    ASSERT_EQ(epoll_ctl(ep, EPOLL_CTL_ADD, p.fd[0], &ev), 0);
    expect_one_block(
        [&] {
            epoll_event out;
            EXPECT_EQ(epoll_wait(ep, &out, 1, -1), 1);
        },
        [&] { p.put(); });
    close(ep);
}

TEST_F(BlockIpc, Poll) {
    Pipe p;
    expect_one_block(
        [&] {
            pollfd fd = {p.fd[0], POLLIN, 0};
            EXPECT_EQ(::poll(&fd, 1, -1), 1);
        },
        [&] { p.put(); });
}

TEST_F(BlockIpc, FutexWait) {
    int word = 0;
    expect_one_block(
        [&] { EXPECT_EQ(syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, nullptr, nullptr, 0), 0); },
        [&] { EXPECT_EQ(syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0), 1); });
}

// One read of one byte, submitted and waited for in the same call.
class OneReadRing {
  public:
    OneReadRing(int fd, char* to) {
        io_uring_params p = {};
        fd_ = int(syscall(SYS_io_uring_setup, 1, &p));
        if (fd_ < 0) return;
        char* sq = map(p.sq_off.array + p.sq_entries * sizeof(uint32_t), IORING_OFF_SQ_RING);
        auto* sqe = reinterpret_cast<io_uring_sqe*>(map(sizeof(io_uring_sqe), IORING_OFF_SQES));
        *sqe = {};
        sqe->opcode = IORING_OP_READ;
        sqe->fd = fd;
        sqe->addr = reinterpret_cast<uint64_t>(to);
        sqe->len = 1;
        *reinterpret_cast<uint32_t*>(sq + p.sq_off.array) = 0;
        __atomic_store_n(reinterpret_cast<uint32_t*>(sq + p.sq_off.tail), 1, __ATOMIC_RELEASE);
    }
    ~OneReadRing() {
        if (fd_ >= 0) close(fd_);
    }
    OneReadRing(const OneReadRing&) = delete;
    OneReadRing& operator=(const OneReadRing&) = delete;
    bool ok() const { return fd_ >= 0; }
    long submit_and_wait() const {
        return syscall(SYS_io_uring_enter, fd_, 1, 1, IORING_ENTER_GETEVENTS, nullptr, 0);
    }

  private:
    char* map(size_t size, off_t what) const {
        void* m = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd_, what);
        EXPECT_NE(m, MAP_FAILED);
        return static_cast<char*>(m);
    }
    int fd_;
};

TEST_F(BlockIpc, IoUringWait) {
    Pipe p;
    char c = 0;
    OneReadRing ring(p.fd[0], &c);
    if (!ring.ok()) GTEST_SKIP() << "io_uring_setup: " << strerror(errno);
    expect_one_block([&] { EXPECT_EQ(ring.submit_and_wait(), 1); }, [&] { p.put(); });
    EXPECT_EQ(c, 'x');
}

// A worker that blocks again and again is reported each time.
TEST_F(BlockIpc, EveryBlockOfMany) {
    constexpr unsigned kTimes = 100;
    Pipe p;
    Group g;
    Worker& w = g.worker([&](Worker&) {
        for (unsigned i = 0; i < kTimes; i++) p.get();
    });
    Event e = g.next();
    ASSERT_EQ(e, runnable(w));
    const uint32_t seq = e.seq;
    for (unsigned i = 0; i < kTimes; i++) {
        ASSERT_EQ(g.run(w), 0);
        e = g.next();
        ASSERT_EQ(e, blocked(w));
        ASSERT_EQ(e.seq - seq, 3 * i + 2);
        p.put();
        e = g.next();
        ASSERT_EQ(e, runnable(w));
        ASSERT_EQ(e.seq - seq, 3 * i + 3);
    }
    g.finish();
}

}  // namespace
}  // namespace umcg_test
