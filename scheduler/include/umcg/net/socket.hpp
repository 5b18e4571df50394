// SPDX-License-Identifier: MIT
//
// Sockets that close themselves, over umcg/io.hpp: stream, listener and datagram; TCP, UDP and
// Unix. An object is a descriptor and nothing else.
//
//     #include <umcg/net/socket.hpp>
//     #include <umcg/runtime.hpp>
//     #include <umcg/scope.hpp>
//
//     int main() {
//         namespace net = umcg::net;
//         umcg::runtime rt;
//         return rt.spawn([] {
//             net::listener listener = net::listener::bind(net::resolve("localhost", "0").front());
//             umcg::scope s;
//             s.spawn([&] {
//                 net::stream client = net::stream::connect(listener.address());
//                 client.write_all("hello", 5);
//             });
//             net::stream peer = listener.accept();
//             char text[6] = {};
//             return peer.read_exactly(text, 5) == 5 && std::string(text) == "hello" ? 0 : 1;
//         }, {.kind = umcg::kind::thread}).join();       // getaddrinfo() wants a deep stack
//     }
#ifndef UMCG_NET_SOCKET_HPP
#define UMCG_NET_SOCKET_HPP

#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <umcg/io.hpp>
#include <umcg/multishot.hpp>
#include <utility>
#include <vector>

namespace umcg::net {

// Of a host and a port, or of a Unix socket's file.
class address {
  public:
    address() = default;
    address(const sockaddr* addr, socklen_t size);
    // std::invalid_argument: the path is too long for a socket's (107 bytes), or empty.
    static address unix_path(const std::string& path);

    const sockaddr* data() const { return reinterpret_cast<const sockaddr*>(&storage_); }
    socklen_t size() const { return size_; }
    int family() const { return storage_.ss_family; }
    uint16_t port() const;          // 0: has none
    std::string to_string() const;  // "127.0.0.1:80", "[::1]:80", "unix:/run/x"

  private:
    sockaddr_storage storage_ = {};
    socklen_t size_ = 0;
};

// By getaddrinfo(), which blocks as it likes and wants more stack than a small fiber has: call it
// in a thread task, or in a fiber with a stack of 256 KB. `service`: a name or a number.
// std::system_error: what gai_strerror() says.
std::vector<address> resolve(const std::string& host, const std::string& service,
                             int type = SOCK_STREAM);

// Errors: what makes a socket throws std::system_error (limits too: errc::timed_out,
// errc::operation_canceled); what is done with one returns what umcg::io's call does. One task
// reads and another may write at the same time.
class socket {
  public:
    socket() = default;
    // Takes over a descriptor, -1: none.
    explicit socket(int fd) noexcept : fd_(fd) {}
    socket(socket&& other) noexcept : fd_(other.release()) {}
    socket& operator=(socket&& other) noexcept {
        if (this != &other) reset(other.release());
        return *this;
    }
    ~socket() { reset(); }

    int fd() const noexcept { return fd_; }
    explicit operator bool() const noexcept { return fd_ >= 0; }
    int release() noexcept { return std::exchange(fd_, -1); }
    void reset(int fd = -1) noexcept {
        if (const int old = std::exchange(fd_, fd); old >= 0) io::close(old);
    }
    address local() const;
    // setsockopt() of an int: 0 or the error.
    int set(int level, int option, int value) noexcept;
    // Whoever waits in a call on it returns. From any task or thread while the socket lives.
    int shutdown(int how = SHUT_RDWR) noexcept { return io::shutdown(fd_, how); }

  private:
    int fd_ = -1;
};

// Connected: TCP (without Nagle's delay) or Unix.
class stream : public socket {
  public:
    using socket::socket;
    static stream connect(const address& to, const limit& until = {});

    // 0: the other side has finished.
    ssize_t read(void* buffer, size_t size, const limit& until = {}) {
        return io::recv(fd(), buffer, size, 0, until);
    }
    ssize_t write(const void* buffer, size_t size, const limit& until = {}) {
        return io::send(fd(), buffer, size, 0, until);
    }
    // `size`, less at the end of the stream, or an error; then what has come is lost.
    ssize_t read_exactly(void* buffer, size_t size, const limit& until = {});
    // 0 or the error; then some of it may have been sent.
    int write_all(const void* buffer, size_t size, const limit& until = {});
};

class listener : public socket {
  public:
    using socket::socket;
    // SO_REUSEADDR is set.
    static listener bind(const address& at, int backlog = SOMAXCONN);

    stream accept(const limit& until = {});
    // The same without exceptions: an empty one and the error.
    stream accept(int* error, const limit& until = {}) noexcept;
    net::address address() const { return local(); }
};

// What connects to a listener, by one operation for all (umcg/multishot.hpp has the terms: accepted
// ahead, limits). For servers, a task each. The listener must outlive it.
class acceptor {
  public:
    explicit acceptor(const listener& of) : of_(of.fd()) {}

    // As listener::accept().
    stream next(int* error, const limit& until = {});

  private:
    io::acceptor of_;
};

// Unconnected: UDP or Unix.
class datagram : public socket {
  public:
    using socket::socket;
    static datagram bind(const address& at);

    ssize_t receive(void* buffer, size_t size, address* from = nullptr, const limit& until = {});
    ssize_t send(const void* buffer, size_t size, const address& to, const limit& until = {});
};

}  // namespace umcg::net

#endif
