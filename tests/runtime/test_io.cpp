// SPDX-License-Identifier: MIT
//
// umcg::io: each call does what the system's does, on io_uring and without it; limits and
// cancellation against completion; many waits on few workers; blocking code beside I/O.
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include <umcg/cancellation.hpp>
#include <umcg/channel.hpp>
#include <umcg/io.hpp>
#include <umcg/scope.hpp>

#include "harness.hpp"

namespace io = umcg::io;

namespace {

struct pair {
    int fd[2];
    pair() {
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd)) abort();
    }
    ~pair() {
        close(fd[0]);
        close(fd[1]);
    }
    pair(const pair&) = delete;
    pair& operator=(const pair&) = delete;
};

struct temporary_file {
    char path[32] = "/tmp/umcg-io-XXXXXX";
    int fd = mkstemp(path);
    ~temporary_file() {
        close(fd);
        unlink(path);
    }
};

bool ring_works() {
    umcg::runtime rt({.servers = 1, .guard = umcg::stack_guard::when_possible});
    return rt.spawn([] { return io::uses_io_uring(); }).join();
}

#define NEEDS_RING() \
    if (!ring_works()) GTEST_SKIP() << "no io_uring here"

}  // namespace

// ---- each call, on both ways ----

class Call : public testing::TestWithParam<bool> {
  protected:
    umcg::options options() const {
        umcg::options o;
        o.servers = 2;
        o.guard = umcg::stack_guard::when_possible;
        o.io_uring = GetParam();
        return o;
    }
    // fn() on a fiber, a thread task and this thread.
    template <class F>
    void everywhere(F fn) {
        umcg::runtime rt(options());
        rt.spawn(fn).join();
        rt.spawn(fn, {.kind = umcg::kind::thread}).join();
        fn();
        EXPECT_TRUE(GetParam() || !rt.stats().io_ops);
    }
};

INSTANTIATE_TEST_SUITE_P(, Call, testing::Values(true, false), [](const auto& way) {
    return std::string(way.param ? "io_uring" : "plain");
});

TEST_P(Call, Files) {
    everywhere([] {
        const temporary_file file;
        const int fd = io::openat(AT_FDCWD, file.path, O_RDWR | O_CLOEXEC);
        ASSERT_GE(fd, 0);
        EXPECT_EQ(io::write(fd, "0123456789", 10), 10);
        EXPECT_EQ(io::pwrite(fd, "xy", 2, 4), 2);
        iovec out[2] = {{const_cast<char*>("ab"), 2}, {const_cast<char*>("cde"), 3}};
        EXPECT_EQ(io::writev(fd, out, 2), 5);  // behind what write() wrote
        EXPECT_EQ(io::fsync(fd), 0);
        EXPECT_EQ(io::fdatasync(fd), 0);
        char buffer[32] = {};
        EXPECT_EQ(io::pread(fd, buffer, sizeof(buffer), 3), 12);  // short: the end of the file
        EXPECT_STREQ(buffer, "3xy6789abcde");
        EXPECT_EQ(io::pread(fd, buffer, sizeof(buffer), 1000), 0);
        lseek(fd, 0, SEEK_SET);
        char a[3], b[4];
        iovec in[2] = {{a, 3}, {b, 4}};
        EXPECT_EQ(io::readv(fd, in, 2), 7);
        EXPECT_EQ(std::string(a, 3) + std::string(b, 4), "0123xy6");
        EXPECT_EQ(io::read(fd, a, 3), 3);  // goes on there
        EXPECT_EQ(std::string(a, 3), "789");
        EXPECT_EQ(io::close(fd), 0);
    });
}

