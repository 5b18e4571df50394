// SPDX-License-Identifier: MIT
//
// A channel hands values from those who send to those who receive, tasks or plain threads, in order.
// A bounded one holds up to `capacity` values; with capacity 0 it is a rendezvous: send() returns
// when somebody has taken the value.
//
//     #include <umcg/channel.hpp>
//     #include <umcg/runtime.hpp>
//
//     int main() {
//         umcg::runtime rt;
//         umcg::channel<int> numbers(16);
//         auto producer = rt.spawn([&] {
//             for (int i = 1; i <= 100; i++) numbers.send(i);
//             numbers.close();
//         });
//         int sum = 0;
//         while (auto n = numbers.receive()) sum += *n;
//         producer.join();
//         return sum == 5050 ? 0 : 1;
//     }
#ifndef UMCG_CHANNEL_HPP
#define UMCG_CHANNEL_HPP

#include <memory>
#include <optional>
#include <utility>

#include <umcg/detail/wait.hpp>

namespace umcg {

enum class channel_status { ok, closed, timeout, cancelled };

namespace detail {
template <class T, class F>
class receive_case;
template <class T, class F>
class send_case;
}  // namespace detail

// T is moved without exceptions. Allocates when constructed, and never after.
template <class T>
class channel {
    static_assert(std::is_nothrow_move_constructible_v<T>, "values are moved under a lock");

  public:
    explicit channel(size_t capacity = 0)
        : capacity_(capacity), slots_(std::make_unique<std::optional<T>[]>(capacity)) {}
    channel(const channel&) = delete;
    channel& operator=(const channel&) = delete;

    // Blocks while it is full. Not ok: the value is destroyed.
    channel_status send(T value, const limit& until = {}) {
        std::optional<T> mine(std::move(value));
        detail::waiter w;
        w.payload = &mine;
        {
            detail::guard g(lock_);
            if (closed_) return channel_status::closed;
            if (give(mine)) return channel_status::ok;
            senders_.push_back(w);
        }
        const wake how = detail::park_on(w, until, lock_, senders_);
        if (how != wake::signalled) return limit_reached(how);
        // whoever signalled has taken it, or has closed the channel
        return mine ? channel_status::closed : channel_status::ok;
    }

    // Blocks while it is empty; nothing when it is closed and empty, or at the limit. `status`, if
    // given, says which.
    std::optional<T> receive(const limit& until = {}, channel_status* status = nullptr) {
        std::optional<T> mine;
        detail::waiter w;
        w.payload = &mine;
        channel_status how = channel_status::ok;
        bool wait = false;
        {
            detail::guard g(lock_);
            if (!take(mine)) {
                if (closed_)
                    how = channel_status::closed;
                else
                    receivers_.push_back(w), wait = true;
            }
        }
        if (wait) {
            const wake end = detail::park_on(w, until, lock_, receivers_);
            if (end != wake::signalled)
                how = limit_reached(end);
            else if (!mine)
                how = channel_status::closed;
        }
        if (status) *status = how;
        return mine;
    }

    // No more values; those that it holds can be received. Whoever waits to send fails. Twice is
    // once. Never blocks.
    void close() noexcept {
        detail::guard g(lock_);
        closed_ = true;
        while (detail::signal_one(receivers_)) {
        }
        while (detail::signal_one(senders_)) {
        }
    }

  private:
    // select.hpp
    template <class U, class F>
    friend class detail::receive_case;
    template <class U, class F>
    friend class detail::send_case;

    static channel_status limit_reached(wake how) {
        return how == wake::timeout ? channel_status::timeout : channel_status::cancelled;
    }

    // ---- under the lock ----

    // Somebody of `list` who still waits and whose wait shall end now: his value is moved first,
    // since he may go on as soon as he is signalled. If his wait has ended otherwise, it is moved
    // back: he looks at it under our lock, or not at all.
    bool give(std::optional<T>& value) noexcept {
        while (detail::waiter* w = receivers_.pop_front()) {
            auto& his = *static_cast<std::optional<T>*>(w->payload);
            his.emplace(std::move(*value));
            if (detail::finish(*w, wake::signalled)) {
                value.reset();
                return true;
            }
            value.emplace(std::move(*his));
            his.reset();
        }
        if (count_ == capacity_) return false;
        slots_[(first_ + count_++) % capacity_].emplace(std::move(*value));
        value.reset();
        return true;
    }
    bool take(std::optional<T>& value) noexcept {
        if (count_) {
            auto& slot = slots_[first_];
            value.emplace(std::move(*slot));
            slot.reset();
            first_ = (first_ + 1) % capacity_;
            count_--;
            // now a sender's fits in
            std::optional<T> next;
            if (take_from_sender(next)) slots_[(first_ + count_++) % capacity_] = std::move(next);
            return true;
        }
        return take_from_sender(value);
    }
    bool take_from_sender(std::optional<T>& value) noexcept {
        while (detail::waiter* w = senders_.pop_front()) {
            auto& his = *static_cast<std::optional<T>*>(w->payload);
            value.emplace(std::move(*his));
            his.reset();
            if (detail::finish(*w, wake::signalled)) return true;
            his.emplace(std::move(*value));
            value.reset();
        }
        return false;
    }

    detail::short_lock lock_;
    const size_t capacity_;
    std::unique_ptr<std::optional<T>[]> slots_;  // a ring
    size_t first_ = 0;
    size_t count_ = 0;
    bool closed_ = false;
    detail::wait_list receivers_;
    detail::wait_list senders_;
};

}  // namespace umcg

#endif
