// SPDX-License-Identifier: MIT
//
// What all connections share.
#ifndef EXAMPLES_KV_SHARED_H_
#define EXAMPLES_KV_SHARED_H_

#include <atomic>
#include <chrono>
#include <cstdint>

#include "buffer.h"
#include "engine.h"
#include "options.h"
#include "store.h"

namespace kv {

struct Counters {
    std::atomic<uint64_t> connections = 0;  // accepted, ever
    std::atomic<uint64_t> rejected = 0;     // turned away: too many, no thread, no descriptor
    std::atomic<int64_t> clients = 0;       // now
    std::atomic<uint64_t> commands = 0;
    std::atomic<uint64_t> errors = 0;  // error replies
};

struct Shared {
    Shared(const Options& o, Store* s, Engine* e)
        : options(o), store(s), engine(e), budget(o.memory) {}

    const Options& options;
    Store* const store;
    Engine* const engine;
    Budget budget;
    Counters counters;
    int port = 0;
    const std::chrono::steady_clock::time_point started = std::chrono::steady_clock::now();
};

}  // namespace kv

#endif  // EXAMPLES_KV_SHARED_H_
