// SPDX-License-Identifier: MIT
#include "storm.hpp"

#include <sched.h>
#include <string.h>
#include <sys/mman.h>

#include <cstdlib>
#include <mutex>
#include <sstream>
#include <unordered_map>
#include <vector>

namespace umcg_test {
namespace {

bool swap_word(uint32_t* word, uint32_t from, uint32_t to) {
    return __atomic_compare_exchange_n(word, &from, to, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}
uint32_t load(const uint32_t* word) { return __atomic_load_n(word, __ATOMIC_SEQ_CST); }

// Workers by number. No allocation: a worker looks in with the queue's lock held, and whoever has
// malloc's lock may be one that waits to be dispatched, by servers that wait for this lock.
class Queue {
  public:
    void set_room(size_t n) { ring_.resize(n); }
    bool empty() const { return n_ == 0; }
    int front() const { return ring_[first_]; }
    void push_back(int w) {
        at(n_) = w;
        grow();
    }
    void push_front(int w) {
        first_ = (first_ + ring_.size() - 1) % ring_.size();
        ring_[first_] = w;
        grow();
    }
    int pop_front() {
        const int w = front();
        first_ = (first_ + 1) % ring_.size();
        n_--;
        return w;
    }
    int pop_back() { return at(--n_); }

  private:
    int& at(size_t i) { return ring_[(first_ + i) % ring_.size()]; }
    void grow() {
        if (++n_ > ring_.size()) abort();  // each worker is in one queue
    }
    std::vector<int> ring_;
    size_t first_ = 0, n_ = 0;
};

class Storm {
  public:
    Storm(const StormOptions& options, uint64_t stream) : o_(options), stream_(stream) {}

    StormCounts run() {
        servers_ = std::vector<ServerSlot>(size_t(o_.servers));
        for (auto& s : servers_) s.queue.set_room(size_t(o_.workers) + 1);
        for (int i = 0; i < o_.workers; i++) {
            workers_.push_back(std::make_unique<WorkerSlot>());
            workers_.back()->task = umcg_task_alloc();
            by_task_[workers_.back()->task] = i;
        }
        std::vector<std::thread> threads;
        for (int i = 0; i < o_.servers; i++) threads.emplace_back([this, i] { serve(i); });
        for (auto& s : servers_) s.tid.wait(0);
        for (int i = 0; i < o_.servers; i++)
            servers_[size_t(i)].task->peer_tid =
                o_.peer ? uint32_t(servers_[size_t(i + 1) % servers_.size()].tid) : 0;
        for (int i = 0; i < o_.workers; i++) create(i);
        std::thread kicker;
        if (o_.kicks) kicker = std::thread([this] { kick_about(); });
        for (auto& w : workers_) w->worker->join();
        // only now: a late entry must find its server
        joined_ = true;
        for (auto& s : servers_) umcg_kick(0, s.tid);
        for (auto& t : threads) t.join();
        if (kicker.joinable()) kicker.join();
        check();
        return sum();
    }

  private:
    struct ServerSlot {
        umcg_task* task = nullptr;
        std::atomic<pid_t> tid{0};
        std::mutex lock;                // of the queue; servers only
        Queue queue;
        std::atomic<int> inside{0};     // workers of this server in user space
        StormCounts counts;
    };
    struct WorkerSlot {
        umcg_task* task = nullptr;
        std::unique_ptr<Worker> worker;
        std::atomic<bool> queued{false};
        std::atomic<bool> ended{false};
        int steps = 0;
        uint64_t handed = 0;
    };

    void create(int i) {
        WorkerSlot* slot = workers_[size_t(i)].get();
        const pid_t home = servers_[size_t(i) % servers_.size()].tid;
        slot->worker = std::make_unique<Worker>([this, i, slot](Worker& w) { work(i, *slot, w); },
                                                Worker::Options{.home = home, .memory = slot->task});
    }
    int index_of(umcg_task* t) {
        const int i = by_task_.at(t);
        const std::lock_guard guard(mutex_);
        by_tid_[t->tid] = i;
        return i;
    }
    int index_of(uint32_t tid) {
        const std::lock_guard guard(mutex_);
        return by_tid_.at(tid);
    }
    WorkerSlot& slot(int i) { return *workers_[size_t(i)]; }

    // ---- a worker

    void work(int index, WorkerSlot& self, Worker& w) {
        auto r = rng(stream_ * 1000003 + uint64_t(index));
        umcg_task* t = w.task();
        for (int i = 0; i < o_.steps; i++) {
            alone(t);
            switch (r() % 8) {
                case 0:
                case 1: EXPECT_EQ(w.yield(), 0); break;
                case 2:
                case 3: nap_us(long(r() % 40)); break;
                case 4: hand_over(self, w); break;
                case 5: {  // mmap_lock: a block now and then
                    void* m = mmap(nullptr, 4096, PROT_READ | PROT_WRITE,
                                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
                    if (m != MAP_FAILED) munmap(m, 4096);
                    break;
                }
                case 6: o_.successor ? arm(t) : void(sched_yield()); break;
                default:
                    for (unsigned n = r() % 500; n; n--) __builtin_ia32_pause();
            }
            self.steps++;
        }
        alone(t);
        // the thread's end frees memory: nobody is to be stopped with malloc's lock, which servers need
        __atomic_store_n(&t->user_flags, UMCG_UF_LOCKED, __ATOMIC_SEQ_CST);
    }

    // Nobody else of the same server may be in user space. LOCKED: a slice or a
    // kick must not hold this worker between the two counts.
    void alone(umcg_task* t) {
        __atomic_store_n(&t->user_flags, UMCG_UF_LOCKED, __ATOMIC_SEQ_CST);
        const uint32_t tid = load(&t->running_tid);
        for (auto& s : servers_) {
            if (uint32_t(s.tid) != tid) continue;
            if (s.inside.fetch_add(1)) together_++;
            if (load(&s.task->running_tid) != t->tid) unknown_++;
            for (int n = 0; n < 20; n++) __builtin_ia32_pause();
            s.inside.fetch_sub(1);
        }
        leave_locked(t);
    }
    static void leave_locked(umcg_task* t) {
        __atomic_store_n(&t->user_flags, 0, __ATOMIC_SEQ_CST);
        if (umcg_state(t) & UMCG_TF_PREEMPT_PENDING) {
            t->next_tid = 0;
            EXPECT_EQ(umcg_wait(UMCG_WAIT_ENQUEUE, 0), 0);
        }
    }

    // The running worker arms its successor, as a carrier does. LOCKED: it may not
    // be stopped with the queue's lock held.
    void arm(umcg_task* t) {
        __atomic_store_n(&t->user_flags, UMCG_UF_LOCKED, __ATOMIC_SEQ_CST);
        const uint32_t tid = load(&t->running_tid);
        for (auto& s : servers_) {
            if (uint32_t(s.tid) != tid || !s.lock.try_lock()) continue;
            if (!s.queue.empty()) {
                WorkerSlot& next = slot(s.queue.front());
                next.queued = false;
                if (swap_word(&s.task->next_tid, 0, next.task->tid))
                    s.queue.pop_front();
                else
                    next.queued = true;
            }
            s.lock.unlock();
        }
        leave_locked(t);
    }

    // Take the successor out of the server's word and hand over to it: who owns a
    // worker can run it, always.
    void hand_over(WorkerSlot& self, Worker& w) {
        ServerSlot& s = servers_[size_t(self.steps) % servers_.size()];
        const uint32_t next = load(&s.task->next_tid);
        if (!next || !swap_word(&s.task->next_tid, next, 0)) return;
        umcg_kick(0, s.tid);  // it may be about to wait for what is no longer there
        const int rc = w.hand_to(pid_t(next), UMCG_WAIT_ENQUEUE);
        if (rc) refused_++;
        self.handed++;
    }

    // ---- a server

    void serve(int index) {
        ServerSlot& s = servers_[size_t(index)];
        if (o_.pinned) {
            cpu_set_t set;
            CPU_ZERO(&set);
            CPU_SET(index % cpus(), &set);
            sched_setaffinity(0, sizeof(set), &set);
        }
        Server me;
        s.task = me.task();
        s.task->user_flags = o_.flags | (o_.direct ? UMCG_UF_DIRECT_RESUME : 0) |
                             (o_.wake ? UMCG_UF_WAKE_ON_RUNNABLE : 0);
        s.tid = me.tid();
        s.tid.notify_all();
        auto r = rng(stream_ * 7919 + 100 + uint64_t(index));
        uint64_t waits = 0;
        while (!joined_) {
            if (o_.slow_us && r() % 4 == 0) sleep_us(o_.slow_us);
            news(s);
            const bool may_offer = o_.successor || !load(&s.task->running_tid);
            int w = may_offer ? pop(s, false) : -1;
            if (w < 0 && may_offer && o_.steal) w = steal(s, index, r());
            // its tid now: it may be gone when the call returns
            const uint32_t tid = w >= 0 ? slot(w).task->tid : 0;
            if (w >= 0 && !offer(s, w, tid)) w = -1;
            quieten(s, w < 0);
            // longer slices where these are over before a worker has made a step
            const uint64_t longer = 1 + waits++ / (4 * uint64_t(o_.steps) * uint64_t(o_.workers));
            const uint64_t until = o_.slices ? now_ns() + (20000 + r() % 300000) * longer : 0;
            const int rc = umcg_wait(o_.slices ? UMCG_WAIT_PREEMPT : 0, until);
            if (rc != 0 && rc != -EAGAIN && rc != -ETIMEDOUT) errors_++;
            quieten(s, false);
            if (w >= 0) take_back(s, w, tid);
        }
        news(s);
        // another server may still look at this one's words
        left_++;
        while (left_ < o_.servers) sleep_us(100);
    }

    void news(ServerSlot& s) {
        for (const Event& e : take(s.task)) {
            const int i = index_of(e.task);
            WorkerSlot& w = slot(i);
            if (e.kind == Event::kRunnable) {
                s.counts.runnable++;
                if (e.preempted()) s.counts.preempted++;
                // nobody can have run it: this server owns it from here on
                if ((e.state & UMCG_TASK_MASK) != UMCG_TASK_RUNNABLE)
                    ADD_FAILURE() << "reported runnable: " << task_text(e.task);
                if (w.queued.exchange(true)) twice_++;
                const std::lock_guard guard(s.lock);
                s.queue.push_back(i);
            } else if (e.exited()) {
                w.ended = true;
            } else {
                s.counts.blocked++;
            }
        }
    }

    int pop(ServerSlot& s, bool back) {
        const std::lock_guard guard(s.lock);
        if (s.queue.empty()) return -1;
        return back ? s.queue.pop_back() : s.queue.pop_front();
    }

    int steal(ServerSlot& s, int index, uint64_t random) {
        for (int k = 1; k < o_.servers; k++) {
            ServerSlot& victim = servers_[size_t(index + k) % servers_.size()];
            int w = pop(victim, true);
            if (w < 0 && random % 2 && victim.task) {
                const uint32_t next = load(&victim.task->next_tid);
                if (next && swap_word(&victim.task->next_tid, next, 0)) {
                    // it may be about to wait for what is no longer there
                    umcg_kick(0, victim.tid);
                    w = index_of(next);
                    s.counts.word_stolen++;
                }
            }
            if (w < 0) continue;
            s.counts.stolen++;
            // R9: its home may change at any time
            if (random % 4 == 0)
                __atomic_store_n(&slot(w).task->server_tid, uint32_t(s.tid),
                                 __ATOMIC_SEQ_CST);
            return w;
        }
        return -1;
    }

    // False: its worker has armed a successor itself.
    bool offer(ServerSlot& s, int w, uint32_t tid) {
        if (!tid) ADD_FAILURE() << "queued: " << task_text(slot(w).task);
        slot(w).queued = false;
        if (swap_word(&s.task->next_tid, 0, tid)) return true;
        put_back(s, w);
        return false;
    }

    void take_back(ServerSlot& s, int w, uint32_t tid) {
        if (swap_word(&s.task->next_tid, tid, 0))
            put_back(s, w);
        else
            s.counts.dispatched++;
    }
    void put_back(ServerSlot& s, int w) {
        if (slot(w).queued.exchange(true)) twice_++;
        const std::lock_guard guard(s.lock);
        s.queue.push_front(w);
    }

    // QUIET only with an empty queue; nobody but this server fills it.
    void quieten(ServerSlot& s, bool on) {
        if (!o_.quiet) return;
        if (on)
            __atomic_fetch_or(&s.task->user_flags, UMCG_UF_QUIET, __ATOMIC_SEQ_CST);
        else
            __atomic_fetch_and(&s.task->user_flags, ~UMCG_UF_QUIET, __ATOMIC_SEQ_CST);
    }

    void kick_about() {
        auto r = rng(stream_ * 31 + 5);
        while (!joined_) {
            const bool server = r() % 4 == 0;
            const pid_t tid = server ? servers_[r() % servers_.size()].tid.load()
                                     : pid_t(slot(int(r() % uint64_t(o_.workers))).task->tid);
            const int rc = umcg_kick(0, tid);
            if (rc != 0 && rc != -EAGAIN && rc != -ESRCH) errors_++;
            sleep_us(long(r() % 200));
        }
    }

    // ---- afterwards

    void check() {
        if (promised(UMCG_CAP_ONE_RUNNING)) {
            EXPECT_EQ(together_, 0) << "two workers of one server in user space";
            EXPECT_EQ(unknown_, 0) << "a worker runs on a server that runs somebody else";
        }
        EXPECT_EQ(twice_, 0) << "a worker in two places";
        EXPECT_EQ(refused_, 0) << "owned, and could not be run";
        EXPECT_EQ(errors_, 0);
        for (auto& w : workers_) {
            EXPECT_EQ(w->steps, o_.steps);
            EXPECT_FALSE(w->queued);
            EXPECT_TRUE(w->ended) << "its end was reported to nobody";
            EXPECT_TRUE(umcg_task_unlinked(w->task));
        }
    }
    StormCounts sum() {
        StormCounts c;
        for (auto& s : servers_) {
            EXPECT_TRUE(s.queue.empty());
            EXPECT_EQ(s.inside, 0);
            c.blocked += s.counts.blocked;
            c.runnable += s.counts.runnable;
            c.preempted += s.counts.preempted;
            c.dispatched += s.counts.dispatched;
            c.stolen += s.counts.stolen;
            c.word_stolen += s.counts.word_stolen;
        }
        for (auto& w : workers_) {
            c.handed += w->handed;
            c.steps += uint64_t(w->steps);
            w->worker.reset();
            umcg_task_free(w->task);
        }
        return c;
    }

    const StormOptions o_;
    const uint64_t stream_;
    std::vector<ServerSlot> servers_;
    // both complete before the first worker starts
    std::vector<std::unique_ptr<WorkerSlot>> workers_;
    std::unordered_map<umcg_task*, int> by_task_;
    std::mutex mutex_;  // of by_tid_
    std::unordered_map<uint32_t, int> by_tid_;
    std::atomic<bool> joined_{false};
    std::atomic<int> left_{0}, together_{0}, unknown_{0}, twice_{0}, refused_{0},
        errors_{0};
};

}  // namespace

std::string text(const StormCounts& c) {
    std::ostringstream out;
    out << "steps " << c.steps << " blocked " << c.blocked << " runnable " << c.runnable
        << " preempted " << c.preempted << " dispatched " << c.dispatched << " stolen " << c.stolen
        << " (from next_tid " << c.word_stolen << ") handed over " << c.handed;
    return out.str();
}

StormCounts storm(const StormOptions& options, uint64_t stream) {
    return Storm(options, stream).run();
}

}  // namespace umcg_test
