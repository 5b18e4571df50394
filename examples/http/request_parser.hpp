// SPDX-License-Identifier: MIT
//
// Requests of HTTP/1.0 and 1.1, without any I/O.
//
//     request_parser parser(limits);
//     while (there are bytes) {
//         drop the first parser.feed(bytes) of them;
//         if (parser.complete()) { answer parser.method(), ...; parser.reset(); }
//         if (parser.failed())   { answer parser.status(), close; }
//     }
//
// The parser keeps what it needs of the bytes, at most limits.head + limits.body of them, and looks
// at each once, in however many pieces they come. It is strict where two readers might understand
// different requests: lines end in CRLF, no blank before a colon, no folded lines, one
// Content-Length, never beside Transfer-Encoding.
#ifndef EXAMPLES_HTTP_REQUEST_PARSER_HPP
#define EXAMPLES_HTTP_REQUEST_PARSER_HPP

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace http {

struct parser_limits {
    size_t request_line = 8 * 1024;  // bytes; 414 beyond
    size_t head = 16 * 1024;         // request line and headers; 431 beyond. A chunked body's trailers: the same
    size_t headers = 100;            // how many; 431 beyond
    size_t body = 256 * 1024;        // bytes without the chunks' lines; 413 beyond
};

bool equal_ignoring_case(std::string_view a, std::string_view b);

class request_parser {
  public:
    explicit request_parser(const parser_limits& limits = {}) : limits_(limits) {}

    // Takes bytes up to the end of the request; returns how many. 0 after complete() or failed().
    size_t feed(std::string_view bytes);
    bool complete() const { return phase_ == phase::complete; }
    bool failed() const { return phase_ == phase::failed; }
    // A part of a request is here.
    bool begun() const { return !head_.empty(); }
    // Of HTTP/1.0, as far as is known.
    bool old_version() const { return old_version_; }
    // For the next request. Gives back the memory of a large one.
    void reset();

    // After failed(): the status to answer with, and why.
    int status() const { return status_; }
    const char* error() const { return error_; }

    // As soon as the head is complete; views until the next feed() or reset().
    std::string_view method() const { return view(method_); }
    std::string_view target() const { return view(target_); }
    // The first of that name, without blanks around it.
    std::optional<std::string_view> header(std::string_view name) const;
    // May another request follow on this connection?
    bool keep_alive() const { return keep_alive_; }
    // The client waits for "100 Continue" before it sends the body.
    bool awaits_continue() const {
        return expects_continue_ && body_.empty() &&
               (phase_ == phase::fixed_body || phase_ == phase::chunk_line);
    }

    // After complete().
    std::string_view body() const { return body_; }

  private:
    enum class phase {
        request_line,
        header,
        fixed_body,
        chunk_line,
        chunk,
        chunk_end,
        trailer,
        complete,
        failed,
    };
    struct span {
        size_t begin = 0, size = 0;
    };
    struct field {
        span name, value;
    };

    std::string_view view(span s) const { return std::string_view(head_).substr(s.begin, s.size); }
    span span_of(std::string_view part) const {
        return {static_cast<size_t>(part.data() - head_.data()), part.size()};
    }
    size_t feed_head(std::string_view bytes);
    size_t feed_body(std::string_view bytes);
    size_t feed_line(std::string_view bytes, size_t most);
    void on_request_line(std::string_view line);
    void on_header(std::string_view line);
    void on_head();
    void on_line();
    void read_connection(std::string_view value);
    void fail(int status, const char* error);

    parser_limits limits_;
    phase phase_ = phase::request_line;
    std::string head_;        // its lines, with their ends
    size_t line_begin_ = 0;   // of head_
    int blank_lines_ = 0;
    span method_, target_;
    std::vector<field> headers_;
    bool old_version_ = false;  // 1.0
    bool keep_alive_ = true;
    bool asks_close_ = false, asks_keep_ = false;
    bool expects_continue_ = false;
    std::string body_;
    std::string line_;        // of a chunk's size, or a trailer
    uint64_t missing_ = 0;    // bytes of the body, or of the chunk
    size_t trailers_ = 0;     // bytes of them
    int status_ = 0;
    const char* error_ = "";
};

}  // namespace http

#endif
