// SPDX-License-Identifier: MIT
//
// Files below a directory, and none that is not.
#ifndef EXAMPLES_HTTP_STATIC_FILES_HPP
#define EXAMPLES_HTTP_STATIC_FILES_HPP

#include <cstdint>
#include <ctime>
#include <string>
#include <utility>

namespace http {

class descriptor {
  public:
    explicit descriptor(int fd = -1) noexcept : fd_(fd) {}
    descriptor(descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    descriptor& operator=(descriptor&& other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    ~descriptor();
    int get() const noexcept { return fd_; }

  private:
    int fd_;
};

struct file {
    descriptor fd;
    uint64_t size = 0;
    time_t modified = 0;

    // Would a read of it not wait for a disk? A look at its last byte: files are read ahead.
    bool in_memory(uint64_t at, size_t length) const;
};

class static_files {
  public:
    // std::system_error: it cannot be opened, or the system has no openat2().
    explicit static_files(const std::string& root);

    // `path` as decode_path() returns it. 0 or an errno: EISDIR is a directory named without its
    // '/', EACCES also what is no regular file, EXDEV a link that leads out. Blocks in plain calls.
    int open(const std::string& path, file* result) const;

  private:
    descriptor root_;
};

}  // namespace http

#endif
