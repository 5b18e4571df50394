// SPDX-License-Identifier: MIT
#include "server.hpp"

#include <sys/resource.h>
#include <sys/signalfd.h>

#include <algorithm>
#include <charconv>
#include <csignal>
#include <stdexcept>
#include <string>

namespace examples {

bool number_option(std::string_view arg, std::string_view name, int least, int most, int* value) {
    if (!arg.starts_with(name)) return false;
    arg.remove_prefix(name.size());
    const auto [end, error] = std::from_chars(arg.data(), arg.data() + arg.size(), *value);
    if (error != std::errc() || end != arg.data() + arg.size() || *value < least || *value > most)
        throw std::invalid_argument(std::string(name) + std::string(arg) + " is not possible: " +
                                    std::to_string(least) + " to " + std::to_string(most));
    return true;
}

void want_descriptors(unsigned long count) {
    rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit)) return;
    limit.rlim_cur = std::min(limit.rlim_max, std::max(limit.rlim_cur, rlim_t{count}));
    setrlimit(RLIMIT_NOFILE, &limit);
}

umcg::net::socket stop_signals() {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    return umcg::net::socket(signalfd(-1, &signals, SFD_CLOEXEC));
}

umcg::options runtime_options(int servers, int max_clients, bool io_uring) {
    umcg::options how;
    how.servers = static_cast<unsigned>(servers);
    how.guard = umcg::stack_guard::when_possible;
    how.io_uring = io_uring;
    if (!io_uring) how.max_workers = static_cast<unsigned>(max_clients) + 16;
    return how;
}

}  // namespace examples
