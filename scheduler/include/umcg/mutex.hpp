// SPDX-License-Identifier: MIT
//
// A mutex for tasks and plain threads. A fiber that waits for it gives its worker to another fiber;
// with a std::mutex, which works too, the whole worker waits in the kernel. std::unique_lock,
// std::lock_guard and std::scoped_lock take it.
//
//     #include <mutex>
//     #include <umcg/mutex.hpp>
//     #include <umcg/runtime.hpp>
//
//     int main() {
//         umcg::runtime rt;
//         umcg::mutex m;
//         int n = 0;
//         auto add = [&] { std::lock_guard hold(m); n++; };
//         auto a = rt.spawn(add), b = rt.spawn(add);
//         a.join();
//         b.join();
//         return n == 2 ? 0 : 1;
//     }
#ifndef UMCG_MUTEX_HPP
#define UMCG_MUTEX_HPP

#include <umcg/detail/wait.hpp>

namespace umcg {

// Not recursive. First come, first served: who unlocks hands it to the one who has waited longest.
// Who has locked it unlocks it: the same task or thread. Destroyed only when nobody has it or waits.
class mutex {
  public:
    mutex() = default;
    mutex(const mutex&) = delete;
    mutex& operator=(const mutex&) = delete;

    // Blocks.
    void lock() {
        if (!try_lock()) lock_slowly({});
    }
    // Blocks until it has it (signalled) or the limit.
    wake lock(const limit& until) { return try_lock() ? wake::signalled : lock_slowly(until); }
    bool try_lock() noexcept {
        uint32_t old = unlocked;
        return state_.compare_exchange_strong(old, locked, std::memory_order_acquire,
                                              std::memory_order_relaxed);
    }
    template <class Rep, class Period>
    bool try_lock_for(std::chrono::duration<Rep, Period> d) {
        return lock(limit(d)) == wake::signalled;
    }
    bool try_lock_until(clock::time_point when) { return lock(limit(when)) == wake::signalled; }

    // Never blocks.
    void unlock() noexcept {
        uint32_t old = locked;
        if (!state_.compare_exchange_strong(old, unlocked, std::memory_order_release,
                                            std::memory_order_relaxed))
            unlock_slowly();
    }

  private:
    enum : uint32_t { unlocked, locked, contended };  // contended: look at the queue

    wake lock_slowly(const limit& until) {
        detail::waiter w;
        {
            detail::guard g(lock_);
            // under the queue's lock nobody makes it contended or takes that away but us
            if (state_.exchange(contended, std::memory_order_acquire) == unlocked) {
                if (waiting_.empty()) state_.store(locked, std::memory_order_relaxed);
                return wake::signalled;
            }
            waiting_.push_back(w);
        }
        return detail::park_on(w, until, lock_, waiting_);
    }
    void unlock_slowly() noexcept {
        detail::guard g(lock_);
        // handed over: it stays locked, and contended until the queue is found empty
        if (!detail::signal_one(waiting_)) state_.store(unlocked, std::memory_order_release);
    }

    std::atomic<uint32_t> state_{unlocked};
    detail::short_lock lock_;
    detail::wait_list waiting_;
};

}  // namespace umcg

#endif
