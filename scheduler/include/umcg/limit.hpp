// SPDX-License-Identifier: MIT
//
// How long to wait: until a time, until a token is cancelled, or both. Every waiting call of this
// library takes a limit as its last argument and returns how the wait ended; without one it waits
// for as long as it takes.
//
//     umcg::mutex m;
//     if (m.lock(umcg::limit(50ms)) == umcg::wake::timeout) ...
//     if (m.lock({50ms, token}) == umcg::wake::cancelled) ...
//
// What has been signalled counts as signalled, however late it is looked at: a limit that has
// passed already makes a try.
#ifndef UMCG_LIMIT_HPP
#define UMCG_LIMIT_HPP

#include <chrono>
#include <cstdint>

namespace umcg {

// CLOCK_MONOTONIC. All times of this library are of this clock.
using clock = std::chrono::steady_clock;

// How a wait has ended.
enum class wake : uint32_t { signalled = 3, timeout = 4, cancelled = 5 };

class cancel_token;
namespace detail {
class cancel_state;
}

class limit {
  public:
    // No limit.
    limit() = default;
    limit(clock::time_point when) : ns_(to_ns(when.time_since_epoch())) {}
    // From now on.
    template <class Rep, class Period>
    limit(std::chrono::duration<Rep, Period> d) : ns_(after(d)) {}
    // The token must live as long as the wait.
    limit(const cancel_token& token);
    template <class Time>
    limit(Time time, const cancel_token& token) : limit(time) {
        token_ = limit(token).token_;
    }

    // Nanoseconds of CLOCK_MONOTONIC, 0: none.
    uint64_t ns() const { return ns_; }
    detail::cancel_state* token() const { return token_; }

  private:
    static uint64_t to_ns(std::chrono::nanoseconds d) {
        return d.count() > 0 ? static_cast<uint64_t>(d.count()) : 1;
    }
    template <class Rep, class Period>
    static uint64_t after(std::chrono::duration<Rep, Period> d) {
        using std::chrono::nanoseconds;
        const auto now = std::chrono::duration_cast<nanoseconds>(clock::now().time_since_epoch());
        // too far away for 64 bits: never
        if (d > std::chrono::duration<long double>((nanoseconds::max() - now).count() * 1e-9L))
            return 0;
        return to_ns(now + std::chrono::ceil<nanoseconds>(d));
    }

    uint64_t ns_ = 0;
    detail::cancel_state* token_ = nullptr;
};

}  // namespace umcg

#endif
