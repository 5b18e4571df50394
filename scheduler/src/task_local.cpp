// SPDX-License-Identifier: MIT
//
// What a task takes over when it is spawned: values of task_locals, the token, the deadline. A table
// of values is never changed but replaced, so whoever spawns shares his with one more reference.
#include <umcg/task_local.hpp>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#include "core.hpp"

namespace umcg::detail {

struct local_table {
    struct entry {
        uint64_t key;
        std::shared_ptr<const void> value;
    };
    std::vector<entry> entries;
};

namespace {

// Of a plain thread.
thread_local inheritance of_thread;

// Of the calling task or thread. Not inlined, not kept across a wait: a fiber moves.
__attribute__((noinline)) inheritance& mine() noexcept {
    worker* w = this_worker();
    return w && w->current ? w->current->state->inherited() : of_thread;
}

const attributes* current_attributes() noexcept {
    worker* w = this_worker();
    return w && w->current ? &w->current->state->attr() : nullptr;
}

}  // namespace

uint64_t new_local_key() noexcept {
    static std::atomic<uint64_t> last{0};
    return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

const void* find_local(uint64_t key) noexcept {
    const local_table* table = mine().locals.get();
    if (!table) return nullptr;
    for (const auto& e : table->entries)
        if (e.key == key) return e.value.get();
    return nullptr;
}

std::shared_ptr<const void> exchange_local(uint64_t key, std::shared_ptr<const void> value) {
    // what comes in and what goes is allocated and freed before and after the one change of ours
    auto next = std::make_shared<local_table>();
    if (const local_table* table = mine().locals.get()) *next = *table;
    auto at = std::find_if(next->entries.begin(), next->entries.end(),
                           [key](const local_table::entry& e) { return e.key == key; });
    std::shared_ptr<const void> before;
    if (at != next->entries.end()) {
        before = std::exchange(at->value, std::move(value));
        if (!at->value) next->entries.erase(at);
    } else if (value) {
        next->entries.push_back({key, std::move(value)});
    }
    std::shared_ptr<const local_table> gone = std::move(next);
    mine().locals.swap(gone);
    return before;
}

void task_state::prepare(const cancel_token* token) {
    if (attr_.weight < 1 || attr_.weight > 10000)
        throw std::invalid_argument("umcg: weight is " + std::to_string(attr_.weight) +
                                    ", 1 to 10000");
    if (const size_t size = attr_.stack_size;
        size && (size < large_stacks::smallest || size > large_stacks::largest))
        throw std::invalid_argument("umcg: stack_size is " + std::to_string(size) +
                                    ", 8192 to 1073741824");
    if (attr_.inherit) {
        inherited_ = mine();
        if (const attributes* parent = current_attributes())
            attr_.deadline = std::min(attr_.deadline, parent->deadline);
    }
    if (token) inherited_.token = *token;
    if (const auto at = inherited_.token.deadline()) attr_.deadline = std::min(attr_.deadline, *at);
}

}  // namespace umcg::detail

// ---- what users call ----

namespace umcg {

namespace detail {

namespace {

// Not kept in each task: nothing is counted when one is spawned.
cancel_token& token_of_caller() noexcept {
    cancel_token& own = mine().token;
    worker* w = this_worker();
    return own.empty() && w && w->current ? w->home->owner.cancelled_token : own;
}

}  // namespace

}  // namespace detail

cancel_token task_token() { return detail::token_of_caller(); }

clock::time_point task_deadline() noexcept {
    const attributes* attr = detail::current_attributes();
    return attr ? attr->deadline : clock::time_point::max();
}

limit task_limit() noexcept {
    const clock::time_point at = task_deadline();
    // the token is kept by the task, or by the runtime
    const cancel_token& token = detail::token_of_caller();
    return at == clock::time_point::max() ? limit(token) : limit(at, token);
}

}  // namespace umcg