TEST_P(Call, Errors) {
    everywhere([] {
        char c;
        EXPECT_EQ(io::openat(AT_FDCWD, "/nowhere/at/all", O_RDONLY), -ENOENT);
        EXPECT_EQ(io::read(-1, &c, 1), -EBADF);
        EXPECT_EQ(io::send(-1, &c, 1, 0), -EBADF);
        EXPECT_EQ(io::close(-1), -EBADF);
        EXPECT_EQ(io::shutdown(-1, SHUT_RD), -EBADF);
        const temporary_file file;
        EXPECT_EQ(io::recv(file.fd, &c, 1, 0), -ENOTSOCK);
        EXPECT_EQ(io::readv(file.fd, nullptr, -1), -EINVAL);
        EXPECT_EQ(io::write(open("/dev/null", O_RDONLY | O_CLOEXEC), &c, 1), -EBADF);
        const pair p;
        shutdown(p.fd[1], SHUT_RD);
        EXPECT_EQ(io::send(p.fd[0], &c, 1, 0), -EPIPE);  // and no signal
        sockaddr_in nobody = {};
        nobody.sin_family = AF_INET;
        nobody.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        const int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        socklen_t size = sizeof(nobody);
        // a port that is ours, where nobody listens
        ASSERT_EQ(bind(s, reinterpret_cast<sockaddr*>(&nobody), size), 0);
        ASSERT_EQ(getsockname(s, reinterpret_cast<sockaddr*>(&nobody), &size), 0);
        const int t = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        EXPECT_EQ(io::connect(t, reinterpret_cast<sockaddr*>(&nobody), size), -ECONNREFUSED);
        close(s);
        close(t);
    });
}

TEST_P(Call, Sockets) {
    everywhere([] {
        const int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in address = {};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof(address);
        ASSERT_EQ(bind(server, reinterpret_cast<sockaddr*>(&address), size), 0);
        ASSERT_EQ(listen(server, 5), 0);
        ASSERT_EQ(getsockname(server, reinterpret_cast<sockaddr*>(&address), &size), 0);
        EXPECT_EQ(io::accept(server, nullptr, nullptr, SOCK_CLOEXEC, 1ms), -ETIME);
        const int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        EXPECT_EQ(io::connect(client, reinterpret_cast<sockaddr*>(&address), size, 1h), 0);
        sockaddr_in from = {};
        size = sizeof(from);
        const int peer = io::accept(server, reinterpret_cast<sockaddr*>(&from), &size);
        ASSERT_GE(peer, 0);
        EXPECT_EQ(from.sin_addr.s_addr, address.sin_addr.s_addr);
        EXPECT_EQ(io::send(client, "hello", 5, 0), 5);
        EXPECT_EQ(io::poll(peer, POLLIN | POLLOUT) & POLLOUT, POLLOUT);
        EXPECT_EQ(io::poll(peer, POLLIN), POLLIN);
        char buffer[16] = {};
        EXPECT_EQ(io::recv(peer, buffer, sizeof(buffer), 0), 5);
        iovec one = {const_cast<char*>("back"), 4};
        msghdr message = {};
        message.msg_iov = &one;
        message.msg_iovlen = 1;
        EXPECT_EQ(io::sendmsg(peer, &message, 0), 4);
        one = {buffer, sizeof(buffer)};
        EXPECT_EQ(io::recvmsg(client, &message, 0), 4);
        EXPECT_EQ(io::shutdown(client, SHUT_WR), 0);
        EXPECT_EQ(io::recv(peer, buffer, sizeof(buffer), 0), 0);
        for (int fd : {server, client, peer}) EXPECT_EQ(io::close(fd), 0);
    });
}

TEST_P(Call, Limits) {
    everywhere([] {
        const pair p;
        char c = 0;
        umcg::cancel_source source;
        EXPECT_EQ(io::recv(p.fd[0], &c, 1, 0, 1ms), -ETIME);
        EXPECT_EQ(io::read(p.fd[0], &c, 1, 1ms), -ETIME);
        EXPECT_EQ(io::poll(p.fd[0], POLLIN, 1ms), -ETIME);
        EXPECT_EQ(io::recv(p.fd[0], &c, 1, 0, {1ms, source.token()}), -ETIME);
        // somebody cancels while we wait
        std::jthread canceller([&] {
            std::this_thread::sleep_for(2ms);
            source.cancel();
        });
        EXPECT_EQ(io::recv(p.fd[0], &c, 1, 0, source.token()), -ECANCELED);
        // cancelled before: nothing is done, even if it could
        EXPECT_EQ(send(p.fd[1], "x", 1, 0), 1);
        EXPECT_EQ(io::recv(p.fd[0], &c, 1, 0, source.token()), -ECANCELED);
        // a time that has passed makes a try
        EXPECT_EQ(io::recv(p.fd[0], &c, 1, 0, umcg::clock::now() - 1s), 1);
        EXPECT_EQ(c, 'x');
        // the other direction: full buffers
        std::vector<char> block(1 << 16);
        ssize_t n;
        while ((n = io::send(p.fd[0], block.data(), block.size(), 0, 1ms)) > 0) {
        }
        EXPECT_EQ(n, -ETIME);
    });
}

