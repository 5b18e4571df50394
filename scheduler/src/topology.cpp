// SPDX-License-Identifier: MIT
#include "topology.hpp"

#include <algorithm>
#include <cstdio>

namespace umcg::detail {

namespace {

// The first number in a file.
bool read_number(const std::string& path, uint32_t& number) {
    FILE* f = fopen(path.c_str(), "re");
    if (!f) return false;
    const bool found = fscanf(f, "%u", &number) == 1;
    fclose(f);
    return found;
}

}  // namespace

topology::topology(const std::vector<int>& cpus, const std::string& root) {
    for (int cpu : cpus) {
        const std::string at = root + "/cpu" + std::to_string(cpu);
        const auto shares = [&](const char* index, uint32_t& first) {
            return read_number(at + "/cache/" + index + "/shared_cpu_list", first);
        };
        place p;
        // without a third level the second is the last
        const bool second = shares("index2", p.near);
        if (!shares("index3", p.last) && second) p.last = p.near;
        read_number(at + "/topology/physical_package_id", p.package);
        places_.push_back(p);
    }
}

unsigned topology::distance(unsigned a, unsigned b) const noexcept {
    const place &x = places_[a], &y = places_[b];
    if (x.package != y.package) return 3;
    if (x.last != y.last) return 2;
    return x.near != y.near;
}

std::vector<unsigned> topology::others(unsigned server) const {
    std::vector<unsigned> all;
    const auto n = static_cast<unsigned>(places_.size());
    for (unsigned k = 1; k < n; k++) all.push_back((server + k) % n);
    std::stable_sort(all.begin(), all.end(), [&](unsigned a, unsigned b) {
        return distance(server, a) < distance(server, b);
    });
    return all;
}

std::vector<uint32_t> topology::domains() const {
    std::vector<uint32_t> all;
    for (const place& p : places_) all.push_back(p.last);
    return all;
}

}  // namespace umcg::detail
