// SPDX-License-Identifier: MIT
//
// The runtime: a few servers, one per CPU, that run as many tasks as you like. A task is a plain
// function: it may read files, lock any mutex, take page faults; while it is stopped in the kernel
// its server runs other tasks.
//
//     #include <umcg/runtime.hpp>
//
//     int main() {
//         umcg::runtime rt;                                  // a server for each CPU it may use
//         umcg::task<int> t = rt.spawn([] { return 6 * 7; });
//         return t.join() == 42 ? 0 : 1;
//     }                                                      // waits for every task
#ifndef UMCG_RUNTIME_HPP
#define UMCG_RUNTIME_HPP

#include <sys/uio.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <umcg/task.hpp>

namespace umcg {

// What is done about a fiber that uses more stack than it has. An access to a guard page is reported on
// standard error with the task's name, and then handled as any SIGSEGV: the runtime's handler calls the
// one that was there before it, or lets the process die of the signal. A frame larger than a page may
// step over the guard, unless it was compiled with -fstack-clash-protection, as this library is.
enum class stack_guard {
    always,         // a guard page below each stack: it dies; spawn() throws where there can be none
    when_possible,  // guard pages as long as the system has them, then stacks without
    none,
};

struct options {
    unsigned servers = 0;                   // 0: as many as CPUs
    std::vector<int> cpus = {};             // the servers' CPUs in turn; empty: those of the caller
    bool pin = true;                        // servers and their workers stay on their CPU
    std::string policy = {};                // as for set_policy(); empty: $UMCG_POLICY, else "work_stealing"
    std::chrono::nanoseconds policy_timeout = std::chrono::seconds(30);
                                            // a policy that lets a queued task wait so long while it picks
                                            // later ones is ejected. At least 10 ms
    std::string backend = {};               // "kernel", "bpf", "portable"; empty: $UMCG_BACKEND, else the best
    unsigned max_workers = 256;             // per server: threads that carry fibers. Each thread task has
                                            // one more. At least 1
    std::chrono::nanoseconds idle_worker_time = std::chrono::seconds(10);
                                            // a server that is idle ends threads that it has not needed for
                                            // that long, and keeps two. At least 1 ms; 0: it keeps all
    std::chrono::nanoseconds slice = std::chrono::milliseconds(10);
                                            // a task that has run for between one and two of these while
                                            // others of its server wait is preempted: stopped wherever
                                            // it is, and queued. At least 100 us; 0: never
    size_t stack_size = 64 * 1024;          // of a fiber, in bytes; at least 8192
    stack_guard guard = stack_guard::always;
    bool io_uring = true;                   // false: umcg::io makes plain calls (umcg/io.hpp)
    unsigned ring_entries = 256;            // per server: operations submitted at once, at most 8192
    unsigned receive_buffers = 0;           // per server: buffers that receivers share (umcg/multishot.hpp),
                                            // a power of two up to 32768; 0: each receives into its own
    size_t receive_buffer_size = 16 * 1024; // of one, in bytes; 64 to 16 MB. What was never used is no memory
    std::vector<iovec> registered_buffers = {};
                                            // memory of which parts are transferred by umcg::io's read, write,
                                            // pread and pwrite: the kernel looks its pages up once, which pays
                                            // with O_DIRECT. A few large pieces, at most 1 GB each. It must be
                                            // there until the runtime has ended; RLIMIT_MEMLOCK counts it once
                                            // for each server
    std::vector<std::string> io_missing = {};
                                            // operations of umcg::io that are plain calls as if the kernel's
                                            // io_uring lacked them, by the names of its calls ("recv"; for
                                            // pread "read"; "multishot accept",
                                            // "multishot recv"): for tests
};

// What has happened so far; counters of all servers together, not of one instant.
struct stats {
    uint64_t tasks_live;       // spawned and not ended
    uint64_t workers;          // threads, now
    uint64_t workers_created;
    uint64_t cap_reached;      // times that a task had to wait because max_workers were in use
    uint64_t create_failed;    // times that the system refused a thread
    uint64_t blocks;           // workers found blocked in the kernel
    uint64_t returns;          // tasks that were queued again after a block
    uint64_t switches;         // from fiber to fiber
    uint64_t hand_overs;       // from worker to worker
    uint64_t steals;
    uint64_t preemptions;      // tasks stopped because their slice was over
    uint64_t server_wakes;     // a server thread has run
    uint64_t io_ops;           // operations of umcg::io that went through io_uring
    uint64_t io_enters;        // system calls for them, waits included
    uint64_t stacks;
    uint64_t stacks_guarded;
    uint64_t policy_swaps;      // set_policy() was called
    uint64_t policy_ejections;  // a policy broke the rules, and fifo took its place
};

namespace detail {
class core;
}

class runtime {
  public:
    // Starts the servers. std::invalid_argument: an option is not what is said above;
    // std::system_error: no backend works (umcg_backend_probe() says why), threads or memory are
    // short. Blocks until all is up.
    explicit runtime(options opts = {});
    // Waits until every task has ended, then stops. Not from one of its own tasks. Blocks.
    ~runtime();
    runtime(const runtime&) = delete;
    runtime& operator=(const runtime&) = delete;

