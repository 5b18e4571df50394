// SPDX-License-Identifier: MIT
//
// A number of tasks or plain threads wait for each other, phase after phase.
//
//     #include <umcg/barrier.hpp>
//     #include <umcg/runtime.hpp>
//
//     int main() {
//         umcg::runtime rt;
//         int phases = 0;
//         umcg::barrier all(2, [&]() noexcept { phases++; });     // runs once per phase
//         auto step = [&] { for (int i = 0; i < 10; i++) all.arrive_and_wait(); };
//         auto a = rt.spawn(step), b = rt.spawn(step);
//         a.join();
//         b.join();
//         return phases == 10 ? 0 : 1;
//     }
#ifndef UMCG_BARRIER_HPP
#define UMCG_BARRIER_HPP

#include <cstddef>
#include <limits>
#include <type_traits>
#include <utility>

#include <umcg/detail/wait.hpp>

namespace umcg {

namespace detail {
struct no_completion {
    void operator()() const noexcept {}
};
}  // namespace detail

// As std::barrier. The last who arrives runs the completion, which may wait, and then lets the
// others go; what they did before they arrived is seen by it, and what it did by them. Destroyed
// only when nobody waits or is to arrive.
template <class Completion = detail::no_completion>
class barrier {
    static_assert(std::is_nothrow_invocable_v<Completion&>, "the completion does not throw");

  public:
    // Which phase an arrival was in. For one wait() on the same barrier.
    class [[nodiscard]] arrival_token {
        friend class barrier;
        explicit arrival_token(uint64_t phase) : phase_(phase) {}
        uint64_t phase_;
    };

    static constexpr ptrdiff_t max() noexcept { return std::numeric_limits<ptrdiff_t>::max(); }

    // Aborts when `expected` is negative.
    explicit barrier(ptrdiff_t expected, Completion completion = Completion())
        : expected_(expected), left_(expected), completion_(std::move(completion)) {
        if (expected < 0) detail::misuse("umcg::barrier::barrier() with a negative count");
    }
    barrier(const barrier&) = delete;
    barrier& operator=(const barrier&) = delete;

    // Never blocks, unless the completion does. Aborts when `n` is not positive or more than are
    // still expected in this phase.
    arrival_token arrive(ptrdiff_t n = 1) { return arrive(n, 0); }
    // Blocks until that phase is complete (signalled) or the limit.
    wake wait(arrival_token&& arrival, const limit& until = {}) const {
        detail::waiter w;
        {
            detail::guard g(lock_);
            if (phase_ != arrival.phase_) return wake::signalled;
            waiting_.push_back(w);
        }
        const wake how = detail::park_on(w, until, lock_, waiting_);
        // who has let us go lets go of the lock before we return
        detail::guard g(lock_);
        return how;
    }
    // At the limit it has arrived all the same: the others go on without it.
    wake arrive_and_wait(const limit& until = {}) { return wait(arrive(), until); }
    // Arrive now, and be expected no more in the phases to come. Never blocks.
    void arrive_and_drop() { static_cast<void>(arrive(1, 1)); }

  private:
    arrival_token arrive(ptrdiff_t n, ptrdiff_t drop) {
        arrival_token here(0);
        {
            detail::guard g(lock_);
            if (n <= 0 || n > left_)
                detail::misuse("umcg::barrier::arrive() by more than are expected");
            here.phase_ = phase_;
            left_ -= n;
            expected_ -= drop;
            if (left_) return here;
        }
        // nobody else may arrive before the next phase
        completion_();
        detail::guard g(lock_);
        phase_++;
        left_ = expected_;
        while (detail::signal_one(waiting_)) {
        }
        return here;
    }

    mutable detail::short_lock lock_;
    uint64_t phase_ = 0;
    ptrdiff_t expected_;
    ptrdiff_t left_;
    mutable detail::wait_list waiting_;
    [[no_unique_address]] Completion completion_;
};

}  // namespace umcg

#endif
