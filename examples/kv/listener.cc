// SPDX-License-Identifier: MIT
#include "listener.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <thread>
#include <utility>

#include "connection.h"
#include "status.h"

namespace kv {
namespace {

constexpr int kBacklog = 511;
// Out of descriptors or memory: how long to leave new clients in the backlog.
constexpr int kBackOffMs = 100;

void SetInt(int fd, int level, int name, int value) {
    // Each is a help, not a need.
    (void)setsockopt(fd, level, name, &value, sizeof(value));
}

bool Readable(int fd, int timeout_ms) {
    pollfd p = {.fd = fd, .events = POLLIN, .revents = 0};
    return poll(&p, 1, timeout_ms) > 0;
}

}  // namespace

UniqueFd::~UniqueFd() {
    if (fd_ >= 0) close(fd_);
}

// A client's place in the listener's list and counters, and its descriptor.
class Listener::Client {
  public:
    Client(Listener* listener, UniqueFd fd) : listener_(*listener), fd_(std::move(fd)) {
        listener_.shared_.counters.clients.fetch_add(1);
        std::lock_guard lock(listener_.mu_);
        listener_.clients_.insert(fd_.get());
    }
    ~Client() {
        listener_.Forget(fd_.get());
        listener_.shared_.counters.clients.fetch_sub(1);
    }
    Client(const Client&) = delete;

    int fd() const { return fd_.get(); }
    void Serve(Worker& worker) {
        Connection(&listener_.shared_, fd(), &listener_.stopping_).Serve(worker);
    }

  private:
    Listener& listener_;
    const UniqueFd fd_;
};

Status Listener::Listen() {
    const Options& options = shared_.options;
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(options.port));
    if (inet_pton(AF_INET, options.bind.c_str(), &address.sin_addr) != 1)
        return Status::Error(Cat("--bind=", options.bind, " is no IPv4 address"));
    listen_fd_ = UniqueFd(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (listen_fd_.get() < 0) return Status::Errno(errno, "socket");
    SetInt(listen_fd_.get(), SOL_SOCKET, SO_REUSEADDR, 1);
    socklen_t size = sizeof(address);
    if (bind(listen_fd_.get(), reinterpret_cast<sockaddr*>(&address), size) ||
        listen(listen_fd_.get(), kBacklog) ||
        getsockname(listen_fd_.get(), reinterpret_cast<sockaddr*>(&address), &size))
        return Status::Errno(errno, Cat("cannot listen on ", options.bind, ":", options.port));
    shared_.port = ntohs(address.sin_port);
    return Status();
}

void Listener::Run(int stop_fd) {
    bool backing_off = false;
    for (;;) {
        pollfd ready[] = {{.fd = stop_fd, .events = POLLIN, .revents = 0},
                          {.fd = listen_fd_.get(), .events = POLLIN, .revents = 0}};
        if (poll(ready, 2, -1) < 0 && errno != EINTR) return;
        if (ready[0].revents) return;
        if (!ready[1].revents) continue;
        UniqueFd fd(accept4(listen_fd_.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (fd.get() >= 0) {
            backing_off = false;
            Accept(std::move(fd));
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            // The client stays in the backlog, so poll() would return at once: wait for somebody to
            // leave instead of spinning.
            if (!std::exchange(backing_off, true))
                std::fprintf(stderr, "kv: accept: %s, waiting\n", std::strerror(errno));
            if (Readable(stop_fd, kBackOffMs)) return;
        }
        // Anything else is about one client that has gone already.
    }
}

void Listener::Accept(UniqueFd fd) {
    shared_.counters.connections.fetch_add(1, std::memory_order_relaxed);
    if (shared_.counters.clients.load() >= shared_.options.max_clients)
        return Reject(fd.get(), "ERR max number of clients reached");
    SetInt(fd.get(), IPPROTO_TCP, TCP_NODELAY, 1);
    SetInt(fd.get(), SOL_SOCKET, SO_KEEPALIVE, 1);
    auto client = std::make_shared<Client>(this, std::move(fd));
    Status status = shared_.engine->Spawn([client](Worker& worker) { client->Serve(worker); });
    if (status.ok()) return;
    std::fprintf(stderr, "kv: %s\n", status.message().c_str());
    Reject(client->fd(), "ERR no thread for another client");
}

void Listener::Reject(int fd, std::string_view why) {
    shared_.counters.rejected.fetch_add(1, std::memory_order_relaxed);
    std::string line = Cat("-", why, "\r\n");
    (void)send(fd, line.data(), line.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

void Listener::Forget(int fd) {
    std::lock_guard lock(mu_);
    clients_.erase(fd);
}

void Listener::ShutdownAll(int how) {
    std::lock_guard lock(mu_);
    for (int fd : clients_) shutdown(fd, how);
}

void Listener::Shutdown(int grace_seconds) {
    listen_fd_ = UniqueFd();
    stopping_ = true;
    ShutdownAll(SHUT_RD);  // whoever waits for a request has got none
    std::atomic<bool> finished = false;
    std::thread impatient([&] {
        for (int ms = 0; ms < grace_seconds * 1000 && !finished; ms += 10) usleep(10 * 1000);
        if (!finished) ShutdownAll(SHUT_RDWR);
    });
    shared_.engine->Finish();
    finished = true;
    impatient.join();
}

}  // namespace kv
