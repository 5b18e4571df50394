// SPDX-License-Identifier: MIT
//
// The UMCG engine: each connection is a task of the runtime, a fiber or a thread task.
#include <umcg/umcg.h>

#include <exception>
#include <string>
#include <umcg/io.hpp>
#include <umcg/native_handle.hpp>
#include <umcg/runtime.hpp>
#include <umcg/wait_group.hpp>
#include <utility>
#include <vector>

#include "engine.h"
#include "span_check.h"
#include "status.h"

namespace kv {
namespace {

// Deep enough for LMDB's recursion; what is not touched costs nothing.
constexpr size_t kStackSize = 256 * 1024;

// Commands that a task may run without a block before it lets those who wait go first.
constexpr int kBurst = 64;

struct ServerCounts {
    SpanCheck check;
    alignas(64) std::atomic<uint64_t> blocks[kStages] = {};
    std::atomic<uint64_t> yields = 0;
};

class UmcgWorker : public Worker {
  public:
    explicit UmcgWorker(std::vector<ServerCounts>* servers) : servers_(*servers) {}

    void Checkpoint() override {
        const umcg::native_handles on = umcg::native_handle();
        if (const Seen now = Look(on); now != burst_since_) {
            burst_since_ = now;
            burst_ = 0;
        }
        if (++burst_ < kBurst) return;
        burst_ = 0;
        servers_[on.server_index].yields.fetch_add(1, std::memory_order_relaxed);
        umcg::yield();
    }

    // umcg::io announces a wait for the client, for a backend that would notice it late. Inside
    // LMDB nobody knows in advance; its page faults are the kernel's, or a monitor's, to see.
    void Begin(Stage stage) override {
        if (InRing(stage)) return;
        stage_since_ = Look(umcg::native_handle());
    }
    void End(Stage stage) override {
        if (InRing(stage)) {
            burst_ = 0;  // others have had their turn
            return;
        }
        // Nothing in such a stage parks the task, so it ends on the worker that it began on.
        const umcg::native_handles on = umcg::native_handle();
        if (Look(on) != stage_since_)
            servers_[on.server_index].blocks[static_cast<int>(stage)].fetch_add(
                1, std::memory_order_relaxed);
    }

    void Enter() override {
        on_ = umcg::native_handle();
        if (!record_ || record_->worker != on_.worker)
            record_ = servers_[on_.server_index].check.RecordOf(on_);
        servers_[on_.server_index].check.Enter(record_, on_);
    }
    void Leave() override { servers_[on_.server_index].check.Leave(record_, on_); }

  private:
    static bool InRing(Stage stage) {
        return (stage == Stage::kReceive || stage == Stage::kSend) && umcg::io::uses_io_uring();
    }
    // Changes when the worker stops in the kernel.
    using Seen = std::pair<const umcg_task*, uint32_t>;
    static Seen Look(const umcg::native_handles& on) {
        return {on.worker, __atomic_load_n(&on.worker->seq, __ATOMIC_RELAXED)};
    }

    std::vector<ServerCounts>& servers_;
    umcg::native_handles on_;
    SpanCheck::Record* record_ = nullptr;
    Seen stage_since_ = {}, burst_since_ = {};
    int burst_ = 0;
};

class UmcgEngine : public Engine {
  public:
    UmcgEngine(const EngineOptions& options, const umcg::options& how)
        : kind_(options.fibers ? umcg::kind::fiber : umcg::kind::thread),
          servers_(static_cast<size_t>(options.servers)),
          runtime_(how) {}

    Status Spawn(std::function<void(Worker&)> body) override {
        alive_.add();
        try {
            auto serve = [this, body = std::move(body)]() mutable {
                UmcgWorker worker(&servers_);
                body(worker);
                body = nullptr;  // what it owns goes before the engine may
                alive_.done();
            };
            runtime_.spawn(std::move(serve), {.name = "client", .kind = kind_}).detach();
        } catch (const std::exception& e) {
            alive_.done();
            return Status::Error(Cat("cannot start a task: ", e.what()));
        }
        return Status();
    }

    void Finish() override { alive_.wait(); }

    EngineStats Stats() const override {
        const umcg::stats all = runtime_.stats();
        EngineStats stats;
        for (const ServerCounts& server : servers_) {
            server.check.AddTo(&stats);
            for (int i = 0; i < kStages; ++i) stats.blocks[i] += server.blocks[i].load();
            stats.yields += server.yields.load();
        }
        stats.hand_overs = all.hand_overs;
        stats.server_wakeups = all.server_wakes;
        stats.io_ops = all.io_ops;
        stats.io_system_calls = all.io_enters;
        return stats;
    }

    const char* name() const override { return "umcg"; }
    const char* tasks() const override { return kind_ == umcg::kind::fiber ? "fiber" : "thread"; }
    std::string backend() const override { return runtime_.backend(); }
    std::string capabilities() const override {
        static constexpr std::pair<uint32_t, const char*> kNames[] = {
            {UMCG_CAP_BLOCK_EVENTS, "BLOCK_EVENTS"}, {UMCG_CAP_HOLD, "HOLD"},
            {UMCG_CAP_PREEMPT, "PREEMPT"},           {UMCG_CAP_FAULT_EVENTS, "FAULT_EVENTS"},
            {UMCG_CAP_ONE_RUNNING, "ONE_RUNNING"},
        };
        std::string text;
        for (const auto& [bit, name] : kNames)
            if (umcg_capabilities() & bit) text += text.empty() ? name : Cat(" ", name);
        return text;
    }

  private:
    const umcg::kind kind_;
    umcg::wait_group alive_;
    std::vector<ServerCounts> servers_;
    umcg::runtime runtime_;  // last: its tasks use the others
};

}  // namespace

Result<std::unique_ptr<Engine>> StartUmcgEngine(const EngineOptions& options) {
    umcg::options how;
    how.servers = static_cast<unsigned>(options.servers);
    how.pin = options.pin;
    how.stack_size = kStackSize;
    how.io_uring = options.fibers && options.io_uring;  // else no descriptors for rings
    how.guard = umcg::stack_guard::when_possible;
    // A fiber in a page fault keeps its worker, and so does one in a plain receive: whoever may
    // connect must find one.
    how.max_workers = static_cast<unsigned>(options.max_clients) + 2;
    try {
        return std::unique_ptr<Engine>(new UmcgEngine(options, how));
    } catch (const std::exception& e) {
        return Status::Error(Cat(e.what(), "\n--engine=threads runs anywhere"));
    }
}

}  // namespace kv
