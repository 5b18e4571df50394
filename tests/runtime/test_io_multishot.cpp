// SPDX-License-Identifier: MIT
//
// Operations that complete many times: no byte and no connection is lost or doubled, whatever runs
// out; and buffers come back.
#include <netinet/in.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <random>
#include <string>
#include <thread>
#include <umcg/cancellation.hpp>
#include <umcg/multishot.hpp>
#include <umcg/scope.hpp>
#include <vector>

#include "io_waits.hpp"

namespace {

struct way {
    const char* name;
    bool io_uring;
    unsigned buffers;
    size_t size;
    unsigned entries;
    std::vector<std::string> missing;
};

class Multishot : public testing::TestWithParam<way> {
  protected:
    umcg::options options() const {
        umcg::options o = small(2);
        o.io_uring = GetParam().io_uring;
        o.receive_buffers = GetParam().buffers;
        o.receive_buffer_size = GetParam().size;
        o.ring_entries = GetParam().entries;
        o.io_missing = GetParam().missing;
        return o;
    }
    template <class F>
    void everywhere(F fn) {
        umcg::runtime rt(options());
        ::everywhere(rt, fn);
    }
};

INSTANTIATE_TEST_SUITE_P(
    , Multishot,
    testing::Values(way{"plenty", true, 256, 4096, 256, {}}, way{"few_buffers", true, 2, 64, 256, {}},
                    way{"small_ring", true, 64, 512, 1, {}}, way{"no_buffers", true, 0, 4096, 256, {}},
                    way{"missing", true, 64, 4096, 256, {"multishot accept", "multishot recv"}},
                    way{"all_missing", true, 64, 4096, 256,
                        {"multishot accept", "multishot recv", "accept", "recv"}},
                    way{"plain", false, 64, 4096, 256, {}}),
    [](const auto& w) { return std::string(w.param.name); });

char nth(size_t client, size_t i) {
    return static_cast<char>(client * 7 + i * 31 + i / 251);
}

// More clients than buffers, some of which are read slowly; each stream arrives whole and in order.
TEST_P(Multishot, StreamsArriveWhole) {
    umcg::runtime rt(options());
    const size_t clients = 12, size = static_cast<size_t>(scaled(40)) * 1000;
    std::vector<pair> pairs(clients);
    std::vector<umcg::task<size_t>> readers;
    for (size_t c = 0; c < clients; c++)
        readers.push_back(rt.spawn([&, c] {
            io::receiver in(pairs[c].fd[0]);
            size_t all = 0;
            const char* data = nullptr;
            ssize_t n;
            while ((n = in.next(&data)) > 0) {
                // what comes meanwhile goes elsewhere
                for (size_t k = 0; k < c % 4; k++) umcg::yield();
                for (ssize_t i = 0; i < n; i++, all++)
                    if (data[i] != nth(c, all)) return all;
            }
            EXPECT_EQ(n, 0);
            EXPECT_EQ(in.next(&data), 0) << "still at its end";
            return all;
        }));
    {
        std::vector<std::jthread> writers;
        for (size_t c = 0; c < clients; c++)
            writers.emplace_back([&, c] {
                std::minstd_rand random(static_cast<unsigned>(c + 1));
                std::vector<char> block;
                for (size_t at = 0; at < size;) {
                    block.resize(std::min<size_t>(1 + random() % 2000, size - at));
                    for (size_t i = 0; i < block.size(); i++) block[i] = nth(c, at + i);
                    const ssize_t n = send(pairs[c].fd[1], block.data(), block.size(), 0);
                    if (n < 0) abort();
                    at += static_cast<size_t>(n);
                }
                shutdown(pairs[c].fd[1], SHUT_WR);
            });
    }
    for (auto& r : readers) EXPECT_EQ(r.join(), size);
}

// Who does not read keeps buffers, at most all there are; others get on.
TEST_P(Multishot, HeldBuffersHoldUpNobody) {
    umcg::runtime rt(options());
    const pair slow, quick;
    std::atomic<bool> held{false}, over{false};
    auto holder = rt.spawn([&] {
        io::receiver in(slow.fd[0]);
        const char* data = nullptr;
        EXPECT_EQ(in.next(&data), 1);
        held = true;
        while (!over) umcg::yield();
        const bool intact = *data == 's';
        size_t rest = 0;
        for (ssize_t n; (n = in.next(&data)) > 0;) rest += static_cast<size_t>(n);
        return intact ? rest : 0;
    });
    ASSERT_EQ(send(slow.fd[1], "s", 1, 0), 1);
    while (!held) std::this_thread::yield();
    const std::string more(3000, 'm');
    ASSERT_EQ(send(slow.fd[1], more.data(), more.size(), 0), 3000);
    auto other = rt.spawn([&] {
        io::receiver in(quick.fd[0]);
        const char* data = nullptr;
        for (int i = 0; i < 20; i++) {
            EXPECT_EQ(in.next(&data), 1);
            EXPECT_EQ(io::send(quick.fd[0], data, 1, 0), 1);
        }
    });
    for (int i = 0; i < 20; i++) {
        char c = 'q';
        ASSERT_EQ(send(quick.fd[1], &c, 1, 0), 1);
        ASSERT_EQ(recv(quick.fd[1], &c, 1, 0), 1);
    }
    other.join();
    over = true;
    shutdown(slow.fd[1], SHUT_WR);
    EXPECT_EQ(holder.join(), more.size());
}

// A limit ends the wait and takes nothing away.
TEST_P(Multishot, Limits) {
    everywhere([] {
        const pair p;
        const listening listener(5);
        io::receiver in(p.fd[0]);
        io::acceptor clients(listener.fd());
        const char* data = nullptr;
        for (int i = 0; i < 3; i++) {
            umcg::cancel_source early, late;
            early.cancel();
            EXPECT_EQ(in.next(&data, 1ms), -ETIME);
            EXPECT_EQ(clients.next(1ms), -ETIME);
            const cancelled_beside canceller(late);
            EXPECT_EQ(in.next(&data, late.token()), -ECANCELED);
            EXPECT_EQ(clients.next(late.token()), -ECANCELED);
            ASSERT_EQ(send(p.fd[1], "x", 1, 0), 1);
            const int client = listener.connected();
            EXPECT_EQ(in.next(&data, early.token()), -ECANCELED);
            EXPECT_EQ(clients.next(early.token()), -ECANCELED);
            EXPECT_EQ(in.next(&data, 1h), 1);
            EXPECT_EQ(*data, 'x');
            const int fd = clients.next(1h);
            EXPECT_GE(fd, 0);
            close(fd);
            close(client);
        }
    });
}

// A time that has passed makes a try, which finds what is there; also behind what is armed already.
TEST_P(Multishot, Tries) {
    everywhere([] {
        const umcg::limit passed = umcg::clock::now() - 1s;
        const pair p;
        const listening listener(5);
        io::receiver in(p.fd[0]);
        io::acceptor clients(listener.fd());
        const char* data = nullptr;
        for (int i = 0; i < 8; i++) {
            EXPECT_EQ(in.next(&data, passed), -ETIME);
            EXPECT_EQ(clients.next(passed), -ETIME);
            if (i % 2) {
                EXPECT_EQ(in.next(&data, 1ms), -ETIME);
                EXPECT_EQ(clients.next(1ms), -ETIME);
            }
            ASSERT_EQ(send(p.fd[1], "x", 1, 0), 1);
            EXPECT_EQ(in.next(&data, passed), 1);
            EXPECT_EQ(*data, 'x');
            const int client = listener.connected();
            // the connection may take its time, here
            int fd;
            do fd = clients.next(passed);
            while (fd == -ETIME);
            EXPECT_GE(fd, 0);
            close(fd);
            close(client);
        }
    });
}

TEST_P(Multishot, Errors) {
    everywhere([] {
        const char* data;
        EXPECT_EQ(io::receiver(-1).next(&data), -EBADF);
        EXPECT_EQ(io::acceptor(-1).next(), -EBADF);
        const temporary_file file;
        EXPECT_EQ(io::receiver(file.fd).next(&data), -ENOTSOCK);
        EXPECT_EQ(io::acceptor(file.fd).next(), -ENOTSOCK);
        const pair p;
        EXPECT_EQ(io::acceptor(p.fd[0]).next(), accept(p.fd[0], nullptr, nullptr) < 0 ? -errno : 0);
        const listening listener(5);
        const int client = listener.connected();
        const int peer = accept(listener.fd(), nullptr, nullptr);
        io::receiver in(peer);
        EXPECT_EQ(in.next(&data, 1ms), -ETIME);
        const linger reset = {1, 0};
        setsockopt(client, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
        close(client);
        EXPECT_EQ(in.next(&data), -ECONNRESET);
        close(peer);
    });
}

// All at once, more than are accepted ahead; each is taken once.
TEST_P(Multishot, Connections) {
    umcg::runtime rt(options());
    const listening listener(1000);
    const int n = scaled(300);
    std::atomic<int> taken{0};
    std::vector<umcg::task<void>> acceptors;
    umcg::cancel_source enough;
    // a plain accept() may outwait its limit if another one has taken the client (umcg/io.hpp)
    const auto& missing = GetParam().missing;
    const bool plain = std::find(missing.begin(), missing.end(), "accept") != missing.end() ||
                       !rt.spawn([] { return io::uses_io_uring(); }).join();
    for (int i = plain ? 1 : 0; i < 2; i++)
        acceptors.push_back(rt.spawn([&] {
            io::acceptor clients(listener.fd());
            for (int fd; (fd = clients.next(enough.token())) != -ECANCELED;) {
                ASSERT_GE(fd, 0);
                EXPECT_EQ(io::send(fd, "hello", 5, 0), 5);
                close(fd);
                taken++;
                umcg::yield();
            }
        }));
    std::vector<int> sockets;
    for (int i = 0; i < n; i++) sockets.push_back(listener.connected());
    for (int fd : sockets) {
        char text[8];
        EXPECT_EQ(recv(fd, text, sizeof(text), 0), 5);
        EXPECT_EQ(recv(fd, text, sizeof(text), 0), 0);
        close(fd);
    }
    enough.cancel();
    for (auto& a : acceptors) a.join();
    EXPECT_EQ(taken, n);
}

// What an acceptor leaves behind is closed.
TEST_P(Multishot, AcceptedAndNotTaken) {
    umcg::runtime rt(options());
    for (int round = 0; round < scaled(20); round++) {
        std::vector<int> sockets;
        {
            const listening listener(100);
            std::atomic<bool> begun{false};
            auto first = rt.spawn([&] {
                io::acceptor clients(listener.fd());
                EXPECT_EQ(clients.next(1us), -ETIME);
                begun = true;
                const int fd = clients.next();
                EXPECT_GE(fd, 0);
                close(fd);
            });
            while (!begun) std::this_thread::yield();
            for (int i = 0; i < 10; i++) sockets.push_back(listener.connected());
            first.join();
        }
        // or reset with the listener
        for (int fd : sockets) {
            char c;
            EXPECT_LE(recv(fd, &c, 1, 0), 0);
            close(fd);
        }
    }
}

}  // namespace
