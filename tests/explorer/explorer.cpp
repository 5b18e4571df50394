// SPDX-License-Identifier: MIT
//
// A run: in which order its threads go on, its clock, and its end. Compiled without instrument.hpp: this
// is what that leads to.
#include <unistd.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include "vthread.hpp"

namespace explore {

const control* active_control = nullptr;
bool control_was_met = false;
bool trace = false;

std::vector<std::unique_ptr<vthread>> threads;

namespace {

// Beyond it a run has no end.
constexpr uint64_t most_points = 300'000;

std::mt19937_64 dice;
uint64_t seed_now, points, clock_now, lowest;
// How a run chooses: at random, every so often, or by priorities that change at a few points.
bool by_priority, no_jumps;
unsigned switch_every, time_jump_every;
std::vector<uint64_t> changes;

void look_at_clock() {
    for (auto& t : threads)
        if (t->is == state::blocked && t->deadline && t->deadline <= clock_now) {
            t->is = state::ready;
            t->in_time = false;
        }
}

// Time passes until the first who waits for it.
bool jump() {
    if (no_jumps) return false;
    uint64_t first = UINT64_MAX;
    for (auto& t : threads)
        if (t->is == state::blocked && t->deadline) first = std::min(first, t->deadline);
    if (first == UINT64_MAX) return false;
    clock_now = std::max(clock_now, first);
    look_at_clock();
    return true;
}

vthread* choose(bool other) {
    std::vector<vthread*>& ready = *[] {
        static std::vector<vthread*> list;
        list.clear();
        return &list;
    }();
    for (auto& t : threads)
        if (t->is == state::ready && !(other && t.get() == running)) ready.push_back(t.get());
    if (ready.empty()) return nullptr;
    if (by_priority)
        return *std::max_element(ready.begin(), ready.end(),
                                 [](auto* a, auto* b) { return a->priority < b->priority; });
    return ready[dice() % ready.size()];
}

void body() {
    running->fn();
    flush(*running);
    running->is = state::ended;
    if (running->joining) wake(running->joining);
    vthread* next;
    while (!(next = choose(false)))
        if (!jump()) failed("nobody can go on");
    switch_to(next);
    __builtin_unreachable();
}

vthread* make(std::function<void()> fn) {
    auto t = std::make_unique<vthread>();
    t->id = static_cast<uint32_t>(threads.size()) + 1;
    t->fn = std::move(fn);
    t->priority = (uint64_t{1} << 32) + dice() % (uint64_t{1} << 32);
    give_context(*t, threads.size(), body);
    threads.push_back(std::move(t));
    return threads.back().get();
}

bool applies(access what, size_t size, int order, const char* function) {
    const control* c = active_control;
    if (!c || c->what != what || (c->size && c->size != size) || (c->order >= 0 && c->order != order) ||
        !strstr(function, c->function) || (c->after && !strstr(running->functions_before[0], c->after) &&
                                              !strstr(running->functions_before[1], c->after)))
        return false;
    control_was_met = true;
    return true;
}

}  // namespace

vthread* current() noexcept { return running; }
uint32_t id(const vthread* t) noexcept { return t->id; }
uint64_t now() noexcept { return clock_now; }
unsigned random(unsigned n) noexcept { return static_cast<unsigned>(dice() % n); }

bool control_applies(access what) noexcept { return applies(what, 0, -1, running->last_function); }

wrong point(access what, size_t size, int order, const site& at) noexcept {
    if (!running) return wrong::no;
    if (++points > most_points) failed("no end");
    running->functions_before[1] = std::exchange(running->functions_before[0], running->last_function);
    running->last_function = at.function_name();
    running->last_line = at.line();
    if (trace)
        fprintf(stderr, "%8lu thread %u %s:%u\n", points, running->id, at.function_name(), at.line());
    clock_now += 100;
    // what others have stored becomes visible some time
    vthread& t = *threads[dice() % threads.size()];
    if (!t.buffer.empty() && dice() % 4 == 0) flush_one(t);
    if (dice() % time_jump_every == 0)
        jump();
    else
        look_at_clock();
    if (by_priority) {
        if (!changes.empty() && points >= changes.back()) {
            changes.pop_back();
            running->priority = --lowest;
        }
        switch_to(choose(false));
    } else if (dice() % switch_every == 0) {
        switch_to(choose(false));
    }
    kernel_point();
    return applies(what, size, order, at.function_name()) ? active_control->how : wrong::no;
}

void yield() noexcept {
    if (!running) return;
    if (++points > most_points) failed("no end");
    clock_now += 100;
    // nobody keeps a store to himself for ever
    for (auto& t : threads)
        if (!t->buffer.empty()) flush_one(*t);
    // who waits for the clock does not wait for those who only spin
    if (dice() % 32 == 0)
        jump();
    else
        look_at_clock();
    running->priority = --lowest;
    if (vthread* t = choose(true))
        switch_to(t);
    else
        jump();
    kernel_point();
}

bool block(const char* why, uint64_t deadline) noexcept {
    flush(*running);
    running->is = state::blocked;
    running->why = why;
    running->deadline = deadline;
    running->in_time = true;
    look_at_clock();
    vthread* next;
    while (!(next = choose(false)))
        if (!jump()) failed("nobody can go on");
    switch_to(next);
    return running->in_time;
}

void wake(vthread* t) noexcept {
    if (t->is == state::blocked) t->is = state::ready;
}

void failed(const char* format, ...) {
    fprintf(stderr, "seed %lu: ", seed_now);
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, ", after %lu points\n", points);
    for (auto& t : threads)
        fprintf(stderr, "  thread %u%s: %s%s; last at %s:%u\n", t->id, t.get() == running ? " (runs)" : "",
                t->is == state::ready ? "ready" : t->is == state::ended ? "ended" : "waits: ",
                t->is == state::blocked ? t->why : "", t->last_function, t->last_line);
    _exit(1);
}

void must(bool condition, const char* what) {
    if (!condition) failed("not so: %s", what);
}

void clock_stands() { no_jumps = true; }

pthread_t start(std::function<void()> fn) {
    drain();
    vthread* t = make(std::move(fn));
    return t->id;
}

void join(pthread_t id) {
    vthread* t = threads.at(id - 1).get();
    drain();
    while (t->is != state::ended) {
        t->joining = running;
        block("join", 0);
    }
}

uint64_t run(const std::function<void()>& scenario, uint64_t seed) {
    dice.seed(seed);
    seed_now = seed;
    points = 0;
    clock_now = 1'000'000'000;
    lowest = uint64_t{1} << 32;
    no_jumps = false;
    by_priority = dice() % 2;
    switch_every = 1U << (1 + dice() % 6);
    time_jump_every = 1U << (6 + dice() % 6);
    changes.clear();
    if (by_priority) {
        const uint64_t span = 1U << (6 + dice() % 8);
        for (uint64_t n = 1 + dice() % 6; n; n--) changes.push_back(dice() % span);
        std::sort(changes.rbegin(), changes.rend());
    }
    threads.clear();
    system_reset();
    kernel_reset();
    uring_reset();

    make([&] {
        scenario();
        for (auto& t : threads)
            if (t->is != state::ended && t.get() != running) failed("thread %u is left", t->id);
        flush(*running);
        // never comes back: its stack is used again by the next run
        leave_contexts();
    });
    enter_contexts(*threads.front());
    return points;
}

}  // namespace explore
