// SPDX-License-Identifier: MIT
//
// Multishot operations on a ring that has them: one submission, and no buffer is lost.
#include <atomic>
#include <cerrno>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <umcg/multishot.hpp>
#include <vector>

#include "io_waits.hpp"

#if defined(UNDER_SANITIZER) && !defined(UNDER_TSAN)
#include <sanitizer/asan_interface.h>
#endif

namespace {

umcg::options with_buffers(unsigned servers, unsigned buffers) {
    umcg::options o = small(servers);
    o.receive_buffers = buffers;
    o.receive_buffer_size = 128;
    return o;
}

// One is the caller's, one may be filled, and the kernel ends a receive that finds none to go on with.
constexpr unsigned enough = 4;

#define NEEDS_BUFFERS()                                                        \
    if (!ring_works() || operations_of(100, enough) != 1)                      \
    GTEST_SKIP() << "no io_uring with provided buffers here"

// How many operations a receiver takes for so many messages, one after the other.
uint64_t operations(umcg::runtime& rt, int messages) {
    const uint64_t before = rt.stats().io_ops;
    const pair p;
    auto reader = rt.spawn([&] {
        io::receiver in(p.fd[0]);
        const char* data = nullptr;
        for (int i = 0; i < messages; i++) {
            EXPECT_EQ(in.next(&data), 1);
            EXPECT_EQ(send(p.fd[0], data, 1, 0), 1);
        }
    });
    for (int i = 0; i < messages; i++) {
        char c = 'x';
        EXPECT_EQ(send(p.fd[1], &c, 1, 0), 1);
        EXPECT_EQ(recv(p.fd[1], &c, 1, 0), 1);
    }
    reader.join();
    return rt.stats().io_ops - before;
}

uint64_t operations_of(int messages, unsigned buffers) {
    umcg::runtime rt(with_buffers(1, buffers));
    return operations(rt, messages);
}

TEST(MultishotRing, OneSubmission) {
    NEEDS_RING();
    EXPECT_EQ(operations_of(100, enough), 1u);
    EXPECT_EQ(operations_of(100, 0), 100u) << "without buffers";
    umcg::runtime rt(with_buffers(1, 2));
    const listening listener(5);
    auto server = rt.spawn([&] {
        io::acceptor clients(listener.fd());
        for (int i = 0; i < 50; i++) close(clients.next());
    });
    for (int i = 0; i < 50; i++) {
        const int fd = listener.connected();
        char c;
        EXPECT_EQ(recv(fd, &c, 1, 0), 0);
        close(fd);
    }
    server.join();
    EXPECT_EQ(rt.stats().io_ops, 1u);
}

// Receivers that end while bytes come in, with buffers filled ahead: none of these is lost.
TEST(MultishotRing, BuffersComeBack) {
    NEEDS_BUFFERS();
    umcg::runtime rt(with_buffers(1, 4));
    for (int i = 0; i < scaled(300); i++) {
        const pair p;
        std::jthread writer([&] {
            const std::string text(500, 't');
            send(p.fd[1], text.data(), text.size(), 0);
        });
        rt.spawn([&] {
            io::receiver in(p.fd[0]);
            const char* data = nullptr;
            const ssize_t n = in.next(&data, i % 3 ? umcg::limit() : umcg::limit(1us));
            EXPECT_TRUE(n > 0 || (n == -ETIME && i % 3 == 0)) << n;
            for (int k = i % 5; k; k--) umcg::yield();
        }).join();
    }
    // all four are needed at once
    std::vector<pair> pairs(4);
    std::atomic<int> holding{0};
    const uint64_t before = rt.stats().io_ops;
    std::vector<umcg::task<void>> holders;
    for (auto& p : pairs)
        holders.push_back(rt.spawn([&] {
            io::receiver in(p.fd[0]);
            const char* data = nullptr;
            EXPECT_EQ(in.next(&data), 1);
            holding++;
            while (holding < 4) umcg::yield();
        }));
    for (auto& p : pairs) ASSERT_EQ(send(p.fd[1], "x", 1, 0), 1);
    for (auto& h : holders) h.join();
    EXPECT_EQ(rt.stats().io_ops - before, 4u) << "one of them received alone: a buffer is missing";
}

// The thread that has submitted it ends, and the kernel ends what it had begun: it is begun again.
TEST(MultishotRing, SubmitterEnds) {
    NEEDS_BUFFERS();
    umcg::options o = with_buffers(1, 16);
    o.max_workers = 1;
    umcg::runtime rt(o);
    for (int i = 0; i < scaled(50); i++) {
        const pair p;
        std::unique_ptr<io::receiver> in;
        rt.spawn(
              [&] {
                  in = std::make_unique<io::receiver>(p.fd[0]);
                  const char* data;
                  EXPECT_EQ(in->next(&data, 1us), -ETIME);
              },
              {.kind = umcg::kind::thread})
            .join();
        auto reader = rt.spawn([&] {
            const char* data;
            EXPECT_EQ(in->next(&data), 1);
            EXPECT_EQ(in->next(&data), 0);
            in.reset();
        });
        ASSERT_EQ(send(p.fd[1], "x", 1, 0), 1);
        shutdown(p.fd[1], SHUT_WR);
        reader.join();
    }
}

#if defined(UNDER_SANITIZER) && !defined(UNDER_TSAN)
// AddressSanitizer sees who reads a buffer that is the kernel's again, or behind what has come.
TEST(MultishotRing, Poisoned) {
    NEEDS_BUFFERS();
    const char *one = nullptr, *two = nullptr;
    {
        umcg::runtime rt(with_buffers(1, enough));
        const pair p;
        rt.spawn([&] {
            io::receiver in(p.fd[0]);
            EXPECT_EQ(send(p.fd[1], "x", 1, 0), 1);
            ASSERT_EQ(in.next(&one), 1);
            EXPECT_FALSE(__asan_address_is_poisoned(one));
            EXPECT_TRUE(__asan_address_is_poisoned(one + 1));
            EXPECT_EQ(send(p.fd[1], "y", 1, 0), 1);
            ASSERT_EQ(in.next(&two), 1);
            EXPECT_NE(one, two);
            EXPECT_TRUE(__asan_address_is_poisoned(one));
            EXPECT_FALSE(__asan_address_is_poisoned(two));
        }).join();
        EXPECT_TRUE(__asan_address_is_poisoned(two));
    }
    EXPECT_FALSE(__asan_address_is_poisoned(two)) << "not ours any more";
}

// Frames that never returned leave marks, and a pool of buffers may be where their stack was.
TEST(MultishotRing, WhereAStackWas) {
    void* frame = nullptr;
    {
        umcg::runtime rt(small(1));
        rt.spawn([&] { frame = __builtin_frame_address(0); }).join();
    }
    EXPECT_EQ(__asan_region_is_poisoned(frame, 4096), nullptr);
}
#endif

TEST(MultishotRing, BadOptions) {
    umcg::options o = small(1);
    o.receive_buffers = 3;
    EXPECT_THROW(umcg::runtime rt(o), std::invalid_argument);
    o.receive_buffers = 65536;
    EXPECT_THROW(umcg::runtime rt(o), std::invalid_argument);
    o.receive_buffers = 4;
    o.receive_buffer_size = 1;
    EXPECT_THROW(umcg::runtime rt(o), std::invalid_argument);
}

}  // namespace
