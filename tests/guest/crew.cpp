// SPDX-License-Identifier: MIT
#include "crew.hpp"

#include "internal.hpp"
#include "raw.hpp"

namespace umcg_test {

Crew::Crew(umcg_task* server, std::vector<umcg_task*> workers, Turn turn)
    : view_(server),
      memory_(std::move(workers)),
      turn_(std::move(turn)),
      tids_(memory_.size()),
      progress_(memory_.size()) {
    live_ = static_cast<int>(memory_.size());
    if (!turn_)
        turn_ = [](int i) {
            static std::atomic<unsigned> n;
            if ((n++ + static_cast<unsigned>(i)) & 1)
                sleep_us(20);
            else
                raw::wait(UMCG_WAIT_ENQUEUE, 0);
        };
    server_ = std::thread([this] { serve(); });
    server_tid_.wait(0);
    for (size_t i = 0; i < memory_.size(); i++)
        threads_.emplace_back([this, i] { work(static_cast<int>(i)); });
    // registered, or the caller would pull the memory away under the registration
    for (auto& p : progress_)
        if (!poll_until([&] { return p > 0; })) give_up("a worker of the crew did not start");
}

Crew::~Crew() {
    stop_ = true;
    if (!poll_until([&] { return live_ == 0; })) give_up("the crew's workers did not end");
    for (auto& t : threads_) t.join();
    server_.join();
}

void Crew::expect_progress(uint64_t n) {
    for (size_t i = 0; i < progress_.size(); i++) {
        const uint64_t goal = progress_[i] + n;
        EXPECT_TRUE(poll_until([&] { return progress_[i] >= goal; }))
            << "worker " << i << " (tid " << tids_[i] << ") stopped after " << progress_[i]
            << " turns, thread state " << thread_state(tids_[i]);
    }
}

void Crew::at_server(const std::function<void()>& fn) {
    {
        const std::lock_guard guard(lock_);
        job_ = fn;
    }
    EVENTUALLY([&] {
        const std::lock_guard guard(lock_);
        return !job_;
    }());
}

void Crew::work(int i) {
    umcg_task* t = memory_[i];
    t->server_tid = server_tid_;
    tids_[i] = gettid();
    EXPECT_EQ(raw::reg(t, UMCG_REG_WORKER), 0);
    while (!stop_) {
        progress_[i]++;
        turn_(i);
    }
    live_--;
}

void Crew::serve() {
    EXPECT_EQ(raw::reg(view_.load(), UMCG_REG_SERVER), 0);
    server_tid_ = gettid();
    server_tid_.notify_all();
    while (live_) {
        bool idle = true;
        for (const auto& tid : tids_) {
            {
                const std::lock_guard guard(lock_);
                if (job_) {
                    job_();
                    job_ = nullptr;
                }
            }
            umcg_task* const t = view_;
            __atomic_exchange_n(&t->blocked_ptr, 0, __ATOMIC_SEQ_CST);
            __atomic_exchange_n(&t->runnable_ptr, 0, __ATOMIC_SEQ_CST);
            __atomic_store_n(&t->next_tid, tid.load(), __ATOMIC_SEQ_CST);
            // short: nobody says whether this worker will ever stop
            if (raw::wait(0, now_ns() + 2000000) == 0) {
                idle = false;
                successes++;
            }
        }
        if (idle) {
            __atomic_store_n(&view_.load()->next_tid, 0, __ATOMIC_SEQ_CST);
            raw::wait(0, now_ns() + 500000);
        }
    }
    // without a look at user memory: the thread's end is what unregisters it
}

}  // namespace umcg_test
