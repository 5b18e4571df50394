// SPDX-License-Identifier: MIT
//
// An HTTP/1.1 server: a fiber per client, straight-line code.
#include <sys/signalfd.h>

#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <umcg/cancellation.hpp>
#include <umcg/io.hpp>
#include <umcg/runtime.hpp>

#include "../common/server.hpp"
#include "options.hpp"
#include "server.hpp"

namespace {

void serve(const http::options& o) {
    // its socket and a file for each client
    examples::want_descriptors(static_cast<unsigned long>(o.max_clients) * 2 + 64);
    signal(SIGPIPE, SIG_IGN);  // of the log, and of sendfile()
    const umcg::net::socket stop_fd = examples::stop_signals();
    http::server server(o);
    umcg::runtime rt(examples::runtime_options(o.servers, o.max_clients, o.io_uring));
    printf("http: ready on %s, %u servers, backend %s\n", server.address().to_string().c_str(),
           rt.servers(), rt.backend());
    fflush(stdout);

    umcg::cancel_source stop;
    auto running = rt.spawn([&] { server.run(rt.servers(), stop.token()); });
    signalfd_siginfo info;
    umcg::io::read(stop_fd.fd(), &info, sizeof(info));
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
