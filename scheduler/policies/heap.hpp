// SPDX-License-Identifier: MIT
//
// A priority queue through a member `heap` of the tasks' data: no allocation, O(1) insertion, O(log n)
// amortised removal of the least. before(a, b): a comes out first; a total order.
//
// Those that come in order, and of equals in a policy most do, are a list, whose ends cost a few ns. The
// others are a pairing heap beside it.
#ifndef UMCG_POLICIES_HEAP_HPP
#define UMCG_POLICIES_HEAP_HPP

namespace umcg::policies {

template <class T>
struct heap_link {
    T* child;
    T* next;
    T* prev;  // in the heap: the parent of a first child
    bool in_order;  // in the list
};

template <class T>
class policy_heap {
  public:
    bool empty() const noexcept { return !first_ && !root_; }
    T* front() const noexcept {
        if (!root_) return first_;
        return first_ && before(*first_, *root_) ? first_ : root_;
    }

    void insert(T& t) noexcept {
        if (last_ && before(t, *last_)) {
            t.heap = {};
            root_ = meld(root_, &t);
            return;
        }
        t.heap.in_order = true;
        t.heap.next = nullptr;
        t.heap.prev = last_;
        (last_ ? last_->heap.next : first_) = &t;
        last_ = &t;
    }
    T* pop_front() noexcept {
        T* t = front();
        if (!t) return nullptr;
        if (__builtin_expect(t == first_, 1)) {
            first_ = t->heap.next;
            (first_ ? first_->heap.prev : last_) = nullptr;
        } else {
            erase_from_heap(*t);
        }
        return t;
    }
    void erase(T& t) noexcept {
        if (t.heap.in_order) {
            (t.heap.prev ? t.heap.prev->heap.next : first_) = t.heap.next;
            (t.heap.next ? t.heap.next->heap.prev : last_) = t.heap.prev;
        } else {
            erase_from_heap(t);
        }
    }

  private:
    void erase_from_heap(T& t) noexcept {
        T* rest = merge(t.heap.child);
        if (root_ == &t) {
            root_ = rest;
            return;
        }
        T*& from = t.heap.prev->heap.child == &t ? t.heap.prev->heap.child : t.heap.prev->heap.next;
        from = t.heap.next;
        if (t.heap.next) t.heap.next->heap.prev = t.heap.prev;
        root_ = meld(root_, rest);
    }
    static T* meld(T* a, T* b) noexcept {
        if (!a) return b;
        if (!b) return a;
        if (before(*b, *a)) {
            T* less = b;
            b = a;
            a = less;
        }
        b->heap.next = a->heap.child;
        if (b->heap.next) b->heap.next->heap.prev = b;
        b->heap.prev = a;
        a->heap.child = b;
        return a;
    }
    // In pairs from the left, then all together from the right; without recursion.
    static T* merge(T* first) noexcept {
        T* pairs = nullptr;
        while (first) {
            T* a = first;
            T* b = a->heap.next;
            first = b ? b->heap.next : nullptr;
            a->heap.next = a->heap.prev = nullptr;
            if (b) b->heap.next = b->heap.prev = nullptr;
            T* both = meld(a, b);
            both->heap.next = pairs;
            pairs = both;
        }
        T* root = nullptr;
        while (pairs) {
            T* next = pairs->heap.next;
            pairs->heap.next = nullptr;
            root = meld(root, pairs);
            pairs = next;
        }
        return root;
    }

    T* first_ = nullptr;
    T* last_ = nullptr;
    T* root_ = nullptr;
};

}  // namespace umcg::policies

#endif
