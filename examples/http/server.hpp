// SPDX-License-Identifier: MIT
//
// Accepts clients, a fiber for each, as many as are allowed; and ends them all.
#ifndef EXAMPLES_HTTP_SERVER_HPP
#define EXAMPLES_HTTP_SERVER_HPP

#include <umcg/cancellation.hpp>
#include <umcg/net/socket.hpp>
#include <umcg/scope.hpp>

#include "connection.hpp"

namespace http {

class server {
  public:
    // std::system_error: the root, or the address.
    explicit server(const options& o);

    umcg::net::address address() const { return listener_.address(); }
    // In a task: until the token is cancelled and the clients have gone.
    void run(unsigned acceptors, const umcg::cancel_token& stop);

  private:
    void admit(umcg::scope& all, umcg::net::stream client, const umcg::cancel_token& stop);
    void reject(umcg::net::stream& client);

    site site_;
    umcg::net::listener listener_;
};

}  // namespace http

#endif
