// SPDX-License-Identifier: MIT
#include "resp.h"

#include <algorithm>
#include <cctype>
#include <charconv>

namespace kv {
namespace {

int HexDigit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

bool IsBlank(char c) {
    return std::isspace(static_cast<unsigned char>(c)) || c == '\0';
}

char Lower(char c) {
    return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
}

}  // namespace

bool ParseInt64(std::string_view text, int64_t* value) {
    std::string_view digits = text;
    bool negative = !digits.empty() && digits[0] == '-';
    if (negative) digits.remove_prefix(1);
    if (digits.empty() || digits[0] < '0' || digits[0] > '9') return false;
    if (digits[0] == '0' && (digits.size() > 1 || negative)) return false;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *value);
    return error == std::errc() && end == text.data() + text.size();
}

void Parser::Reset() {
    args_.clear();
    if (args_.capacity() > 4096) args_.shrink_to_fit();
    unquoted_.clear();
    input_ = {};
    pos_ = searched_ = missing_ = 0;
    bulk_ = -1;
    in_array_ = false;
    wanted_ = 1;
    error_.clear();
}

Parser::Result Parser::Fail(std::string text) {
    error_ = std::move(text);
    return kError;
}

Parser::Result Parser::Parse(std::string_view input) {
    input_ = input;
    wanted_ = 1;
    if (input.empty()) return kNeedMore;
    Result result = input[0] == '*' ? ParseArray() : ParseInline();
    const size_t size = result == kNeedMore ? input.size() + wanted_ : pos_;
    if (result != kError && size > limits_.max_request)
        return Fail("ERR Protocol error: request larger than " +
                    std::to_string(limits_.max_request) + " bytes");
    return result;
}

Parser::Result Parser::Line(const char* too_long, std::string_view* line) {
    size_t cr = input_.find('\r', std::max(pos_, searched_));
    if (cr == std::string_view::npos) {
        searched_ = input_.size();
        if (input_.size() - pos_ > limits_.max_line) return Fail(too_long);
        return kNeedMore;
    }
    searched_ = cr;
    // Here too, so that it does not matter in how many pieces the line came.
    if (cr - pos_ > limits_.max_line) return Fail(too_long);
    // Like Redis, take whatever follows a CR for its LF.
    if (cr + 1 >= input_.size()) return kNeedMore;
    *line = input_.substr(pos_, cr - pos_);
    pos_ = cr + 2;
    return kCommand;
}

Parser::Result Parser::ParseArray() {
    std::string_view line;
    if (!in_array_) {
        if (Result r = Line("ERR Protocol error: too big mbulk count string", &line); r != kCommand)
            return r;
        int64_t count;
        if (!ParseInt64(line.substr(1), &count) ||
            (count > 0 && static_cast<uint64_t>(count) > limits_.max_args))
            return Fail("ERR Protocol error: invalid multibulk length");
        in_array_ = true;
        missing_ = count > 0 ? static_cast<size_t>(count) : 0;
        // The count is only a claim: memory grows with the bytes that really came.
        args_.reserve(std::min<size_t>(missing_, 16));
    }
    while (missing_ > 0) {
        if (bulk_ < 0) {
            if (Result r = Line("ERR Protocol error: too big bulk count string", &line);
                r != kCommand)
                return r;
            if (line.empty() || line[0] != '$')
                return Fail(std::string("ERR Protocol error: expected '$', got '") +
                            (line.empty() ? '\r' : line[0]) + "'");
            if (!ParseInt64(line.substr(1), &bulk_) || bulk_ < 0 ||
                static_cast<uint64_t>(bulk_) > limits_.max_bulk)
                return Fail("ERR Protocol error: invalid bulk length");
        }
        size_t size = static_cast<size_t>(bulk_);
        size_t have = input_.size() - pos_;
        if (have < size + 2) {
            wanted_ = size + 2 - have;
            return kNeedMore;
        }
        args_.push_back({pos_, size, false});
        pos_ += size + 2;
        bulk_ = -1;
        --missing_;
    }
    return kCommand;
}

