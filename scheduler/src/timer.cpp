// SPDX-License-Identifier: MIT
#include "timer.hpp"

#include <time.h>

#include <cstddef>
#include <mutex>

namespace umcg::detail {

uint64_t now_ns() noexcept {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<uint64_t>(t.tv_sec) * 1000000000 + static_cast<uint64_t>(t.tv_nsec);
}

// Both are roots. A child's siblings hang on `next`; `prev` of the first is its parent.
timer_node* timer_heap::meld(timer_node* a, timer_node* b) noexcept {
    if (!a || !b) return a ? a : b;
    if (b->when < a->when) {
        timer_node* t = a;
        a = b;
        b = t;
    }
    b->next = a->child;
    if (b->next) b->next->prev = b;
    b->prev = a;
    a->child = b;
    return a;
}

// Pairs from left to right, then all from right to left: what makes it cheap on average.
timer_node* timer_heap::meld_children(timer_node* first) noexcept {
    timer_node* pairs = nullptr;  // a stack through `next`
    while (first) {
        timer_node* a = first;
        timer_node* b = a->next;
        first = b ? b->next : nullptr;
        a->next = a->prev = nullptr;
        if (b) b->next = b->prev = nullptr;
        a = meld(a, b);
        a->next = pairs;
        pairs = a;
    }
    timer_node* root = nullptr;
    while (pairs) {
        timer_node* rest = pairs->next;
        pairs->next = nullptr;
        root = meld(root, pairs);
        pairs = rest;
    }
    return root;
}

void timer_heap::remove(timer_node& node) noexcept {
    timer_node* children = meld_children(node.child);
    if (&node == root_) {
        root_ = children;
    } else {
        (node.prev->child == &node ? node.prev->child : node.prev->next) = node.next;
        if (node.next) node.next->prev = node.prev;
        root_ = meld(root_, children);
    }
    node.child = node.next = node.prev = nullptr;
    node.inside = false;
}

void timer_heap::changed() noexcept {
    earliest_.store(root_ ? root_->when : never, std::memory_order_relaxed);
}

void timer_heap::insert(timer_node& node, uint64_t when) noexcept {
    std::lock_guard hold(lock_);
    node.when = when;
    node.heap = this;
    node.inside = true;
    root_ = meld(root_, &node);
    changed();
}

void timer_heap::erase(timer_node& node) noexcept {
    std::lock_guard hold(lock_);
    if (!node.inside) return;
    remove(node);
    changed();
}

void timer_heap::fire(uint64_t now) noexcept {
    std::lock_guard hold(lock_);
    while (root_ && root_->when <= now) {
        timer_node& node = *root_;
        remove(node);
        // whoever waits has to take our lock before it may leave
        auto* w = reinterpret_cast<waiter*>(reinterpret_cast<char*>(&node) -
                                            offsetof(waiter, timer));
        finish(*w, wake::timeout);
    }
    changed();
}

uint64_t timer_heap::announce(std::atomic<uint64_t>& until) noexcept {
    std::lock_guard hold(lock_);
    const uint64_t when = root_ ? root_->when : never;
    until.store(when, std::memory_order_relaxed);
    return when;
}

}  // namespace umcg::detail
