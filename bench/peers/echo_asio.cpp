// SPDX-License-Identifier: MIT
// asio, one thread, a coroutine for each client. echo_asio SIZE

#include <asio.hpp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "frame.h"

using asio::ip::tcp;

namespace {

asio::awaitable<void> serve(tcp::socket client, size_t size) {
    std::vector<unsigned char> message(size);
    client.set_option(tcp::no_delay(true));
    try {
        for (;;) {
            co_await asio::async_read(client, asio::buffer(message), asio::use_awaitable);
            frame_stall(message[0]);
            co_await asio::async_write(client, asio::buffer(message), asio::use_awaitable);
        }
    } catch (const std::system_error&) {
        // it has gone
    }
}

asio::awaitable<void> accept_all(tcp::acceptor& listener, size_t size) {
    for (;;) {
        tcp::socket client = co_await listener.async_accept(asio::use_awaitable);
        asio::co_spawn(listener.get_executor(), serve(std::move(client), size), asio::detached);
    }
}

}  // namespace

int main(int argc, char** argv) {
    const size_t size = frame_size(argc, argv);
    frame_want_descriptors();
    asio::io_context io(1);
    tcp::acceptor listener(io, {asio::ip::address_v4::loopback(), 0});
    listener.listen(8192);
    printf("port\t%u\n", listener.local_endpoint().port());
    fflush(stdout);
    asio::signal_set signals(io, SIGTERM);
    signals.async_wait([&](const std::error_code&, int) { io.stop(); });
    asio::co_spawn(io, accept_all(listener, size), asio::detached);
    io.run();
    _exit(0);  // with clients that still wait
}
