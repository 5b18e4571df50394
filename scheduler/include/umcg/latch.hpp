// SPDX-License-Identifier: MIT
//
// A count that goes down to zero once; whoever waits goes on then. For tasks and plain threads.
//
//     #include <umcg/latch.hpp>
//     #include <umcg/runtime.hpp>
//
//     int main() {
//         umcg::runtime rt;
//         umcg::latch ready(3);
//         for (int i = 0; i < 3; i++) rt.spawn([&] { ready.count_down(); }).detach();
//         return ready.wait(10s) == umcg::wake::signalled ? 0 : 1;
//     }
#ifndef UMCG_LATCH_HPP
#define UMCG_LATCH_HPP

#include <cstddef>
#include <limits>

#include <umcg/detail/wait.hpp>

namespace umcg {

// As std::latch. It may be destroyed as soon as one wait() has returned signalled and no other call
// is to come. For a count that also grows there is wait_group.
class latch {
  public:
    static constexpr ptrdiff_t max() noexcept { return std::numeric_limits<ptrdiff_t>::max(); }

    // Aborts when `count` is negative.
    explicit latch(ptrdiff_t count) noexcept : count_(count) {
        if (count < 0) detail::misuse("umcg::latch::latch() with a negative count");
    }
    latch(const latch&) = delete;
    latch& operator=(const latch&) = delete;

    // Never blocks. Aborts when `n` is negative or more than what is left.
    void count_down(ptrdiff_t n = 1) noexcept {
        detail::guard g(lock_);
        if (n < 0 || n > count_) detail::misuse("umcg::latch::count_down() by more than is left");
        count_ -= n;
        if (count_) return;
        while (detail::signal_one(waiting_)) {
        }
    }
    // Is it zero? Never blocks.
    bool try_wait() const noexcept {
        detail::guard g(lock_);
        return !count_;
    }
    // Blocks until it is zero (signalled) or the limit.
    wake wait(const limit& until = {}) const {
        detail::waiter w;
        {
            detail::guard g(lock_);
            if (!count_) return wake::signalled;
            waiting_.push_back(w);
        }
        const wake how = detail::park_on(w, until, lock_, waiting_);
        // the last count_down() lets go of the lock before we return
        detail::guard g(lock_);
        return how;
    }
    // At the limit the count stays down.
    wake arrive_and_wait(ptrdiff_t n = 1, const limit& until = {}) {
        count_down(n);
        return wait(until);
    }

  private:
    mutable detail::short_lock lock_;
    ptrdiff_t count_;
    mutable detail::wait_list waiting_;
};

}  // namespace umcg

#endif
