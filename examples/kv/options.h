// SPDX-License-Identifier: MIT
#ifndef EXAMPLES_KV_OPTIONS_H_
#define EXAMPLES_KV_OPTIONS_H_

#include <cstddef>
#include <string>

#include "status.h"
#include "store.h"

namespace kv {

struct Options {
    std::string dir;
    std::string bind = "127.0.0.1";
    int port = 6379;
    bool umcg = true;
    bool fibers = true;
    bool io_uring = true;
    int servers = 0;  // 0: one per CPU that the process may use
    bool pin = false;
    int max_clients = 1000;
    size_t memory = size_t{1} << 30;
    size_t max_value = size_t{512} << 20;
    size_t map_size = size_t{64} << 30;
    SyncMode sync = SyncMode::kFull;
    int timeout_seconds = 0;
    bool help = false;
};

// An error names the option and the value that is wrong.
Result<Options> ParseOptions(int argc, char** argv);
const char* HelpText();

}  // namespace kv

#endif  // EXAMPLES_KV_OPTIONS_H_
