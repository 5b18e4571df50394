// SPDX-License-Identifier: MIT
// A swap area on the guest's disk (./umcg vm --disk): its reads come from
// outside the machine, so they are waited for. zram decompresses in the
// faulting thread, and a loop device's work may be done before the fault looks.
#pragma once

#include <fcntl.h>
#include <sys/swap.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

namespace umcg_test {

class Swap {
  public:
    explicit Swap(size_t bytes) {
        if (!start(bytes)) error_ += std::string(": ") + strerror(errno);
    }
    ~Swap() {
        if (on_) swapoff(kDisk);
    }
    Swap(const Swap&) = delete;
    Swap& operator=(const Swap&) = delete;

    const std::string& error() const { return error_; }
    // Is the page at p swapped out? (bit 62 of its pagemap entry)
    static bool holds(const void* p) {
        const int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
        uint64_t entry = 0;
        const bool read = pread(fd, &entry, 8, off_t(uint64_t(p) / 4096 * 8)) == 8;
        close(fd);
        return read && (entry >> 62 & 1);
    }

  private:
    static constexpr const char* kDisk = "/dev/vda";

    bool start(size_t bytes) {
        error_ = std::string(kDisk) + " (./umcg vm --disk 64,20 gives one)";
        const int disk = open(kDisk, O_RDWR | O_CLOEXEC);
        if (disk < 0) return false;
        // What mkswap writes: version, last page, magic at the end of the page.
        char header[4096] = {};
        const uint32_t version = 1, last = uint32_t(bytes / 4096 - 1);
        memcpy(header + 1024, &version, 4);
        memcpy(header + 1028, &last, 4);
        memcpy(header + 4086, "SWAPSPACE2", 10);
        const bool written = pwrite(disk, header, 4096, 0) == 4096 && !fsync(disk);
        close(disk);
        if (!written) return false;
        error_ = "swapon (CONFIG_SWAP)";
        on_ = !swapon(kDisk, 0);
        if (on_) error_.clear();
        return on_;
    }
    std::string error_;
    bool on_ = false;
};

}  // namespace umcg_test