// A buffer is left alone after the call, and no byte is lost or doubled, whoever wins.
TEST_P(Call, CancellationAgainstCompletion) {
    umcg::runtime rt(options());
    const pair p;
    std::atomic<int> received{0}, cancelled{0};
    int left = 0;
    const int rounds = scaled(3000);
    rt.spawn([&] {
        for (int i = 0; i < rounds; i++) {
            umcg::cancel_source source;
            umcg::scope both;
            both.spawn([&] {
                char buffer[8] = "-------";
                const ssize_t n = io::recv(p.fd[0], buffer, 1, 0, source.token());
                const char got = buffer[0];
                memset(buffer, '!', sizeof(buffer));
                umcg::yield();
                for (char c : buffer) EXPECT_EQ(c, '!') << "written to after the call";
                if (n == 1) {
                    EXPECT_EQ(got, 'x');
                    received++;
                } else {
                    EXPECT_EQ(n, -ECANCELED);
                    EXPECT_EQ(got, '-');
                    cancelled++;
                }
            });
            both.spawn([&] {
                for (int k = i % 7; k; k--) umcg::yield();
                EXPECT_EQ(io::send(p.fd[1], "x", 1, 0), 1);
            });
            both.spawn([&] {
                for (int k = i % 5; k; k--) umcg::yield();
                source.cancel();
            });
            both.join();
            // or the socket fills up, and send() waits
            for (char c; recv(p.fd[0], &c, 1, MSG_DONTWAIT) == 1;) left++;
        }
    }).join();
    EXPECT_EQ(received + cancelled, rounds);
    EXPECT_EQ(received + left, rounds);
}

// A wait that ends before its operation was submitted: with others queued that comes later. Nothing
// ever comes to read.
TEST_P(Call, CancelledBeforeItWasSubmitted) {
    umcg::runtime rt(options());
    const pair p;
    const int rounds = scaled(300);
    std::atomic<bool> over{false};
    const auto company = [&] {
        while (!over) umcg::yield();
    };
    auto one = rt.spawn(company), two = rt.spawn(company), three = rt.spawn(company);
    rt.spawn([&] {
        for (int i = 0; i < rounds; i++) {
            umcg::cancel_source source;
            std::atomic<bool> begun{false};
            auto reader = umcg::spawn([&] {
                char c;
                begun = true;
                return io::recv(p.fd[0], &c, 1, 0, source.token());
            });
            while (!begun) umcg::yield();
            for (int k = i % 3; k; k--) umcg::yield();
            source.cancel();
            EXPECT_EQ(reader.join(), -ECANCELED);
        }
        over = true;
    }).join();
}

// The same with the clock.
TEST_P(Call, TimeoutAgainstCompletion) {
    umcg::runtime rt(options());
    const pair p;
    const int rounds = scaled(1000);
    int received = 0;
    auto sender = rt.spawn([&] {
        for (int i = 0; i < rounds; i++) {
            umcg::sleep_for(std::chrono::microseconds(i % 100));
            EXPECT_EQ(io::send(p.fd[1], "x", 1, 0), 1);
        }
        io::shutdown(p.fd[1], SHUT_WR);
    });
    rt.spawn([&] {
        for (;;) {
            char c;
            const ssize_t n = io::recv(p.fd[0], &c, 1, 0, 50us);
            if (n == 0) break;
            if (n != -ETIME) {
                EXPECT_EQ(n, 1);
                received++;
            }
        }
    }).join();
    sender.join();
    EXPECT_EQ(received, rounds);
}

// ---- what the ring is for ----

