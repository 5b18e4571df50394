// SPDX-License-Identifier: MIT
//
// umcg::io: each call ends at its limit's time and when its token is cancelled, on io_uring and
// without it.
#include <fcntl.h>
#include <netinet/tcp.h>

#include <atomic>
#include <cerrno>
#include <thread>
#include <tuple>
#include <umcg/cancellation.hpp>
#include <umcg/scope.hpp>

#include "io_waits.hpp"

namespace {

class Limit : public EitherWay {};
ON_EITHER_WAY(Limit);

TEST_P(Limit, EndsEachWait) {
    for (const wait_kind& kind : wait_kinds()) {
        SCOPED_TRACE(kind.name);
        everywhere([&] {
            const auto w = kind.make();
            umcg::cancel_source early, late;
            EXPECT_EQ(w->call(1ms), -ETIME);
            EXPECT_EQ(w->call({1ms, late.token()}), -ETIME);
            // in the middle
            const cancelled_beside canceller(late);
            EXPECT_EQ(w->call({1h, late.token()}), -ECANCELED);
            // at a time
            umcg::cancel_source timed(umcg::cancel_token(), umcg::clock::now() + 1ms);
            EXPECT_EQ(w->call(timed.token()), -ECANCELED);
            // before: nothing is done, even if it could
            early.cancel();
            w->let();
            EXPECT_EQ(w->call(early.token()), -ECANCELED);
            const ssize_t n = w->call(1h);
            EXPECT_TRUE(w->good(n)) << n;
        });
    }
}

// What waits for nobody: a token that is cancelled already keeps it from being done, and a time that
// has passed does not.
TEST_P(Limit, OfWhatDoesNotWait) {
    everywhere([] {
        const temporary_file file;
        umcg::cancel_source source;
        source.cancel();
        const umcg::limit cancelled = source.token(), passed = umcg::clock::now() - 1s;
        char text[] = "text";
        iovec vector = {text, 4};
        EXPECT_EQ(io::pwrite(file.fd, text, 4, 0, cancelled), -ECANCELED);
        EXPECT_EQ(io::writev(file.fd, &vector, 1, cancelled), -ECANCELED);
        EXPECT_EQ(lseek(file.fd, 0, SEEK_END), 0);
        EXPECT_EQ(io::pwrite(file.fd, text, 4, 0, passed), 4);
        EXPECT_EQ(io::pread(file.fd, text, 4, 0, cancelled), -ECANCELED);
        EXPECT_EQ(io::pread(file.fd, text, 4, 0, passed), 4);
        EXPECT_EQ(io::fsync(file.fd, cancelled), -ECANCELED);
        EXPECT_EQ(io::fsync(file.fd, passed), 0);
        EXPECT_EQ(io::fdatasync(file.fd, cancelled), -ECANCELED);
        EXPECT_EQ(io::fdatasync(file.fd, passed), 0);
        EXPECT_EQ(io::openat(AT_FDCWD, file.path, O_RDONLY | O_CLOEXEC, 0, cancelled), -ECANCELED);
        // on a file system that has to ask somebody for the path, it is begun too late
        int fd = io::openat(AT_FDCWD, file.path, O_RDONLY | O_CLOEXEC, 0, passed);
        if (fd == -ETIME) fd = io::openat(AT_FDCWD, file.path, O_RDONLY | O_CLOEXEC);
        EXPECT_GE(fd, 0);
        const pair p;
        EXPECT_EQ(io::shutdown(p.fd[0], SHUT_WR, cancelled), -ECANCELED);
        EXPECT_EQ(io::send(p.fd[0], text, 4, 0), 4);
        EXPECT_EQ(io::shutdown(p.fd[0], SHUT_WR, passed), 0);
        EXPECT_EQ(io::send(p.fd[0], text, 4, 0), -EPIPE);
        // a descriptor goes in any case
        EXPECT_EQ(io::close(fd, cancelled), 0);
        EXPECT_EQ(fcntl(fd, F_GETFD), -1);
    });
}

// SO_LINGER makes close() wait for what has not been read yet, here for ever; not beyond a limit.
TEST_P(Limit, OfALingeringClose) {
    everywhere([] {
        umcg::cancel_source source;
        source.cancel();
        for (const umcg::limit& until : {umcg::limit(1ms), umcg::limit(source.token())}) {
            const listening listener(1);
            const int client = listener.connected();
            const int peer = accept(listener.fd(), nullptr, nullptr);
            static char block[1 << 16];
            while (send(client, block, sizeof(block), MSG_DONTWAIT) > 0) {
            }
            const linger days = {1, 30000};
            ASSERT_EQ(setsockopt(client, SOL_SOCKET, SO_LINGER, &days, sizeof(days)), 0);
            EXPECT_EQ(io::close(client, until), 0);
            // in the background everything goes on to arrive
            size_t all = 0;
            ssize_t n;
            while ((n = recv(peer, block, sizeof(block), 0)) > 0) all += static_cast<size_t>(n);
            EXPECT_EQ(n, 0);
            EXPECT_GE(all, sizeof(block));
            close(peer);
        }
    });
}

}  // namespace
