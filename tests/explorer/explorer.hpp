// SPDX-License-Identifier: MIT
//
// Threads that run one at a time, in an order that follows from a seed. Each access to an atomic is a
// point where another one may go on. A store waits in its thread's store buffer, as on x86: others
// see it later, the thread itself at once; whatever is a full barrier empties the buffer, membarrier()
// all of them. Orders weaker than that are not told apart.
#ifndef TESTS_EXPLORER_EXPLORER_HPP
#define TESTS_EXPLORER_EXPLORER_HPP

#include <pthread.h>
#include <time.h>

#include <cstdint>
#include <cstring>
#include <functional>
#include <source_location>
#include <type_traits>

namespace explore {

using site = std::source_location;
struct vthread;

enum class access { load, store, change, barrier, kick };

// How one access is done wrongly, as a negative control.
enum class wrong {
    no,
    nothing,   // it is not done
    blind,     // it is done, and what was there is taken for 0
    in_two,    // a change: a load, then a store that waits in the buffer
    buffered,  // what it stores waits in the buffer
};

struct control {
    const char* function = nullptr;  // accesses in functions whose name has this in it
    access what = access::load;
    size_t size = 0;   // 0: any
    int order = -1;    // -1: any
    wrong how = wrong::no;
    const char* after = nullptr;  // if not nullptr: and one of the two accesses before was in such a function
};

// ---- what the code under test calls ----

// Somebody else may go on here.
wrong point(access what, size_t size, int order, const site& at) noexcept;
// Somebody else shall.
void yield() noexcept;
// The calling thread's buffer.
void drain() noexcept;
void drain_all() noexcept;
// Of these addresses only.
void drain(const void* at, size_t size) noexcept;
uint64_t read(const void* at, size_t size) noexcept;
void write(void* at, size_t size, uint64_t value, bool buffered) noexcept;

long system_call(long number, auto... args);
long futex(void* word, int op, uint32_t value, const timespec* until) noexcept;
long membarrier(int command) noexcept;
int thread_create(pthread_t* thread, const pthread_attr_t*, void* (*fn)(void*), void* arg) noexcept;
int thread_join(pthread_t thread, void**) noexcept;
int clock_time(clockid_t, timespec* t) noexcept;

template <class T>
uint64_t bits(T v) {
    uint64_t b = 0;
    memcpy(&b, &v, sizeof(T));
    return b;
}
template <class T>
T value(uint64_t b) {
    T v;
    memcpy(&v, &b, sizeof(T));
    return v;
}

template <class T>
T load_n(const T* at, int order, const site& w) noexcept {
    if (point(access::load, sizeof(T), order, w) != wrong::no) return T();
    return value<T>(read(at, sizeof(T)));
}
template <class T>
void store_n(T* at, std::type_identity_t<T> v, int order, const site& w) noexcept {
    const wrong how = point(access::store, sizeof(T), order, w);
    if (how == wrong::nothing) return;
    write(at, sizeof(T), bits(v), how == wrong::buffered || order != __ATOMIC_SEQ_CST);
}
// Another value in the place of the one there: fn(old), or nothing if that is the same.
template <class T, class F>
T change_n(T* at, F fn, const site& w) noexcept {
    const wrong how = point(access::change, sizeof(T), -1, w);
    if (how == wrong::no || how == wrong::blind) drain();
    const T old = value<T>(read(at, sizeof(T)));
    if (how == wrong::nothing) return old;
    const T now = fn(old);
    if (how == wrong::in_two) yield();
    if (bits(now) != bits(old))
        write(at, sizeof(T), bits(now), how == wrong::in_two || how == wrong::buffered);
    return how == wrong::blind ? T() : old;
}
template <class T>
bool compare_exchange_n(T* at, T* expected, std::type_identity_t<T> v, const site& w) noexcept {
    const T old = change_n(at, [&](T o) { return bits(o) == bits(*expected) ? v : o; }, w);
    if (bits(old) == bits(*expected)) return true;
    *expected = old;
    return false;
}
template <class T>
T exchange_n(T* at, std::type_identity_t<T> v, const site& w) noexcept {
    return change_n(at, [&](T) { return v; }, w);
}
template <class T>
T fetch_or_n(T* at, std::type_identity_t<T> v, const site& w) noexcept {
    return change_n(at, [&](T old) { return static_cast<T>(old | v); }, w);
}
template <class T>
T fetch_and_n(T* at, std::type_identity_t<T> v, const site& w) noexcept {
    return change_n(at, [&](T old) { return static_cast<T>(old & v); }, w);
}

long other_system_call(long number, const long (&args)[6]) noexcept;

long system_call(long number, auto... args) {
    const long all[6] = {(long)args...};
    return other_system_call(number, all);
}

// ---- what the simulated system is made of ----

vthread* current() noexcept;
// Until wake(), or that time (0: none): then false.
bool block(const char* why, uint64_t deadline_ns) noexcept;
void wake(vthread* t) noexcept;
uint64_t now() noexcept;
uint32_t id(const vthread* t) noexcept;
// Does the control, if there is one, apply to a call of this kind by the calling thread? A barrier or
// a kick belongs to the function whose access came before it.
bool control_applies(access what) noexcept;
// From 0 to n - 1, from the seed.
unsigned random(unsigned n) noexcept;

// ---- what scenarios call ----

// Start a thread.
pthread_t start(std::function<void()> fn);
void join(pthread_t t);
// What must be so. A violation ends the program and names the seed.
void must(bool condition, const char* what);
[[noreturn]] void failed(const char* format, ...) __attribute__((format(printf, 1, 2)));

// For the rest of this run time passes with the steps only: nobody is to depend on a wait that ends by
// the clock.
void clock_stands();

// A scenario once, from that seed. Returns how many points there were.
uint64_t run(const std::function<void()>& scenario, uint64_t seed);

// Set before run(). `nullptr`: no control.
extern const control* active_control;
extern bool control_was_met;
extern bool trace;

void system_reset() noexcept;

// kernel.cpp: what it has to do at the points of a thread, and between two runs.
void kernel_point() noexcept;
void kernel_reset() noexcept;
bool kernel_sleep_begins() noexcept;  // the caller is about to sleep in a system call
void kernel_sleep_ends() noexcept;
void kernel_call_begins() noexcept;  // the caller is not stopped until it ends
void kernel_call_ends() noexcept;
// uring.cpp
void uring_reset() noexcept;

}  // namespace explore

#endif
