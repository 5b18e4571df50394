// SPDX-License-Identifier: MIT
// Servers that run their workers first come, first served, and count what they are told. The
// workers are plain threads with plain blocking calls. A worker may be held wherever it has
// blocked, a page fault included, with any lock in its hand: so the server allocates nothing while
// it runs workers, nor may on_block.
#pragma once

#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <umcg/umcg.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "peek.h"

struct Worker {
    umcg_task* task = umcg_task_alloc();
    std::thread thread;
    uint64_t told_blocked = 0;   // entries of the blocked list, its last one not counted
    uint64_t told_runnable = 0;  // entries of the runnable list
    umcg_bpf_slot counts{};      // the program's own, at the end
    uint32_t seq = 0;            // of the task, at the end of the body
};

// seq counts the changes of state: RUNNABLE when born, and for each block BLOCKED and RUNNABLE;
// each RUNNABLE was followed by RUNNING.
inline uint64_t reported(const Worker& w) { return (w.seq - 2) / 3; }

// One server with its workers; run() is the server thread and returns when all have exited.
class Crew {
  public:
    using Body = std::function<void(Worker&)>;

    void add(Body body) {
        workers_.push_back(std::make_unique<Worker>());
        by_task_[workers_.back()->task] = workers_.back().get();
        bodies_.push_back(std::move(body));
    }

    const std::vector<std::unique_ptr<Worker>>& workers() const { return workers_; }
    umcg_task* server() const { return server_; }

    // Something to do for every entry of the blocked list, oldest first.
    std::function<void(Worker&)> on_block;

    void run() {
        server_ = umcg_task_alloc();
        queue_.resize(workers_.size());
        news_.reserve(workers_.size());
        ASSERT_EQ(umcg_register(server_, UMCG_REG_SERVER), 0);
        for (size_t i = 0; i < workers_.size(); i++) {
            workers_[i]->thread = std::thread([this, i] { work(*workers_[i], bodies_[i]); });
        }
        while (done_ < workers_.size()) {
            take();
            if (done_ == workers_.size()) break;
            if (!server_->next_tid && first_ != last_) {
                server_->next_tid = queue_[first_++ % queue_.size()]->task->tid;
            }
            const int err = umcg_wait(0, 0);
            ASSERT_TRUE(!err || err == -EAGAIN || err == -EINTR) << err;
        }
        for (auto& w : workers_) {
            w->thread.join();
            umcg_task_free(w->task);
        }
        ASSERT_EQ(umcg_unregister(server_), 0);
        umcg_task_free(server_);
    }

  private:
    void work(Worker& w, const Body& body) {
        w.task->server_tid = server_->tid;
        if (umcg_register(w.task, UMCG_REG_WORKER)) _exit(101);
        body(w);
        look(w);
        const pid_t server = static_cast<pid_t>(server_->tid);
        if (umcg_unregister(w.task)) _exit(102);
        done_++;
        umcg_kick(0, server);  // -ESRCH if it has seen this one, too
    }

    // What both sides have counted, of one moment: a block in between changes seq, and the last one may
    // not have been told yet (the hold can come late). Awake all the while: a sleep is a block. Without task
    // work a worker that was stopped in here is reported, and held at the end of its next call: so it calls.
    static void look(Worker& w) {
        const umcg_bpf_slot* slot = peek_slot(w.task);
        const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(1);
        do {
            syscall(SYS_getppid);
            w.seq = __atomic_load_n(&w.task->seq, __ATOMIC_SEQ_CST);
            if (slot) w.counts = *slot;
        } while (__atomic_load_n(&w.task->seq, __ATOMIC_SEQ_CST) != w.seq ||
                 (slot && reported(w) != w.counts.blocks && std::chrono::steady_clock::now() < end));
    }

    Worker& of(umcg_task* task) { return *by_task_.at(task); }

    // The entries of one list, oldest first.
    void list(umcg_task* (*next)(umcg_news*), umcg_news* from) {
        news_.clear();
        while (umcg_task* t = next(from)) news_.push_back(&of(t));
        std::reverse(news_.begin(), news_.end());
    }

    void take() {
        umcg_news news;
        umcg_take(server_, &news);
        list(umcg_next_blocked, &news);
        for (Worker* w : news_) {
            w->told_blocked++;
            if (on_block) on_block(*w);
        }
        list(umcg_next_runnable, &news);
        for (Worker* w : news_) {
            w->told_runnable++;
            queue_[last_++ % queue_.size()] = w;
        }
    }

    std::vector<std::unique_ptr<Worker>> workers_;
    std::unordered_map<umcg_task*, Worker*> by_task_;
    std::vector<Body> bodies_;
    std::vector<Worker*> queue_;  // a ring: each worker is in it once
    size_t first_ = 0, last_ = 0;
    std::vector<Worker*> news_;
    umcg_task* server_ = nullptr;
    std::atomic<size_t> done_{0};
};

// These tests need the privilege to load programs; without it they say so and are skipped.
#define REQUIRE_BPF()                                        \
    if (const char* why = peek_why_not()) {                  \
        GTEST_SKIP() << "the bpf backend does not work here: " << why; \
    }
