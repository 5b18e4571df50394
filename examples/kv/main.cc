// SPDX-License-Identifier: MIT
#include <sys/resource.h>
#include <sys/signalfd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <memory>
#include <string>

#include "listener.h"
#include "options.h"
#include "shared.h"

namespace kv {
namespace {

constexpr int kGraceSeconds = 5;
constexpr int kOwnDescriptors = 32;  // the database, signals, standard streams, some to spare

int Fail(const Status& status) {
    std::fprintf(stderr, "kv: %s\n", status.message().c_str());
    return 1;
}

// As many descriptors as clients may come; else fewer clients.
void FitDescriptors(Options* options) {
    rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit)) return;
    const rlim_t wanted = static_cast<rlim_t>(options->max_clients) + kOwnDescriptors;
    if (limit.rlim_cur >= wanted) return;
    limit.rlim_cur = std::min(wanted, limit.rlim_max);
    if (setrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= wanted) return;
    options->max_clients =
        limit.rlim_cur > kOwnDescriptors ? static_cast<int>(limit.rlim_cur) - kOwnDescriptors : 1;
    std::fprintf(stderr, "kv: only %llu descriptors allowed, so --max-clients=%d\n",
                 static_cast<unsigned long long>(limit.rlim_cur), options->max_clients);
}

int Main(int argc, char** argv) {
    Result<Options> options = ParseOptions(argc, argv);
    if (!options.ok()) {
        std::fprintf(stderr, "kv: %s; see --help\n", options.status().message().c_str());
        return 2;
    }
    if (options->help) {
        std::fputs(HelpText(), stdout);
        return 0;
    }

    // Blocked before the first thread starts, so that all inherit it: signals are read from a
    // descriptor, and no worker is ever interrupted.
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    std::signal(SIGPIPE, SIG_IGN);
    UniqueFd stop_fd(signalfd(-1, &signals, SFD_CLOEXEC));
    if (stop_fd.get() < 0) return Fail(Status::Errno(errno, "signalfd"));

    FitDescriptors(&*options);
    StoreOptions store_options;
    store_options.dir = options->dir;
    store_options.sync = options->sync;
    store_options.map_size = options->map_size;
    store_options.max_readers = static_cast<unsigned>(options->max_clients) + 16;
    Result<std::unique_ptr<Store>> store = Store::Open(store_options);
    if (!store.ok()) return Fail(store.status());

    EngineOptions engine_options;
    engine_options.servers = options->servers;
    engine_options.pin = options->pin;
    engine_options.fibers = options->fibers;
    engine_options.io_uring = options->io_uring;
    engine_options.max_clients = options->max_clients;
    Result<std::unique_ptr<Engine>> engine =
        options->umcg ? StartUmcgEngine(engine_options) : StartThreadsEngine(engine_options);
    if (!engine.ok()) return Fail(engine.status());

    Shared shared(*options, store->get(), engine->get());
    Listener listener(&shared);
    if (Status status = listener.Listen(); !status.ok()) return Fail(status);
    std::printf("kv: ready on %s:%d, engine %s, %d servers\n", options->bind.c_str(), shared.port,
                shared.engine->name(), options->servers);
    std::fflush(stdout);

    listener.Run(stop_fd.get());
    listener.Shutdown(kGraceSeconds);
    if (Status status = shared.store->Sync(); !status.ok()) return Fail(status);
    std::puts("kv: stopped");
    return 0;
}

}  // namespace
}  // namespace kv

int main(int argc, char** argv) {
    return kv::Main(argc, argv);
}
