// SPDX-License-Identifier: MIT
//
// A runtime: its servers, its threads, and what they share.
#ifndef UMCG_SRC_CORE_HPP
#define UMCG_SRC_CORE_HPP

#include <pthread.h>

#include <algorithm>
#include <memory>
#include <mutex>
#include <vector>

#include <umcg/cancellation.hpp>
#include <umcg/runtime.hpp>

#include "policy_host.hpp"
#include "server.hpp"
#include "stack.hpp"
#include "topology.hpp"
#include "worker.hpp"

namespace umcg::detail {

// Where a fiber starts.
void run_fiber(arrival a) noexcept;
// What runs on a worker's thread, from registration to its end.
void run_worker(worker& w) noexcept;
// The running task gives up its worker: the executor is in a section, and is again when it returns,
// perhaps on another worker, which it returns. `next`: who runs instead; nullptr: find somebody.
worker* give_way(worker* w, task_body* next) noexcept;
// The server whose executor the calling server thread is.
server* this_server() noexcept;
// Make a task runnable, from anywhere.
void make_runnable(task_body& t, enqueue_reason reason) noexcept;

class core {
  public:
    explicit core(options opts);
    ~core();

    // Throws; then nothing was queued.
    void spawn(task_state* state);
    stats sum() const;
    // Nothing more is spawned from outside. Until the last task has ended, or that time: false.
    bool join_all(uint64_t until) noexcept;
    // Is the caller one of our tasks?
    bool own_task() const noexcept;
    size_t stack_high_water();
    // Spawned and not ended. From any thread; 0 is exact once nobody spawns from outside.
    uint64_t live() const noexcept;

    // ---- in a section, or on a server thread ----
    void task_ended(server& on) noexcept;
    // The nursery makes one; it comes by the server's runnable list.
    void want_worker(server& s) noexcept;
    // A worker was seen for the first time, or could not register: what the start waits for.
    void worker_known(int err) noexcept;
    // How many workers a server has at the start, and when nothing is to be done.
    unsigned workers_at_start() const noexcept { return std::min(2U, opts.max_workers); }
    // Its memory is used again, and stays a task's.
    void put_thread_task(task_body& t) noexcept;

    const options opts;
    const topology places;
    policy_host policy;
    stack_pool stacks;
    large_stacks larger;
    std::vector<std::unique_ptr<server>> servers;
    bool hold_at_call = false;
    const float_control control = float_control::read();  // of tasks without their own
    cancel_source cancelled;
    cancel_token cancelled_token = cancelled.token();  // of tasks that have no other
    std::atomic<bool> stopping{false};  // servers: let the workers go, then end
    std::atomic<unsigned> n_hungry{0};  // about how many servers are
    std::atomic<uint64_t> spawned_outside{0};  // by threads that are no workers of ours
    std::atomic<uint32_t> end_bell{0};  // a task has ended while closing; a futex
    std::atomic<bool> closing{false};

  private:
    struct task_memory {
        alignas(task_body) char bytes[sizeof(task_body)];
    };

    static void* server_thread(void* arg);
    static void* worker_thread(void* arg);
    static void* nursery_thread(void* arg);
    void start_servers();
    void stop() noexcept;
    int make_worker(server& s);
    void ends(worker& w) noexcept;
    void ring_nursery() noexcept;
    void join_ended() noexcept;
    void admit(task_body& t);
    task_body* new_fiber(size_t stack_size);
    task_body* new_thread_task();

    std::atomic<uint64_t> last_id_{0};  // of tasks
    pthread_t nursery_ = {};
    bool has_nursery_ = false;
    std::atomic<uint32_t> nursery_bell_{0};  // futex
    std::atomic<uint32_t> known_{0};         // futex
    std::atomic<int> known_error_{0};
    std::atomic<bool> nursery_ends_{false};
    std::atomic<uint64_t> usual_slices_{0};  // of the kernel's, before the nursery asked for others; 0: not known
    std::atomic<worker*> ended_{nullptr};    // R11: through next_spare, to be joined
    std::vector<worker*> workers_;  // that have not been joined: the nursery's while there is one
    worker* joined_ = nullptr;      // through next_spare: the same of those whose memory is not free yet
    short_lock spare_tasks_lock_;
    stack_list spare_tasks_;  // memory of thread tasks that have ended
    std::mutex task_memory_mutex_;
    std::vector<std::unique_ptr<task_memory>> task_memory_;
};

inline size_t server::depth() const noexcept { return owner.policy.depth(index); }

long futex_wait(std::atomic<uint32_t>& word, uint32_t value, uint64_t abs_ns) noexcept;
void futex_wake(std::atomic<uint32_t>& word, int n) noexcept;

[[noreturn]] void die(const char* call, int err) noexcept;

}  // namespace umcg::detail

#endif
