// SPDX-License-Identifier: MIT
//
// umcg::io where io_uring is forbidden or lacks an operation: the plain call in the worker.
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <thread>
#include <umcg/cancellation.hpp>
#include <vector>

#include "io_waits.hpp"

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
            umcg::runtime rt(small(1));
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

namespace {

class Missing : public testing::TestWithParam<wait_kind> {};
INSTANTIATE_TEST_SUITE_P(, Missing, testing::ValuesIn(wait_kinds()),
                         [](const auto& kind) { return name_of(kind.param); });

// The operation blocks its worker, which the backend reports: another one carries what is queued.
TEST_P(Missing, IsABlockOfTheWorker) {
    umcg::options o = small(1);
    o.io_missing = {GetParam().operation};
    umcg::runtime rt(o);
    const auto w = GetParam().make();
    const uint64_t before = rt.stats().blocks;
    auto waits = rt.spawn([&] { return w->call({}); });
    while (rt.stats().blocks == before) std::this_thread::yield();
    EXPECT_EQ(rt.spawn([] { return 42; }).join(), 42);
    w->let();
    const ssize_t n = waits.join();
    EXPECT_TRUE(w->good(n)) << n;
    EXPECT_EQ(rt.stats().io_ops, 0u);
}

// Its limits hold all the same.
TEST_P(Missing, EndsAtItsLimit) {
    umcg::options o = small(1);
    o.io_missing = {GetParam().operation};
    umcg::runtime rt(o);
    const auto w = GetParam().make();
    umcg::cancel_source source;
    EXPECT_EQ(rt.spawn([&] { return w->call(1ms); }).join(), -ETIME);
    auto waits = rt.spawn([&] { return w->call({1h, source.token()}); });
    source.cancel();
    EXPECT_EQ(waits.join(), -ECANCELED);
    EXPECT_EQ(rt.stats().io_ops, 0u);
}

// One of each, and which of them went through the ring.
uint64_t operations_on_the_ring(const std::vector<std::string>& missing) {
    umcg::options o = small(1);
    o.io_missing = missing;
    umcg::runtime rt(o);
    rt.spawn([] {
        const temporary_file file;
        const pair p;
        const listening listener(1);
        char text[] = "text";
        iovec vector = {text, 4};
        msghdr message = {};
        message.msg_iov = &vector;
        message.msg_iovlen = 1;
        const int fd = io::openat(AT_FDCWD, file.path, O_RDWR | O_CLOEXEC);
        EXPECT_EQ(io::write(fd, text, 4), 4);
        EXPECT_EQ(io::writev(fd, &vector, 1), 4);
        EXPECT_EQ(io::fsync(fd), 0);
        EXPECT_EQ(lseek(fd, 0, SEEK_SET), 0);
        EXPECT_EQ(io::read(fd, text, 4), 4);
        EXPECT_EQ(io::readv(fd, &vector, 1), 4);
        EXPECT_EQ(io::close(fd), 0);
        EXPECT_EQ(io::send(p.fd[0], text, 4, 0), 4);
        EXPECT_EQ(io::sendmsg(p.fd[0], &message, 0), 4);
        EXPECT_EQ(io::poll(p.fd[1], POLLIN), POLLIN);
        EXPECT_EQ(io::recv(p.fd[1], text, 4, 0), 4);
        EXPECT_EQ(io::recvmsg(p.fd[1], &message, 0), 4);
        const int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        EXPECT_EQ(io::connect(client, listener.address(), sizeof(sockaddr_in)), 0);
        const int peer = io::accept(listener.fd());
        EXPECT_GE(peer, 0);
        io::close(client);
        io::close(peer);
    }).join();
    return rt.stats().io_ops;
}

TEST(MissingOne, OthersGoOnTheRing) {
    NEEDS_RING();
    const std::vector<std::string> all = {"read",    "write",   "readv", "writev", "fsync",
                                          "openat",  "accept",  "connect", "recv", "send",
                                          "recvmsg", "sendmsg", "poll"};
    EXPECT_EQ(operations_on_the_ring({}), all.size());
    for (const std::string& one : all)
        EXPECT_EQ(operations_on_the_ring({one}), all.size() - 1) << one;
    EXPECT_EQ(operations_on_the_ring(all), 0u);
}

TEST(MissingOne, BadName) {
    umcg::options o = small(1);
    o.io_missing = {"recieve"};
    EXPECT_THROW(umcg::runtime rt(o), std::invalid_argument);
}

}  // namespace