// More waits than workers may be, and than the ring has entries: its queues overflow.
TEST(Ring, ManyWaitsOnFewWorkers) {
    NEEDS_RING();
    for (unsigned entries : {1u, 4u, 256u}) {
        umcg::options o;
        o.servers = 2;
        o.max_workers = 2;
        o.ring_entries = entries;
        o.guard = umcg::stack_guard::when_possible;
        umcg::runtime rt(o);
        const int n = scaled(300);
        std::vector<pair> pairs(static_cast<size_t>(n));
        std::atomic<int> served{0};
        std::vector<umcg::task<void>> tasks;
        for (auto& p : pairs)
            tasks.push_back(rt.spawn([&] {
                char c;
                while (io::recv(p.fd[0], &c, 1, 0) == 1)
                    if (io::send(p.fd[0], &c, 1, 0) == 1) served++;
            }));
        // all at once, from outside, several times
        for (int round = 0; round < 5; round++) {
            for (auto& p : pairs) ASSERT_EQ(send(p.fd[1], "x", 1, 0), 1);
            for (auto& p : pairs) {
                char c;
                ASSERT_EQ(recv(p.fd[1], &c, 1, 0), 1);
            }
        }
        for (auto& p : pairs) shutdown(p.fd[1], SHUT_WR);
        for (auto& t : tasks) t.join();
        EXPECT_EQ(served, 5 * n);
        EXPECT_GE(rt.stats().io_ops, static_cast<uint64_t>(5 * n)) << "entries " << entries;
        EXPECT_LE(rt.stats().workers, 4u);
    }
}

// A worker that is blocked in the kernel holds up nothing that it has submitted for others.
TEST(Ring, BlockedSubmitter) {
    NEEDS_RING();
    umcg::options o;
    o.servers = 1;
    o.guard = umcg::stack_guard::when_possible;
    umcg::runtime rt(o);
    const pair blocking, waited_for;
    auto receiver = rt.spawn([&] {
        char c;
        return io::recv(waited_for.fd[0], &c, 1, 0);
    });
    auto blocker = rt.spawn([&] {
        char c;
        return read(blocking.fd[0], &c, 1);  // plain: this worker is gone
    });
    std::this_thread::sleep_for(20ms);  // likely: both are at it. Right in any order
    ASSERT_EQ(send(waited_for.fd[1], "x", 1, 0), 1);
    EXPECT_EQ(receiver.join(), 1);
    ASSERT_EQ(send(blocking.fd[1], "x", 1, 0), 1);
    EXPECT_EQ(blocker.join(), 1);
}

// Blocking code, I/O, sleep and computation share one server, and all get on.
TEST(Ring, BesideBlockingCode) {
    NEEDS_RING();
    umcg::options o;
    o.servers = 1;
    o.guard = umcg::stack_guard::when_possible;
    umcg::runtime rt(o);
    const int rounds = scaled(300);
    rt.spawn([&] {
        umcg::scope all;
        std::vector<pair> pairs(8);
        for (auto& p : pairs) {
            const bool plain = (&p - pairs.data()) % 2;
            for (int side : {0, 1})
                all.spawn([&p, plain, side, rounds] {
                    char c = 'x';
                    for (int i = 0; i < rounds; i++) {
                        const auto get = [&] {
                            return plain ? read(p.fd[side], &c, 1) : io::recv(p.fd[side], &c, 1, 0);
                        };
                        const auto put = [&] { return io::send(p.fd[side], &c, 1, 0); };
                        EXPECT_EQ(side ? get() : put(), 1);
                        EXPECT_EQ(side ? put() : get(), 1);
                    }
                });
        }
        all.spawn([&] {
            for (int i = 0; i < rounds; i++) umcg::sleep_for(100us);
        });
        all.spawn([&] {
            for (int i = 0; i < rounds; i++) umcg::yield();
        });
        all.join();
    }).join();
}

