// SPDX-License-Identifier: MIT
//
// One client, served by straight-line code: read, answer all that has come, write, again.
#ifndef EXAMPLES_HTTP_CONNECTION_HPP
#define EXAMPLES_HTTP_CONNECTION_HPP

#include <atomic>
#include <cstdint>
#include <string>
#include <umcg/cancellation.hpp>
#include <umcg/net/socket.hpp>

#include "options.hpp"
#include "request_parser.hpp"
#include "static_files.hpp"

namespace http {

struct counters {
    std::atomic<uint64_t> requests = 0, errors = 0, connections = 0, rejected = 0, bytes_sent = 0;
    std::atomic<int> clients = 0;
};

// What all connections share.
struct site {
    const options& opts;
    static_files files;
    counters counts = {};
};

class connection {
  public:
    // `stop`: no further request. `end`: no further byte.
    connection(site& all, umcg::net::stream& client, const umcg::cancel_token& stop,
               const umcg::cancel_token& end);

    // Until the client leaves, breaks a rule or a limit, or is to go.
    void serve();

  private:
    bool receive();
    bool flush();
    // False: the connection is to be closed, once what is in out_ is sent.
    bool answer();
    bool answer_text(int status, std::string_view type, std::string_view text,
                     std::string more = {});
    bool answer_error(int status, std::string_view why, std::string more = {});
    bool answer_status();
    bool answer_count();
    bool answer_file(const std::string& path);
    bool answer_file_error(int error, const std::string& path);
    bool send_content(const file& content);
    bool send_directly(const file& content, uint64_t at, size_t size);
    void log(int status, uint64_t bytes);
    void flush_log();
    void linger();
    bool is(std::string_view method) const { return parser_.method() == method; }

    site& all_;
    umcg::net::stream& client_;
    const umcg::cancel_token& stop_;
    const umcg::cancel_token& end_;
    const std::chrono::seconds patience_;  // for a request, and for a part of an answer to be taken
    request_parser parser_;
    umcg::clock::time_point began_ = {};  // its first byte was here
    bool keep_ = true;
    bool continued_ = false;  // "100 Continue" was sent
    char in_[8192];
    size_t from_ = 0, filled_ = 0;  // of in_
    std::string out_;
    std::string log_, who_;
};

}  // namespace http

#endif
