// SPDX-License-Identifier: MIT
//
// Included before everything else when the runtime's sources are compiled for the explorer: every
// access to an atomic, every lock, thread, clock and kernel call of theirs goes to the explorer
// instead, and nothing else changes. So what is explored is the code itself, not a copy.
#ifndef TESTS_EXPLORER_INSTRUMENT_HPP
#define TESTS_EXPLORER_INSTRUMENT_HPP

// All of these come before the names below change their meaning.
#include <errno.h>
#include <liburing.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <deque>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <queue>
#include <random>
#include <source_location>
#include <span>
#include <sstream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "explorer.hpp"

namespace std {

// In the place of std::atomic, of the same size.
template <class T>
class explored_atomic {
    static_assert(sizeof(T) <= 8 && is_trivially_copyable_v<T>);
    using where = source_location;
    using order = memory_order;

  public:
    constexpr explored_atomic() noexcept : explored_atomic(T()) {}
    constexpr explored_atomic(T v) noexcept : value_(v) {
        if (!is_constant_evaluated()) explore::drain();
    }
    explored_atomic(const explored_atomic&) = delete;
    explored_atomic& operator=(const explored_atomic&) = delete;

    T load(order o = order::seq_cst, where w = where::current()) const noexcept {
        return explore::load_n(&value_, static_cast<int>(o), w);
    }
    void store(T v, order o = order::seq_cst, where w = where::current()) noexcept {
        explore::store_n(&value_, v, static_cast<int>(o), w);
    }
    T exchange(T v, order = order::seq_cst, where w = where::current()) noexcept {
        return explore::change_n(&value_, [&](T) { return v; }, w);
    }
    bool compare_exchange_strong(T& expected, T v, order = order::seq_cst, order = order::seq_cst,
                                 where w = where::current()) noexcept {
        return explore::compare_exchange_n(&value_, &expected, v, w);
    }
    bool compare_exchange_weak(T& expected, T v, order = order::seq_cst, order = order::seq_cst,
                               where w = where::current()) noexcept {
        return explore::compare_exchange_n(&value_, &expected, v, w);
    }
    T fetch_add(T n, order = order::seq_cst, where w = where::current()) noexcept {
        return explore::change_n(&value_, [&](T old) { return static_cast<T>(old + n); }, w);
    }
    T fetch_sub(T n, order = order::seq_cst, where w = where::current()) noexcept {
        return explore::change_n(&value_, [&](T old) { return static_cast<T>(old - n); }, w);
    }
    T fetch_or(T n, order = order::seq_cst, where w = where::current()) noexcept {
        return explore::change_n(&value_, [&](T old) { return static_cast<T>(old | n); }, w);
    }
    T fetch_and(T n, order = order::seq_cst, where w = where::current()) noexcept {
        return explore::change_n(&value_, [&](T old) { return static_cast<T>(old & n); }, w);
    }
    operator T() const noexcept { return load(); }
    T operator=(T v) noexcept {
        store(v);
        return v;
    }
    T operator++() noexcept { return static_cast<T>(fetch_add(1) + 1); }
    T operator++(int) noexcept { return fetch_add(1); }
    T operator--() noexcept { return static_cast<T>(fetch_sub(1) - 1); }
    T operator--(int) noexcept { return fetch_sub(1); }
    T operator+=(T n) noexcept { return static_cast<T>(fetch_add(n) + n); }

  private:
    alignas(sizeof(T)) T value_;
};

}  // namespace std

#define atomic explored_atomic

#define EXPLORE_HERE std::source_location::current()
#define __atomic_load_n(p, order) ::explore::load_n(p, order, EXPLORE_HERE)
#define __atomic_store_n(p, v, order) ::explore::store_n(p, v, order, EXPLORE_HERE)
#define __atomic_exchange_n(p, v, order) ::explore::exchange_n(p, v, EXPLORE_HERE)
#define __atomic_fetch_or(p, v, order) ::explore::fetch_or_n(p, v, EXPLORE_HERE)
#define __atomic_fetch_and(p, v, order) ::explore::fetch_and_n(p, v, EXPLORE_HERE)
#define __atomic_compare_exchange_n(p, expected, v, weak, success, failure) \
    ::explore::compare_exchange_n(p, expected, v, EXPLORE_HERE)

#define __builtin_ia32_pause ::explore::yield
#define sched_yield ::explore::yield
#define syscall(...) ::explore::system_call(__VA_ARGS__)
#define pthread_create ::explore::thread_create
#define pthread_join ::explore::thread_join
#define pthread_setname_np(thread, name) static_cast<void>(thread)
#define clock_gettime ::explore::clock_time

// Threads are contexts of one: what each has of these is put in place when it is switched to.
#define thread_local [[gnu::section("explored_locals")]]

#endif
