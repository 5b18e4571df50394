// SPDX-License-Identifier: MIT
//
// A counting semaphore for tasks and plain threads.
//
//     #include <umcg/runtime.hpp>
//     #include <umcg/semaphore.hpp>
//
//     int main() {
//         umcg::runtime rt;
//         umcg::semaphore ready(0);
//         auto gives = rt.spawn([&] { ready.release(); });
//         ready.acquire();                                    // a plain thread waits
//         gives.join();
//     }
#ifndef UMCG_SEMAPHORE_HPP
#define UMCG_SEMAPHORE_HPP

#include <cstddef>

#include <umcg/detail/wait.hpp>

namespace umcg {

// First come, first served.
class semaphore {
  public:
    explicit semaphore(size_t count) noexcept : count_(count) {}
    semaphore(const semaphore&) = delete;
    semaphore& operator=(const semaphore&) = delete;

    // Blocks until it has one (signalled) or the limit.
    wake acquire(const limit& until = {}) {
        if (try_acquire()) return wake::signalled;
        detail::waiter w;
        {
            detail::guard g(lock_);
            if (count_) {
                count_--;
                return wake::signalled;
            }
            waiting_.push_back(w);
        }
        return detail::park_on(w, until, lock_, waiting_);
    }
    // Never block.
    bool try_acquire() noexcept {
        detail::guard g(lock_);
        if (!count_) return false;
        count_--;
        return true;
    }
    void release(size_t n = 1) noexcept {
        detail::guard g(lock_);
        // there is a count only when nobody waits
        while (n && detail::signal_one(waiting_)) n--;
        count_ += n;
    }

  private:
    detail::short_lock lock_;
    size_t count_;
    detail::wait_list waiting_;
};

}  // namespace umcg

#endif
