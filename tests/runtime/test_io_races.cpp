// SPDX-License-Identifier: MIT
//
// umcg::io: limits and cancellation against completion, on io_uring and without it.
#include <sys/socket.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <umcg/cancellation.hpp>
#include <umcg/scope.hpp>

#include "io.hpp"

namespace {

class Race : public EitherWay {};
ON_EITHER_WAY(Race);

// A buffer is left alone after the call, and no byte is lost or doubled, whoever wins.
TEST_P(Race, CancellationAgainstCompletion) {
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
TEST_P(Race, CancelledBeforeItWasSubmitted) {
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
TEST_P(Race, TimeoutAgainstCompletion) {
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

}  // namespace
