// SPDX-License-Identifier: MIT
//
// A condition variable for tasks and plain threads, beside any lock (umcg::mutex, std::mutex).
//
//     #include <mutex>
//     #include <umcg/condition_variable.hpp>
//     #include <umcg/mutex.hpp>
//     #include <umcg/runtime.hpp>
//
//     int main() {
//         umcg::runtime rt;
//         umcg::mutex m;
//         umcg::condition_variable cv;
//         bool ready = false;
//         auto waits = rt.spawn([&] {
//             std::unique_lock lock(m);
//             cv.wait(lock, [&] { return ready; });
//         });
//         {
//             std::lock_guard hold(m);
//             ready = true;
//         }
//         cv.notify_one();
//         waits.join();
//     }
#ifndef UMCG_CONDITION_VARIABLE_HPP
#define UMCG_CONDITION_VARIABLE_HPP

#include <concepts>

#include <umcg/detail/wait.hpp>

namespace umcg {

// As std::condition_variable_any, but never wakes for no reason.
class condition_variable {
  public:
    condition_variable() = default;
    condition_variable(const condition_variable&) = delete;
    condition_variable& operator=(const condition_variable&) = delete;

    // `lock` is held, and is again when it returns. Blocks.
    template <class Lock>
    wake wait(Lock& lock, const limit& until = {}) {
        detail::waiter w;
        {
            detail::guard g(lock_);
            waiting_.push_back(w);
        }
        struct relock {
            Lock& lock;
            ~relock() { lock.lock(); }
        };
        lock.unlock();
        relock at_end{lock};
        return detail::park_on(w, until, lock_, waiting_);
    }
    // Until pred(); false: the limit came first. pred() runs with the lock held.
    template <class Lock, class Predicate>
        requires std::predicate<Predicate>
    bool wait(Lock& lock, Predicate pred, const limit& until = {}) {
        while (!pred())
            if (wait(lock, until) != wake::signalled) return pred();
        return true;
    }

    // Never block.
    void notify_one() noexcept {
        detail::guard g(lock_);
        detail::signal_one(waiting_);
    }
    void notify_all() noexcept {
        detail::guard g(lock_);
        while (detail::signal_one(waiting_)) {
        }
    }

  private:
    detail::short_lock lock_;
    detail::wait_list waiting_;
};

}  // namespace umcg

#endif
