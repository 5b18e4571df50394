// SPDX-License-Identifier: MIT
#include "response.hpp"

#include <utility>

#include "request_parser.hpp"

namespace http {

std::string_view reason(int status) {
    switch (status) {
        case 200: return "OK";
        case 301: return "Moved Permanently";
        case 304: return "Not Modified";
        case 400: return "Bad Request";
        case 403: return "Forbidden";
        case 404: return "Not Found";
        case 405: return "Method Not Allowed";
        case 408: return "Request Timeout";
        case 413: return "Content Too Large";
        case 414: return "URI Too Long";
        case 417: return "Expectation Failed";
        case 431: return "Request Header Fields Too Large";
        case 500: return "Internal Server Error";
        case 501: return "Not Implemented";
        case 503: return "Service Unavailable";
        case 505: return "HTTP Version Not Supported";
        default: return "";
    }
}

std::string http_date(time_t when) {
    tm parts;
    char text[64];
    gmtime_r(&when, &parts);
    // no locale is set in this program: the names are English
    return {text, strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &parts)};
}

std::string_view content_type(std::string_view path) {
    static constexpr std::pair<std::string_view, std::string_view> types[] = {
        {".html", "text/html; charset=utf-8"}, {".htm", "text/html; charset=utf-8"},
        {".css", "text/css; charset=utf-8"},   {".js", "text/javascript; charset=utf-8"},
        {".json", "application/json"},         {".txt", "text/plain; charset=utf-8"},
        {".md", "text/plain; charset=utf-8"},  {".svg", "image/svg+xml"},
        {".png", "image/png"},                 {".jpg", "image/jpeg"},
        {".jpeg", "image/jpeg"},               {".gif", "image/gif"},
        {".webp", "image/webp"},               {".ico", "image/x-icon"},
        {".pdf", "application/pdf"},           {".wasm", "application/wasm"},
    };
    const size_t dot = path.rfind('.');
    if (dot != std::string_view::npos)
        for (const auto& [end, type] : types)
            if (equal_ignoring_case(path.substr(dot), end)) return type;
    return "application/octet-stream";
}

void append_head(std::string& out, const response_head& head) {
    out += "HTTP/1.1 ";
    out += std::to_string(head.status);
    out += ' ';
    out += reason(head.status);
    out += "\r\nDate: ";
    out += http_date(time(nullptr));
    if (head.status != 304) {
        out += "\r\nContent-Length: ";
        out += std::to_string(head.length);
    }
    if (!head.type.empty()) {
        out += "\r\nContent-Type: ";
        out += head.type;
        out += "\r\nX-Content-Type-Options: nosniff";
    }
    if (!head.keep_alive)
        out += "\r\nConnection: close";
    else if (head.old_version)
        out += "\r\nConnection: keep-alive";
    out += "\r\n";
    out += head.more;
    out += "\r\n";
}

}  // namespace http
