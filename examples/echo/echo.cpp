// SPDX-License-Identifier: MIT
//
// A TCP echo server: a fiber per client, straight-line code, all waits in io_uring.
#include <sys/signalfd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>
#include <umcg/cancellation.hpp>
#include <umcg/net/socket.hpp>
#include <umcg/runtime.hpp>
#include <umcg/scope.hpp>
#include <utility>

#include "../common/server.hpp"

namespace net = umcg::net;
using namespace std::chrono_literals;

namespace {

constexpr auto grace = 2s;  // at the end, for clients that take nothing

struct config {
    std::string bind = "127.0.0.1";
    int port = 7007;
    int servers = 0;
    int max_clients = 10000;
    int idle_seconds = 300;
    int io_uring = 1;
};

constexpr char help[] = R"(echo [option]...
Send back whatever a client sends, until it finishes.

  --bind=ADDRESS     (127.0.0.1)
  --port=N           0: any free one, printed at start (7007)
  --servers=N        UMCG servers, that is CPUs to use (0: one per CPU of the process)
  --max-clients=N    more are turned away (10000)
  --idle-seconds=N   a client that neither sends nor takes anything for so long is left (300)
  --io-uring=0|1     0: plain blocking calls, a worker thread per client (1)
SIGTERM, SIGINT: no new clients; who is connected gets what it has sent, then the end.
)";

class echo_server {
  public:
    echo_server(const config& c, net::listener listener)
        : config_(c), listener_(std::move(listener)) {}

    // Until the token is cancelled and the clients have gone.
    void run(unsigned acceptors, const umcg::cancel_token& stop) {
        examples::serve_until(stop, acceptors, grace, [&](umcg::scope& all) {
            examples::accept_clients(listener_, stop, [&](net::stream client) {
                admit(all, std::move(client), stop);
            });
        });
    }

    net::address address() const { return listener_.address(); }

  private:
    void admit(umcg::scope& all, net::stream client, const umcg::cancel_token& stop) {
        if (clients_.fetch_add(1) >= config_.max_clients) {
            clients_--;
            return;
        }
        try {
            all.spawn([this, &stop, end = all.token(), client = std::move(client)]() mutable {
                serve(client, stop, end);
                client.reset();
                clients_--;
            });
        } catch (const std::exception& e) {
            clients_--;
            fprintf(stderr, "echo: no task for a client: %s\n", e.what());
        }
    }

    void serve(net::stream& client, const umcg::cancel_token& stop, const umcg::cancel_token& end) {
        char buffer[4096];
        const auto idle = std::chrono::seconds(config_.idle_seconds);
        for (;;) {
            ssize_t n = client.read(buffer, sizeof(buffer), {idle, stop});
            // what has come by then is answered still
            if (n == -ECANCELED) n = recv(client.fd(), buffer, sizeof(buffer), MSG_DONTWAIT);
            if (n <= 0 || client.write_all(buffer, static_cast<size_t>(n), {idle, end})) return;
        }
    }

    const config& config_;
    net::listener listener_;
    std::atomic<int> clients_ = 0;
};

config parse(int argc, char** argv) {
    using examples::number_option;
    config c;
    for (int i = 1; i < argc; i++) {
        const std::string_view arg = argv[i];
        if (arg.starts_with("--bind=")) {
            c.bind = arg.substr(7);
        } else if (!number_option(arg, "--port=", 0, 65535, &c.port) &&
                   !number_option(arg, "--servers=", 0, 1024, &c.servers) &&
                   !number_option(arg, "--max-clients=", 1, 1000000, &c.max_clients) &&
                   !number_option(arg, "--idle-seconds=", 1, 1000000, &c.idle_seconds) &&
                   !number_option(arg, "--io-uring=", 0, 1, &c.io_uring)) {
            throw std::invalid_argument("not an option: " + std::string(arg) + "; see --help");
        }
    }
    return c;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc == 2 && !strcmp(argv[1], "--help")) return fputs(help, stdout) < 0;
    try {
        const config c = parse(argc, argv);
        examples::want_descriptors(static_cast<unsigned long>(c.max_clients) + 64);
        const net::socket stop_fd = examples::stop_signals();
        umcg::runtime rt(examples::runtime_options(c.servers, c.max_clients, c.io_uring));
        echo_server server(c,
                           net::listener::bind(net::resolve(c.bind, std::to_string(c.port)).at(0)));
        printf("echo: ready on %s, %u servers, backend %s\n", server.address().to_string().c_str(),
               rt.servers(), rt.backend());
        fflush(stdout);
        umcg::cancel_source stop;
        auto running = rt.spawn([&] { server.run(rt.servers(), stop.token()); });
        signalfd_siginfo info;
        umcg::io::read(stop_fd.fd(), &info, sizeof(info));
        stop.cancel();
        running.join();
        const auto s = rt.stats();
        fprintf(stderr, "echo: stopped; %llu operations in %llu system calls\n",
                static_cast<unsigned long long>(s.io_ops),
                static_cast<unsigned long long>(s.io_enters));
    } catch (const std::exception& e) {
        fprintf(stderr, "echo: %s\n", e.what());
        return 1;
    }
}
