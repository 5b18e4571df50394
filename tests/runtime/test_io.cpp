// SPDX-License-Identifier: MIT
//
// umcg::io: each call does what the system's does, on io_uring and without it.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>

#include <cerrno>
#include <string>
#include <thread>
#include <umcg/cancellation.hpp>
#include <vector>

#include "io.hpp"

namespace {

class Call : public EitherWay {};
ON_EITHER_WAY(Call);

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

TEST_P(Call, SendFile) {
    everywhere([] {
        const temporary_file file;
        std::string text(1 << 20, '\0');
        for (size_t i = 0; i < text.size(); i++) text[i] = static_cast<char>(i * 31 + i / 1000);
        ASSERT_EQ(write(file.fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
        const pair p;
        std::string got;
        std::jthread reader([&] {
            char block[5000];
            for (ssize_t n; (n = recv(p.fd[1], block, sizeof(block), 0)) > 0;)
                got.append(block, static_cast<size_t>(n));
        });
        off_t at = 3;
        ssize_t n;
        while ((n = io::sendfile(p.fd[0], file.fd, at, text.size())) > 0) at += n;
        EXPECT_EQ(n, 0) << "at the file's end";
        shutdown(p.fd[0], SHUT_WR);
        reader.join();
        EXPECT_TRUE(got == text.substr(3)) << got.size();
        EXPECT_EQ(lseek(file.fd, 0, SEEK_CUR), static_cast<off_t>(text.size()));
        EXPECT_FALSE(fcntl(p.fd[0], F_GETFL) & O_NONBLOCK) << "as it was before";
        EXPECT_EQ(io::sendfile(-1, file.fd, 0, 1), -EBADF);
        EXPECT_EQ(io::sendfile(p.fd[0], -1, 0, 1), -EBADF);
        EXPECT_EQ(io::sendfile(p.fd[0], p.fd[1], 0, 1), -ESPIPE);
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

}  // namespace
