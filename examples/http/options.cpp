// SPDX-License-Identifier: MIT
#include "options.hpp"

#include <stdexcept>
#include <string_view>

#include "../common/server.hpp"

namespace http {

const char help[] = R"(http --root=DIRECTORY [option]...
Serve the files below a directory over HTTP/1.1. Two more routes:
  GET /status        JSON: what this server has done so far
  POST /count        JSON: bytes, lines and words of the body

  --root=DIRECTORY   links may not lead out of it; a path with '/' at its end is index.html there
  --bind=ADDRESS     (127.0.0.1)
  --port=N           0: any free one, printed at start (8080)
  --servers=N        UMCG servers, that is CPUs to use (0: one per CPU of the process)
  --max-clients=N    more get 503 (1000)
  --idle-seconds=N   a connection without a request is kept for so long (60)
  --request-seconds=N
                     a request must have come after so long, from its first byte on, and each
                     64 KiB of an answer must have been taken (10)
  --max-head=N       KiB of request line and headers (16)
  --max-body=N       KiB; so a client costs --max-head, --max-body and 200 KiB at most (256)
  --log=0|1          a line per request on standard error (1)
  --io-uring=0|1     0: plain blocking calls, a worker thread per client (1)
SIGTERM, SIGINT: no new clients; requests that have begun have five more seconds.
)";

options parse_options(int argc, char** argv) {
    using examples::number_option;
    options o;
    for (int i = 1; i < argc; i++) {
        const std::string_view arg = argv[i];
        if (arg.starts_with("--root=")) {
            o.root = arg.substr(7);
        } else if (arg.starts_with("--bind=")) {
            o.bind = arg.substr(7);
        } else if (!number_option(arg, "--port=", 0, 65535, &o.port) &&
                   !number_option(arg, "--servers=", 0, 1024, &o.servers) &&
                   !number_option(arg, "--max-clients=", 1, 1000000, &o.max_clients) &&
                   !number_option(arg, "--idle-seconds=", 1, 1000000, &o.idle_seconds) &&
                   !number_option(arg, "--request-seconds=", 1, 1000000, &o.request_seconds) &&
                   !number_option(arg, "--max-head=", 1, 1024, &o.max_head) &&
                   !number_option(arg, "--max-body=", 0, 1048576, &o.max_body) &&
                   !number_option(arg, "--log=", 0, 1, &o.log) &&
                   !number_option(arg, "--io-uring=", 0, 1, &o.io_uring)) {
            throw std::invalid_argument("not an option: " + std::string(arg) + "; see --help");
        }
    }
    if (o.root.empty()) throw std::invalid_argument("--root=DIRECTORY is missing; see --help");
    return o;
}

}  // namespace http
