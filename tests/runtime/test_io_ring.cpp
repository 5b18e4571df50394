// SPDX-License-Identifier: MIT
//
// What the ring is for: many waits on few workers, blocking code beside I/O, rest, start and stop.
#include <sys/mman.h>
#include <sys/socket.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <sched.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fstream>
#include <set>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <umcg/cancellation.hpp>
#include <umcg/net/socket.hpp>
#include <umcg/scope.hpp>
#include <vector>

#include "io.hpp"

namespace net = umcg::net;

// More waits than workers may be, and than the ring has entries: its queues overflow.
TEST(Ring, ManyWaitsOnFewWorkers) {
    NEEDS_RING();
    for (unsigned entries : {1u, 4u, 256u}) {
        umcg::options o = small(2);
        o.max_workers = 2;
        o.ring_entries = entries;
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

// The kernel keeps what does not fit, and there is room again only when somebody looks: not as long as
// the only worker computes.
TEST(Ring, CompletionsOverflow) {
    NEEDS_RING();
    umcg::options o = small(1);
    o.ring_entries = 1;
    o.slice = 0ns;
    const std::set<int> others = open_rings();
    umcg::runtime rt(o);
    std::set<int> ours = open_rings();
    for (int fd : others) ours.erase(fd);
    ASSERT_EQ(ours.size(), 1u);
    const auto overflown = [&] {
        std::ifstream info("/proc/self/fdinfo/" + std::to_string(*ours.begin()));
        for (std::string line; std::getline(info, line);)
            if (line.find("user_data=") != line.npos) return true;
        return false;
    };
    std::vector<pair> pairs(64);
    std::vector<umcg::task<ssize_t>> waits;
    for (auto& p : pairs)
        waits.push_back(rt.spawn([&p] {
            char c;
            return io::recv(p.fd[0], &c, 1, 0);
        }));
    while (rt.stats().io_ops < pairs.size()) std::this_thread::sleep_for(1ms);
    std::atomic<bool> computes{false}, end{false};
    auto hog = rt.spawn([&] {
        computes = true;
        while (!end) sched_yield();
    });
    while (!computes) std::this_thread::sleep_for(1ms);
    EXPECT_FALSE(overflown());
    for (auto& p : pairs) ASSERT_EQ(send(p.fd[1], "x", 1, 0), 1);
    while (!overflown()) std::this_thread::sleep_for(1ms);
    end = true;
    hog.join();
    for (auto& w : waits) EXPECT_EQ(w.join(), 1);
}

// A worker that is blocked in the kernel holds up nothing that it has submitted for others.
TEST(Ring, BlockedSubmitter) {
    NEEDS_RING();
    umcg::runtime rt(small(1));
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
    umcg::runtime rt(small(1));
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

// What waits for company does not wait for as many steps as usual when those are long. Counted in
// steps of the others, each of which lasts a millisecond at least.
TEST(Ring, BesideLongSteps) {
    NEEDS_RING();
    constexpr int others = 2, calls = 20;
    umcg::options o;
    o.policy = "fifo";
    o.servers = 1;
    o.guard = umcg::stack_guard::when_possible;
    umcg::runtime rt(o);
    std::atomic<bool> over{false};
    std::atomic<int> steps{0};
    std::vector<umcg::task<void>> tasks;
    for (int i = 0; i < others; i++)
        tasks.push_back(rt.spawn([&] {
            while (!over) {
                const auto end = std::chrono::steady_clock::now() + 1ms;
                while (std::chrono::steady_clock::now() < end) burn();
                steps++;
                umcg::yield();
            }
        }));
    rt.spawn([&] {
          const pair p;
          while (steps < others) umcg::yield();
          const int before = steps;
          for (int i = 0; i < calls / 2; i++) {
              char c = 'x';
              EXPECT_EQ(io::write(p.fd[0], &c, 1), 1);
              EXPECT_EQ(io::read(p.fd[1], &c, 1), 1);
          }
          // until it is submitted, and their turn
          EXPECT_LE(steps - before, calls * (others + 4));
          over = true;
      }).join();
    for (auto& t : tasks) t.join();
}

// Who accepts lets in all who are there in one turn: one for each turn of a busy server's queue, and
// the last would wait for as many turns as there are clients. Nobody is preempted, so a turn is a
// step of the other task.
TEST(Ring, ManyAreAcceptedInATurn) {
    NEEDS_RING();
    constexpr int clients = 100;
    umcg::options o = small(1);
    o.slice = 0s;
    umcg::runtime rt(o);
    net::listener listener = net::listener::bind(net::resolve("127.0.0.1", "0").front(), clients);
    std::vector<net::stream> all;
    for (int i = 0; i < clients; i++) all.push_back(net::stream::connect(listener.address()));
    // a connection may be ready a little after connect() has returned; the kernel's count of them
    tcp_info info = {};
    do {
        socklen_t size = sizeof(info);
        ASSERT_EQ(getsockopt(listener.fd(), IPPROTO_TCP, TCP_INFO, &info, &size), 0);
    } while (info.tcpi_unacked < clients);
    bool over = false;
    int turns = 0;
    auto other = rt.spawn([&] {
        for (; !over; turns++) umcg::yield();
    });
    rt.spawn([&] {
          while (!turns) umcg::yield();
          const int before = turns;
          for (int i = 0; i < clients; i++) EXPECT_TRUE(listener.accept());
          EXPECT_LE(turns - before, clients / 4);
          over = true;
      }).join();
    other.join();
}

// And when there is always one more, as long as its slice lasts: the others get their turns.
TEST(Ring, WhoAcceptsGivesWay) {
    NEEDS_RING();
    umcg::options o = small(1);
    o.slice = 1ms;
    umcg::runtime rt(o);
    net::listener listener = net::listener::bind(net::resolve("127.0.0.1", "0").front());
    const net::address at = listener.address();
    std::atomic<bool> over{false};
    rt.spawn([&] {
          umcg::scope all;
          all.spawn([&] {
              while (!over) {
                  // plain: of the two calls it is accept() that could go on for ever
                  const net::socket client(socket(at.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
                  EXPECT_EQ(connect(client.fd(), at.data(), at.size()), 0);
                  EXPECT_TRUE(listener.accept());
              }
          });
          for (int turn = 0; turn < 5; turn++) umcg::yield();
          over = true;
      }).join();
}

// While the only worker there may be waits for completions, others can be spawned and timers fire.
TEST(Ring, OneWorker) {
    NEEDS_RING();
    umcg::options o = small(1);
    o.max_workers = 1;
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
    umcg::options o = small(1);
    o.max_workers = 1;
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
    umcg::runtime rt(small(2));
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
        umcg::runtime rt(small(2));
        const pair p;
        auto a = rt.spawn([&] {
            char c;
            return io::recv(p.fd[0], &c, 1, 0);
        });
        rt.spawn([&] { return io::send(p.fd[1], "x", 1, 0); }).detach();
        EXPECT_EQ(a.join(), 1);
    }
}

// Transfers in registered memory are of the pages that it had at the start: these go with the
// addresses no more, so what comes of a transfer says which way it went.
TEST(Ring, RegisteredBuffers) {
    NEEDS_RING();
    constexpr size_t page = 4096, size = 4 * page;
    const auto map = [](void* at) {
        void* p = mmap(at, size, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | (at ? MAP_FIXED : 0), -1, 0);
        EXPECT_NE(p, MAP_FAILED);
        return static_cast<char*>(p);
    };
    char* const other = map(nullptr);
    char* const memory = map(nullptr);
    memset(memory, 'r', size);
    umcg::options o = small(2);
    o.registered_buffers = {{other, page}, {memory, size - page}};
    {
        umcg::runtime rt(o);
        const temporary_file file;
        rt.spawn([&] {
            EXPECT_EQ(io::pwrite(file.fd, memory + 10, page, 0), static_cast<ssize_t>(page));
            EXPECT_EQ(io::pread(file.fd, memory + 2 * page, 100, 5), 100);
            EXPECT_EQ(memory[2 * page], 'r');
        }).join();
        map(memory);
        rt.spawn([&] {
            // what was there
            char c = 0;
            EXPECT_EQ(io::pwrite(file.fd, memory, page, 2 * page), static_cast<ssize_t>(page));
            EXPECT_EQ(io::pread(file.fd, &c, 1, 2 * page + 7), 1);
            EXPECT_EQ(c, 'r');
            // to its end, and one byte further
            EXPECT_EQ(io::pread(file.fd, memory + 2 * page, page, 0), static_cast<ssize_t>(page));
            EXPECT_EQ(memory[2 * page], 0);
            EXPECT_EQ(io::pread(file.fd, memory + 2 * page + 1, page, 0),
                      static_cast<ssize_t>(page));
            EXPECT_EQ(memory[2 * page + 1], 'r');
        }).join();
        // a plain call
        EXPECT_EQ(io::pread(file.fd, memory, page, 0), static_cast<ssize_t>(page));
        EXPECT_EQ(memory[0], 'r');
    }
    ASSERT_EQ(mprotect(memory, size, PROT_NONE), 0);
    EXPECT_THROW(umcg::runtime rt(o), std::system_error);
    munmap(memory, size);
    munmap(other, size);
}

TEST(Ring, BadOption) {
    umcg::options o;
    o.ring_entries = 0;
    EXPECT_THROW(umcg::runtime rt(o), std::invalid_argument);
}
