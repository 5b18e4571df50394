// SPDX-License-Identifier: MIT
#ifndef EXAMPLES_HTTP_OPTIONS_HPP
#define EXAMPLES_HTTP_OPTIONS_HPP

#include <string>

namespace http {

struct options {
    std::string root;
    std::string bind = "127.0.0.1";
    int port = 8080;
    int servers = 0;
    int max_clients = 1000;
    int idle_seconds = 60;
    int request_seconds = 10;
    int max_head = 16;   // KiB
    int max_body = 256;  // KiB
    int log = 1;
    int io_uring = 1;
};

extern const char help[];
// std::invalid_argument: the option and what is wrong with it.
options parse_options(int argc, char** argv);

}  // namespace http

#endif
