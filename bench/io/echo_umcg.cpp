// SPDX-License-Identifier: MIT
// The runtime's side of bench/io: a fiber for each client, the same straight-line code as in
// examples/echo. echo_umcg SIZE; echo_umcg SIZE multishot: the same with umcg::io::receiver.
#include <sys/signalfd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string_view>
#include <umcg/cancellation.hpp>
#include <umcg/multishot.hpp>
#include <umcg/net/socket.hpp>
#include <umcg/runtime.hpp>
#include <umcg/scope.hpp>
#include <utility>

#include "frame.h"

namespace net = umcg::net;

namespace {

void serve(net::stream client, size_t size, const umcg::cancel_token& stop) {
    const auto message = std::make_unique<unsigned char[]>(size);
    while (client.read_exactly(message.get(), size, stop) == static_cast<ssize_t>(size)) {
        frame_stall(message[0]);
        if (client.write_all(message.get(), size, stop)) return;
    }
}

void serve_multishot(net::stream client, size_t size, const umcg::cancel_token& stop) {
    // of a message that has come in pieces
    const auto message = std::make_unique<char[]>(size);
    size_t filled = 0;
    umcg::io::receiver in(client.fd());
    const char* data;
    for (ssize_t n; (n = in.next(&data, stop)) > 0;) {
        for (auto left = static_cast<size_t>(n); left;) {
            const bool whole = !filled && left >= size;
            const size_t take = std::min(size - filled, left);
            if (!whole) memcpy(message.get() + filled, data, take);
            filled += take;
            const char* from = whole ? data : message.get();
            data += take;
            left -= take;
            if (filled < size) break;
            filled = 0;
            frame_stall(static_cast<unsigned char>(from[0]));
            if (client.write_all(from, size, stop)) return;
        }
    }
}

using serve_function = void(net::stream, size_t, const umcg::cancel_token&);

void accept_all(net::listener& listener, size_t size, const umcg::cancel_token& stop,
                serve_function* serve_one) {
    umcg::scope all;
    while (!stop.cancelled()) {
        int error;
        net::stream client = listener.accept(&error, stop);
        if (error) continue;
        all.spawn([&stop, size, serve_one, client = std::move(client)]() mutable {
            serve_one(std::move(client), size, stop);
        });
    }
}

}  // namespace

int main(int argc, char** argv) {
    const bool multishot = argc == 3 && std::string_view(argv[2]) == "multishot";
    const size_t size = frame_size(multishot ? 2 : argc, argv);
    frame_want_descriptors();
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    net::socket stop_fd(signalfd(-1, &signals, SFD_CLOEXEC));
    umcg::options how;
    how.guard = umcg::stack_guard::when_possible;
    if (multishot) {
        how.receive_buffers = 2048;
        how.receive_buffer_size = 4096;
    }
    umcg::runtime rt(how);
    net::listener listener = net::listener::bind(net::resolve("127.0.0.1", "0").at(0), 8192);
    printf("port\t%u\nbackend\t%s\n", listener.address().port(), rt.backend());
    fflush(stdout);
    umcg::cancel_source stop;
    auto running = rt.spawn([&] {
        accept_all(listener, size, stop.token(), multishot ? serve_multishot : serve);
    });
    signalfd_siginfo info;
    umcg::io::read(stop_fd.fd(), &info, sizeof(info));
    const auto s = rt.stats();
    printf("syscalls\t%llu\n", static_cast<unsigned long long>(s.io_enters));
    stop.cancel();
    running.join();
}
