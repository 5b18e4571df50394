// SPDX-License-Identifier: MIT
// A storm: many workers on a few servers that queue, steal, arm successors, go
// quiet and end slices, all at random from one seed. What must hold throughout:
//  - never two workers of one server in user space at once (UMCG_CAP_ONE_RUNNING),
//  - a worker is in exactly one place: a queue, a server's next_tid, or running;
//    RUNNABLE is reported once for each stop,
//  - whoever owns a worker (by its queue or by the word) can run it,
//  - nobody is lost: every worker makes all of its steps and ends.
#pragma once

#include <cstdint>
#include <string>

#include "harness.hpp"

namespace umcg_test {

struct StormOptions {
    int servers = 2;
    int workers = 20;
    int steps = 100;          // per worker
    uint32_t flags = 0;       // user_flags of every server, all the time
    bool quiet = false;       // QUIET while a server's queue is empty
    bool direct = false;      // DIRECT_RESUME
    bool wake = false;        // WAKE_ON_RUNNABLE
    bool successor = true;    // next_tid while a worker runs, armed by server and worker
    bool steal = true;        // from queues and from next_tid
    bool peer = false;        // each server's peer is the next one
    bool slices = false;      // UMCG_WAIT_PREEMPT with short timeouts
    bool kicks = false;       // a thread that kicks anybody
    bool pinned = false;      // server i on CPU i
    int slow_us = 0;          // servers dawdle before they take their lists (R3)
};

struct StormCounts {
    uint64_t blocked = 0, runnable = 0, preempted = 0, dispatched = 0, stolen = 0,
             word_stolen = 0, handed = 0, steps = 0;
};
std::string text(const StormCounts& c);

// Runs it to its end; expectations fail in the calling test.
StormCounts storm(const StormOptions& options, uint64_t stream = 0);

}  // namespace umcg_test
