// SPDX-License-Identifier: MIT
//
// The first byte says how the input is cut in pieces, the rest is what a client sends. However it
// is cut, the parser must come to the same end; and no target leads out of the root.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "request_parser.hpp"
#include "target.hpp"

namespace {

void must(bool good) {
    if (!good) std::abort();
}

void check_target(std::string_view target) {
    const auto path = http::path_of(target);
    if (!path) return;
    const auto decoded = http::decode_path(*path);
    if (!decoded) return;
    must(decoded->find('\0') == std::string::npos && !decoded->starts_with('/'));
    for (std::string_view rest = *decoded; !rest.empty();) {
        const size_t end = rest.find('/');
        must(rest.substr(0, end) != ".." && rest.substr(0, end) != ".");
        rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    }
    // what we write into a Location header is read as what was meant
    must(http::decode_path(http::encode_path(*decoded)) == decoded);
}

// All requests of `stream`, in a form that can be compared.
std::string parse_all(std::string_view stream, size_t piece) {
    const http::parser_limits limits{.request_line = 64, .head = 256, .headers = 8, .body = 128};
    http::request_parser parser(limits);
    std::string seen;
    while (!stream.empty()) {
        // a copy of exactly the size: a sanitizer sees every byte read beyond it
        const std::string bytes(stream.substr(0, piece));
        const size_t taken = parser.feed(bytes);
        must(taken <= bytes.size() && (taken == bytes.size() || parser.complete() || parser.failed()));
        stream.remove_prefix(taken);
        if (parser.failed()) {
            must(parser.status() >= 400 && parser.status() < 600);
            return seen + std::to_string(parser.status()) + parser.error();
        }
        if (parser.complete()) {
            must(parser.body().size() <= limits.body && parser.target().size() <= limits.request_line);
            for (const std::string_view part : {parser.method(), parser.target(), parser.body()}) {
                seen += std::to_string(part.size()) + ":";
                seen += part;
            }
            seen += std::string(parser.header("host").value_or("-")) + (parser.keep_alive() ? " keep\n" : " close\n");
            check_target(parser.target());
            parser.reset();
        }
    }
    return seen + (parser.begun() ? "begun" : "");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size == 0) return 0;
    const std::string_view stream(reinterpret_cast<const char*>(data + 1), size - 1);
    check_target(stream);
    must(parse_all(stream, stream.size() + 1) == parse_all(stream, data[0] % 16 + 1));
    return 0;
}