    // Run fn() as a task. From any thread or task. Throws std::system_error or std::bad_alloc when
    // memory is short, std::invalid_argument for an attribute; then fn has not run.
    template <class F>
    [[nodiscard]] auto spawn(F&& fn, attributes attr = {}) {
        return detail::spawn_on(core_.get(), std::forward<F>(fn), std::move(attr));
    }

    // Cancels the task_token() of all its tasks, of scopes, too: whoever waits with it, or with
    // task_limit(), stops waiting. Nothing else is interrupted: a wait without either goes on. False:
    // it was cancelled already. Any thread or task. Does not block.
    bool cancel() noexcept;
    // The end of a server program: spawn() from outside of its tasks throws from now on
    // (std::system_error, ECANCELED); tasks may go on spawning. Waits until every task has ended; when
    // the time has come it cancels the rest, and waits for that. True: all ended by themselves. Not
    // from one of its own tasks. Blocks.
    bool stop() { return stop_until(0); }
    bool stop(clock::time_point when) { return stop_until(limit(when).ns()); }
    template <class Rep, class Period>
    bool stop(std::chrono::duration<Rep, Period> time) {
        return stop_until(limit(time).ns());
    }

    // The most bytes of stack that any fiber had in use so far, in whole pages; a fiber that ran where
    // another had been deeper counts as that one, and what a fiber of large stack_size gave back at its
    // end is forgotten. Reads /proc/self/pagemap (0: it cannot be read), about 10 us per 64 stacks: for
    // choosing options::stack_size. Blocks.
    size_t stack_high_water() const;

    // Let this policy decide what runs: "NAME" or "NAME:OPTIONS", for NAME one that is built in or the
    // file of a plugin with a slash in its name ("./my.so"; none with a colon). Tasks go on, none is
    // lost. std::invalid_argument: there is none of that name, or the file is refused;
    // std::system_error: it does not want these options, or cannot be watched. Then the one before
    // goes on. From a task or a plain thread; blocks for as long as the policy's init() does, and
    // stops all scheduling of this runtime while tasks are handed over (once around all that are queued).
    void set_policy(const std::string& policy);
    // The name of the one that decides; "fifo" if the one that was set was ejected.
    std::string policy() const;
    // Why and how the last one was ejected, with what it said of itself; "" if none was.
    std::string policy_report() const;

    umcg::stats stats() const;
    unsigned servers() const;
    // "kernel", "bpf", "portable"
    const char* backend() const;

  private:
    bool stop_until(uint64_t ns);

    std::unique_ptr<detail::core> core_;
};

}  // namespace umcg

#endif
