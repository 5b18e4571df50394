// SPDX-License-Identifier: MIT
//
// A thread of a run, for the explorer's own files: what it has beside its place in the order.
#ifndef TESTS_EXPLORER_VTHREAD_HPP
#define TESTS_EXPLORER_VTHREAD_HPP

#include <ucontext.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "explorer.hpp"

namespace explore {

struct pending_store {
    void* at;
    size_t size;
    uint64_t value;
};

enum class state { ready, blocked, ended };

// What the C++ runtime keeps of the calling thread's exceptions.
struct exceptions {
    void* caught;
    unsigned uncaught;
};

struct vthread {
    uint32_t id = 0;
    ucontext_t context = {};
    std::function<void()> fn;
    explore::state is = explore::state::ready;
    const char* why = "";
    uint64_t deadline = 0;
    bool in_time = true;
    uint64_t priority = 0;
    const char* last_function = "";  // of its last access
    const char* functions_before[2] = {"", ""};
    unsigned last_line = 0;
    std::vector<pending_store> buffer;
    std::vector<char> locals;
    exceptions in_flight = {};
    vthread* joining = nullptr;
};

extern std::vector<std::unique_ptr<vthread>> threads;  // of this run
extern vthread* running;                               // nullptr: none, between two runs

// ---- contexts.cpp ----

// It begins with body(), on the stack of that number.
void give_context(vthread& t, size_t stack, void (*body)());
void switch_to(vthread* t);
// From outside of a run to its first thread; back when one of its threads leaves.
void enter_contexts(vthread& first);
void leave_contexts();

// ---- store_buffers.cpp ----

// The oldest store becomes visible; there is one.
void flush_one(vthread& t);
void flush(vthread& t);

}  // namespace explore

#endif
