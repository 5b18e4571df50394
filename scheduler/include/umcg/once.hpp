// SPDX-License-Identifier: MIT
//
// Something that is done once, by whoever comes first; the others wait until it is done. For tasks
// and plain threads.
//
//     #include <umcg/once.hpp>
//     #include <umcg/runtime.hpp>
//
//     int main() {
//         umcg::runtime rt;
//         umcg::once_flag started;
//         int starts = 0;
//         auto use = [&] { umcg::call_once(started, [&] { umcg::sleep_for(1ms); starts++; }); };
//         auto a = rt.spawn(use), b = rt.spawn(use);
//         a.join();
//         b.join();
//         return starts == 1 ? 0 : 1;
//     }
#ifndef UMCG_ONCE_HPP
#define UMCG_ONCE_HPP

#include <concepts>
#include <functional>
#include <utility>

#include <umcg/detail/wait.hpp>

namespace umcg {

// As std::once_flag.
class once_flag {
  public:
    constexpr once_flag() noexcept = default;
    once_flag(const once_flag&) = delete;
    once_flag& operator=(const once_flag&) = delete;

  private:
    template <class F, class... Args>
        requires std::invocable<F, Args...>
    friend wake call_once(once_flag&, const limit&, F&&, Args&&...);

    enum class state : uint32_t { fresh, running, done };

    bool done() const noexcept { return state_.load(std::memory_order_acquire) == state::done; }
    // True: the caller is to do it, and then calls end().
    bool begin(const limit& until, wake& how) {
        for (;;) {
            detail::waiter w;
            {
                detail::guard g(lock_);
                const state now = state_.load(std::memory_order_relaxed);
                if (now == state::done) return false;
                if (now == state::fresh) {
                    state_.store(state::running, std::memory_order_relaxed);
                    return true;
                }
                waiting_.push_back(w);
            }
            how = detail::park_on(w, until, lock_, waiting_);
            if (how != wake::signalled || done()) return false;
        }
    }
    void end(state how) noexcept {
        detail::guard g(lock_);
        state_.store(how, std::memory_order_release);
        // failed: the next one tries
        while (detail::signal_one(waiting_) && how == state::done) {
        }
    }

    std::atomic<state> state_{state::fresh};
    detail::short_lock lock_;
    detail::wait_list waiting_;
};

// As std::call_once: calls fn(args...) unless a call with this flag has returned already; while
// another one runs, waits for it until it is done (signalled) or the limit. What fn throws comes out
// of this call, and somebody else's turn it is then. Calling it again from fn waits for ever.
template <class F, class... Args>
    requires std::invocable<F, Args...>
wake call_once(once_flag& flag, const limit& until, F&& fn, Args&&... args) {
    wake how = wake::signalled;
    if (flag.done() || !flag.begin(until, how)) return how;
    struct end {
        once_flag& flag;
        once_flag::state how = once_flag::state::fresh;
        ~end() { flag.end(how); }
    } at_end{flag};
    std::invoke(std::forward<F>(fn), std::forward<Args>(args)...);
    at_end.how = once_flag::state::done;
    return how;
}
template <class F, class... Args>
    requires std::invocable<F, Args...>
void call_once(once_flag& flag, F&& fn, Args&&... args) {
    call_once(flag, limit{}, std::forward<F>(fn), std::forward<Args>(args)...);
}

}  // namespace umcg

#endif
