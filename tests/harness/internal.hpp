// SPDX-License-Identifier: MIT
// What the harness's own files share; no test needs it.
#pragma once

#include <string.h>

#include "harness.hpp"

namespace umcg_test {

struct Config {
    int slow = 0;
    uint64_t seed = 0;
};
Config& config();

// Tasks that a deadline message describes.
void remember(const char* role, const umcg_task* t, pid_t tid);
void forget(const umcg_task* t);
// All remembered tasks and what their threads do, to stderr.
void describe_all();
// From now on, around each test.
void watch_kernel_books();
[[noreturn]] void give_up(const std::string& why);

}  // namespace umcg_test
