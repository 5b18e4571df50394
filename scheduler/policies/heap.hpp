// SPDX-License-Identifier: MIT
//
// A pairing heap through a member `heap` of the tasks' data: no allocation, O(1) insertion, O(log n)
// amortised removal of the least. before(a, b): a comes out first; a total order.
#ifndef UMCG_POLICIES_HEAP_HPP
#define UMCG_POLICIES_HEAP_HPP

namespace umcg::policies {

template <class T>
struct heap_link {
    T* child;
    T* next;
    T* prev;  // the parent of a first child
};

template <class T>
class policy_heap {
  public:
    T* front() const noexcept { return root_; }

    void insert(T& t) noexcept {
        t.heap = {};
        root_ = meld(root_, &t);
    }
    void erase(T& t) noexcept {
        T* rest = merge(t.heap.child);
        if (root_ == &t) {
            root_ = rest;
        } else {
            T*& from = t.heap.prev->heap.child == &t ? t.heap.prev->heap.child : t.heap.prev->heap.next;
            from = t.heap.next;
            if (t.heap.next) t.heap.next->heap.prev = t.heap.prev;
            root_ = meld(root_, rest);
        }
        t.heap = {};
    }

  private:
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

    T* root_ = nullptr;
};

}  // namespace umcg::policies

#endif
