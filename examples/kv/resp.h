// SPDX-License-Identifier: MIT
//
// The request half of the Redis protocol (RESP2), without any I/O.
//
//     Parser parser(limits);
//     switch (parser.Parse(bytes)) {          // all bytes from the request's first one on
//       case Parser::kCommand:  use parser.arg(i); drop parser.consumed() bytes; parser.Reset();
//       case Parser::kNeedMore: append bytes to the same input, call again
//       case Parser::kError:    send parser.error(), close
//     }
//
// The parser remembers how far it came, so a value that arrives in a thousand pieces is scanned
// once. It keeps offsets, not pointers: the input may move between calls, but not change.
#ifndef EXAMPLES_KV_RESP_H_
#define EXAMPLES_KV_RESP_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kv {

struct ParserLimits {
    size_t max_args = 1024 * 1024;           // of one request
    size_t max_bulk = 512 * 1024 * 1024;     // one argument, as Redis' proto-max-bulk-len
    size_t max_request = 600 * 1024 * 1024;  // all of one request's bytes
    size_t max_line = 64 * 1024;             // an inline request, a length line
};

class Parser {
  public:
    enum Result { kNeedMore, kCommand, kError };

    explicit Parser(const ParserLimits& limits = {}) : limits_(limits) {}

    // `input` starts with the request's first byte and holds at least what the call before held.
    Result Parse(std::string_view input);

    // After kCommand. A blank line and an empty array are requests with no arguments: no reply.
    size_t argc() const { return args_.size(); }
    std::string_view arg(size_t i) const { return storage(i).substr(args_[i].pos, args_[i].size); }
    size_t consumed() const { return pos_; }

    // After kNeedMore: at least so many more bytes are wanted; a hint for the next read.
    size_t wanted() const { return wanted_; }

    // After kError: the text for an -ERR reply.
    const std::string& error() const { return error_; }

    void Reset();

  private:
    struct Arg {
        size_t pos, size;
        bool unquoted;  // in unquoted_, not in the input
    };

    std::string_view storage(size_t i) const {
        return args_[i].unquoted ? std::string_view(unquoted_) : input_;
    }
    Result ParseInline();
    Result ParseArray();
    // Find the CRLF line at pos_. On kCommand `line` is it, without its end.
    Result Line(const char* too_long, std::string_view* line);
    bool SplitInline(std::string_view line);
    Result Fail(std::string text);

    ParserLimits limits_;
    std::string_view input_;
    std::vector<Arg> args_;
    std::string unquoted_;   // what quotes and escapes of an inline request turned into
    size_t pos_ = 0;         // everything before it is understood
    size_t searched_ = 0;    // no line end before it
    size_t missing_ = 0;     // arguments still to come
    int64_t bulk_ = -1;      // size of the argument at pos_, -1 when its length line is next
    bool in_array_ = false;  // the array's header was read
    size_t wanted_ = 1;
    std::string error_;
};

// A decimal integer as Redis accepts it: no blanks, no plus, no leading zero, no overflow.
bool ParseInt64(std::string_view text, int64_t* value);

// Does `text` match a glob with * ? [a-z] [^a] and \ escapes, as SCAN's MATCH does? Linear memory,
// time at most |pattern| * |text|.
bool GlobMatch(std::string_view pattern, std::string_view text, bool ignore_case = false);

// The reply half: append to any string-like buffer with append(const char*, size_t).
template <typename Out>
void Append(Out& out, std::string_view text) {
    out.append(text.data(), text.size());
}

template <typename Out>
void ReplyLine(Out& out, char kind, int64_t value) {
    std::string line = kind + std::to_string(value) + "\r\n";
    Append(out, line);
}

template <typename Out>
void ReplyInteger(Out& out, int64_t value) {
    ReplyLine(out, ':', value);
}

template <typename Out>
void ReplyArray(Out& out, size_t size) {
    ReplyLine(out, '*', static_cast<int64_t>(size));
}

template <typename Out>
void ReplyBulk(Out& out, std::string_view value) {
    ReplyLine(out, '$', static_cast<int64_t>(value.size()));
    Append(out, value);
    Append(out, "\r\n");
}

template <typename Out>
void ReplyNil(Out& out) {
    Append(out, "$-1\r\n");
}

template <typename Out>
void ReplySimple(Out& out, std::string_view text) {
    Append(out, "+");
    Append(out, text);
    Append(out, "\r\n");
}

// `text` starts with the error's code ("ERR ..."). Line ends in it become blanks.
template <typename Out>
void ReplyError(Out& out, std::string_view text) {
    std::string line = "-" + std::string(text);
    for (char& c : line)
        if (c == '\r' || c == '\n') c = ' ';
    Append(out, line);
    Append(out, "\r\n");
}

}  // namespace kv

#endif  // EXAMPLES_KV_RESP_H_
