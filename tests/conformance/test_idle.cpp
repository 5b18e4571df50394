// SPDX-License-Identifier: MIT
// A process in which nothing happens makes no wake-ups: no polling, no ticks.
#include <dirent.h>

#include "blocks.hpp"

namespace umcg_test {
namespace {

using Idle = Conformance;

// Context switches of all threads but the caller's since their start.
uint64_t switches() {
    uint64_t sum = 0;
    DIR* dir = opendir("/proc/self/task");
    while (const dirent* entry = readdir(dir)) {
        const pid_t tid = atoi(entry->d_name);
        if (!tid || tid == gettid()) continue;
        const std::string text = slurp("/proc/self/task/" + std::to_string(tid) + "/status");
        for (const char* key : {"\nvoluntary_ctxt_switches:", "\nnonvoluntary_ctxt_switches:"}) {
            const size_t at = text.find(key);
            if (at != std::string::npos) sum += strtoull(text.c_str() + at + strlen(key), nullptr, 10);
        }
    }
    closedir(dir);
    return sum;
}

// The process comes to rest: for a fifth of a second nobody of it runs. What was
// under way may take its time.
void expect_rest() {
    EXPECT_TRUE(poll_until([] {
        const uint64_t before = switches();
        sleep_us(200000);
        return switches() == before;
    })) << "never at rest";
}

TEST_F(Idle, ServersWithoutWorkers) {
    FifoServer a, b;
    expect_rest();
}

TEST_F(Idle, WorkersBlockedHeldAndAnnounced) {
    Gate gate;
    Pipe p;
    std::atomic<bool> parks{false};
    FifoServer s;
    std::vector<std::unique_ptr<Worker>> workers;
    const auto add = [&](Worker::Body body) {
        workers.push_back(std::make_unique<Worker>(std::move(body), Worker::Options{.home = s.tid()}));
    };
    add([&](Worker&) { gate.wait(); });
    add([&](Worker&) {
        char c;
        EXPECT_EQ(read(p.fd[0], &c, 1), 1);  // not announced
    });
    add([&](Worker&) {
        parks = true;
        EXPECT_EQ(umcg_wait(0, 0), 0);  // on no list
    });
    EVENTUALLY(workers[0]->low_state() == UMCG_TASK_BLOCKED);
    EVENTUALLY(workers[1]->low_state() == UMCG_TASK_BLOCKED);
    EVENTUALLY(parks && workers[2]->held());
    expect_rest();
    EXPECT_EQ(workers[0]->low_state(), UMCG_TASK_BLOCKED);
    EXPECT_EQ(workers[1]->low_state(), UMCG_TASK_BLOCKED);
    EXPECT_TRUE(workers[2]->held());
    gate.open();
    p.put();
    Server other;
    EXPECT_EQ(other.run(*workers[2]), 0);
    for (auto& w : workers) w->join();
}

}  // namespace
}  // namespace umcg_test
