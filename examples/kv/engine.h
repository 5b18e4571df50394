// SPDX-License-Identifier: MIT
//
// Who decides what runs. A connection is served by plain blocking code; the engine is the only part
// of this program that knows whether that is a task of the UMCG runtime, a fiber or one with a
// thread of its own, or a plain thread that the kernel alone schedules. The code that serves is the
// same.
#ifndef EXAMPLES_KV_ENGINE_H_
#define EXAMPLES_KV_ENGINE_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "status.h"

namespace kv {

// What a worker does, and so what it waits for when it blocks there.
enum class Stage { kReceive, kRead, kWrite, kSend };
constexpr int kStages = 4;

// Counts since the start. "Blocks" are spans (one receive, one command's reads, ...) in which the
// worker was stopped in the kernel at least once: `seq` of its struct umcg_task, which the kernel
// counts, has moved. Inside an LMDB read nothing blocks but a page fault. All 0 with plain threads.
struct EngineStats {
    uint64_t blocks[kStages] = {};
    uint64_t yields = 0;          // a task let others go first
    uint64_t hand_overs = 0;      // from a worker to another that was in the middle of its task
    uint64_t server_wakeups = 0;  // times that a server thread came to run
    uint64_t io_ops = 0;          // receives and sends through io_uring
    uint64_t io_system_calls = 0;  // for these, waits included
    // Does ever more than one worker of a server run in user space? Looked at in `spans` stretches
    // of code that make no system call.
    uint64_t spans = 0;
    uint64_t overlaps = 0;     // another worker of the same server was in such a stretch, running
    uint64_t wrong_state = 0;  // the running worker was not what the kernel shows as running
    int most_running = 0;      // workers of one server found running at once
};

// One server's part of the check (for plain threads: an imagined server's).
struct alignas(64) Home {
    std::atomic<int> inside = 0;  // workers between Enter() and Leave(), running or not
    std::atomic<uint64_t> spans = 0, overlaps = 0, wrong_state = 0;
    std::atomic<int> most_running = 0;

    void Found(int running) {
        if (running > 1) overlaps.fetch_add(1, std::memory_order_relaxed);
        int most = most_running.load(std::memory_order_relaxed);
        while (running > most && !most_running.compare_exchange_weak(most, running)) {
        }
    }
    void AddTo(EngineStats* stats) const {
        stats->spans += spans.load(std::memory_order_relaxed);
        stats->overlaps += overlaps.load(std::memory_order_relaxed);
        stats->wrong_state += wrong_state.load(std::memory_order_relaxed);
        stats->most_running = std::max(stats->most_running, most_running.load());
    }
};

// What serves one connection: a task of the runtime, or a thread. It alone calls this.
class Worker {
  public:
    virtual ~Worker() = default;

    // Between commands, holding no lock: others may go first.
    virtual void Checkpoint() = 0;
    // Around every stretch that may block. With io_uring the task waits in kReceive and kSend, its
    // worker does not.
    virtual void Begin(Stage stage) = 0;
    virtual void End(Stage stage) = 0;
    // Around user code that makes no system call and takes no lock.
    virtual void Enter() = 0;
    virtual void Leave() = 0;
};

class StageScope {
  public:
    StageScope(Worker& worker, Stage stage) : worker_(worker), stage_(stage) {
        worker_.Begin(stage_);
    }
    ~StageScope() { worker_.End(stage_); }
    StageScope(const StageScope&) = delete;

  private:
    Worker& worker_;
    const Stage stage_;
};

class UserScope {
  public:
    explicit UserScope(Worker& worker) : worker_(worker) { worker_.Enter(); }
    ~UserScope() { worker_.Leave(); }
    UserScope(const UserScope&) = delete;

  private:
    Worker& worker_;
};

class Engine {
  public:
    virtual ~Engine() = default;

    // Run `body` as a new task or thread. Called by one plain thread.
    virtual Status Spawn(std::function<void(Worker&)> body) = 0;
    // Wait until all bodies have ended. Nothing may be spawned any more.
    virtual void Finish() = 0;

    virtual EngineStats Stats() const = 0;
    virtual const char* name() const = 0;
    // "fiber", "thread"; empty with plain threads, as are the next two: how UMCG is done here, and
    // what that promises (UMCG_CAP_*, by name).
    virtual const char* tasks() const { return ""; }
    virtual std::string backend() const { return ""; }
    virtual std::string capabilities() const { return ""; }
};

struct EngineOptions {
    int servers = 1;
    bool fibers = true;  // UMCG only: else each connection has a thread
    bool io_uring = true;  // fibers only: for receives and sends
    int max_clients = 1;  // at once
    bool pin = false;     // server i and its workers: the i-th CPU that this process may use
};

Result<std::unique_ptr<Engine>> StartUmcgEngine(const EngineOptions& options);
Result<std::unique_ptr<Engine>> StartThreadsEngine(const EngineOptions& options);

}  // namespace kv

#endif  // EXAMPLES_KV_ENGINE_H_
