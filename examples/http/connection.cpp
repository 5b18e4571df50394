// SPDX-License-Identifier: MIT
#include "connection.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <memory>
#include <utility>

#include "response.hpp"
#include "target.hpp"

namespace http {

using namespace std::chrono_literals;

namespace {

// Answers are sent when so much has gathered, even if more requests wait.
constexpr size_t flush_size = 64 * 1024;
constexpr size_t block = 64 * 1024;
// Files from this size on do not pass through this program: docs/benchmarks.md has the figures.
constexpr size_t direct_size = 64 * 1024;

constexpr std::string_view json = "application/json";

parser_limits limits_of(const options& o) {
    parser_limits limits;
    limits.head = static_cast<size_t>(o.max_head) * 1024;
    limits.request_line = std::min(limits.request_line, limits.head);
    limits.body = static_cast<size_t>(o.max_body) * 1024;
    return limits;
}

// As a client may not be trusted with our log.
void append_quoted(std::string& to, std::string_view text) {
    to += '"';
    for (const char c : text) {
        if (c == '"' || c == '\\') to += '\\';
        to += c;
    }
    to += '"';
}

}  // namespace

connection::connection(site& all, umcg::net::stream& client, const umcg::cancel_token& stop,
                       const umcg::cancel_token& end)
    : all_(all),
      client_(client),
      stop_(stop),
      end_(end),
      patience_(all.opts.request_seconds),
      parser_(limits_of(all.opts)) {
    if (!all.opts.log) return;
    sockaddr_storage peer = {};
    socklen_t size = sizeof(peer);
    if (!getpeername(client.fd(), reinterpret_cast<sockaddr*>(&peer), &size))
        who_ = umcg::net::address(reinterpret_cast<sockaddr*>(&peer), size).to_string();
}

void connection::serve() {
    for (;;) {
        if (from_ < filled_) {
            if (!parser_.begun()) began_ = umcg::clock::now();
            from_ += parser_.feed({in_ + from_, filled_ - from_});
        }
        if (parser_.complete() || parser_.failed()) {
            // a client that has asked us to go on and is refused may send the body or not
            keep_ = parser_.complete() && parser_.keep_alive() && !stop_.cancelled();
            const bool more =
                parser_.failed() ? answer_error(parser_.status(), parser_.error()) : answer();
            parser_.reset();
            continued_ = false;
            if (!more) {
                if (flush()) linger();
                return;
            }
            if (out_.size() >= flush_size && !flush()) return;
            continue;
        }
        if (from_ < filled_) continue;
        if (parser_.awaits_continue() && !std::exchange(continued_, true))
            out_ += "HTTP/1.1 100 Continue\r\n\r\n";
        if (!flush() || !receive()) return;
    }
}

// False: nothing more comes, or not in time.
bool connection::receive() {
    from_ = filled_ = 0;
    const bool begun = parser_.begun();
    ssize_t n = begun ? client_.read(in_, sizeof(in_), {began_ + patience_, end_})
                      : client_.read(in_, sizeof(in_),
                                     {std::chrono::seconds(all_.opts.idle_seconds), stop_});
    if (n == -ETIME && begun) {
        keep_ = false;
        answer_error(408, "the request has taken too long");
        if (flush()) linger();
    }
    // what has come by then is answered still
    if (n == -ECANCELED && !begun) n = recv(client_.fd(), in_, sizeof(in_), MSG_DONTWAIT);
    if (n <= 0) return false;
    filled_ = static_cast<size_t>(n);
    return true;
}

bool connection::flush() {
    flush_log();
    if (out_.empty()) return true;
    const int error = client_.write_all(out_.data(), out_.size(), {patience_, end_});
    if (!error) all_.counts.bytes_sent.fetch_add(out_.size(), std::memory_order_relaxed);
    out_.clear();
    if (out_.capacity() > 2 * flush_size) std::string().swap(out_);
    return !error;
}

bool connection::answer() {
    const auto path = path_of(parser_.target());
    const auto name = path ? decode_path(*path) : std::nullopt;
    if (!name) return answer_error(400, "no such path is possible");
    if (*name == "status") return answer_status();
    if (*name == "count") return answer_count();
    return answer_file(*name);
}

bool connection::answer_text(int status, std::string_view type, std::string_view text,
                             std::string more) {
    append_head(out_, {.status = status,
                       .type = type,
                       .length = text.size(),
                       .keep_alive = keep_,
                       .old_version = parser_.old_version(),
                       .more = std::move(more)});
    if (!is("HEAD")) out_ += text;
    log(status, text.size());
    return keep_;
}

bool connection::answer_error(int status, std::string_view why, std::string more) {
    std::string text = std::to_string(status) + " ";
    text += reason(status);
    text += ": ";
    text += why;
    text += '\n';
    return answer_text(status, "text/plain; charset=utf-8", text, std::move(more));
}

bool connection::answer_status() {
    if (!is("GET") && !is("HEAD"))
        return answer_error(405, "GET or HEAD", "Allow: GET, HEAD\r\n");
    const counters& c = all_.counts;
    char text[256];
    const int n = snprintf(
        text, sizeof(text),
        "{\"requests\":%llu,\"errors\":%llu,\"connections\":%llu,\"rejected\":%llu,"
        "\"clients\":%d,\"bytes_sent\":%llu}\n",
        static_cast<unsigned long long>(c.requests), static_cast<unsigned long long>(c.errors),
        static_cast<unsigned long long>(c.connections), static_cast<unsigned long long>(c.rejected),
        c.clients.load(), static_cast<unsigned long long>(c.bytes_sent));
    return answer_text(200, json, {text, static_cast<size_t>(n)}, "Cache-Control: no-store\r\n");
}

bool connection::answer_count() {
    if (!is("POST")) return answer_error(405, "POST", "Allow: POST\r\n");
    size_t lines = 0, words = 0;
    bool inside = false;
    for (const char c : parser_.body()) {
        const bool blank = c == ' ' || (c >= '\t' && c <= '\r');
        lines += c == '\n';
        words += !blank && !inside;
        inside = !blank;
    }
    char text[128];
    const int n = snprintf(text, sizeof(text), "{\"bytes\":%zu,\"lines\":%zu,\"words\":%zu}\n",
                           parser_.body().size(), lines, words);
    return answer_text(200, json, {text, static_cast<size_t>(n)});
}

bool connection::answer_file_error(int error, const std::string& path) {
    switch (error) {
        case EISDIR:
            return answer_error(301, "a directory", "Location: /" + encode_path(path) + "/\r\n");
        case ENOENT:
        case ENOTDIR:
        case ENAMETOOLONG:
            return answer_error(404, "there is no such file");
        case EACCES:
        case EPERM:
        case EXDEV:
        case ELOOP:
            return answer_error(403, "not this one");
        case EMFILE:
        case ENFILE:
        case ENOMEM:
            return answer_error(503, "too busy", "Retry-After: 1\r\n");
        default:
            return answer_error(500, "the file cannot be opened");
    }
}

bool connection::answer_file(const std::string& path) {
    if (!is("GET") && !is("HEAD"))
        return answer_error(405, "GET or HEAD", "Allow: GET, HEAD\r\n");
    file content;
    if (const int error = all_.files.open(path, &content)) return answer_file_error(error, path);
    const std::string modified = http_date(content.modified);
    response_head head{
        .type = content_type(path.empty() || path.ends_with('/') ? "index.html" : path),
        .length = content.size,
        .keep_alive = keep_,
        .old_version = parser_.old_version(),
        .more = "Last-Modified: " + modified + "\r\n"};
    if (parser_.header("If-Modified-Since") == modified) {
        head.status = 304;
        head.type = {};
        append_head(out_, head);
        log(304, 0);
        return keep_;
    }
    append_head(out_, head);
    const bool sent = is("HEAD") || send_content(content);
    log(200, is("HEAD") ? 0 : content.size);
    return sent && keep_;
}

// False, as of the next: the client has gone, or the file has shrunk: nothing but a close can tell it.
bool connection::send_content(const file& content) {
    uint64_t at = 0;
    while (at < content.size) {
        const auto want = static_cast<size_t>(std::min<uint64_t>(content.size - at, block));
        // a worker that waits for the disk holds up what it has submitted: the ring waits better
        if (content.size >= direct_size && content.in_memory(at, want)) {
            if (!flush() || !send_directly(content, at, want)) return false;
            at += want;
            continue;
        }
        if (out_.size() >= flush_size && !flush()) return false;
        const size_t before = out_.size();
        out_.resize(before + want);
        const ssize_t n = umcg::io::pread(content.fd.get(), out_.data() + before, want,
                                          static_cast<off_t>(at), end_);
        out_.resize(before + static_cast<size_t>(std::max<ssize_t>(n, 0)));
        if (n <= 0) return false;
        at += static_cast<uint64_t>(n);
    }
    return true;
}

bool connection::send_directly(const file& content, uint64_t at, size_t size) {
    const umcg::limit until(patience_, end_);
    for (size_t done = 0; done < size;) {
        const ssize_t n = umcg::io::sendfile(client_.fd(), content.fd.get(),
                                             static_cast<off_t>(at + done), size - done, until);
        if (n <= 0) return false;
        done += static_cast<size_t>(n);
    }
    all_.counts.bytes_sent.fetch_add(size, std::memory_order_relaxed);
    return true;
}

void connection::log(int status, uint64_t bytes) {
    all_.counts.requests.fetch_add(1, std::memory_order_relaxed);
    if (status >= 400) all_.counts.errors.fetch_add(1, std::memory_order_relaxed);
    if (!all_.opts.log) return;
    timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    const auto took = std::chrono::ceil<std::chrono::microseconds>(umcg::clock::now() - began_);
    char text[128];
    tm parts;
    gmtime_r(&now.tv_sec, &parts);
    log_.append(text, strftime(text, sizeof(text), "time=%FT%TZ client=", &parts));
    log_ += who_;
    log_ += " method=";
    append_quoted(log_, parser_.method());
    log_ += " target=";
    append_quoted(log_, parser_.target());
    log_.append(text, static_cast<size_t>(snprintf(
                          text, sizeof(text), " status=%d bytes=%llu us=%lld\n", status,
                          static_cast<unsigned long long>(bytes),
                          static_cast<long long>(took.count()))));
    if (log_.size() >= 4096) flush_log();
}

// Whole lines in one call: others' do not come in between. A reader that does not read it slows us
// down, as with any log.
void connection::flush_log() {
    if (log_.empty()) return;
    if (::write(STDERR_FILENO, log_.data(), log_.size()) < 0) {
        // nobody could be told
    }
    log_.clear();
}

// A close with unread input resets the connection, and the client may lose our last answer. So say
// that we are done, and read a little, for a little while.
void connection::linger() {
    client_.shutdown(SHUT_WR);
    const umcg::limit until(1s, end_);
    while (client_.read(in_, sizeof(in_), until) > 0) {
    }
}

}  // namespace http
