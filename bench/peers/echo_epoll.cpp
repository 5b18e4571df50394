// SPDX-License-Identifier: MIT
// An epoll loop, one thread, as small as it can be and still be correct: what it could not send waits in
// the client's buffer until the socket takes it. echo_epoll SIZE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "frame.h"

namespace {

volatile sig_atomic_t stop;
unsigned long long syscalls;

struct client {
    int fd;
    std::string in, out;
    bool wants_out = false;
};

void watch(int epoll, int op, client* c, uint32_t events) {
    epoll_event e{.events = events, .data = {.ptr = c}};
    syscalls++;
    if (epoll_ctl(epoll, op, c->fd, &e)) perror("epoll_ctl"), exit(1);
}

// False: it is over with this one.
bool flush(int epoll, client* c) {
    size_t sent = 0;
    while (sent < c->out.size()) {
        syscalls++;
        const ssize_t n = send(c->fd, c->out.data() + sent, c->out.size() - sent, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN) return false;
        if (n < 0) break;
        sent += static_cast<size_t>(n);
    }
    c->out.erase(0, sent);
    const bool wants_out = !c->out.empty();
    if (wants_out != c->wants_out) watch(epoll, EPOLL_CTL_MOD, c, wants_out ? EPOLLIN | EPOLLOUT : EPOLLIN);
    c->wants_out = wants_out;
    return true;
}

bool handle(int epoll, client* c, size_t size) {
    static char buffer[FRAME_MOST];
    syscalls++;
    const ssize_t n = recv(c->fd, buffer, sizeof(buffer), 0);
    if (n == 0 || (n < 0 && errno != EAGAIN)) return false;
    if (n > 0) c->in.append(buffer, static_cast<size_t>(n));
    size_t at = 0;
    for (; c->in.size() - at >= size; at += size) {
        frame_stall(static_cast<unsigned char>(c->in[at]));
        c->out.append(c->in, at, size);
    }
    c->in.erase(0, at);
    return flush(epoll, c);
}

}  // namespace

int main(int argc, char** argv) {
    const size_t size = frame_size(argc, argv);
    frame_want_descriptors();
    struct sigaction action = {};
    action.sa_handler = [](int) { stop = 1; };
    sigaction(SIGTERM, &action, nullptr);
    client listener{socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), {}, {}};
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof(address);
    if (bind(listener.fd, reinterpret_cast<sockaddr*>(&address), length) || listen(listener.fd, 8192) ||
        getsockname(listener.fd, reinterpret_cast<sockaddr*>(&address), &length))
        return perror("listener"), 1;
    printf("port\t%u\n", ntohs(address.sin_port));
    fflush(stdout);
    const int epoll = epoll_create1(EPOLL_CLOEXEC);
    watch(epoll, EPOLL_CTL_ADD, &listener, EPOLLIN);
    while (!stop) {
        epoll_event events[256];
        syscalls++;
        const int n = epoll_wait(epoll, events, 256, -1);
        for (int i = 0; i < n; i++) {
            auto* c = static_cast<client*>(events[i].data.ptr);
            if (c == &listener) {
                int fd;
                while (syscalls++, (fd = accept4(listener.fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
                    const int on = 1;
                    syscalls++;
                    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
                    watch(epoll, EPOLL_CTL_ADD, new client{fd, {}, {}}, EPOLLIN);
                }
            } else if (!(events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR) ? handle(epoll, c, size)
                                                                             : flush(epoll, c))) {
                syscalls++;
                close(c->fd);
                delete c;
            }
        }
    }
    printf("syscalls\t%llu\n", syscalls);
}
