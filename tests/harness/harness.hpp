// SPDX-License-Identifier: MIT
// What every test needs: workers as threads, a server that logs what it is told,
// deadlines and, on the patched kernel, checks of the kernel's own books afterwards.
//
//     TEST_F(Conformance, ReadIsOneBlock) {
//         Group g;                                   // this thread: the server
//         Gate gate;
//         Worker &w = g.worker([&](Worker &) { gate.wait(); });
//         EXPECT_EQ(g.next(), runnable(w));          // it was born held
//         EXPECT_EQ(g.run(w), 0);
//         EXPECT_EQ(g.next(), blocked(w));
//         gate.open();
//         EXPECT_EQ(g.next(), runnable(w));
//         g.finish();                                // runs all to their end
//     }
//
// No verdict may depend on time: the deadlines here only turn a hang into a
// failure that says what was waited for. A short sleep is no block for certain:
// its time may be over before the thread is off the CPU; a Gate always is.
#pragma once

#include <errno.h>
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <umcg/umcg.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace umcg_test {

// ---- Scale, seed, time ----------------------------------------------------

// How much slower than the plain kernel this one is: 1, or what --slow=N or
// $UMCG_TEST_SLOW says, or a guess from /proc (lockdep: 8). Counts of
// iterations are divided by it and deadlines multiplied.
int slowness();
// Iterations for a loop that does n on the plain kernel; at least `least`.
int scaled(int n, int least = 1);
// $UMCG_TEST_MORE times n (1 if it is not set): counts of the long runs. scaled()
// and the deadlines multiply by it, too.
int more(int n = 1);
// --seed=N, $UMCG_TEST_SEED, or random; printed with every failure.
uint64_t seed();
// A generator of its own for each (seed, stream): threads need not share one.
std::mt19937_64 rng(uint64_t stream = 0);

uint64_t now_ns();                  // CLOCK_MONOTONIC
uint64_t in_ms(uint64_t ms);        // that many ms from now, times slowness()
uint64_t hard_deadline();           // when the watchdog will kill this test
constexpr int kTestSeconds = 240;   // per test, times slowness() at most 4
void extend_deadline(int seconds);  // this test, from now

// How long to wait for what is bound to come, in ms: 30000, or $UMCG_TEST_HANG_MS. An
// emulated machine on a loaded host stands still for seconds; what hangs does for ever.
uint64_t hang_ms();

void sleep_us(long us);
// Poll until pred() or `ms` have passed (times slowness()); false: they have.
bool poll_until(const std::function<bool()>& pred, uint64_t ms = hang_ms());
#define EVENTUALLY(cond)                                                          \
    EXPECT_TRUE(::umcg_test::poll_until([&] { return static_cast<bool>(cond); })) \
        << "waited for: " #cond
#define ASSERT_EVENTUALLY(cond)                                                   \
    ASSERT_TRUE(::umcg_test::poll_until([&] { return static_cast<bool>(cond); })) \
        << "waited for: " #cond

// ---- The machine ----------------------------------------------------------

bool kernel_has_umcg();  // the patch, whatever backend is in use
int cpus();                                  // online
std::string slurp(const std::string& path);  // "" if it cannot be read
bool spew(const std::string& path, const std::string& text);
long status_kb(const char* key, pid_t pid = 0);  // "VmPin" of /proc/PID/status, -1 unknown
char thread_state(pid_t tid, pid_t pid = 0);     // 'R', 'S', ... 0: no such thread
bool pins_balanced();                            // now
std::string task_text(const umcg_task* t);

// Thread is asleep in the kernel (S or D), as far as /proc can tell.
inline bool asleep(pid_t tid) {
    const char c = thread_state(tid);
    return c == 'S' || c == 'D';
}
// Asleep and off its CPU: before that it may find that there is nothing to wait for.
inline bool off_cpu(pid_t tid) {
    const std::string call = slurp("/proc/self/task/" + std::to_string(tid) + "/syscall");
    return asleep(tid) && !call.empty() && call.rfind("running", 0) != 0;
}
// The same, in the system call of that number.
inline bool off_cpu(pid_t tid, long number) {
    return asleep(tid) && slurp("/proc/self/task/" + std::to_string(tid) + "/syscall").rfind(std::to_string(number) + " ", 0) == 0;
}

// A delay in one of the kernel's windows; CONFIG_UMCG_DEBUG only. Off again at
// the end of the scope.
class Delay {
  public:
    static bool available();
    static int points();  // how many there are
    Delay(int point, int us);
    ~Delay();
    Delay(const Delay&) = delete;
    Delay& operator=(const Delay&) = delete;

  private:
    static void set(int point, int us);
    int point_;
};
#define REQUIRE_DELAY_POINTS()            \
    if (!::umcg_test::Delay::available()) \
    GTEST_SKIP() << "no delay points: the kernel was built without CONFIG_UMCG_DEBUG"

// Around a call that may block: a backend that cannot see a block by itself
// (no UMCG_CAP_BLOCK_EVENTS) is told; on the others it does nothing.
struct Blocking {
    Blocking() { EXPECT_EQ(umcg_blocking_begin(), 0); }
    ~Blocking() { EXPECT_EQ(umcg_blocking_end(), 0); }
    Blocking(const Blocking&) = delete;
    Blocking& operator=(const Blocking&) = delete;
};
// sleep_us(), announced.
void nap_us(long us);

// A pipe: wait() blocks in read() until somebody has called open(), once for each.
// The block is announced.
class Gate {
  public:
    Gate();
    ~Gate();
    Gate(const Gate&) = delete;
    Gate& operator=(const Gate&) = delete;
    void wait();
    void open();

  private:
    int fds_[2];
};

// ---- Events ---------------------------------------------------------------

struct Event {
    enum Kind { kNone, kBlocked, kRunnable };  // which list it was on
    Kind kind = kNone;
    umcg_task* task = nullptr;
    uint32_t state = 0;  // read after the entry was unlinked
    uint32_t seq = 0;
    uint64_t stamp = 0;
    bool last = false;  // umcg_exited(): true for one entry of each worker
    explicit operator bool() const { return kind != kNone; }
    bool exited() const { return last; }
    bool preempted() const { return state & UMCG_TF_PREEMPTED; }
};
// Same list, same task; what has become of the task since is not compared.
inline bool operator==(const Event& a, const Event& b) {
    return a.kind == b.kind && a.task == b.task;
}
void PrintTo(const Event& e, std::ostream* os);

// Take both lists, oldest first, blocked before runnable.
std::vector<Event> take(umcg_task* server);

// ---- Threads --------------------------------------------------------------

// A worker thread. It registers, is held until picked, runs its body and
// exits registered (its server gets an EXITED entry) unless told otherwise.
class Worker {
  public:
    using Body = std::function<void(Worker&)>;
    struct Options {
        pid_t home = 0;               // server_tid; a Group fills it in
        umcg_task* memory = nullptr;  // NULL: umcg_task_alloc()
        bool unregister = false;      // before the thread ends
        int expect_register = 0;      // what umcg_register() has to return
        uint32_t user_flags = 0;
    };
    Worker(Body body, Options options);
    ~Worker();  // the thread must be able to end: see Group::finish()
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;

    umcg_task* task() const { return task_; }
    pid_t tid() const { return tid_; }
    uint32_t state() const { return umcg_state(task_); }
    uint32_t low_state() const { return state() & UMCG_TASK_MASK; }
    bool held() const { return low_state() == UMCG_TASK_RUNNABLE; }
    // Body over and no worker any more: a block on the thread's way out would
    // still have to be dispatched.
    bool done() const { return done_.load() && low_state() == UMCG_TASK_NONE; }
    void join();

    // For the body.
    int yield();  // umcg_wait(ENQUEUE)
    int hand_to(pid_t next_tid, uint32_t flags = 0);

  private:
    void main();
    Body body_;
    Options options_;
    umcg_task* task_;
    std::atomic<pid_t> tid_{0};
    std::atomic<bool> done_{false};
    std::thread thread_;
};
inline Event blocked(const Worker& w) {
    return {Event::kBlocked, w.task()};
}
inline Event runnable(const Worker& w) {
    return {Event::kRunnable, w.task()};
}

// The calling thread is a server for as long as this lives.
class Server {
  public:
    Server();
    ~Server();
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    umcg_task* task() const { return task_; }
    pid_t tid() const { return tid_; }
    std::vector<Event> log;  // every event since the start

    // umcg_wait(), bounded by the test's deadline if no timeout is given.
    int wait(uint32_t flags = 0, uint64_t abs_ns = 0);
    // next_tid = w, then wait(). -EAGAIN because of news, or because of a wake-up
    // that came when nobody waited: log it, try again.
    // One that shows RUNNABLE, and cannot be had yet, is tried again.
    int run(const Worker& w, uint32_t flags = 0, uint64_t abs_ns = 0);
    int run(pid_t tid, uint32_t flags = 0, uint64_t abs_ns = 0);
    // Next event not yet returned by next(); waits for one, nothing is
    // dispatched. Event::kNone and a failure if `ms` pass without one.
    Event next(uint64_t ms = hang_ms());
    // The same without waiting.
    Event poll();
    // The next end of a worker. One that blocks once more on its way out, for a lock
    // of the kernel's, is let go again. False: none came.
    bool next_exit();
    // Go on with w until its EXITED entry has come: a thread may block once more
    // on its way out. Consumes the events of others, too.
    void run_to_exit(const Worker& w);
    // Take what is there into the log; number of new events.
    int collect();

  private:
    umcg_task* task_;
    pid_t tid_;
    size_t seen_ = 0;
};

// A server in this thread and its workers.
class Group : public Server {
  public:
    ~Group();
    Worker& worker(Worker::Body body);
    Worker& worker(Worker::Body body, Worker::Options options);
    const std::vector<std::unique_ptr<Worker>>& workers() const { return workers_; }
    // Dispatch whoever can run, by state, until all workers are done. What
    // cannot end within `ms` is described and the program aborted: its threads
    // cannot be joined. Bodies that loop look at stopping().
    void finish(uint64_t ms = hang_ms());
    bool stopping() const { return stopping_.load(); }

  private:
    std::vector<std::unique_ptr<Worker>> workers_;
    std::atomic<bool> stopping_{false};
};

// A server thread with a FIFO queue: runs whatever is reported runnable.
class FifoServer {
  public:
    struct Counts {
        std::atomic<uint64_t> blocked{0}, runnable{0}, exited{0}, dispatched{0}, waits{0};
    };
    explicit FifoServer(uint32_t user_flags = 0, std::function<void(const Event&)> on_event = {});
    ~FifoServer();
    FifoServer(const FifoServer&) = delete;
    FifoServer& operator=(const FifoServer&) = delete;
    pid_t tid() const { return tid_; }
    umcg_task* task() const { return task_; }
    Counts counts;
    void stop();  // kick it, and join; workers it still has stay where they are
    std::string text() const;

  private:
    void main();
    umcg_task* task_;
    uint32_t user_flags_;
    std::function<void(const Event&)> on_event_;
    std::atomic<pid_t> tid_{0};
    std::atomic<bool> stop_{false};
    std::thread thread_;
};

// ---- Processes ------------------------------------------------------------

// fn in a forked child, where failed expectations count too. The child is
// killed by SIGALRM if it lives longer than `seconds` (times slowness(), at most 4).
class Child {
  public:
    explicit Child(const std::function<void()>& fn, int seconds = kTestSeconds - 20);
    ~Child();  // kills it, if nobody waited
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;
    pid_t pid() const { return pid_; }
    // wait status; -1 and a failure if it is not gone after `ms`.
    int wait(uint64_t ms = hang_ms());
    int kill_and_wait(int sig = 9, uint64_t ms = hang_ms());

  private:
    pid_t pid_;
};
// Argument with which a test program checks, after execve(), that it is not
// registered; exit code 0 if so.
constexpr char kCheckPlain[] = "--check-plain";
// Runs fn in a child and expects that it ends well.
void in_child(const std::function<void()>& fn);

// ---- Fixture --------------------------------------------------------------

// Around every test a watchdog describes all known tasks and ends the program at
// the deadline; on the patched kernel a listener checks: no new splat in the kernel
// log, pin counters equal at rest, no task_struct leaked.

// For what is about the patched kernel itself; skips without the patch.
class Guest : public ::testing::Test {
  protected:
    void SetUp() override;
};

// For what every backend promises: on the one that $UMCG_BACKEND names, or else on
// the best that works. Skips, with the reason, where that does not work.
class Conformance : public ::testing::Test {
  protected:
    void SetUp() override;
};
// A capability that is claimed is tested as kept, one that is not as documented.
inline bool promised(uint32_t caps) { return (umcg_capabilities() & caps) == caps; }
#define REQUIRE_CAP(cap)                   \
    if (!::umcg_test::promised(cap))       \
    GTEST_SKIP() << umcg_backend_name() << " does not promise " #cap
#define REQUIRE_NO_CAP(cap)                \
    if (::umcg_test::promised(cap))        \
    GTEST_SKIP() << umcg_backend_name() << " promises " #cap

}  // namespace umcg_test
