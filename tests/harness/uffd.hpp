// SPDX-License-Identifier: MIT
// Pages that are missing until the test says otherwise: a fault on one blocks
// for exactly as long as the test wants.
#pragma once

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>

namespace umcg_test {

class MissingPages {
  public:
    static constexpr size_t kPage = 4096;

    explicit MissingPages(size_t pages) : size_(pages * kPage) {
        fd_ = int(syscall(SYS_userfaultfd, O_CLOEXEC));
        if (fd_ < 0) {
            error_ = errno;
            return;
        }
        uffdio_api api = {};
        api.api = UFFD_API;
        void* m = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        madvise(m, size_, MADV_NOHUGEPAGE);
        uffdio_register reg = {};
        reg.range = {uint64_t(m), size_};
        reg.mode = UFFDIO_REGISTER_MODE_MISSING;
        if (ioctl(fd_, UFFDIO_API, &api) || ioctl(fd_, UFFDIO_REGISTER, &reg)) error_ = errno;
        memory_ = static_cast<char*>(m);
    }
    ~MissingPages() {
        if (fd_ >= 0) close(fd_);
        if (memory_) munmap(memory_, size_);
    }
    MissingPages(const MissingPages&) = delete;
    MissingPages& operator=(const MissingPages&) = delete;

    int error() const { return error_; }  // errno of what this kernel lacks, 0: ready
    char* page(size_t n = 0) const { return memory_ + n * kPage; }
    size_t size() const { return size_; }

    // Wait until somebody has faulted; the page's address.
    uint64_t fault() const {
        uffd_msg msg = {};
        while (read(fd_, &msg, sizeof(msg)) < 0 && errno == EINTR) {
        }
        return msg.arg.pagefault.address & ~uint64_t(kPage - 1);
    }
    // Put a page of zeros there and let the faulting thread go on.
    bool fill(void* at) const {
        uffdio_zeropage z = {};
        z.range = {uint64_t(at) & ~uint64_t(kPage - 1), kPage};
        return !ioctl(fd_, UFFDIO_ZEROPAGE, &z) || errno == EEXIST;
    }
    // Take the page away again.
    bool drop(size_t n) const { return !madvise(page(n), kPage, MADV_DONTNEED); }

  private:
    size_t size_;
    int fd_ = -1, error_ = 0;
    char* memory_ = nullptr;
};

#define REQUIRE_USERFAULTFD(pages) \
    if ((pages).error()) GTEST_SKIP() << "userfaultfd: " << strerror((pages).error())

}  // namespace umcg_test
