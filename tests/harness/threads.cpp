// SPDX-License-Identifier: MIT
// Workers, servers and the log of events.
#include <algorithm>
#include <sstream>

#include "harness.hpp"
#include "internal.hpp"

namespace umcg_test {
namespace {

umcg_task* new_task() {
    umcg_task* t = umcg_task_alloc();
    if (!t) give_up("umcg_task_alloc(): no memory");
    return t;
}

// A page that the kernel may still write to, or that a list still holds, is
// rather leaked than reused.
void drop_task(umcg_task* t) {
    if ((umcg_state(t) & UMCG_TASK_MASK) == UMCG_TASK_NONE && umcg_task_unlinked(t))
        umcg_task_free(t);
}

// Faults on a fresh stack would be blocks when mmap_lock is contended.
__attribute__((noinline)) void touch_stack() {
    volatile char pad[64 * 1024];
    for (size_t i = 0; i < sizeof(pad); i += 4096) pad[i] = 0;
}

}  // namespace

void PrintTo(const Event& e, std::ostream* os) {
    static const char* const kKinds[] = {"none", "blocked", "runnable"};
    *os << kKinds[e.kind];
    if (e.task)
        *os << " tid " << e.task->tid << " state 0x" << std::hex << e.state << std::dec << " seq "
            << e.seq;
}

std::vector<Event> take(umcg_task* server) {
    umcg_news news;
    umcg_take(server, &news);
    std::vector<Event> out;
    const auto add = [&](Event::Kind kind, umcg_task* w) {
        out.push_back({kind, w, umcg_state(w), __atomic_load_n(&w->seq, __ATOMIC_RELAXED),
                       __atomic_load_n(&w->stamp, __ATOMIC_RELAXED), umcg_exited(w) != 0});
    };
    while (umcg_task* w = umcg_next_blocked(&news)) add(Event::kBlocked, w);
    std::reverse(out.begin(), out.end());  // newest first on the list
    const auto middle = out.size();
    while (umcg_task* w = umcg_next_runnable(&news)) add(Event::kRunnable, w);
    std::reverse(out.begin() + middle, out.end());
    return out;
}

// ---- Worker ---------------------------------------------------------------

Worker::Worker(Body body, Options options)
    : body_(std::move(body)),
      options_(options),
      task_(options.memory ? options.memory : new_task()),
      thread_([this] { main(); }) {
    tid_.wait(0);
    remember("worker", task_, tid_);
}

Worker::~Worker() {
    join();
    forget(task_);
    if (!options_.memory) drop_task(task_);
}

void Worker::join() {
    if (thread_.joinable()) thread_.join();
}

void Worker::main() {
    // also when the body leaves by pthread_exit()
    struct AtEnd {
        std::atomic<bool>& done;
        ~AtEnd() { done = true; }
    } at_end{done_};

    touch_stack();
    task_->server_tid = options_.home;
    task_->user_flags = options_.user_flags;
    tid_ = gettid();
    tid_.notify_all();
    const int rc = umcg_register(task_, UMCG_REG_WORKER);
    EXPECT_EQ(rc, options_.expect_register) << "umcg_register(worker)";
    if (rc) return;
    body_(*this);
    if (options_.unregister) {
        EXPECT_EQ(umcg_unregister(task_), 0);
    }
}

int Worker::yield() {
    __atomic_store_n(&task_->next_tid, 0, __ATOMIC_RELAXED);
    return umcg_wait(UMCG_WAIT_ENQUEUE, 0);
}

int Worker::hand_to(pid_t next_tid, uint32_t flags) {
    __atomic_store_n(&task_->next_tid, next_tid, __ATOMIC_RELAXED);
    return umcg_wait(flags, 0);
}

// ---- Server ---------------------------------------------------------------

Server::Server() : task_(new_task()), tid_(gettid()) {
    EXPECT_EQ(umcg_register(task_, UMCG_REG_SERVER), 0);
    remember("server", task_, tid_);
}

Server::~Server() {
    collect();
    EXPECT_EQ(umcg_unregister(task_), 0);
    collect();
    forget(task_);
    drop_task(task_);
}

int Server::wait(uint32_t flags, uint64_t abs_ns) {
    const int rc = umcg_wait(flags, abs_ns ? abs_ns : hard_deadline());
    if (!abs_ns && rc == -ETIMEDOUT)
        ADD_FAILURE() << "umcg_wait() saw no news before the test's deadline; " << task_text(task_);
    return rc;
}

int Server::run(pid_t tid, uint32_t flags, uint64_t abs_ns) {
    for (int nothing = 0;;) {
        uint32_t old = __atomic_load_n(&task_->next_tid, __ATOMIC_RELAXED);
        __atomic_compare_exchange_n(&task_->next_tid, &old, tid, false, __ATOMIC_SEQ_CST,
                                    __ATOMIC_SEQ_CST);
        const int rc = wait(flags, abs_ns);
        if (rc == 0) return 0;
        if (rc == -EAGAIN && (collect() || nothing++ == 0)) continue;
        old = tid;  // to zero it is to own that worker
        __atomic_compare_exchange_n(&task_->next_tid, &old, 0, false, __ATOMIC_SEQ_CST,
                                    __ATOMIC_SEQ_CST);
        return rc;
    }
}

int Server::run(const Worker& w, uint32_t flags, uint64_t abs_ns) {
    const uint64_t end = in_ms(hang_ms());
    int rc;
    while ((rc = run(w.tid(), flags, abs_ns)) == -EAGAIN && w.held() && now_ns() < end) sched_yield();
    return rc;
}

int Server::collect() {
    const std::vector<Event> events = take(task_);
    log.insert(log.end(), events.begin(), events.end());
    return static_cast<int>(events.size());
}

Event Server::poll() {
    if (seen_ == log.size()) collect();
    return seen_ < log.size() ? log[seen_++] : Event{};
}

Event Server::next(uint64_t ms) {
    const uint64_t end = in_ms(ms);
    for (;;) {
        if (const Event e = poll()) return e;
        const int rc = wait(0, end);
        if (rc == 0 || rc == -EAGAIN || rc == -EINTR) continue;
        if (const Event e = poll()) return e;
        ADD_FAILURE() << "no event: umcg_wait() = " << rc << "; " << task_text(task_);
        return {};
    }
}

bool Server::next_exit() {
    std::vector<umcg_task*> out;  // blocked on their way
    std::vector<Event> others;    // for the next next()
    bool good = false;
    for (;;) {
        const Event e = next();
        if (!e) break;
        if (e.exited()) {
            good = true;
            break;
        }
        if (e.kind == Event::kBlocked) {
            out.push_back(e.task);
        } else if (std::find(out.begin(), out.end(), e.task) != out.end()) {
            if (run(static_cast<pid_t>(e.task->tid)) != 0) break;
        } else {
            others.push_back(e);
            log.erase(log.begin() + static_cast<long>(--seen_));
        }
    }
    log.insert(log.begin() + static_cast<long>(seen_), others.begin(), others.end());
    return good;
}

void Server::run_to_exit(const Worker& w) {
    const uint64_t end = in_ms(hang_ms());
    while (now_ns() < end) {
        while (const Event e = poll())
            if (e.task == w.task() && e.exited()) return;
        if (w.held())
            run(w, 0, in_ms(100));
        else
            wait(0, in_ms(100));
    }
    ADD_FAILURE() << "no exit was reported of " << task_text(w.task());
}

// ---- Group ----------------------------------------------------------------

Group::~Group() {
    finish();
    collect();
}

Worker& Group::worker(Worker::Body body) {
    return worker(std::move(body), {});
}

Worker& Group::worker(Worker::Body body, Worker::Options options) {
    if (!options.home) options.home = tid();
    workers_.push_back(std::make_unique<Worker>(std::move(body), options));
    return *workers_.back();
}

void Group::finish(uint64_t ms) {
    stopping_ = true;
    const uint64_t end = in_ms(ms);
    for (;;) {
        bool all = true;
        for (const auto& w : workers_) {
            if (w->done()) continue;
            all = false;
            collect();
            // short waits: whoever runs and does not stop must not keep the others
            if (w->held()) run(*w, 0, in_ms(20));
        }
        if (all) break;
        if (now_ns() > end) give_up("workers did not end");
        sleep_us(200);
    }
    for (const auto& w : workers_) w->join();
    collect();
}

// ---- FifoServer -----------------------------------------------------------

FifoServer::FifoServer(uint32_t user_flags, std::function<void(const Event&)> on_event)
    : task_(new_task()),
      user_flags_(user_flags),
      on_event_(std::move(on_event)),
      thread_([this] { main(); }) {
    tid_.wait(0);
    remember("fifo server", task_, tid_);
}

FifoServer::~FifoServer() {
    stop();
    forget(task_);
    drop_task(task_);
}

void FifoServer::stop() {
    if (!thread_.joinable()) return;
    stop_ = true;
    // a kick before the wait is remembered, so once is enough
    umcg_kick(0, tid_);
    thread_.join();
}

void FifoServer::main() {
    task_->user_flags = user_flags_;
    EXPECT_EQ(umcg_register(task_, UMCG_REG_SERVER), 0);
    tid_ = gettid();
    tid_.notify_all();
    std::deque<umcg_task*> queue;
    while (!stop_) {
        for (const Event& e : take(task_)) {
            if (on_event_) on_event_(e);
            if (e.exited()) {  // on either list: a hand-over may have run it to its end
                counts.exited++;
            } else if (e.kind == Event::kRunnable) {
                counts.runnable++;
                queue.push_back(e.task);
            } else {
                counts.blocked++;
            }
        }
        // The word is the successor while a worker runs; 0: it was taken, it is owned.
        while (!queue.empty() && !queue.front()->tid) queue.pop_front();  // run elsewhere, and gone
        const uint32_t offered = queue.empty() ? 0 : queue.front()->tid;
        uint32_t word = 0;
        if (offered)
            __atomic_compare_exchange_n(&task_->next_tid, &word, offered, false, __ATOMIC_SEQ_CST,
                                        __ATOMIC_SEQ_CST);
        counts.waits++;
        const int rc = umcg_wait(0, 0);
        if (!offered) continue;
        word = offered;
        if (!__atomic_compare_exchange_n(&task_->next_tid, &word, 0, false, __ATOMIC_SEQ_CST,
                                         __ATOMIC_SEQ_CST)) {
            queue.pop_front();
            counts.dispatched++;
        } else if (rc == -ESRCH || (rc == -EAGAIN && (umcg_state(queue.front()) & UMCG_TASK_MASK) !=
                                                         UMCG_TASK_RUNNABLE)) {
            // somebody else has run it, or it is gone; its next report brings it back
            queue.pop_front();
        }
    }
    for (const Event& e : take(task_))
        if (on_event_) on_event_(e);
    EXPECT_EQ(umcg_unregister(task_), 0);
}

std::string FifoServer::text() const {
    std::ostringstream out;
    out << task_text(task_) << " blocked " << counts.blocked << " runnable " << counts.runnable
        << " exited " << counts.exited << " dispatched " << counts.dispatched << " waits "
        << counts.waits;
    return out.str();
}

}  // namespace umcg_test
