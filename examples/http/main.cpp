// SPDX-License-Identifier: MIT
//
// An HTTP/1.1 server: a fiber per client, straight-line code.
#include <sys/resource.h>
#include <sys/signalfd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <umcg/cancellation.hpp>
#include <umcg/io.hpp>
#include <umcg/runtime.hpp>

#include "options.hpp"
#include "server.hpp"
#include "static_files.hpp"

namespace {

// Two descriptors for each client, its socket and a file, if that is allowed; else some wait.
void raise_limits(const http::options& o) {
    rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit)) return;
    limit.rlim_cur =
        std::min(limit.rlim_max,
                 std::max(limit.rlim_cur, static_cast<rlim_t>(o.max_clients) * 2 + 64));
    setrlimit(RLIMIT_NOFILE, &limit);
}

void serve(const http::options& o) {
    raise_limits(o);
    // blocked before the first thread starts: they are read from a descriptor
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    signal(SIGPIPE, SIG_IGN);  // of the log
    const http::descriptor stop_fd(signalfd(-1, &signals, SFD_CLOEXEC));

    umcg::options how;
    how.servers = static_cast<unsigned>(o.servers);
    how.guard = umcg::stack_guard::when_possible;
    how.io_uring = o.io_uring;
    if (!o.io_uring) how.max_workers = static_cast<unsigned>(o.max_clients) + 16;
    http::server server(o);
    umcg::runtime rt(how);
    printf("http: ready on %s, %u servers, backend %s\n", server.address().to_string().c_str(),
           rt.servers(), rt.backend());
    fflush(stdout);

    umcg::cancel_source stop;
    auto running = rt.spawn([&] { server.run(rt.servers(), stop.token()); });
    signalfd_siginfo info;
    umcg::io::read(stop_fd.get(), &info, sizeof(info));
    stop.cancel();
    running.join();
    const auto s = rt.stats();
    printf("http: stopped; %llu operations in %llu system calls\n",
           static_cast<unsigned long long>(s.io_ops), static_cast<unsigned long long>(s.io_enters));
}

}  // namespace

int main(int argc, char** argv) {
    if (argc == 2 && !strcmp(argv[1], "--help")) return fputs(http::help, stdout) < 0;
    try {
        serve(http::parse_options(argc, argv));
    } catch (const std::exception& e) {
        fprintf(stderr, "http: %s\n", e.what());
        return 1;
    }
}
