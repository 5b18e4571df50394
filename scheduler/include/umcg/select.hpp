// SPDX-License-Identifier: MIT
//
// Wait for several things at once: values from channels, room in channels, times, tokens. Exactly
// one of them happens.
//
//     #include <umcg/runtime.hpp>
//     #include <umcg/select.hpp>
//
//     int main() {
//         umcg::runtime rt;
//         umcg::channel<int> numbers;
//         umcg::channel<const char*> words;
//         umcg::cancel_source never;
//         auto t = rt.spawn([&] { words.send("hello"); });
//         int got = 0;
//         const size_t which = umcg::select(
//             umcg::on_receive(numbers, [&](std::optional<int> n) { got = n.value_or(-1); }),
//             umcg::on_receive(words, [&](std::optional<const char*> w) { got = w ? 1 : -1; }),
//             umcg::on_limit({10s, never.token()}, [&](umcg::wake) { got = -2; }));
//         t.join();
//         return which == 1 && got == 1 ? 0 : 1;
//     }
#ifndef UMCG_SELECT_HPP
#define UMCG_SELECT_HPP

#include <array>
#include <concepts>
#include <functional>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>

#include <umcg/channel.hpp>

namespace umcg {

namespace detail {

// One case of a select(): what it waits for, and what of it has happened.
class select_case {
  public:
    explicit select_case(short_lock* of_channel) : lock(of_channel) {}
    select_case(const select_case&) = delete;
    select_case& operator=(const select_case&) = delete;

    // ---- cases of a channel, under its lock ----
    // If it can be done now it is: `passed` or `closed` says so.
    virtual void attempt() noexcept {}
    virtual void enqueue() noexcept {}
    virtual void dequeue() noexcept {}

    short_lock* const lock;  // the channel's; nullptr: of no channel
    limit until;             // when it happens by itself
    bool otherwise = false;  // it happens when nothing else can
    bool passed = false;     // the value has gone over
    bool closed = false;     // the channel was closed
    wake end = wake::signalled;
    waiter place{nullptr};   // in the channel's queue, in the token's list

  protected:
    ~select_case() = default;
};

// Wait until one of `cases` has happened, and say which. `order` is as long. Blocks.
size_t select_of(std::span<select_case* const> cases, std::span<select_case*> order);

template <class T, class F>
class receive_case final : public select_case {
  public:
    receive_case(channel<T>& from, F fn)
        : select_case(&from.lock_), from_(from), fn_(std::move(fn)) {}

    void attempt() noexcept override {
        passed = from_.take(value_);
        closed = !passed && from_.closed_;
    }
    void enqueue() noexcept override {
        place.payload = &value_;
        from_.receivers_.push_back(place);
    }
    void dequeue() noexcept override {
        if (place.in_queue.linked) from_.receivers_.erase(place);
        passed = value_.has_value();
        closed = from_.closed_;
    }
    void invoke() { std::invoke(fn_, std::move(value_)); }

  private:
    channel<T>& from_;
    F fn_;
    std::optional<T> value_;
};

template <class T, class F>
class send_case final : public select_case {
  public:
    send_case(channel<T>& to, T value, F fn)
        : select_case(&to.lock_), to_(to), fn_(std::move(fn)), value_(std::move(value)) {}

    void attempt() noexcept override {
        closed = to_.closed_;
        passed = !closed && to_.give(value_);
    }
    void enqueue() noexcept override {
        place.payload = &value_;
        to_.senders_.push_back(place);
    }
    void dequeue() noexcept override {
        if (place.in_queue.linked) to_.senders_.erase(place);
        passed = !value_.has_value();
        closed = to_.closed_;
    }
    void invoke() { std::invoke(fn_, passed ? channel_status::ok : channel_status::closed); }

  private:
    channel<T>& to_;
    F fn_;
    std::optional<T> value_;
};

template <class F>
class limit_case final : public select_case {
  public:
    limit_case(const limit& when, F fn) : select_case(nullptr), fn_(std::move(fn)) { until = when; }
    void invoke() { std::invoke(fn_, end); }

  private:
    F fn_;
};

template <class F>
class default_case final : public select_case {
  public:
    explicit default_case(F fn) : select_case(nullptr), fn_(std::move(fn)) { otherwise = true; }
    void invoke() { std::invoke(fn_); }

  private:
    F fn_;
};

struct ignore_outcome {
    void operator()(auto&&...) const noexcept {}
};

}  // namespace detail

// ---- the cases; each is made in the call of select() ----

// A value from `from`: fn(std::optional<T>), nothing when it is closed and empty.
template <class T, class F>
[[nodiscard]] auto on_receive(channel<T>& from, F fn) {
    return detail::receive_case<T, F>(from, std::move(fn));
}
// `value` has gone into `to`, or that is closed: fn(channel_status). When another case happens the
// value is destroyed.
template <class T, class F = detail::ignore_outcome>
[[nodiscard]] auto on_send(channel<T>& to, std::type_identity_t<T> value, F fn = {}) {
    return detail::send_case<T, F>(to, std::move(value), std::move(fn));
}
// The limit was reached: fn(wake), timeout or cancelled. A select() may have several.
template <class F = detail::ignore_outcome>
[[nodiscard]] auto on_limit(const limit& until, F fn = {}) {
    return detail::limit_case<F>(until, std::move(fn));
}
// Nothing else can be done at once: fn(). The select() does not wait.
template <class F = detail::ignore_outcome>
[[nodiscard]] auto otherwise(F fn = {}) {
    return detail::default_case<F>(std::move(fn));
}

// Does one of the cases, calls its function and returns its index, from 0. Among channels that are
// ready it takes any, not the first; one that is ready comes before a limit that has passed. The
// function runs when the select() is over: it may wait, and throw. Never allocates. Blocks.
template <class... Cases>
    requires(sizeof...(Cases) > 0 && (std::derived_from<std::remove_reference_t<Cases>, detail::select_case> && ...))
size_t select(Cases&&... cases) {
    const std::array<detail::select_case*, sizeof...(Cases)> all{&cases...};
    std::array<detail::select_case*, sizeof...(Cases)> order;
    const size_t which = detail::select_of(all, order);
    size_t i = 0;
    static_cast<void>(((i++ == which && (cases.invoke(), true)) || ...));
    return which;
}

}  // namespace umcg

#endif
