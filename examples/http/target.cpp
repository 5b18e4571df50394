// SPDX-License-Identifier: MIT
#include "target.hpp"

#include <algorithm>

#include "request_parser.hpp"

namespace http {

namespace {

int hex(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

}  // namespace

std::optional<std::string_view> path_of(std::string_view target) {
    for (const std::string_view scheme : {"http://", "https://"}) {
        if (!equal_ignoring_case(target.substr(0, scheme.size()), scheme)) continue;
        target.remove_prefix(scheme.size());
        target.remove_prefix(std::min(target.find_first_of("/?"), target.size()));
        if (!target.starts_with('/')) return "/";
        break;
    }
    if (!target.starts_with('/')) return std::nullopt;
    return target.substr(0, target.find('?'));
}

std::optional<std::string> decode_path(std::string_view path) {
    std::string bytes;
    for (size_t i = 0; i < path.size(); i++) {
        char c = path[i];
        if (c == '%') {
            if (path.size() - i < 3) return std::nullopt;
            const int high = hex(path[i + 1]), low = hex(path[i + 2]);
            if (high < 0 || low < 0) return std::nullopt;
            c = static_cast<char>(high * 16 + low);
            i += 2;
        }
        if (!c) return std::nullopt;
        bytes += c;
    }
    // split after decoding: an encoded slash is a slash
    std::string result;
    std::string_view rest = bytes;
    while (!rest.empty()) {
        const size_t slash = std::min(rest.find('/'), rest.size());
        const std::string_view part = rest.substr(0, slash);
        rest.remove_prefix(std::min(slash + 1, rest.size()));
        if (part.empty() || part == ".") continue;
        if (part == "..") return std::nullopt;
        result += part;
        result += '/';
    }
    if (!result.empty() && !bytes.ends_with('/') && !bytes.ends_with("/.")) result.pop_back();
    return result;
}

std::string encode_path(std::string_view path) {
    constexpr char digits[] = "0123456789ABCDEF";
    std::string result;
    for (const char c : path) {
        const auto byte = static_cast<unsigned char>(c);
        const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                           (c >= 'A' && c <= 'Z') ||
                           (c && std::string_view("/-._~").find(c) != std::string_view::npos);
        if (plain) {
            result += c;
        } else {
            result += '%';
            result += digits[byte >> 4];
            result += digits[byte & 15];
        }
    }
    return result;
}

}  // namespace http
