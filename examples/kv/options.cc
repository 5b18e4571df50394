// SPDX-License-Identifier: MIT
#include "options.h"

#include <getopt.h>
#include <sched.h>

#include <charconv>
#include <string_view>

#include "status.h"

namespace kv {

const char* HelpText() {
    return R"(kv --dir=DIR [option]...
A key-value server: the Redis protocol over an LMDB file, one task per client.

  --dir=DIR         the database; an existing directory
  --bind=ADDRESS    IPv4 address to listen on (127.0.0.1); there is no password, so keep it private
  --port=N          0: any free one, printed at start (6379)
  --engine=umcg     each client is a task of the UMCG runtime (default), on the backend that
                    $UMCG_BACKEND names, else the best that works here; umcg-probe lists them
  --engine=threads  plain threads
  --tasks=fiber     with UMCG: a client's task is a fiber, on a worker thread only while it runs or
                    is blocked (default)
  --tasks=thread    or it has a thread of its own
  --io-uring=0|1    fibers: wait for clients in io_uring, a thousand of them with a few threads (1),
                    or in plain blocking calls, with a worker thread each
  --servers=N       UMCG servers, that is CPUs to use (one per CPU of the process)
  --pin             server i and its clients' threads run on the i-th CPU only
  --sync=full       a write is acknowledged when it is on the disk: survives a power cut (default)
  --sync=meta       a power cut may take the last writes with it, and leaves the rest in order
  --sync=none       no fsync but at the end: a power cut or a kernel crash may ruin the file
                    In every mode a write that was acknowledged survives the death of this process,
                    SIGKILL included: it is in the kernel's page cache by then.
  --map-size=SIZE   the file's largest size (64gb)
  --max-value=SIZE  largest value, at most 512mb (512mb)
  --max-clients=N   (1000)
  --memory=SIZE     buffers of all clients together beyond 32 kB each (1gb)
  --timeout=SECONDS a client that says nothing, or takes no reply, for so long is left; 0: never (0)
  --help
SIZE: a number of bytes, or with kb, mb, gb. SIGTERM: finish what was asked, sync, exit with 0.
)";
}

namespace {

bool ParseNumber(std::string_view text, size_t least, size_t most, size_t* value) {
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *value);
    return error == std::errc() && end == text.data() + text.size() && !text.empty() &&
           *value >= least && *value <= most;
}

bool ParseSize(std::string_view text, size_t least, size_t most, size_t* value) {
    static constexpr std::string_view kUnits[] = {"kb", "mb", "gb"};
    size_t shift = 0;
    for (size_t i = 0; i < 3; ++i) {
        if (!text.ends_with(kUnits[i])) continue;
        text.remove_suffix(2);
        shift = 10 * (i + 1);
        break;
    }
    if (!ParseNumber(text, 0, most >> shift, value)) return false;
    *value <<= shift;
    return *value >= least;
}

}  // namespace

Result<Options> ParseOptions(int argc, char** argv) {
    enum {
        kDir = 1,
        kBind,
        kPort,
        kEngine,
        kTasks,
        kIoUring,
        kServers,
        kPin,
        kSync,
        kMap,
        kValue,
        kClients,
        kMemory,
        kTimeout,
        kHelp
    };
    static const option kOptions[] = {
        {"dir", required_argument, nullptr, kDir},
        {"bind", required_argument, nullptr, kBind},
        {"port", required_argument, nullptr, kPort},
        {"engine", required_argument, nullptr, kEngine},
        {"tasks", required_argument, nullptr, kTasks},
        {"io-uring", required_argument, nullptr, kIoUring},
        {"servers", required_argument, nullptr, kServers},
        {"pin", no_argument, nullptr, kPin},
        {"sync", required_argument, nullptr, kSync},
        {"map-size", required_argument, nullptr, kMap},
        {"max-value", required_argument, nullptr, kValue},
        {"max-clients", required_argument, nullptr, kClients},
        {"memory", required_argument, nullptr, kMemory},
        {"timeout", required_argument, nullptr, kTimeout},
        {"help", no_argument, nullptr, kHelp},
        {nullptr, 0, nullptr, 0},
    };
    Options options;
    opterr = 0;
    optind = 1;
    for (;;) {
        int index = -1, shown = optind;
        int which = getopt_long(argc, argv, "", kOptions, &index);
        if (which == -1) break;
        if (which == '?')
            return Status::Error(Cat("unknown option, or one without its value: ", argv[shown]));
        const std::string_view value = optarg ? optarg : "";
        size_t number = 0;
        bool good = true;
        auto integer = [&](size_t least, size_t most, int* out) {
            if (!ParseNumber(value, least, most, &number)) return false;
            *out = static_cast<int>(number);
            return true;
        };
        switch (which) {
            case kDir:
                options.dir = value;
                break;
            case kBind:
                options.bind = value;
                break;
            case kPort:
                good = integer(0, 65535, &options.port);
                break;
            case kEngine:
                options.umcg = value == "umcg";
                good = options.umcg || value == "threads";
                break;
            case kTasks:
                options.fibers = value == "fiber";
                good = options.fibers || value == "thread";
                break;
            case kIoUring:
                options.io_uring = value == "1";
                good = options.io_uring || value == "0";
                break;
            case kServers:
                good = integer(1, 256, &options.servers);
                break;
            case kPin:
                options.pin = true;
                break;
            case kSync:
                options.sync = value == "none"   ? SyncMode::kNone
                               : value == "meta" ? SyncMode::kMeta
                                                 : SyncMode::kFull;
                good = value == "none" || value == "meta" || value == "full";
                break;
            case kMap:
                good = ParseSize(value, 1 << 20, size_t{1} << 46, &options.map_size);
                break;
            case kValue:
                good = ParseSize(value, 1, size_t{512} << 20, &options.max_value);
                break;
            case kClients:
                good = integer(1, 100000, &options.max_clients);
                break;
            case kMemory:
                good = ParseSize(value, 1 << 20, size_t{1} << 46, &options.memory);
                break;
            case kTimeout:
                good = integer(0, 1000000, &options.timeout_seconds);
                break;
            case kHelp:
                options.help = true;
                break;
        }
        if (!good)
            return Status::Error(Cat("--", kOptions[index].name, "=", value, " is not possible"));
    }
    if (optind < argc) return Status::Error(Cat("not an option: ", argv[optind]));
    if (options.dir.empty() && !options.help) return Status::Error("--dir=DIR is missing");
    if (options.servers == 0) {
        cpu_set_t set;
        CPU_ZERO(&set);
        options.servers = sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) > 0
                              ? CPU_COUNT(&set)
                              : 1;
    }
    return options;
}

}  // namespace kv
