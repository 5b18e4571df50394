// SPDX-License-Identifier: MIT
#include "state_memory.hpp"

#include <new>

#include "core.hpp"

namespace umcg::detail {

namespace {

constexpr size_t chunk = size_t{64} << 10, most = 128, some = 64;

struct {
    short_lock lock;
    stack_list free;
} shared[state_classes];

#ifdef UMCG_ASAN
constexpr bool kept = false;  // it is to see who looks at one that has ended
#else
constexpr bool kept = true;
#endif

size_t class_of(size_t size) { return kept ? (size - 1) / state_unit : state_classes; }

// With the lock held, or of lists that nobody else has.
void move(stack_list& from, stack_list& to, size_t n) noexcept {
    while (n--) {
        void* block = from.pop();
        if (!block) return;
        to.push(block);
    }
}

// Outside of sections: the system may have to be asked for it.
void* from_new_chunk(size_t c) {
    const size_t size = (c + 1) * state_unit;
    char* memory = static_cast<char*>(::operator new(chunk, std::align_val_t(state_unit)));
    stack_list rest;
    for (size_t at = size; at + size <= chunk; at += size) rest.push(memory + at);
    guard g(shared[c].lock);
    move(rest, shared[c].free, rest.count);
    return memory;
}

}  // namespace

state_cache::~state_cache() {
    for (size_t c = 0; c < state_classes; c++) {
        guard g(shared[c].lock);
        move(lists[c], shared[c].free, lists[c].count);
    }
}

void* task_state::operator new(size_t size) {
    const size_t c = class_of(size);
    if (c >= state_classes) return ::operator new(size);
    worker* w = enter_section();
    stack_list* mine = w ? &w->home->states.lists[c] : nullptr;
    void* block = mine ? mine->pop() : nullptr;
    if (!block) {
        guard g(shared[c].lock);
        block = shared[c].free.pop();
        if (mine) move(shared[c].free, *mine, some);
    }
    if (w) leave_section(w);
    return block ? block : from_new_chunk(c);
}

void task_state::operator delete(void* block, size_t size) noexcept {
    const size_t c = class_of(size);
    if (c >= state_classes) return ::operator delete(block, size);
    worker* w = enter_section();
    if (!w) {
        guard g(shared[c].lock);
        shared[c].free.push(block);
        return;
    }
    stack_list& mine = w->home->states.lists[c];
    mine.push(block);
    if (mine.count > most) {
        guard g(shared[c].lock);
        move(mine, shared[c].free, some);
    }
    leave_section(w);
}

void* task_state::operator new(size_t size, std::align_val_t align) { return ::operator new(size, align); }

void task_state::operator delete(void* block, size_t size, std::align_val_t align) noexcept {
    ::operator delete(block, size, align);
}

}  // namespace umcg::detail
