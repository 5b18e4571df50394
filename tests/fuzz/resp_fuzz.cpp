// SPDX-License-Identifier: MIT
//
// The first byte says where the input is cut in two, the rest is what a client sends. Cut or whole,
// the parser must come to the same end.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "resp.h"

namespace {

// All requests of `stream`, in a form that can be compared.
std::string ParseAll(std::string_view stream, size_t cut) {
    kv::Parser parser({.max_args = 64, .max_bulk = 256, .max_line = 64});
    std::string pending, seen;
    for (std::string_view piece : {stream.substr(0, cut), stream.substr(cut)}) {
        pending.append(piece);
        kv::Parser::Result result;
        while ((result = parser.Parse(pending)) == kv::Parser::kCommand) {
            seen += "request ";
            for (size_t i = 0; i < parser.argc(); ++i) {
                seen += std::to_string(parser.arg(i).size()) + ":";
                seen += parser.arg(i);
            }
            if (parser.consumed() == 0 || parser.consumed() > pending.size()) std::abort();
            pending.erase(0, parser.consumed());
            parser.Reset();
        }
        if (result == kv::Parser::kError) return seen + parser.error();
    }
    return seen;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size == 0) return 0;
    std::string_view stream(reinterpret_cast<const char*>(data + 1), size - 1);
    if (ParseAll(stream, stream.size()) != ParseAll(stream, data[0] % (stream.size() + 1)))
        std::abort();
    return 0;
}
