// SPDX-License-Identifier: MIT
//
// In the place of scheduler/src/state_memory.cpp: the memory of a task_state that has ended is freed, so
// that who looks at it afterwards is seen.
#include "state_memory.hpp"

#include <new>

#include "core.hpp"

namespace umcg::detail {

state_cache::~state_cache() = default;

void* task_state::operator new(size_t size) { return ::operator new(size); }
void* task_state::operator new(size_t size, std::align_val_t align) { return ::operator new(size, align); }
void task_state::operator delete(void* block, size_t) noexcept { ::operator delete(block); }
void task_state::operator delete(void* block, size_t, std::align_val_t align) noexcept {
    ::operator delete(block, align);
}

}  // namespace umcg::detail
