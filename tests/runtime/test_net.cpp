// SPDX-License-Identifier: MIT
//
// umcg::net: the small types over umcg::io.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <umcg/cancellation.hpp>
#include <umcg/net/socket.hpp>
#include <umcg/scope.hpp>

#include "harness.hpp"

namespace net = umcg::net;

namespace {

net::address loopback(int type = SOCK_STREAM) { return net::resolve("127.0.0.1", "0", type).at(0); }

umcg::options small() {
    umcg::options o;
    o.servers = 2;
    o.guard = umcg::stack_guard::when_possible;
    return o;
}

// One after the other on one connection, of sizes that do not fit into a socket's buffer.
void talk(const net::address& at) {
    net::listener listener = net::listener::bind(at);
    umcg::scope s;
    const size_t size = 1 << 20;
    s.spawn([&] {
        net::stream peer = listener.accept(1h);
        std::vector<char> all(size);
        EXPECT_EQ(peer.read_exactly(all.data(), size), static_cast<ssize_t>(size));
        EXPECT_EQ(peer.write_all(all.data(), size), 0);
        char c;
        EXPECT_EQ(peer.read(&c, 1), 0);
    });
    net::stream client = net::stream::connect(listener.address(), 1h);
    std::vector<char> out(size), in(size);
    for (size_t i = 0; i < size; i++) out[i] = static_cast<char>(i * 31 + i / 1000);
    EXPECT_EQ(client.write_all(out.data(), size), 0);
    EXPECT_EQ(client.read_exactly(in.data(), size), static_cast<ssize_t>(size));
    EXPECT_EQ(in, out);
    client.shutdown(SHUT_WR);
    s.join();
}

}  // namespace

TEST(Net, Tcp) {
    umcg::runtime rt(small());
    const net::address at = loopback();
    rt.spawn([&] { talk(at); }).join();
    rt.spawn([&] { talk(at); }, {.kind = umcg::kind::thread}).join();
}

TEST(Net, Unix) {
    const std::string path = "/tmp/umcg-net-" + std::to_string(getpid());
    umcg::runtime rt(small());
    rt.spawn([&] { talk(net::address::unix_path(path)); }).join();
    EXPECT_EQ(net::address::unix_path(path).to_string(), "unix:" + path);
    unlink(path.c_str());
    EXPECT_THROW(net::address::unix_path(std::string(200, 'x')), std::invalid_argument);
    EXPECT_THROW(net::address::unix_path(""), std::invalid_argument);
}

TEST(Net, Datagrams) {
    umcg::runtime rt(small());
    const net::address at = loopback(SOCK_DGRAM);
    rt.spawn([&] {
        net::datagram a = net::datagram::bind(at), b = net::datagram::bind(at);
        char buffer[16];
        EXPECT_EQ(a.receive(buffer, sizeof(buffer), nullptr, 1ms), -ETIME);
        EXPECT_EQ(b.send("ping", 4, a.local()), 4);
        net::address from;
        EXPECT_EQ(a.receive(buffer, sizeof(buffer), &from), 4);
        EXPECT_EQ(from.to_string(), b.local().to_string());
        EXPECT_EQ(a.send("pong!", 5, from), 5);
        EXPECT_EQ(b.receive(buffer, sizeof(buffer)), 5);
    }).join();
}

TEST(Net, ErrorsAndLimits) {
    umcg::runtime rt(small());
    const net::address at = loopback();
    rt.spawn([&] {
        net::listener listener = net::listener::bind(at);
        try {
            listener.accept(1ms);
            ADD_FAILURE() << "nobody has connected";
        } catch (const std::system_error& e) {
            EXPECT_EQ(e.code(), std::errc::timed_out);
        }
        umcg::cancel_source source;
        umcg::scope s;
        s.spawn([&] {
            int error = 0;
            EXPECT_FALSE(listener.accept(&error, source.token()));
            EXPECT_EQ(error, -ECANCELED);
        });
        umcg::yield();
        source.cancel();
        s.join();
        // the address is taken
        try {
            net::listener::bind(listener.address());
            ADD_FAILURE() << "bound twice";
        } catch (const std::system_error& e) {
            EXPECT_EQ(e.code(), std::errc::address_in_use);
            EXPECT_NE(std::string(e.what()).find("127.0.0.1"), std::string::npos) << e.what();
        }
        listener.reset();
        EXPECT_FALSE(listener);
        // a port that is ours, where nobody listens
        const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in here = {};
        here.sin_family = AF_INET;
        here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof(here);
        ASSERT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&here), size), 0);
        ASSERT_EQ(getsockname(fd, reinterpret_cast<sockaddr*>(&here), &size), 0);
        const std::string port = std::to_string(ntohs(here.sin_port));
        EXPECT_THROW(net::stream::connect(net::resolve("127.0.0.1", port).at(0)), std::system_error);
        close(fd);
    }).join();
    EXPECT_THROW(net::resolve("127.0.0.1", "no-such-service"), std::system_error);
    EXPECT_EQ(net::resolve("::1", "80").at(0).to_string(), "[::1]:80");
}

// Each client once, ready to be used; limits and errors are told as by accept().
TEST(Net, Acceptor) {
    umcg::runtime rt(small());
    const net::address at = loopback();
    for (const umcg::kind kind : {umcg::kind::fiber, umcg::kind::thread})
        rt.spawn([&] {
            net::listener listener = net::listener::bind(at);
            net::acceptor clients(listener);
            int error = 0;
            EXPECT_FALSE(clients.next(&error, 1ms));
            EXPECT_EQ(error, -ETIME);
            umcg::cancel_source source;
            source.cancel();
            EXPECT_FALSE(clients.next(&error, source.token()));
            EXPECT_EQ(error, -ECANCELED);
            for (int i = 0; i < 10; i++) {
                net::stream client = net::stream::connect(listener.address());
                net::stream peer = clients.next(&error);
                ASSERT_TRUE(peer) << error;
                EXPECT_EQ(error, 0);
                int no_delay = 0;
                socklen_t size = sizeof(no_delay);
                EXPECT_EQ(getsockopt(peer.fd(), IPPROTO_TCP, TCP_NODELAY, &no_delay, &size), 0);
                EXPECT_TRUE(no_delay);
                EXPECT_EQ(peer.write_all("hello", 5), 0);
                char text[5];
                EXPECT_EQ(client.read_exactly(text, 5), 5);
            }
        }, {.kind = kind}).join();
}

// shutdown() ends another task's wait; a moved socket is empty.
TEST(Net, ShutdownWakes) {
    umcg::runtime rt(small());
    const net::address at = loopback();
    rt.spawn([&] {
        net::listener listener = net::listener::bind(at);
        net::stream client = net::stream::connect(listener.address());
        net::stream moved = std::move(client);
        EXPECT_FALSE(client);
        umcg::scope s;
        s.spawn([&] {
            char c;
            EXPECT_EQ(moved.read(&c, 1), 0);
        });
        umcg::yield();
        moved.shutdown();
        s.join();
    }).join();
}
