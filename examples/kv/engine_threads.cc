// SPDX-License-Identifier: MIT
//
// Plain threads: the kernel's scheduler alone decides. For comparison, and for machines without
// UMCG. The check for two workers in user space at once runs here as well, with as many imagined
// servers: with two CPUs and a little load it must find some, which shows that it can.
#include <pthread.h>
#include <sched.h>

#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <utility>
#include <vector>

#include "engine.h"

namespace kv {
namespace {

// Deep enough for LMDB's recursion; the rest is never touched.
constexpr size_t kStackSize = 512 * 1024;

void* Run(void* body) {
    std::unique_ptr<std::function<void()>> owned(static_cast<std::function<void()>*>(body));
    (*owned)();
    return nullptr;
}

// A detached thread with a small stack, all signals blocked by its creator.
Status StartThread(std::function<void()> body) {
    pthread_attr_t attr;
    pthread_t thread;
    if (int rc = pthread_attr_init(&attr)) return Status::Errno(rc, "pthread_attr_init");
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, kStackSize);
    auto owned = std::make_unique<std::function<void()>>(std::move(body));
    int rc = pthread_create(&thread, &attr, Run, owned.get());
    pthread_attr_destroy(&attr);
    if (rc) return Status::Errno(rc, "cannot start a thread");
    owned.release();
    return Status();
}

// Pin the calling thread to the index-th CPU (modulo their number) of the process' set.
Status PinToCpu(int index) {
    // The set as it was before anybody was pinned.
    static const cpu_set_t all = [] {
        cpu_set_t set;
        CPU_ZERO(&set);
        sched_getaffinity(0, sizeof(set), &set);
        return set;
    }();
    if (index < 0) return Status();  // only to read the set in time
    int left = index % CPU_COUNT(&all);
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
        if (!CPU_ISSET(cpu, &all) || left-- > 0) continue;
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        if (sched_setaffinity(0, sizeof(one), &one))
            return Status::Errno(errno, "sched_setaffinity");
        break;
    }
    return Status();
}

class ThreadsEngine : public Engine {
  public:
    explicit ThreadsEngine(const EngineOptions& options)
        : options_(options), homes_(static_cast<size_t>(options.servers)) {
        PinToCpu(-1).IgnoreError();
    }

    Status Spawn(std::function<void(Worker&)> body) override {
        int index = next_++ % options_.servers;
        {
            std::lock_guard lock(mu_);
            ++alive_;
        }
        Status status = StartThread([this, index, body = std::move(body)]() mutable {
            if (options_.pin) PinToCpu(index).IgnoreError();
            {
                ThreadWorker worker(&homes_[static_cast<size_t>(index)]);
                body(worker);
            }
            body = nullptr;  // what it owns goes before the engine may
            Gone();
        });
        if (!status.ok()) Gone();
        return status;
    }

    void Finish() override {
        std::unique_lock lock(mu_);
        none_left_.wait(lock, [&] { return alive_ == 0; });
    }

    EngineStats Stats() const override {
        EngineStats stats;
        for (const Home& home : homes_) home.AddTo(&stats);
        return stats;
    }

    const char* name() const override { return "threads"; }

  private:
    class ThreadWorker : public Worker {
      public:
        explicit ThreadWorker(Home* home) : home_(home) {}
        void Checkpoint() override {}
        void Begin(Stage) override {}
        void End(Stage) override {}
        void Enter() override {
            home_->spans.fetch_add(1, std::memory_order_relaxed);
            home_->Found(home_->inside.fetch_add(1) + 1);
        }
        void Leave() override { home_->inside.fetch_sub(1); }

      private:
        Home* const home_;
    };

    void Gone() {
        std::lock_guard lock(mu_);
        if (--alive_ == 0) none_left_.notify_all();
    }

    const EngineOptions options_;
    std::vector<Home> homes_;
    int next_ = 0;
    std::mutex mu_;
    std::condition_variable none_left_;
    int alive_ = 0;
};

}  // namespace

Result<std::unique_ptr<Engine>> StartThreadsEngine(const EngineOptions& options) {
    return std::unique_ptr<Engine>(new ThreadsEngine(options));
}

}  // namespace kv