Parser::Result Parser::ParseInline() {
    size_t lf = input_.find('\n', searched_);
    if (std::min(lf, input_.size()) > limits_.max_line)
        return Fail("ERR Protocol error: too big inline request");
    if (lf == std::string_view::npos) {
        searched_ = input_.size();
        return kNeedMore;
    }
    std::string_view line = input_.substr(0, lf);
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    pos_ = lf + 1;
    if (!SplitInline(line)) return Fail("ERR Protocol error: unbalanced quotes in request");
    return kCommand;
}

// Words between blanks; "..." with \n \r \t \b \a \xHH and \c escapes; '...' with \' alone. A
// closing quote must be followed by a blank or the end.
bool Parser::SplitInline(std::string_view line) {
    size_t i = 0;
    for (;;) {
        while (i < line.size() && IsBlank(line[i])) ++i;
        if (i == line.size()) return true;
        size_t start = unquoted_.size();
        char quote = 0;
        for (;; ++i) {
            if (i == line.size()) {
                if (quote) return false;
                break;
            }
            char c = line[i];
            if (!quote) {
                if (IsBlank(c)) break;
                if (c == '"' || c == '\'')
                    quote = c;
                else
                    unquoted_ += c;
            } else if (c == quote) {
                if (i + 1 < line.size() && !IsBlank(line[i + 1])) return false;
                quote = 0;
            } else if (quote == '\'' && c == '\\' && i + 1 < line.size() && line[i + 1] == '\'') {
                unquoted_ += '\'';
                ++i;
            } else if (quote == '"' && c == '\\' && i + 3 < line.size() && line[i + 1] == 'x' &&
                       HexDigit(line[i + 2]) >= 0 && HexDigit(line[i + 3]) >= 0) {
                unquoted_ += static_cast<char>(HexDigit(line[i + 2]) * 16 + HexDigit(line[i + 3]));
                i += 3;
            } else if (quote == '"' && c == '\\' && i + 1 < line.size()) {
                static constexpr std::string_view kNames = "nrtba", kBytes = "\n\r\t\b\a";
                size_t which = kNames.find(line[++i]);
                unquoted_ += which == std::string_view::npos ? line[i] : kBytes[which];
            } else {
                unquoted_ += c;
            }
        }
        args_.push_back({start, unquoted_.size() - start, true});
    }
}

namespace {

// Match one element of the pattern at `p` against `c`; `*next` is where the next element starts.
bool MatchOne(std::string_view pattern, size_t p, char c, bool ignore_case, size_t* next) {
    auto fold = [&](char x) { return ignore_case ? Lower(x) : x; };
    c = fold(c);
    if (pattern[p] == '?') {
        *next = p + 1;
        return true;
    }
    if (pattern[p] == '\\' && p + 1 < pattern.size()) {
        *next = p + 2;
        return fold(pattern[p + 1]) == c;
    }
    if (pattern[p] != '[') {
        *next = p + 1;
        return fold(pattern[p]) == c;
    }
    bool negated = ++p < pattern.size() && pattern[p] == '^';
    if (negated) ++p;
    bool found = false;
    for (; p < pattern.size() && pattern[p] != ']'; ++p) {
        if (pattern[p] == '\\' && p + 1 < pattern.size()) {
            found |= fold(pattern[++p]) == c;
        } else if (p + 2 < pattern.size() && pattern[p + 1] == '-') {
            char low = fold(pattern[p]), high = fold(pattern[p + 2]);
            if (low > high) std::swap(low, high);
            found |= low <= c && c <= high;
            p += 2;
        } else {
            found |= fold(pattern[p]) == c;
        }
    }
    *next = std::min(p + 1, pattern.size());
    return found != negated;
}

}  // namespace

bool GlobMatch(std::string_view pattern, std::string_view text, bool ignore_case) {
    // Only the last star can matter: what an earlier one skipped is decided.
    size_t p = 0, t = 0, star = std::string_view::npos, star_text = 0, next;
    while (t < text.size()) {
        if (p < pattern.size() && pattern[p] == '*') {
            star = p++;
            star_text = t;
        } else if (p < pattern.size() && MatchOne(pattern, p, text[t], ignore_case, &next)) {
            p = next;
            ++t;
        } else if (star != std::string_view::npos) {
            p = star + 1;
            t = ++star_text;
        } else {
            return false;
        }
    }
    while (p < pattern.size() && pattern[p] == '*') ++p;
    return p == pattern.size();
}

}  // namespace kv
