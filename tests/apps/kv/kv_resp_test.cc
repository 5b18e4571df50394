// SPDX-License-Identifier: MIT
//
// The parser alone: what it makes of its input, however that is cut.
#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "resp.h"
#include "siphash.h"

namespace kv {
namespace {

using Request = std::vector<std::string>;

struct Outcome {
    std::vector<Request> requests;
    std::string error;
    size_t left = 0;  // bytes of an unfinished request

    bool operator==(const Outcome&) const = default;
};

// Feed `stream` in pieces that end at `cuts`, as a connection does: the input moves between calls.
Outcome ParseAll(std::string_view stream, const std::vector<size_t>& cuts,
                 const ParserLimits& limits = {}) {
    Outcome outcome;
    Parser parser(limits);
    std::string pending;
    size_t from = 0;
    std::vector<size_t> ends = cuts;
    ends.push_back(stream.size());
    for (size_t end : ends) {
        pending.append(stream.substr(from, end - from));
        from = end;
        for (;;) {
            // A copy of exactly the size: a sanitizer sees every byte read beyond it.
            std::vector<char> exact(pending.begin(), pending.end());
            Parser::Result result = parser.Parse({exact.data(), exact.size()});
            if (result == Parser::kError) {
                outcome.error = parser.error();
                return outcome;
            }
            if (result == Parser::kNeedMore) {
                EXPECT_GE(parser.wanted(), 1u);
                break;
            }
            Request request;
            for (size_t i = 0; i < parser.argc(); ++i) request.emplace_back(parser.arg(i));
            outcome.requests.push_back(request);
            EXPECT_GT(parser.consumed(), 0u);
            pending.erase(0, parser.consumed());
            parser.Reset();
        }
    }
    outcome.left = pending.size();
    return outcome;
}

constexpr std::string_view kStreams[] = {
    "*2\r\n$3\r\nGET\r\n$1\r\na\r\n*1\r\n$4\r\nPING\r\n",
    "*3\r\n$3\r\nSET\r\n$0\r\n\r\n$12\r\n\r\n*1\r\n$3\r\nx\n\r\n*0\r\n*-1\r\nPING\r\n",
    "PING\r\n\r\n  get  a\n\"q \\x41\\n\\\"\" 'it\\'s' un\"quo\"\r\nset k v",
    "*1\r\n$-1\r\n",
    "*x\r\n",
    "*1\r\n:3\r\nabc\r\n",
    "get \"a\"b\r\n",
    "*2\r\n$3\r\nGET\r\n$9223372036854775808\r\n",
};

TEST(RespParser, EverySplitGivesTheSame) {
    for (std::string_view stream : kStreams) {
        const Outcome whole = ParseAll(stream, {});
        for (size_t i = 0; i <= stream.size(); ++i) {
            EXPECT_EQ(ParseAll(stream, {i}), whole) << stream << " cut at " << i;
            for (size_t j = i; j <= stream.size(); ++j)
                EXPECT_EQ(ParseAll(stream, {i, j}), whole)
                    << stream << " cut at " << i << ", " << j;
        }
        std::vector<size_t> every;
        for (size_t i = 1; i < stream.size(); ++i) every.push_back(i);
        EXPECT_EQ(ParseAll(stream, every), whole) << stream << " byte by byte";
    }
}

TEST(RespParser, Arrays) {
    Outcome out = ParseAll(kStreams[1], {});
    ASSERT_EQ(out.requests.size(), 4u);
    EXPECT_EQ(out.requests[0], (Request{"SET", "", std::string("\r\n*1\r\n$3\r\nx\n", 12)}));
    EXPECT_EQ(out.requests[1], Request{});  // *0
    EXPECT_EQ(out.requests[2], Request{});  // *-1
    EXPECT_EQ(out.requests[3], Request{"PING"});
}

TEST(RespParser, Inline) {
    Outcome out = ParseAll(kStreams[2], {});
    ASSERT_EQ(out.requests.size(), 4u);
    EXPECT_EQ(out.requests[1], Request{});
    EXPECT_EQ(out.requests[2], (Request{"get", "a"}));
    EXPECT_EQ(out.requests[3], (Request{"q A\n\"", "it's", "unquo"}));
    EXPECT_EQ(out.left, std::strlen("set k v"));
}

TEST(RespParser, Errors) {
    const ParserLimits small = {.max_args = 3, .max_bulk = 10, .max_request = 64, .max_line = 24};
    const std::pair<std::string, std::string> cases[] = {
        {"*4\r\n", "invalid multibulk length"},
        {"*\r\n", "invalid multibulk length"},
        {"*01\r\n", "invalid multibulk length"},
        {"*99999999999999999999\r\n", "invalid multibulk length"},
        {"*1\r\n$11\r\n", "invalid bulk length"},
        {"*1\r\n$-1\r\n", "invalid bulk length"},
        {"*1\r\n$+1\r\n", "invalid bulk length"},
        {"*1\r\nPING\r\n", "expected '$', got 'P'"},
        {"*" + std::string(30, '1'), "too big mbulk count string"},
        {"*1\r\n$" + std::string(30, '1'), "too big bulk count string"},
        {std::string(30, 'x'), "too big inline request"},
        {std::string(30, 'x') + "\n", "too big inline request"},
        {"*1\r\n$" + std::string(30, '1') + "\r\n", "too big bulk count string"},
        {"'open\r\n", "unbalanced quotes in request"},
        {"\"open\\\"\r\n", "unbalanced quotes in request"},
        {"\"a\"b\r\n", "unbalanced quotes in request"},
    };
    for (const auto& [input, error] : cases)
        EXPECT_EQ(ParseAll(input, {}, small).error, "ERR Protocol error: " + error) << input;
    // All arguments within their limit, but not all of them together.
    const ParserLimits tight = {.max_args = 3, .max_bulk = 10, .max_request = 20, .max_line = 16};
    EXPECT_EQ(ParseAll("*2\r\n$10\r\n0123456789\r\n$10\r\n01", {}, tight).error,
              "ERR Protocol error: request larger than 20 bytes");
}

// A count is a claim: no memory and no time is spent on it.
TEST(RespParser, AnnouncedIsNotAllocated) {
    Parser parser;
    EXPECT_EQ(parser.Parse("*1048576\r\n$536870912\r\n"), Parser::kNeedMore);
    EXPECT_EQ(parser.wanted(), 536870912u + 2);
    EXPECT_EQ(parser.argc(), 0u);
}

TEST(RespParser, RandomBytesNeverBreakIt) {
    const unsigned seed = std::random_device()();
    SCOPED_TRACE(seed);
    std::mt19937 rng(seed);
    constexpr std::string_view kBytes = "*$\r\n0123-+ \"'\\xabPING";
    for (int round = 0; round < 3000; ++round) {
        std::string stream;
        for (size_t n = rng() % 60; n > 0; --n) stream += kBytes[rng() % kBytes.size()];
        std::vector<size_t> cuts;
        for (size_t i = 0; i < stream.size(); ++i)
            if (rng() % 4 == 0) cuts.push_back(i);
        ASSERT_EQ(ParseAll(stream, cuts), ParseAll(stream, {})) << stream;
    }
}

TEST(ParseInt64, AsRedisDoes) {
    int64_t value = 0;
    for (const char* good : {"0", "1", "-1", "9223372036854775807", "-9223372036854775808"}) {
        EXPECT_TRUE(ParseInt64(good, &value)) << good;
        EXPECT_EQ(std::to_string(value), good);
    }
    for (const char* bad : {"", "-", "+1", "-0", "01", "1 ", " 1", "1a", "9223372036854775808",
                            "-9223372036854775809"})
        EXPECT_FALSE(ParseInt64(bad, &value)) << bad;
}

TEST(GlobMatch, Patterns) {
    const std::pair<const char*, const char*> good[] = {
        {"*", ""},        {"*", "x"},      {"a*c", "abbbc"}, {"a?c", "abc"},
        {"[a-c]x", "bx"}, {"[^a]x", "bx"}, {"\\*", "*"},     {"*a*b*", "xxaxxbxx"},
        {"[c-a]", "b"},   {"a**b", "ab"},  {"[\\]]", "]"},
    };
    for (auto [pattern, text] : good) EXPECT_TRUE(GlobMatch(pattern, text)) << pattern;
    const std::pair<const char*, const char*> bad[] = {
        {"", "x"},       {"a", "b"},   {"a*c", "ab"}, {"a?c", "ac"}, {"[a-c]x", "dx"},
        {"[^a]x", "ax"}, {"\\*", "a"}, {"[", "x"},    {"*a", "ab"},  {"A", "a"},
    };
    for (auto [pattern, text] : bad) EXPECT_FALSE(GlobMatch(pattern, text)) << pattern;
    EXPECT_TRUE(GlobMatch("A[B-C]", "ac", true));
    // Would take for ever by trying all ways.
    EXPECT_FALSE(GlobMatch("a*a*a*a*a*a*a*a*a*a*a*a*b", std::string(500, 'a')));
}

// The published test vector: key 00..0f, text 00..0e.
TEST(SipHash, ReferenceVector) {
    SipKey key;
    unsigned char bytes[16];
    for (unsigned i = 0; i < 16; ++i) bytes[i] = static_cast<unsigned char>(i);
    std::memcpy(&key, bytes, sizeof(key));
    EXPECT_EQ(SipHash(key, {reinterpret_cast<char*>(bytes), 15}), 0xa129ca6149be45e5u);
}

}  // namespace
}  // namespace kv
