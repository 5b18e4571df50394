// SPDX-License-Identifier: MIT
// Mappings of every kind that a struct umcg_task might be put into.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>

#include "harness.hpp"

namespace umcg_test {

constexpr size_t kPage = 4096;
constexpr size_t kHugePage = 2 << 20;

// One mapping, gone at the end of the scope; !ok() if it cannot be had.
class Mapping {
  public:
    explicit Mapping(size_t len = kPage, int prot = PROT_READ | PROT_WRITE,
                     int flags = MAP_PRIVATE | MAP_ANONYMOUS, int fd = -1)
        : len_(len), addr_(mmap(nullptr, len, prot, flags, fd, 0)) {}
    ~Mapping() {
        if (ok()) munmap(addr_, len_);
    }
    Mapping(const Mapping&) = delete;
    Mapping& operator=(const Mapping&) = delete;
    bool ok() const { return addr_ != MAP_FAILED; }
    // It has been unmapped, and somebody else may be there by now.
    void release() { addr_ = MAP_FAILED; }
    char* data() const { return static_cast<char*>(addr_); }
    size_t size() const { return len_; }
    umcg_task* task(size_t i = 0) const { return static_cast<umcg_task*>(addr_) + i; }

  private:
    size_t len_;
    void* addr_;
};

// A file descriptor, closed at the end of the scope.
class Fd {
  public:
    explicit Fd(int fd) : fd_(fd) {}
    ~Fd() {
        if (fd_ >= 0) close(fd_);
    }
    Fd(const Fd&) = delete;
    Fd& operator=(const Fd&) = delete;
    int get() const { return fd_; }
    bool ok() const { return fd_ >= 0; }

  private:
    int fd_;
};

// A descriptor of `len` bytes of shared memory.
inline int shared_fd(size_t len) {
    const int fd = memfd_create("umcg-test", MFD_CLOEXEC);
    if (fd >= 0 && ftruncate(fd, static_cast<off_t>(len))) return close(fd), -1;
    return fd;
}

// fn in a thread of its own, which the kernel knows nothing about yet.
inline void in_thread(const std::function<void()>& fn) {
    std::thread(fn).join();
}

}  // namespace umcg_test
