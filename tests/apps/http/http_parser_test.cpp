// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <string_view>

#include "request_parser.hpp"
#include "target.hpp"

namespace {

using http::decode_path;
using http::parser_limits;
using http::path_of;
using http::request_parser;

std::string get(std::string_view headers) {
    return "GET / HTTP/1.1\r\nHost: x\r\n" + std::string(headers) + "\r\n";
}

std::string post(std::string_view headers, std::string_view body) {
    std::string text = "POST /p HTTP/1.1\r\nHost: x\r\n";
    text += headers;
    text += "\r\n";
    text += body;
    return text;
}

// The status, 200 for a complete request, 0 for one that wants more.
int status_of(std::string_view text, const parser_limits& limits = {}) {
    request_parser p(limits);
    p.feed(text);
    return p.complete() ? 200 : p.status();
}

TEST(RequestParser, PartsOfARequest) {
    request_parser p;
    const std::string text =
        "GET /a?b=c HTTP/1.1\r\nHost: example.org:80\r\nX-Blank: \t two words \t\r\nX-Empty:\r\n\r\n";
    EXPECT_FALSE(p.begun());
    EXPECT_EQ(p.feed(text), text.size());
    ASSERT_TRUE(p.complete());
    EXPECT_EQ(p.method(), "GET");
    EXPECT_EQ(p.target(), "/a?b=c");
    EXPECT_EQ(p.header("hOST"), "example.org:80");
    EXPECT_EQ(p.header("x-blank"), "two words");
    EXPECT_EQ(p.header("X-Empty"), "");
    EXPECT_EQ(p.header("X-Absent"), std::nullopt);
    EXPECT_EQ(p.body(), "");
    EXPECT_TRUE(p.keep_alive());
    EXPECT_EQ(p.feed("more"), 0u);
}

TEST(RequestParser, TakesNoByteOfTheNextRequest) {
    request_parser p;
    const std::string one = post("Content-Length: 3\r\n", "abc"),
                      two = post("Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n0\r\n\r\n"),
                      three = get("");
    const std::string all = one + two + three;
    std::string_view rest = all;
    for (const std::string& each : {one, two, three}) {
        ASSERT_EQ(p.feed(rest), each.size());
        ASSERT_TRUE(p.complete());
        EXPECT_EQ(p.body(), each == three ? "" : "abc");
        rest.remove_prefix(each.size());
        p.reset();
        EXPECT_FALSE(p.begun());
    }
}

TEST(RequestParser, AnyCutIsTheSameRequest) {
    const std::string text =
        post("Transfer-Encoding: Chunked\r\nConnection: close\r\n",
             "5;name=value\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\nTrailer: x\r\n\r\n");
    for (size_t cut = 0; cut <= text.size(); cut++) {
        request_parser p;
        const std::string_view all = text;
        EXPECT_EQ(p.feed(all.substr(0, cut)), cut);
        EXPECT_EQ(p.complete(), cut == text.size());
        EXPECT_EQ(p.feed(all.substr(cut)), text.size() - cut);
        ASSERT_TRUE(p.complete()) << cut;
        EXPECT_EQ(p.body(), "hello world");
        EXPECT_EQ(p.target(), "/p");
        EXPECT_FALSE(p.keep_alive());
    }
    request_parser p;
    for (const char c : text) EXPECT_EQ(p.feed({&c, 1}), 1u);
    ASSERT_TRUE(p.complete());
    EXPECT_EQ(p.body(), "hello world");
}

TEST(RequestParser, KeepAlive) {
    const auto keeps = [](const std::string& text) {
        request_parser p;
        p.feed(text);
        EXPECT_TRUE(p.complete()) << text;
        return p.keep_alive();
    };
    EXPECT_TRUE(keeps(get("")));
    EXPECT_FALSE(keeps(get("Connection: close\r\n")));
    EXPECT_FALSE(keeps(get("Connection: x, CLOSE , y\r\n")));
    EXPECT_FALSE(keeps(get("Connection: keep-alive\r\nConnection: close\r\n")));
    EXPECT_TRUE(keeps(get("Connection: closed\r\n")));
    EXPECT_FALSE(keeps("GET / HTTP/1.0\r\n\r\n"));
    EXPECT_TRUE(keeps("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"));
}

TEST(RequestParser, WhatIsRefused) {
    const std::string bad[] = {
        "GET / HTTP/1.1\nHost: x\r\n\r\n",             // LF alone
        "GET /\r\n\r\n",                               // no version
        "GET / FTP/1.1\r\n\r\n",                       //
        "GET  HTTP/1.1\r\n\r\n",                       // no target
        "GET /a b HTTP/1.1\r\n\r\n",                   // a blank in it
        "GET /\x01 HTTP/1.1\r\n\r\n",                  //
        "GET /\xc3\xa4 HTTP/1.1\r\n\r\n",              //
        "G(T / HTTP/1.1\r\n\r\n",                      //
        " GET / HTTP/1.1\r\n\r\n",                     //
        "GET / HTTP/1.1\r\n\r\n",                      // no Host
        get("Host: y\r\n"),                            // two
        get("X : y\r\n"),                              // a blank before the colon
        get("X: y\r\n z\r\n"),                         // folded
        get("X\r\n"),                                  //
        get(": y\r\n"),                                //
        get("X: a\rb\r\n"),                            // CR alone
        get(std::string_view("X: a\0b\r\n", 8)),       //
        post("Content-Length: -1\r\n", ""),            //
        post("Content-Length: +1\r\n", "x"),           //
        post("Content-Length: 1, 1\r\n", "x"),         //
        post("Content-Length: 0x1\r\n", "x"),          //
        post("Content-Length:\r\n", ""),               //
        post("Content-Length: 99999999999999999999\r\n", ""),
        post("Content-Length: 1\r\nContent-Length: 1\r\n", "x"),
        post("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", "x"),
        post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", ""),
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
        post("Transfer-Encoding: chunked\r\n", "x\r\n"),
        post("Transfer-Encoding: chunked\r\n", "\r\n"),
        post("Transfer-Encoding: chunked\r\n", "-1\r\n"),
        post("Transfer-Encoding: chunked\r\n", "1\r\nabcd"), // longer than said
        post("Transfer-Encoding: chunked\r\n", "1\na"),
        post("Transfer-Encoding: chunked\r\n", "fffffffffffffffff\r\n"),
        "\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n",
    };
    for (const std::string& text : bad) EXPECT_EQ(status_of(text), 400) << text;
    EXPECT_EQ(status_of(post("Transfer-Encoding: gzip, chunked\r\n", "")), 501);
    EXPECT_EQ(status_of(post("Expect: tea\r\n", "")), 417);
    EXPECT_EQ(status_of("GET / HTTP/2.0\r\n\r\n"), 505);
    EXPECT_EQ(status_of("\r\n" + get("")), 200);
}

// One byte less than each limit passes, one more does not, whether its end has come or not.
TEST(RequestParser, Limits) {
    const parser_limits limits{.request_line = 64, .head = 128, .headers = 3, .body = 8};
    const auto line = [](size_t size) {
        return "GET /" + std::string(size - 16, 'a') + " HTTP/1.1\r\n";
    };
    EXPECT_EQ(line(64).size(), 64u);
    EXPECT_EQ(status_of(line(64) + "Host: x\r\n\r\n", limits), 200);
    EXPECT_EQ(status_of(line(65), limits), 414);
    EXPECT_EQ(status_of(std::string(64, 'a'), limits), 0);
    EXPECT_EQ(status_of(std::string(65, 'a'), limits), 414);

    const std::string start = "GET / HTTP/1.1\r\nHost: x\r\n";
    const auto filled = [&](size_t size) {
        return start + "A: " + std::string(size - start.size() - 7, 'a') + "\r\n\r\n";
    };
    EXPECT_EQ(filled(128).size(), 128u);
    EXPECT_EQ(status_of(filled(128), limits), 200);
    EXPECT_EQ(status_of(filled(129), limits), 431);
    EXPECT_EQ(status_of(start + "A: " + std::string(200, 'a'), limits), 431);
    EXPECT_EQ(status_of(get("A:\r\nB:\r\n"), limits), 200);
    EXPECT_EQ(status_of(get("A:\r\nB:\r\nC:\r\n"), limits), 431);

    EXPECT_EQ(status_of(post("Content-Length: 8\r\n", "12345678"), limits), 200);
    EXPECT_EQ(status_of(post("Content-Length: 9\r\n", ""), limits), 413);
    const std::string chunked = "Transfer-Encoding: chunked\r\n";
    EXPECT_EQ(status_of(post(chunked, "4\r\n1234\r\n4\r\n5678\r\n0\r\n\r\n"), limits), 200);
    EXPECT_EQ(status_of(post(chunked, "4\r\n1234\r\n5\r\n"), limits), 413);
    EXPECT_EQ(status_of(post(chunked, "ffffffffffffffff\r\n"), limits), 413);
    EXPECT_EQ(status_of(post(chunked, "1;" + std::string(300, 'x')), limits), 400);
    std::string trailers = "0\r\n";
    for (int i = 0; i < 20; i++) trailers += "T: 1234\r\n";
    EXPECT_EQ(status_of(post(chunked, trailers), limits), 431);
}

TEST(RequestParser, Continue) {
    request_parser p;
    const std::string head = post("Content-Length: 2\r\nExpect: 100-Continue\r\n", "");
    p.feed(std::string_view(head).substr(0, head.size() - 1));
    EXPECT_FALSE(p.awaits_continue());
    p.feed("\n");
    EXPECT_TRUE(p.awaits_continue());
    p.feed("a");
    EXPECT_FALSE(p.awaits_continue());
    p.feed("b");
    EXPECT_TRUE(p.complete());
    EXPECT_FALSE(p.awaits_continue());
    p.reset();
    p.feed(get("Expect: 100-continue\r\n"));  // without a body
    EXPECT_TRUE(p.complete());
    EXPECT_FALSE(p.awaits_continue());
}

TEST(Target, Path) {
    EXPECT_EQ(path_of("/a/b?c?d"), "/a/b");
    EXPECT_EQ(path_of("HTTP://h:1/a?b"), "/a");
    EXPECT_EQ(path_of("http://h"), "/");
    EXPECT_EQ(path_of("http://h?q=/x"), "/");
    EXPECT_EQ(path_of("*"), std::nullopt);
    EXPECT_EQ(path_of("host:443"), std::nullopt);
    EXPECT_EQ(path_of("ftp://h/a"), std::nullopt);
}

TEST(Target, Decode) {
    EXPECT_EQ(decode_path("/"), "");
    EXPECT_EQ(decode_path("/a/b"), "a/b");
    EXPECT_EQ(decode_path("//a///./b/"), "a/b/");
    EXPECT_EQ(decode_path("/a/."), "a/");
    EXPECT_EQ(decode_path("/%41%20%ff"), "A \xff");
    EXPECT_EQ(decode_path("/..."), "...");
    EXPECT_EQ(decode_path("/a%2fb"), "a/b");
}

TEST(Target, NoWayOut) {
    for (const char* path : {"/..", "/../etc/passwd", "/a/../../b", "/a/..", "/%2e%2e/x", "/.%2E/x",
                             "/a%2f..%2f..%2fx", "/%00", "/a%00.html", "/%", "/%4", "/%zz", "/%-1"})
        EXPECT_EQ(decode_path(path), std::nullopt) << path;
    // not decoded twice
    EXPECT_EQ(decode_path("/%252e%252e/x"), "%2e%2e/x");
}

TEST(Target, EncodeIsDecodedAgain) {
    std::string all;
    for (int c = 1; c < 256; c++) all += static_cast<char>(c);
    const std::string path = "a/b c\r\n%/" + all.substr(0, 45) + all.substr(47);  // no '.' and '/'
    const std::string encoded = http::encode_path(path);
    EXPECT_EQ(decode_path("/" + encoded), path);
    EXPECT_EQ(encoded.find_first_of(" \r\n"), std::string::npos);
}

}  // namespace
