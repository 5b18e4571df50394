// SPDX-License-Identifier: MIT
//
// A mutex that many readers or one writer have, for tasks and plain threads. std::shared_lock,
// std::unique_lock and std::lock_guard take it.
//
//     #include <mutex>
//     #include <shared_mutex>
//     #include <umcg/runtime.hpp>
//     #include <umcg/shared_mutex.hpp>
//
//     int main() {
//         umcg::runtime rt;
//         umcg::shared_mutex m;
//         int config = 0;
//         auto writer = rt.spawn([&] { std::lock_guard hold(m); config = 42; });
//         auto reader = rt.spawn([&] { std::shared_lock hold(m); return config; });
//         writer.join();
//         const int seen = reader.join();
//         return seen == 0 || seen == 42 ? 0 : 1;
//     }
#ifndef UMCG_SHARED_MUTEX_HPP
#define UMCG_SHARED_MUTEX_HPP

#include <umcg/detail/wait.hpp>

namespace umcg {

// As std::shared_timed_mutex. First come, first served: readers and writers wait in one queue, and
// as long as somebody waits, a new reader queues up behind him. So a writer waits for those who had
// come before it and for nobody else, however many readers keep coming; readers that stand next to
// each other in the queue go in together. For the same reason a reader must not lock it again: with
// a writer in between it would wait for itself. Not recursive, no upgrade. Who has locked it
// unlocks it: the same task or thread. Destroyed only when nobody has it or waits.
class shared_mutex {
  public:
    shared_mutex() = default;
    shared_mutex(const shared_mutex&) = delete;
    shared_mutex& operator=(const shared_mutex&) = delete;

    // ---- one writer ----

    // Blocks.
    void lock() { lock(limit{}); }
    // Blocks until it has it (signalled) or the limit.
    wake lock(const limit& until) {
        return try_lock() ? wake::signalled : wait(as_writer, until);
    }
    bool try_lock() noexcept {
        uint32_t old = 0;
        return state_.compare_exchange_strong(old, writer, std::memory_order_acquire,
                                              std::memory_order_relaxed);
    }
    template <class Rep, class Period>
    bool try_lock_for(std::chrono::duration<Rep, Period> d) {
        return lock(limit(d)) == wake::signalled;
    }
    bool try_lock_until(clock::time_point when) { return lock(limit(when)) == wake::signalled; }
    // Never blocks. Aborts when no writer has it.
    void unlock() noexcept {
        uint32_t old = writer;
        if (!state_.compare_exchange_strong(old, 0, std::memory_order_release,
                                            std::memory_order_relaxed))
            leave(as_writer);
    }

    // ---- many readers ----

    // Blocks.
    void lock_shared() { lock_shared(limit{}); }
    wake lock_shared(const limit& until) {
        return try_lock_shared() ? wake::signalled : wait(as_reader, until);
    }
    // False also while a writer waits.
    bool try_lock_shared() noexcept {
        uint32_t old = state_.load(std::memory_order_relaxed);
        while (!(old & (writer | contended)))
            if (state_.compare_exchange_weak(old, old + reader, std::memory_order_acquire,
                                             std::memory_order_relaxed))
                return true;
        return false;
    }
    template <class Rep, class Period>
    bool try_lock_shared_for(std::chrono::duration<Rep, Period> d) {
        return lock_shared(limit(d)) == wake::signalled;
    }
    bool try_lock_shared_until(clock::time_point when) {
        return lock_shared(limit(when)) == wake::signalled;
    }
    // Never blocks. Aborts when no reader has it.
    void unlock_shared() noexcept {
        uint32_t old = state_.load(std::memory_order_relaxed);
        while (old >= reader && !(old & contended))
            if (state_.compare_exchange_weak(old, old - reader, std::memory_order_release,
                                             std::memory_order_relaxed))
                return;
        leave(as_reader);
    }

  private:
    // contended: somebody waits, or is about to. While it is set the word changes under lock_ only.
    enum : uint32_t { writer = 1, contended = 2, reader = 4 };
    // Two waiters' payloads: what they add to the word.
    static constexpr uint32_t as_writer = writer, as_reader = reader;

    static bool may_have(uint32_t what, uint32_t state) {
        return what == as_writer ? state < reader && !(state & writer) : !(state & writer);
    }

    wake wait(uint32_t what, const limit& until) {
        detail::waiter w;
        w.payload = reinterpret_cast<void*>(static_cast<uintptr_t>(what));
        {
            detail::guard g(lock_);
            const uint32_t state = claim();
            if (waiting_.empty() && may_have(what, state)) {
                admit(state + what);
                return wake::signalled;
            }
            waiting_.push_back(w);
        }
        const wake how = detail::park(w, until);
        if (how != wake::signalled) {
            // those behind us may go in now: we may have been the one writer among readers
            detail::guard g(lock_);
            if (w.in_queue.linked) waiting_.erase(w);
            admit(claim());
        }
        return how;
    }

    void leave(uint32_t what) noexcept {
        detail::guard g(lock_);
        const uint32_t state = claim();
        if (what == as_writer && !(state & writer))
            detail::misuse("umcg::shared_mutex::unlock() without lock()");
        if (what == as_reader && state < reader)
            detail::misuse("umcg::shared_mutex::unlock_shared() without lock_shared()");
        admit(state - what);
    }

    // Under the lock: from now on the word is ours to change, up to admit().
    uint32_t claim() noexcept {
        return state_.fetch_or(contended, std::memory_order_acq_rel) | contended;
    }

    // Under the lock, claimed: the word becomes `state`, and whoever is first and may goes in.
    void admit(uint32_t state) noexcept {
        while (detail::waiter* w = waiting_.front()) {
            const auto what = static_cast<uint32_t>(reinterpret_cast<uintptr_t>(w->payload));
            if (!may_have(what, state)) break;
            waiting_.pop_front();
            // he may unlock at once, but not before we let go of the lock
            if (detail::finish(*w, wake::signalled)) state += what;
        }
        if (waiting_.empty()) state &= ~contended;
        state_.store(state, std::memory_order_release);
    }

    std::atomic<uint32_t> state_{0};
    detail::short_lock lock_;
    detail::wait_list waiting_;
};

}  // namespace umcg

#endif
