// SPDX-License-Identifier: MIT
// Threads that are stopped at named points inside the emulation, so that a race
// is one fixed interleaving. The tests are the backend: nobody notices blocks but
// emul_block(), called by the test.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

extern "C" {
#include "emul/emul.h"
#include "emul/point.h"
}

namespace lab {

using Phase = enum emul_phase;

// Waits for a condition; the deadline turns a hang into a failure and ends the program.
void until(const std::function<bool()>& condition, const char* what);
#define UNTIL(condition) ::lab::until([&] { return static_cast<bool>(condition); }, #condition)

// The thread `tid` stops when it next comes to the point, until go() or the end of the scope.
class Stop {
  public:
    Stop(emul_point point, pid_t tid);
    ~Stop();
    Stop(const Stop&) = delete;
    Stop& operator=(const Stop&) = delete;
    void arrived();  // wait for it
    bool is_there() const { return there_.load(); }
    void go();

  private:
    friend void at_point(emul_point point);
    const emul_point point_;
    const pid_t tid_;
    std::atomic<bool> there_{false}, go_{false}, left_{false};
};

// Every worker that has been poked since the start: the tests' emul_backend.
extern std::atomic<int> pokes;
extern std::atomic<int> runs;
extern std::atomic<int> attached;

// What happened, in the order of the lists: 'B' and 'R'.
struct Event {
    char kind;
    umcg_task* task;
    uint32_t state;
    bool last;
};
std::vector<Event> take(umcg_task* server);

class Worker {
  public:
    using Body = std::function<void(Worker&)>;
    Worker(pid_t home, Body body, uint32_t flags = 0);
    ~Worker();
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;
    umcg_task* task() const { return task_; }
    pid_t tid() const { return tid_; }
    uint32_t state() const { return umcg_state(task_); }
    emul_thread* thread() const { return emul_find(static_cast<uint32_t>(tid_)); }
    Phase phase() const { return emul_phase(emul_word(thread())); }
    bool done() const { return done_.load(); }

  private:
    umcg_task* task_;
    Body body_;
    std::atomic<pid_t> tid_{0};
    std::atomic<bool> done_{false};
    std::thread thread_;
};

// The calling thread is a server while this lives.
class Server {
  public:
    explicit Server(uint32_t flags = 0);
    ~Server();
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;
    umcg_task* task() const { return task_; }
    pid_t tid() const { return static_cast<pid_t>(task_->tid); }
    int wait(uint32_t flags = 0, uint64_t timeout = 0) { return emul_wait(flags, timeout); }
    // Run w. A wake-up that nobody waited for is no news.
    int run(const Worker& w, uint32_t flags = 0, uint64_t timeout = 0);
    // Take all that is there; then until w wants to run, waiting without running anybody.
    void expect_runnable(const Worker& w);
    // Run everybody by state until all have ended; events are dropped.
    void finish(const std::vector<Worker*>& workers);

  private:
    umcg_task* task_;
};

uint64_t now_ns();

// A worker's body that runs in its own code until told to call the library.
struct Looper {
    std::atomic<bool> call{false}, leave{false};
    std::atomic<int> calls{0};
    Worker::Body body();
};
// Runs w and comes back at once, w being in its own code.
void start(Server& s, Worker& w);

}  // namespace lab