// While the only worker there may be waits for completions, others can be spawned and timers fire.
TEST(Ring, OneWorker) {
    NEEDS_RING();
    umcg::options o;
    o.servers = 1;
    o.max_workers = 1;
    o.guard = umcg::stack_guard::when_possible;
    umcg::runtime rt(o);
    const pair p;
    auto waits = rt.spawn([&] {
        char c;
        return io::recv(p.fd[0], &c, 1, 0);
    });
    for (int i = 0; i < scaled(200); i++) {
        if (i % 10 == 0) std::this_thread::sleep_for(1ms);
        rt.spawn([] {}).join();
    }
    rt.spawn([] { umcg::sleep_for(5ms); }).join();
    rt.spawn([&] { return io::send(p.fd[1], "x", 1, 0); }).join();
    EXPECT_EQ(waits.join(), 1);
}

// The workers that thread tasks leave behind end, and with them what they have begun: nobody notices.
TEST(Ring, SubmitterEnds) {
    NEEDS_RING();
    umcg::options o;
    o.servers = 1;
    o.max_workers = 1;
    o.guard = umcg::stack_guard::when_possible;
    umcg::runtime rt(o);
    const int n = scaled(100);
    std::vector<pair> pairs(static_cast<size_t>(n));
    std::vector<umcg::task<ssize_t>> waits;
    for (auto& p : pairs) {
        rt.spawn([] { umcg::yield(); }, {.kind = umcg::kind::thread}).detach();
        waits.push_back(rt.spawn([&p] {
            char c;
            return io::recv(p.fd[0], &c, 1, 0);
        }));
    }
    for (auto& p : pairs) ASSERT_EQ(send(p.fd[1], "x", 1, 0), 1);
    for (auto& w : waits) EXPECT_EQ(w.join(), 1);
}

// Waiting makes no wake-ups.
TEST(Ring, IdleIsIdle) {
    NEEDS_RING();
    umcg::options o;
    o.servers = 2;
    o.guard = umcg::stack_guard::when_possible;
    umcg::runtime rt(o);
    const pair p;
    umcg::cancel_source source;
    auto waits = rt.spawn([&] {
        char c;
        return io::recv(p.fd[0], &c, 1, 0, {1h, source.token()});
    });
    // the start may take its time: what counts is that it comes to rest
    for (bool rest = false; !rest;) {
        const umcg::stats before = rt.stats();
        std::this_thread::sleep_for(200ms);
        const umcg::stats after = rt.stats();
        rest = before.io_ops && before.server_wakes == after.server_wakes &&
               before.io_enters == after.io_enters && before.hand_overs == after.hand_overs;
    }
    source.cancel();
    EXPECT_EQ(waits.join(), -ECANCELED);
}

// Ends of a runtime with waits that have just ended.
TEST(Ring, StartAndStop) {
    for (int i = 0; i < scaled(50); i++) {
        umcg::options o;
        o.servers = 2;
        o.guard = umcg::stack_guard::when_possible;
        umcg::runtime rt(o);
        const pair p;
        auto a = rt.spawn([&] {
            char c;
            return io::recv(p.fd[0], &c, 1, 0);
        });
        rt.spawn([&] { return io::send(p.fd[1], "x", 1, 0); }).detach();
        EXPECT_EQ(a.join(), 1);
    }
}

TEST(Ring, BadOption) {
    umcg::options o;
    o.ring_entries = 0;
    EXPECT_THROW(umcg::runtime rt(o), std::invalid_argument);
}

// Forbidden by seccomp, as in many containers, or not there at all.
TEST(Ring, Forbidden) {
    for (int error : {EPERM, ENOSYS}) {
        std::thread([error] {
            sock_filter code[] = {
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<uint32_t>(error)),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
            };
            const sock_fprog program = {4, code};
            // this thread's, and those of the runtime that it makes
            ASSERT_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
            ASSERT_EQ(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
            umcg::options o;
            o.servers = 1;
            o.guard = umcg::stack_guard::when_possible;
            umcg::runtime rt(o);
            const pair p;
            EXPECT_FALSE(rt.spawn([] { return io::uses_io_uring(); }).join());
            auto a = rt.spawn([&] {
                char c;
                return io::recv(p.fd[0], &c, 1, 0);
            });
            EXPECT_EQ(rt.spawn([&] { return io::send(p.fd[1], "x", 1, 0); }).join(), 1);
            EXPECT_EQ(a.join(), 1);
            EXPECT_EQ(rt.stats().io_ops, 0u);
        }).join();
    }
}
