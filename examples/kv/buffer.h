// SPDX-License-Identifier: MIT
//
// Byte buffers whose memory is counted against one budget of the process, so that a thousand
// clients that each announce 512 MB get an error instead of the machine's memory.
#ifndef EXAMPLES_KV_BUFFER_H_
#define EXAMPLES_KV_BUFFER_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string_view>

namespace kv {

class Budget {
  public:
    explicit Budget(size_t limit) : limit_(limit) {}
    bool Take(size_t bytes) {
        if (used_.fetch_add(bytes, std::memory_order_relaxed) + bytes <= limit_) return true;
        Return(bytes);
        return false;
    }
    void Return(size_t bytes) { used_.fetch_sub(bytes, std::memory_order_relaxed); }
    size_t used() const { return used_.load(std::memory_order_relaxed); }
    size_t limit() const { return limit_; }

  private:
    const size_t limit_;
    std::atomic<size_t> used_ = 0;
};

// A growing byte array. The first kFree bytes are not counted: every client may have them.
// When the budget is spent appending does nothing but set failed().
class Buffer {
  public:
    static constexpr size_t kFree = 16 * 1024;

    explicit Buffer(Budget* budget) : budget_(budget) {}
    ~Buffer() { Release(); }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;

    size_t size() const { return size_; }
    bool empty() const { return size_ == 0; }
    bool failed() const { return failed_; }
    char* data() { return data_; }
    char* end() { return data_ + size_; }
    size_t room() const { return capacity_ - size_; }
    std::string_view view(size_t from = 0) const { return {data_ + from, size_ - from}; }

    // Make room for `bytes` after size(). False, and failed(), if that is too much.
    bool Reserve(size_t bytes) {
        if (room() >= bytes) return true;
        // Doubling, so that a value of n bytes is copied O(n) bytes in all.
        size_t want = size_ + bytes, capacity = capacity_ < kFree ? kFree : capacity_;
        while (capacity < want) capacity += capacity < kBig ? capacity : kBig;
        size_t counted = capacity > kFree ? capacity - kFree : 0;
        if (counted > counted_ && !budget_->Take(counted - counted_)) return !(failed_ = true);
        char* data = static_cast<char*>(std::realloc(data_, capacity));
        if (!data) {
            if (counted > counted_) budget_->Return(counted - counted_);
            return !(failed_ = true);
        }
        data_ = data;
        capacity_ = capacity;
        if (counted > counted_) counted_ = counted;
        return true;
    }

    void append(const char* bytes, size_t size) {
        if (size == 0 || failed_ || !Reserve(size)) return;
        std::memcpy(end(), bytes, size);
        size_ += size;
    }

    // `bytes` were written at end(), which had room for them.
    void Grow(size_t bytes) { size_ += bytes; }

    // Forget the bytes from `size` on; failed() is forgotten too.
    void Truncate(size_t size) {
        size_ = size;
        failed_ = false;
    }

    // Drop the first `bytes`. Gives memory back once a big request is through.
    void Drop(size_t bytes) {
        size_ -= bytes;
        if (size_ > 0) {
            if (bytes > 0) std::memmove(data_, data_ + bytes, size_);
        } else if (capacity_ > 4 * kFree) {
            Release();
        }
        failed_ = false;
    }

  private:
    static constexpr size_t kBig = 64 * 1024 * 1024;

    void Release() {
        std::free(data_);
        budget_->Return(counted_);
        data_ = nullptr;
        size_ = capacity_ = counted_ = 0;
    }

    Budget* const budget_;
    char* data_ = nullptr;
    size_t size_ = 0, capacity_ = 0, counted_ = 0;
    bool failed_ = false;
};

}  // namespace kv

#endif  // EXAMPLES_KV_BUFFER_H_
