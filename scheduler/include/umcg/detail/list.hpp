// SPDX-License-Identifier: MIT
//
// The list of waiters, of timers' owners, and of policies' queues. Not for users, but through
// umcg/policy.hpp.
#ifndef UMCG_DETAIL_LIST_HPP
#define UMCG_DETAIL_LIST_HPP

namespace umcg::detail {

// A doubly linked list through any of an object's links; the objects are not owned. Of an object that
// is in no list next and prev mean nothing.
template <class T>
struct list_link {
    T* next = nullptr;
    T* prev = nullptr;
    bool linked = false;
};

template <class T, list_link<T> T::*Link>
class list {
  public:
    bool empty() const { return head_ == nullptr; }
    T* front() const { return head_; }
    T* back() const { return tail_; }

    void push_back(T& item) noexcept {
        auto& link = item.*Link;
        link.prev = tail_;
        link.next = nullptr;
        link.linked = true;
        (tail_ ? (tail_->*Link).next : head_) = &item;
        tail_ = &item;
    }
    void push_front(T& item) noexcept {
        auto& link = item.*Link;
        link.prev = nullptr;
        link.next = head_;
        link.linked = true;
        (head_ ? (head_->*Link).prev : tail_) = &item;
        head_ = &item;
    }
    void erase(T& item) noexcept {
        auto& link = item.*Link;
        (link.prev ? (link.prev->*Link).next : head_) = link.next;
        (link.next ? (link.next->*Link).prev : tail_) = link.prev;
        link.linked = false;
    }
    T* pop_front() noexcept {
        T* item = head_;
        if (!item) return nullptr;
        head_ = (item->*Link).next;
        (head_ ? (head_->*Link).prev : tail_) = nullptr;
        (item->*Link).linked = false;
        return item;
    }

  private:
    T* head_ = nullptr;
    T* tail_ = nullptr;
};

}  // namespace umcg::detail

#endif
