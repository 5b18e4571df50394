// SPDX-License-Identifier: MIT
//
// Cancellation: a source is cancelled once, and whoever waits with one of its tokens stops waiting
// and learns it. Nothing is stopped by force: a task that computes asks the token.
//
//     #include <umcg/runtime.hpp>
//     #include <umcg/cancellation.hpp>
//
//     int main() {
//         umcg::runtime rt;
//         umcg::cancel_source source;
//         auto sleeper = rt.spawn([token = source.token()] { return umcg::sleep_until(token); });
//         source.cancel();
//         return sleeper.join() == umcg::wake::cancelled ? 0 : 1;
//     }
#ifndef UMCG_CANCELLATION_HPP
#define UMCG_CANCELLATION_HPP

#include <atomic>
#include <memory>
#include <optional>

#include <umcg/detail/wait.hpp>
#include <umcg/limit.hpp>

namespace umcg {

namespace detail {

class cancel_state {
  public:
    cancel_state() = default;
    // Cancelled when `parent` is, and at `deadline` (as limit::ns()). Lock order: parent, child.
    cancel_state(std::shared_ptr<cancel_state> parent, uint64_t deadline)
        : deadline_(deadline), parent_(std::move(parent)) {
        if (!parent_) return;
        const uint64_t his = parent_->deadline_;
        if (his && (!deadline_ || his < deadline_)) deadline_ = his;
        guard g(parent_->lock_);
        if (parent_->cancelled_.load(std::memory_order_relaxed))
            cancelled_.store(true, std::memory_order_relaxed);
        else
            parent_->children_.push_back(*this);
    }
    ~cancel_state() {
        if (!parent_) return;
        guard g(parent_->lock_);
        if (in_parent_.linked) parent_->children_.erase(*this);
    }
    cancel_state(const cancel_state&) = delete;
    cancel_state& operator=(const cancel_state&) = delete;

    bool cancelled() const noexcept {
        return cancelled_.load(std::memory_order_acquire) || (deadline_ && passed(deadline_));
    }
    // When it is cancelled by itself; 0: never.
    uint64_t deadline() const noexcept { return deadline_; }
    // False: cancelled already, not added.
    bool add(waiter& w) noexcept {
        guard g(lock_);
        if (cancelled()) return false;
        waiting_.push_back(w);
        return true;
    }
    // In any case: after it nobody touches `w` for our sake.
    void remove(waiter& w) noexcept {
        guard g(lock_);
        if (w.in_token.linked) waiting_.erase(w);
    }
    // False: it was already.
    bool cancel() noexcept {
        guard g(lock_);
        if (cancelled_.exchange(true, std::memory_order_acq_rel)) return false;
        while (waiter* w = waiting_.pop_front()) finish(*w, wake::cancelled);
        // a child that is going takes our lock first
        while (cancel_state* child = children_.pop_front()) child->cancel();
        return true;
    }

  private:
    static bool passed(uint64_t ns) noexcept {
        return std::chrono::nanoseconds(clock::now().time_since_epoch()).count() >=
               static_cast<int64_t>(ns);
    }

    short_lock lock_;
    std::atomic<bool> cancelled_{false};
    uint64_t deadline_ = 0;
    list<waiter, &waiter::in_token> waiting_;
    const std::shared_ptr<cancel_state> parent_;
    list_link<cancel_state> in_parent_;  // under the parent's lock
    list<cancel_state, &cancel_state::in_parent_> children_;  // under our lock
};

}  // namespace detail

// Cheap to copy. An empty one is never cancelled. Any thread or task.
class cancel_token {
  public:
    cancel_token() = default;
    bool cancelled() const noexcept { return state_ && state_->cancelled(); }
    bool empty() const noexcept { return !state_; }
    // When it is cancelled by itself, at the latest; nothing: at no time.
    std::optional<clock::time_point> deadline() const noexcept {
        if (!state_ || !state_->deadline()) return std::nullopt;
        return clock::time_point(std::chrono::nanoseconds(state_->deadline()));
    }

  private:
    friend class cancel_source;
    friend class limit;
    explicit cancel_token(std::shared_ptr<detail::cancel_state> state) : state_(std::move(state)) {}
    std::shared_ptr<detail::cancel_state> state_;
};

class cancel_source {
  public:
    // Allocates, and so do the next ones.
    cancel_source() : state_(std::make_shared<detail::cancel_state>()) {}
    // Cancelled when `parent` is, too, and when `until` is reached. That costs no timer and no
    // thread: whoever waits with a token of it does so no longer than that.
    explicit cancel_source(const cancel_token& parent) : cancel_source(parent, limit()) {}
    cancel_source(const cancel_token& parent, clock::time_point until)
        : cancel_source(parent, limit(until)) {}
    cancel_token token() const { return cancel_token(state_); }
    bool cancelled() const noexcept { return state_->cancelled(); }
    // All who wait with a token of ours wake, with wake::cancelled unless something else came
    // first. False: it was cancelled already. Does not block.
    bool cancel() noexcept { return state_->cancel(); }

  private:
    cancel_source(const cancel_token& parent, const limit& until)
        : state_(std::make_shared<detail::cancel_state>(parent.state_, until.ns())) {}

    std::shared_ptr<detail::cancel_state> state_;
};

inline limit::limit(const cancel_token& token) : token_(token.state_.get()) {}

}  // namespace umcg

#endif
