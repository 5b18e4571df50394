// SPDX-License-Identifier: MIT
//
// What the example servers have in common: numbers as options, descriptors, the signals that end
// them, and accepting.
#ifndef EXAMPLES_COMMON_SERVER_HPP
#define EXAMPLES_COMMON_SERVER_HPP

#include <cerrno>
#include <chrono>
#include <string_view>
#include <umcg/cancellation.hpp>
#include <umcg/io.hpp>
#include <umcg/net/socket.hpp>
#include <umcg/runtime.hpp>
#include <umcg/scope.hpp>
#include <utility>

namespace examples {

// Is `arg` the option `name`, which ends with '='? std::invalid_argument: it is, and its value is
// no number from `least` to `most`.
bool number_option(std::string_view arg, std::string_view name, int least, int most, int* value);

// So many descriptors, if that is allowed; else some clients wait in the backlog.
void want_descriptors(unsigned long count);

// Blocks SIGTERM and SIGINT, before the first thread starts: they are read from this descriptor.
umcg::net::socket stop_signals();

// The runtime of a server; `io_uring` false: a worker thread per client.
umcg::options runtime_options(int servers, int max_clients, bool io_uring);

// In a task: calls `accept` with a scope, in `acceptors` tasks of that scope, until `stop`. Then all
// in the scope have `grace` to end; whoever has not by then is cancelled.
template <class Accept>
void serve_until(const umcg::cancel_token& stop, unsigned acceptors, umcg::clock::duration grace,
                 Accept accept) {
    umcg::scope all;
    // plain accept() may outwait its limit if another one has taken the client (umcg/io.hpp)
    if (!umcg::io::uses_io_uring()) acceptors = 1;
    for (unsigned i = 0; i < acceptors; i++) all.spawn([&] { accept(all); });
    umcg::sleep_until(stop);
    all.join(grace);
}

// Calls `admit` with each client that comes until `stop`. Without descriptors it backs off.
template <class Admit>
void accept_clients(const umcg::net::listener& listener, const umcg::cancel_token& stop, Admit admit) {
    umcg::net::acceptor clients(listener);
    while (!stop.cancelled()) {
        int error;
        umcg::net::stream client = clients.next(&error, stop);
        if (error == -EMFILE || error == -ENFILE || error == -ENOMEM || error == -ENOBUFS) {
            // it stays in the backlog: until somebody has left
            umcg::sleep_until({std::chrono::milliseconds(100), stop});
            continue;
        }
        // an error: cancelled, or one client that has gone already
        if (!error) admit(std::move(client));
    }
}

}  // namespace examples

#endif
