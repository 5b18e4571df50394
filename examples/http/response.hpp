// SPDX-License-Identifier: MIT
//
// The text of responses.
#ifndef EXAMPLES_HTTP_RESPONSE_HPP
#define EXAMPLES_HTTP_RESPONSE_HPP

#include <cstdint>
#include <ctime>
#include <string>
#include <string_view>

namespace http {

struct response_head {
    int status = 200;
    std::string_view type = {};  // of the content; empty: no such line
    uint64_t length = 0;         // of the content; 304 has none
    bool keep_alive = true;
    bool old_version = false;    // the request was of HTTP/1.0, which must be told that we keep alive
    std::string more = {};       // further lines, each with its end
};

void append_head(std::string& out, const response_head& head);
std::string_view reason(int status);
// "Sun, 06 Nov 1994 08:49:37 GMT"
std::string http_date(time_t when);
// By the name's end.
std::string_view content_type(std::string_view path);

}  // namespace http

#endif
