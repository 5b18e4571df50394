// SPDX-License-Identifier: MIT
// Latencies of a run, and their percentiles.
#ifndef BENCH_IO_LATENCIES_HPP
#define BENCH_IO_LATENCIES_HPP

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

class latencies {
  public:
    void add(int64_t ns) { values_.push_back(ns); }
    size_t count() const { return values_.size(); }

    // The smallest value that `percent` of them do not exceed; 0 of none.
    int64_t percentile(double percent) {
        if (values_.empty()) return 0;
        // 99.9 % of 1,000 is 999, not the next number above that a double knows
        const double exact = percent * static_cast<double>(values_.size()) / 100;
        const auto rank = static_cast<size_t>(std::ceil(exact - 1e-6));
        const auto at = values_.begin() + static_cast<ptrdiff_t>(std::max<size_t>(rank, 1) - 1);
        std::nth_element(values_.begin(), at, values_.end());
        return *at;
    }

  private:
    std::vector<int64_t> values_;
};

#endif
