// SPDX-License-Identifier: MIT
#include "server.hpp"

#include <chrono>
#include <cstdio>
#include <exception>
#include <string>
#include <utility>

#include "../common/server.hpp"
#include "response.hpp"

namespace net = umcg::net;
using namespace std::chrono_literals;

namespace http {

namespace {

constexpr auto grace = 5s;  // at the end, for requests that have begun

}  // namespace

server::server(const options& o)
    : site_{.opts = o, .files = static_files(o.root)},
      listener_(net::listener::bind(net::resolve(o.bind, std::to_string(o.port)).at(0))) {}

void server::run(unsigned acceptors, const umcg::cancel_token& stop) {
    examples::serve_until(stop, acceptors, grace, [&](umcg::scope& all) {
        examples::accept_clients(listener_, stop, [&](net::stream client) {
            admit(all, std::move(client), stop);
        });
    });
}

void server::admit(umcg::scope& all, net::stream client, const umcg::cancel_token& stop) {
    counters& c = site_.counts;
    c.connections.fetch_add(1, std::memory_order_relaxed);
    if (c.clients.fetch_add(1) >= site_.opts.max_clients) {
        c.clients--;
        return reject(client);
    }
    try {
        all.spawn([this, &stop, end = all.token(), client = std::move(client)]() mutable {
            connection(site_, client, stop, end).serve();
            client.reset();
            site_.counts.clients--;
        });
    } catch (const std::exception& e) {
        c.clients--;
        fprintf(stderr, "http: no task for a client: %s\n", e.what());
    }
}

// Nothing is waited for: if the request is here already, the close may cost the client the answer.
void server::reject(net::stream& client) {
    site_.counts.rejected.fetch_add(1, std::memory_order_relaxed);
    std::string out;
    append_head(out, {.status = 503, .keep_alive = false, .more = "Retry-After: 1\r\n"});
    if (send(client.fd(), out.data(), out.size(), MSG_DONTWAIT | MSG_NOSIGNAL) < 0) return;
    client.shutdown(SHUT_WR);
    char sink[4096];
    while (recv(client.fd(), sink, sizeof(sink), MSG_DONTWAIT) > 0) {
    }
}

}  // namespace http
