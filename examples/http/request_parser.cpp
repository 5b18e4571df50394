// SPDX-License-Identifier: MIT
#include "request_parser.hpp"

#include <algorithm>
#include <charconv>

namespace http {

namespace {

constexpr size_t most_of_chunk_line = 256;  // its size in hex, and extensions that nobody uses
constexpr int most_blank_lines = 4;         // before a request

bool is_token_byte(char c) {
    if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return true;
    return c && std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

bool is_token(std::string_view text) {
    return !text.empty() && std::all_of(text.begin(), text.end(), is_token_byte);
}

bool is_visible(char c) {
    return c > 0x20 && c < 0x7f;
}

// In the value of a header: no control bytes, but tabs.
bool is_value_byte(char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte == '\t' || (byte >= 0x20 && byte != 0x7f);
}

std::string_view trimmed(std::string_view text) {
    const size_t first = text.find_first_not_of(" \t");
    if (first == std::string_view::npos) return text.substr(text.size());  // still a part of it
    return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

// Digits and nothing else, no overflow.
bool read_number(std::string_view text, int base, uint64_t* value) {
    if (text.empty() || text.front() == '-' || text.front() == '+') return false;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *value, base);
    return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

bool equal_ignoring_case(std::string_view a, std::string_view b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [](char x, char y) { return lower(x) == lower(y); });
}

void request_parser::fail(int status, const char* error) {
    phase_ = phase::failed;
    status_ = status;
    error_ = error;
}

void request_parser::reset() {
    const parser_limits limits = limits_;
    std::string head = std::move(head_), body = std::move(body_);
    std::vector<field> headers = std::move(headers_);
    *this = request_parser(limits);
    // what a usual request needs is kept
    if (head.capacity() <= 4096) head_ = std::move(head), head_.clear();
    if (body.capacity() <= 4096) body_ = std::move(body), body_.clear();
    headers_ = std::move(headers);
    headers_.clear();
}

size_t request_parser::feed(std::string_view bytes) {
    size_t used = 0;
    while (used < bytes.size() && !complete() && !failed()) {
        const std::string_view rest = bytes.substr(used);
        switch (phase_) {
            case phase::request_line:
            case phase::header:
                used += feed_head(rest);
                break;
            case phase::fixed_body:
            case phase::chunk:
                used += feed_body(rest);
                break;
            case phase::chunk_line:
                used += feed_line(rest, most_of_chunk_line);
                break;
            case phase::chunk_end:
                used += feed_line(rest, 2);
                break;
            case phase::trailer:
                used += feed_line(rest, limits_.head - trailers_);
                break;
            case phase::complete:
            case phase::failed:
                break;
        }
    }
    return used;
}

size_t request_parser::feed_head(std::string_view bytes) {
    const size_t found = bytes.find('\n');
    const bool whole = found != std::string_view::npos;
    const size_t n = whole ? found + 1 : bytes.size();
    if (phase_ == phase::request_line && head_.size() - line_begin_ + n > limits_.request_line) {
        fail(414, "the request line is too long");
        return n;
    }
    if (head_.size() + n > limits_.head) {
        fail(431, "the headers are too long");
        return n;
    }
    head_.append(bytes.substr(0, n));
    if (!whole) return n;
    std::string_view line = std::string_view(head_).substr(line_begin_);
    line_begin_ = head_.size();
    if (!line.ends_with("\r\n")) {
        fail(400, "a line does not end in CRLF");
        return n;
    }
    line.remove_suffix(2);
    if (phase_ == phase::request_line) {
        if (!line.empty()) {
            on_request_line(line);
        } else {
            // old clients send one after a body
            if (++blank_lines_ > most_blank_lines) fail(400, "blank lines and no request");
            head_.clear();
            line_begin_ = 0;
        }
    } else if (line.empty()) {
        on_head();
    } else {
        on_header(line);
    }
    return n;
}

void request_parser::on_request_line(std::string_view line) {
    const size_t first = line.find(' '), last = line.rfind(' ');
    if (first == std::string_view::npos || first == last)
        return fail(400, "the request line is not METHOD TARGET VERSION");
    const std::string_view method = line.substr(0, first);
    const std::string_view target = line.substr(first + 1, last - first - 1);
    const std::string_view version = line.substr(last + 1);
    if (!is_token(method)) return fail(400, "the method is no token");
    if (target.empty() || !std::all_of(target.begin(), target.end(), is_visible))
        return fail(400, "the target has bytes that it must not have");
    old_version_ = version == "HTTP/1.0";
    if (!old_version_ && version != "HTTP/1.1") {
        if (version.size() == 8 && version.starts_with("HTTP/"))
            return fail(505, "only HTTP/1.0 and 1.1");
        return fail(400, "the version is none");
    }
    method_ = span_of(method);
    target_ = span_of(target);
    phase_ = phase::header;
}

void request_parser::on_header(std::string_view line) {
    if (headers_.size() >= limits_.headers) return fail(431, "too many headers");
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) return fail(400, "a header has no colon");
    const std::string_view name = line.substr(0, colon);
    // no blank before the colon, and no line that goes on with the one before
    if (!is_token(name)) return fail(400, "a header's name is no token");
    const std::string_view value = trimmed(line.substr(colon + 1));
    if (!std::all_of(value.begin(), value.end(), is_value_byte))
        return fail(400, "a header has control bytes");
    headers_.push_back({span_of(name), span_of(value)});
}

std::optional<std::string_view> request_parser::header(std::string_view name) const {
    for (const field& f : headers_)
        if (equal_ignoring_case(view(f.name), name)) return view(f.value);
    return std::nullopt;
}

void request_parser::read_connection(std::string_view value) {
    while (!value.empty()) {
        const size_t comma = std::min(value.find(','), value.size());
        const std::string_view option = trimmed(value.substr(0, comma));
        asks_close_ |= equal_ignoring_case(option, "close");
        asks_keep_ |= equal_ignoring_case(option, "keep-alive");
        value.remove_prefix(std::min(comma + 1, value.size()));
    }
}

// All headers are here: how long is the body, and what becomes of the connection?
void request_parser::on_head() {
    int hosts = 0, lengths = 0, codings = 0;
    bool chunked = false;
    for (const field& f : headers_) {
        const std::string_view name = view(f.name), value = view(f.value);
        if (equal_ignoring_case(name, "host")) {
            hosts++;
        } else if (equal_ignoring_case(name, "content-length")) {
            lengths++;
            if (!read_number(value, 10, &missing_)) return fail(400, "Content-Length is no number");
        } else if (equal_ignoring_case(name, "transfer-encoding")) {
            codings++;
            chunked = equal_ignoring_case(value, "chunked");
        } else if (equal_ignoring_case(name, "connection")) {
            read_connection(value);
        } else if (equal_ignoring_case(name, "expect")) {
            if (!equal_ignoring_case(value, "100-continue"))
                return fail(417, "Expect is not 100-continue");
            expects_continue_ = !old_version_;
        }
    }
    if (hosts > 1 || (!hosts && !old_version_)) return fail(400, "not one Host");
    if (lengths > 1) return fail(400, "more than one Content-Length");
    if (codings > 1 || (codings && (lengths || old_version_)))
        return fail(400, "Transfer-Encoding and something else");
    if (codings && !chunked) return fail(501, "only chunked is understood");
    keep_alive_ = !asks_close_ && (!old_version_ || asks_keep_);
    if (missing_ > limits_.body) return fail(413, "the body is too large");
    if (chunked)
        phase_ = phase::chunk_line;
    else
        phase_ = missing_ ? phase::fixed_body : phase::complete;
}

size_t request_parser::feed_body(std::string_view bytes) {
    const auto n = static_cast<size_t>(std::min<uint64_t>(missing_, bytes.size()));
    body_.append(bytes.substr(0, n));
    missing_ -= n;
    if (!missing_) phase_ = phase_ == phase::chunk ? phase::chunk_end : phase::complete;
    return n;
}

size_t request_parser::feed_line(std::string_view bytes, size_t most) {
    const size_t found = bytes.find('\n');
    const bool whole = found != std::string_view::npos;
    const size_t n = whole ? found + 1 : bytes.size();
    if (line_.size() + n > most) {
        if (phase_ == phase::trailer)
            fail(431, "the trailers are too long");
        else
            fail(400, "a chunk's line is too long");
        return n;
    }
    line_.append(bytes.substr(0, n));
    if (whole) {
        if (line_.ends_with("\r\n"))
            on_line();
        else
            fail(400, "a line does not end in CRLF");
        line_.clear();
    }
    return n;
}

void request_parser::on_line() {
    std::string_view line = line_;
    line.remove_suffix(2);
    if (phase_ == phase::chunk_end) {
        // of two bytes at most: empty
        phase_ = phase::chunk_line;
    } else if (phase_ == phase::trailer) {
        trailers_ += line_.size();
        if (line.empty()) phase_ = phase::complete;
    } else if (!read_number(trimmed(line.substr(0, line.find(';'))), 16, &missing_)) {
        fail(400, "a chunk's size is no number");
    } else if (missing_ > limits_.body - body_.size()) {
        fail(413, "the body is too large");
    } else {
        phase_ = missing_ ? phase::chunk : phase::trailer;
    }
}

}  // namespace http
