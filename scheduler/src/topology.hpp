// SPDX-License-Identifier: MIT
//
// Which servers are near each other: whose CPUs share caches.
#ifndef UMCG_SRC_TOPOLOGY_HPP
#define UMCG_SRC_TOPOLOGY_HPP

#include <cstdint>
#include <string>
#include <vector>

namespace umcg::detail {

class topology {
  public:
    // Of servers on these CPUs. `root`: of the folders cpu0, cpu1, ...; what cannot be read there counts
    // as shared by all.
    explicit topology(const std::vector<int>& cpus,
                      const std::string& root = "/sys/devices/system/cpu");

    // 0: they share a second-level cache (a core's threads, mostly); 1: a last-level cache; 2: a
    // package; 3: nothing.
    unsigned distance(unsigned a, unsigned b) const noexcept;
    // All other servers, the nearest first; of equals each server begins with the one after it, so
    // that thieves do not all go to the same.
    std::vector<unsigned> others(unsigned server) const;
    // Of each server a number that it has in common with those that share its last-level cache.
    std::vector<uint32_t> domains() const;

  private:
    struct place {
        uint32_t near = 0, last = 0, package = 0;  // the first CPU that shares it; the package's number
    };
    std::vector<place> places_;
};

}  // namespace umcg::detail

#endif
