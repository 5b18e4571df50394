// SPDX-License-Identifier: MIT
//
// From a request's target to a path below the root, and back.
#ifndef EXAMPLES_HTTP_TARGET_HPP
#define EXAMPLES_HTTP_TARGET_HPP

#include <optional>
#include <string>
#include <string_view>

namespace http {

// The path of "/a/b?query" or "http://host/a/b", still encoded; nothing if it is neither.
std::optional<std::string_view> path_of(std::string_view target);

// Of such a path: decoded, without empty parts and ".", relative; with a '/' at its end if it had
// one. "" is the root. Nothing if it is badly encoded or has a part ".." or a byte 0: nobody needs
// these but who looks for a way out.
std::optional<std::string> decode_path(std::string_view path);

// As it may be written into a header.
std::string encode_path(std::string_view path);

}  // namespace http

#endif
