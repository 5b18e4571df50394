// SPDX-License-Identifier: MIT
//
// What is settled before a runtime has threads: its options, the backend, where its servers are.
#ifndef UMCG_SRC_STARTUP_HPP
#define UMCG_SRC_STARTUP_HPP

#include <string>

#include <umcg/runtime.hpp>

#include "topology.hpp"

namespace umcg::detail {

// Complete, and possible; else it throws.
options checked(options opts);
void init_backend(std::string name);
// Where its servers are.
topology topology_of(const options& opts);

// Throws std::system_error.
[[noreturn]] void fail(int err, const char* what);

}  // namespace umcg::detail

#endif
