// SPDX-License-Identifier: MIT
// Several threads push exactly as the kernel does while servers take. Nothing may be lost,
// doubled or seen in the wrong order. Built a second time with ThreadSanitizer.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <random>
#include <thread>
#include <vector>

#include "sim_kernel.hpp"
#include "umcg/umcg.h"

namespace {

using std::chrono::steady_clock;

constexpr int kPushers = 3;
constexpr int kWorkersEach = 8;
constexpr int kRounds = 2000;
constexpr auto kDeadline = std::chrono::seconds(60);

// A worker and what it and its servers know about it. The plain words are handed over through
// the lists, so a missing barrier is a data race that ThreadSanitizer sees.
struct Worker {
    umcg_task task{};
    int block_no = 0;     // blocks so far; the worker's
    int block_seen = 0;   // the last one that a server has seen
    int dispatched = 0;   // times picked; the picking server's
    umcg_task* dispatcher = nullptr;
    std::atomic<bool> gone = false;  // EXITED was seen, by however many
};

Worker* of(umcg_task* t) {
    static_assert(offsetof(Worker, task) == 0);
    return reinterpret_cast<Worker*>(t);
}

struct Result {
    int lost = 0;            // workers whose exit nobody was told
    int doubled = 0;         // RUNNABLE reports of a worker that was not RUNNABLE
    int out_of_order = 0;    // returns seen before the block
    int relinked = 0;        // RUNNABLE pushes that met a linked entry
    int wrong_count = 0;     // workers not picked once per round
    uint64_t coalesced = 0;  // block pushes that met a queued entry: the hard case happened
};

using Take = void (*)(umcg_task*, umcg_news*);

// Not what umcg_take() does, to show that the test sees the difference.
[[maybe_unused]] void take_in_wrong_order(umcg_task* server, umcg_news* news) {
    news->blocked = __atomic_exchange_n(&server->blocked_ptr, 0, __ATOMIC_SEQ_CST);
    std::this_thread::yield();
    news->runnable = __atomic_exchange_n(&server->runnable_ptr, 0, __ATOMIC_SEQ_CST);
}

class Race {
  public:
    Race(int servers, Take take, std::chrono::microseconds slow)
        : take_(take), slow_(slow), servers_(servers), workers_(kPushers * kWorkersEach) {}

    Result run() {
        start_ = steady_clock::now();
        std::vector<std::thread> threads;
        for (size_t i = 0; i < servers_.size(); i++) threads.emplace_back([=, this] { serve(i); });
        for (int i = 0; i < kPushers; i++) threads.emplace_back([=, this] { push(i); });
        for (std::thread& t : threads) t.join();
        for (Worker& w : workers_) {
            result_.lost += !w.gone;
            result_.wrong_count += w.dispatched != kRounds;
        }
        result_.doubled = doubled_;
        result_.out_of_order = out_of_order_;
        result_.relinked = relinked_;
        result_.coalesced = coalesced_;
        return result_;
    }

  private:
    bool late() const { return steady_clock::now() - start_ > kDeadline; }

    // One stop of a worker: block, return, and wait on some server's list to be picked.
    void stop(Worker& w, std::minstd_rand& rng) {
        umcg_task* home = &servers_[rng() % servers_.size()];
        w.block_no++;
        sim::set_state(&w.task, UMCG_TASK_BLOCKED);
        if (!sim::push_blocked(w.dispatcher ? w.dispatcher : home, &w.task, rng() % 256 == 0)) {
            coalesced_++;
        }
        sim::set_state(&w.task, UMCG_TASK_RUNNABLE);
        if (!sim::push_runnable(home, &w.task, rng() % 256 == 0)) relinked_++;
    }

    void push(int self) {
        std::minstd_rand rng(self + 1);
        std::vector<int> round(kWorkersEach);
        for (int left = kWorkersEach; left && !late();) {
            bool progress = false;
            for (int i = 0; i < kWorkersEach; i++) {
                Worker& w = workers_[self * kWorkersEach + i];
                if (round[i] > kRounds) continue;
                if (round[i] && umcg_state(&w.task) != UMCG_TASK_RUNNING) continue;
                progress = true;
                if (round[i]++ < kRounds) {
                    stop(w, rng);
                    continue;
                }
                sim::set_state(&w.task, UMCG_TASK_NONE | UMCG_TF_EXITED);
                sim::push_blocked(w.dispatcher, &w.task);
                left--;
            }
            if (!progress) std::this_thread::yield();
        }
        pushing_--;
    }

    void serve(size_t self) {
        umcg_task* server = &servers_[self];
        umcg_news news;
        while (!late()) {
            // read before the take: a push before the last pusher's end is then in it
            const bool last = pushing_ == 0;
            if (self == 0 && slow_.count()) std::this_thread::sleep_for(slow_);
            take_(server, &news);
            while (umcg_task* t = umcg_next_blocked(&news)) blocked(*of(t));
            while (umcg_task* t = umcg_next_runnable(&news)) runnable(*of(t), server);
            if (last) return;
            std::this_thread::yield();
        }
    }

    void blocked(Worker& w) {
        if (umcg_state(&w.task) & UMCG_TF_EXITED) w.gone = true;
        // with one server nobody else can let the worker go on and change block_no
        if (servers_.size() == 1) w.block_seen = w.block_no;
    }

    void runnable(Worker& w, umcg_task* server) {
        if (servers_.size() == 1 && w.block_seen != w.block_no) out_of_order_++;
        if (umcg_state(&w.task) != UMCG_TASK_RUNNABLE) {
            doubled_++;
            return;
        }
        w.dispatched++;
        w.dispatcher = server;
        sim::set_state(&w.task, UMCG_TASK_RUNNING);
    }

    Take take_;
    std::chrono::microseconds slow_;
    std::vector<umcg_task> servers_;
    std::vector<Worker> workers_;
    steady_clock::time_point start_;
    std::atomic<int> pushing_ = kPushers;
    std::atomic<int> doubled_ = 0, out_of_order_ = 0, relinked_ = 0;
    std::atomic<uint64_t> coalesced_ = 0;
    Result result_;
};

void expect_conserved(const Result& r) {
    EXPECT_EQ(r.lost, 0);
    EXPECT_EQ(r.doubled, 0);
    EXPECT_EQ(r.relinked, 0);
    EXPECT_EQ(r.wrong_count, 0);
}

TEST(ListsStress, OneServerSeesEachBlockBeforeItsReturn) {
    const Result r = Race(1, umcg_take, {}).run();
    expect_conserved(r);
    EXPECT_EQ(r.out_of_order, 0);
}

#ifndef __SANITIZE_THREAD__  // which would rightly object to this one
TEST(ListsStress, TheWrongTakeOrderIsCaught) {
    EXPECT_GT(Race(1, take_in_wrong_order, {}).run().out_of_order, 0);
}
#endif

TEST(ListsStress, WorkersMoveBetweenServers) { expect_conserved(Race(2, umcg_take, {}).run()); }

// R3: the slow server still has a worker on its list that another has run and that blocks again.
TEST(ListsStress, ASlowServerLosesNothing) {
    const Result r = Race(3, umcg_take, std::chrono::microseconds(300)).run();
    expect_conserved(r);
    EXPECT_GT(r.coalesced, 0u) << "the case was never met, so nothing was shown";
}

}  // namespace
