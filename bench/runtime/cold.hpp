// SPDX-License-Identifier: MIT
//
// What the C++ programs do with a cold file: COLD_TASKS tasks, each of which makes n reads.
#ifndef BENCH_RUNTIME_COLD_HPP
#define BENCH_RUNTIME_COLD_HPP

#include "cold.h"
#include "measure.hpp"

namespace bench {

class cold_file {
  public:
    explicit cold_file(long n) : n_(n) {
        if (n > COLD_MOST) fail("cold: more reads than the file has pages");
        fd_ = cold_open();
        if (fd_ < 0) fail("no file in /var/tmp that could be read from the disk");
    }
    ~cold_file() { close(fd_); }
    cold_file(const cold_file&) = delete;
    cold_file& operator=(const cold_file&) = delete;

    // One task's reads; `read` is called as pread() is.
    template <class Read>
    void read_as(long task, Read read) const {
        char page[COLD_PAGE];
        for (long i = 0; i < n_; i++)
            if (read(fd_, page, sizeof(page), cold_offset(task, n_, i)) != COLD_PAGE) fail("read");
    }
    double reads() const { return static_cast<double>(n_) * COLD_TASKS; }

  private:
    const long n_;
    int fd_ = -1;
};

}  // namespace bench

#endif
