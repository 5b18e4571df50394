// SPDX-License-Identifier: MIT
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/un.h>
#include <umcg/umcg.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <stdexcept>
#include <system_error>
#include <umcg/net/socket.hpp>

namespace umcg::net {

namespace {

[[noreturn]] void fail(int err, const std::string& what) {
    // limits by their standard names
    if (err == -ETIME) err = -ETIMEDOUT;
    throw std::system_error(-err, std::generic_category(), what);
}

socket make(int family, int type, const std::string& what) {
    socket s(::socket(family, type | SOCK_CLOEXEC, 0));
    if (!s) fail(-errno, what);
    return s;
}

class gai_category final : public std::error_category {
  public:
    const char* name() const noexcept override { return "getaddrinfo"; }
    std::string message(int code) const override { return gai_strerror(code); }
};

const gai_category resolving;

}  // namespace

// ---- addresses ----

address::address(const sockaddr* addr, socklen_t size)
    : size_(std::min(size, static_cast<socklen_t>(sizeof(storage_)))) {
    memcpy(&storage_, addr, size_);
}

address address::unix_path(const std::string& path) {
    sockaddr_un un = {};
    un.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof(un.sun_path))
        throw std::invalid_argument("umcg::net: '" + path +
                                    "' is no path of a socket: 1 to 107 bytes");
    memcpy(un.sun_path, path.c_str(), path.size());
    return {reinterpret_cast<sockaddr*>(&un),
            static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1)};
}

uint16_t address::port() const {
    if (family() == AF_INET)
        return ntohs(reinterpret_cast<const sockaddr_in*>(&storage_)->sin_port);
    if (family() == AF_INET6)
        return ntohs(reinterpret_cast<const sockaddr_in6*>(&storage_)->sin6_port);
    return 0;
}

std::string address::to_string() const {
    char text[INET6_ADDRSTRLEN] = "?";
    switch (family()) {
        case AF_INET:
            inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(&storage_)->sin_addr, text,
                      sizeof(text));
            return std::string(text) + ":" + std::to_string(port());
        case AF_INET6:
            inet_ntop(AF_INET6, &reinterpret_cast<const sockaddr_in6*>(&storage_)->sin6_addr, text,
                      sizeof(text));
            return "[" + std::string(text) + "]:" + std::to_string(port());
        case AF_UNIX: {
            const char* path = reinterpret_cast<const sockaddr_un*>(&storage_)->sun_path;
            const size_t room = size_ > offsetof(sockaddr_un, sun_path)
                                    ? size_ - offsetof(sockaddr_un, sun_path)
                                    : 0;
            return "unix:" + std::string(path, strnlen(path, room));
        }
        default:
            return "none";
    }
}

std::vector<address> resolve(const std::string& host, const std::string& service, int type) {
    addrinfo hints = {};
    hints.ai_socktype = type;
    addrinfo* found = nullptr;
    umcg_blocking_begin();
    const int code = getaddrinfo(host.c_str(), service.c_str(), &hints, &found);
    umcg_blocking_end();
    if (code) throw std::system_error(code, resolving, "umcg::net: " + host + ":" + service);
    struct owner {
        addrinfo* list;
        ~owner() { freeaddrinfo(list); }
    } owned{found};
    std::vector<address> all;
    for (const addrinfo* a = found; a; a = a->ai_next) all.emplace_back(a->ai_addr, a->ai_addrlen);
    return all;
}

// ---- sockets ----

address socket::local() const {
    sockaddr_storage storage = {};
    socklen_t size = sizeof(storage);
    if (getsockname(fd_, reinterpret_cast<sockaddr*>(&storage), &size))
        fail(-errno, "umcg::net: getsockname");
    return {reinterpret_cast<sockaddr*>(&storage), size};
}

int socket::set(int level, int option, int value) noexcept {
    return setsockopt(fd_, level, option, &value, sizeof(value)) ? -errno : 0;
}

stream stream::connect(const address& to, const limit& until) {
    socket s = make(to.family(), SOCK_STREAM, "umcg::net: connect to " + to.to_string());
    if (const int err = io::connect(s.fd(), to.data(), to.size(), until))
        fail(err, "umcg::net: connect to " + to.to_string());
    s.set(IPPROTO_TCP, TCP_NODELAY, 1);
    return stream(s.release());
}

ssize_t stream::read_exactly(void* buffer, size_t size, const limit& until) {
    size_t done = 0;
    while (done < size) {
        const ssize_t n = read(static_cast<char*>(buffer) + done, size - done, until);
        if (n < 0) return n;
        if (!n) break;
        done += static_cast<size_t>(n);
    }
    return static_cast<ssize_t>(done);
}

int stream::write_all(const void* buffer, size_t size, const limit& until) {
    for (size_t done = 0; done < size;) {
        const ssize_t n = write(static_cast<const char*>(buffer) + done, size - done, until);
        if (n < 0) return static_cast<int>(n);
        done += static_cast<size_t>(n);
    }
    return 0;
}

listener listener::bind(const net::address& at, int backlog) {
    const std::string what = "umcg::net: listen on " + at.to_string();
    socket s = make(at.family(), SOCK_STREAM, what);
    s.set(SOL_SOCKET, SO_REUSEADDR, 1);
    if (::bind(s.fd(), at.data(), at.size()) || listen(s.fd(), backlog)) fail(-errno, what);
    return listener(s.release());
}

namespace {

// `fd`: the connection's descriptor, or the error.
stream accepted(int fd, int* error) noexcept {
    stream s(std::max(fd, -1));
    *error = std::min(fd, 0);
    // EOPNOTSUPP: a Unix socket
    if (s) s.set(IPPROTO_TCP, TCP_NODELAY, 1);
    return s;
}

}  // namespace

stream listener::accept(int* error, const limit& until) noexcept {
    return accepted(io::accept(fd(), nullptr, nullptr, SOCK_CLOEXEC, until), error);
}

stream listener::accept(const limit& until) {
    int error;
    stream s = accept(&error, until);
    if (error) fail(error, "umcg::net: accept");
    return s;
}

stream acceptor::next(int* error, const limit& until) {
    return accepted(of_.next(until), error);
}

datagram datagram::bind(const address& at) {
    const std::string what = "umcg::net: bind to " + at.to_string();
    socket s = make(at.family(), SOCK_DGRAM, what);
    if (::bind(s.fd(), at.data(), at.size())) fail(-errno, what);
    return datagram(s.release());
}

ssize_t datagram::receive(void* buffer, size_t size, address* from, const limit& until) {
    sockaddr_storage storage = {};
    iovec one = {buffer, size};
    msghdr message = {};
    message.msg_iov = &one;
    message.msg_iovlen = 1;
    if (from) {
        message.msg_name = &storage;
        message.msg_namelen = sizeof(storage);
    }
    const ssize_t n = io::recvmsg(fd(), &message, 0, until);
    if (n >= 0 && from) *from = {reinterpret_cast<sockaddr*>(&storage), message.msg_namelen};
    return n;
}

ssize_t datagram::send(const void* buffer, size_t size, const address& to, const limit& until) {
    iovec one = {const_cast<void*>(buffer), size};
    msghdr message = {};
    message.msg_iov = &one;
    message.msg_iovlen = 1;
    message.msg_name = const_cast<sockaddr*>(to.data());
    message.msg_namelen = to.size();
    return io::sendmsg(fd(), &message, 0, until);
}

}  // namespace umcg::net
