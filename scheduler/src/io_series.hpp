// SPDX-License-Identifier: MIT
//
// Multishot operations: submitted once, completed many times. docs/runtime.md, "Multishot".
#ifndef UMCG_SRC_IO_SERIES_HPP
#define UMCG_SRC_IO_SERIES_HPP

#include <cerrno>
#include <memory>
#include <vector>

#include "buffer_pool.hpp"
#include "ring.hpp"

namespace umcg::detail {

// ARMED from its submission to the completion that says it is the last.
class io_series : public completion {
  public:
    explicit io_series(int fd) : fd_(fd) {}
    io_series(const io_series&) = delete;
    io_series& operator=(const io_series&) = delete;

    // True: there are enough results, the operation is to end.
    bool complete(int res, unsigned flags) noexcept final;

  protected:
    ~io_series() = default;

    // Can that ring do it, now?
    virtual bool can(ring& on) const noexcept = 0;
    virtual void prepare(io_uring_sqe& sqe, ring& on) noexcept = 0;
    // Submit it on the ring of the server where the calling task is. False: there is none, or it
    // cannot do it.
    bool arm() noexcept;
    // Until there is a result, or it is not armed any more.
    wake wait(const limit& until);
    // Has the operation's end come; else asks for it and waits.
    void finish_series();

    // Under lock_.
    // A result comes; `end_` is set if it was the last and is none.
    virtual void add(int res, unsigned flags) noexcept = 0;
    virtual bool has_result() const noexcept = 0;
    virtual bool enough() const noexcept = 0;

    // The last completion said that nothing is wrong: it can be armed again.
    static constexpr int again = -EINTR;

    const int fd_;
    short_lock lock_;
    bool armed_ = false;
    int end_ = again;  // what the last completion said
    ring* on_ = nullptr;

  private:
    waiter* waiting_ = nullptr;
};

class accept_series final : public io_series {
  public:
    explicit accept_series(int fd) : io_series(fd) {}
    ~accept_series();
    int next(const limit& until);

  private:
    static constexpr size_t ahead = 64;

    bool can(ring& on) const noexcept override;
    void prepare(io_uring_sqe& sqe, ring& on) noexcept override;
    void add(int res, unsigned flags) noexcept override;
    bool has_result() const noexcept override { return size_; }
    bool enough() const noexcept override { return size_ == ahead; }

    bool make_room() noexcept;

    std::vector<int> ready_;  // a queue, with room for all that may come
    size_t first_ = 0, size_ = 0;
    bool single_ = false;  // the kernel does not know it
};

class receive_series final : public io_series {
  public:
    explicit receive_series(int fd) : io_series(fd) {}
    ~receive_series();
    ssize_t next(const char** data, const limit& until);

  private:
    static constexpr unsigned ahead = 4;

    bool can(ring& on) const noexcept override;
    void prepare(io_uring_sqe& sqe, ring& on) noexcept override;
    void add(int res, unsigned flags) noexcept override;
    bool has_result() const noexcept override { return first_ != buffer_pool::none; }
    bool enough() const noexcept override { return size_ == ahead; }
    void give_back() noexcept;
    unsigned pop() noexcept;
    ssize_t receive_alone(const char** data, const limit& until);

    buffer_pool* pool_ = nullptr;  // of the ring where it is armed, or was
    unsigned first_ = buffer_pool::none, last_ = buffer_pool::none, size_ = 0;
    unsigned held_ = buffer_pool::none;  // the caller's
    std::unique_ptr<char[]> own_;
    size_t own_size_ = 0;
    bool single_ = false;
};

}  // namespace umcg::detail

#endif
