// SPDX-License-Identifier: MIT
// The clients of bench/io: one thread, epoll, many connections. wrk and redis-benchmark speak protocols of
// their own and send the next request when the last one was answered, so a server that stalls is asked
// less while it does. With --rate requests have times of their own, and latency counts from those.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "crowd.hpp"
#include "frame.h"
#include "latencies.hpp"

namespace {

constexpr char help[] = R"(io-load --port=N [option]...
Load the echo server on 127.0.0.1:N and print what it did, "metric<TAB>figure".

  --size=BYTES       of a message (64)
  --connections=N    (64)
  --window=N         requests of a connection that may be under way at once (1)
  --rate=N           requests per second, at random times; 0: as many as are answered (0)
  --seconds=N        that are measured (5), after as many tenths that are not
  --share=N          of 10,000 requests so many stall (0); of them
  --stall=1|2        1: use the CPU for 1 ms, 2: sleep 1 ms in a system call (1)
  --crowd=N          so many clients beside those, which are not measured (0); they
  --crowd-kind=1..3  1: are idle, 2: send a byte every 100 ms, 3: send and never read (1)
Latencies are of the requests that do not stall, in ns; with --rate from the time at which a
request was to be sent, else from the time at which it was.
)";

struct config {
    long port = 0, size = 64, connections = 64, window = 1, rate = 0, seconds = 5, share = 0, stall = 1, crowd = 0,
         crowd_kind = crowd::idle;
};

[[noreturn]] void die(const std::string& what) {
    fprintf(stderr, "io-load: %s\n", what.c_str());
    exit(2);
}

struct request {
    int64_t at;  // when it was to be sent
    unsigned char kind;
};

struct connection {
    int fd = -1;
    std::deque<request> waiting;  // for their turn: the window is full
    std::deque<request> sent;     // and not answered
    std::string out;              // what the socket has not taken
    long got = 0;                 // bytes of the next answer
    bool wants_out = false;
};

class load {
  public:
    explicit load(const config& c)
        : config_(c), connections_(static_cast<size_t>(c.connections)), crowd_(static_cast<crowd::kind>(c.crowd_kind)) {}

    void run() {
        connect_all();
        const int64_t begin = frame_now(CLOCK_MONOTONIC);
        measure_from_ = begin + config_.seconds * 100000000;
        end_ = measure_from_ + config_.seconds * 1000000000;
        next_ = begin;
        if (config_.rate == 0) {
            for (auto& c : connections_)
                for (long i = 0; i < config_.window; i++) send_new(c, begin);
        }
        int64_t now = begin;
        // what was to be sent in time is waited for, however long it takes
        while (now < end_ || (config_.rate != 0 && under_way_ > 0)) {
            if (config_.rate != 0) start_due(now);
            crowd_.go_on(now);
            wait(now);
            now = frame_now(CLOCK_MONOTONIC);
        }
        report();
    }

  private:
    void connect_all() {
        epoll_ = epoll_create1(EPOLL_CLOEXEC);
        sockaddr_in to = {};
        to.sin_family = AF_INET;
        to.sin_port = htons(static_cast<uint16_t>(config_.port));
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        const int on = 1;
        for (long i = 0; i < config_.crowd; i++) {
            const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
            if (fd >= 0) crowd_.prepare(fd);
            if (fd < 0 || connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof(to)))
                die("client " + std::to_string(i) + " of the crowd: " + strerror(errno));
            crowd_.add(fd);
        }
        for (auto& c : connections_) {
            c.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
            if (c.fd < 0 || connect(c.fd, reinterpret_cast<sockaddr*>(&to), sizeof(to)))
                die("connection " + std::to_string(&c - connections_.data()) + ": " + strerror(errno));
            setsockopt(c.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
            fcntl(c.fd, F_SETFL, O_NONBLOCK);
            epoll_event e{.events = EPOLLIN, .data = {.ptr = &c}};
            if (epoll_ctl(epoll_, EPOLL_CTL_ADD, c.fd, &e)) die(strerror(errno));
        }
    }

    void start_due(int64_t now) {
        for (; next_ <= now && next_ < end_; next_ += gap()) {
            auto& c = connections_[random_() % connections_.size()];
            under_way_++;
            if (c.sent.size() < static_cast<size_t>(config_.window))
                send_new(c, next_);
            else
                c.waiting.push_back({next_, kind()});
        }
    }

    int64_t gap() {
        std::exponential_distribution<double> poisson(static_cast<double>(config_.rate) / 1e9);
        return static_cast<int64_t>(poisson(random_)) + 1;
    }

    unsigned char kind() {
        return static_cast<long>(random_() % 10000) < config_.share ? static_cast<unsigned char>(config_.stall)
                                                                     : static_cast<unsigned char>(FRAME_PLAIN);
    }

    void send_new(connection& c, int64_t at) { send(c, {at, kind()}); }

    void send(connection& c, const request& r) {
        c.sent.push_back(r);
        c.out.append(static_cast<size_t>(config_.size), 'x');
        c.out[c.out.size() - static_cast<size_t>(config_.size)] = static_cast<char>(r.kind);
        flush(c);
    }

    void flush(connection& c) {
        const ssize_t n = ::send(c.fd, c.out.data(), c.out.size(), MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN) die(std::string("send: ") + strerror(errno));
        if (n > 0) c.out.erase(0, static_cast<size_t>(n));
        if (c.out.empty() == c.wants_out) {
            c.wants_out = !c.wants_out;
            epoll_event e{.events = c.wants_out ? EPOLLIN | EPOLLOUT : EPOLLIN, .data = {.ptr = &c}};
            epoll_ctl(epoll_, EPOLL_CTL_MOD, c.fd, &e);
        }
    }

    void wait(int64_t now) {
        epoll_event events[256];
        const int64_t until = std::min(config_.rate != 0 && next_ < end_ ? next_ : now + 100000000, now + 100000000);
        const int64_t left = std::max<int64_t>(until - now, 0);
        const timespec t = {.tv_sec = left / 1000000000, .tv_nsec = left % 1000000000};
        const int n = epoll_pwait2(epoll_, events, 256, &t, nullptr);
        for (int i = 0; i < n; i++) {
            auto& c = *static_cast<connection*>(events[i].data.ptr);
            if (events[i].events & EPOLLOUT) flush(c);
            if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) receive(c);
        }
    }

    void receive(connection& c) {
        static char buffer[FRAME_MOST];
        const ssize_t n = recv(c.fd, buffer, sizeof(buffer), 0);
        if (n < 0 && errno == EAGAIN) return;
        if (n <= 0) die(n ? std::string("recv: ") + strerror(errno) : "the server has closed a connection");
        const int64_t now = frame_now(CLOCK_MONOTONIC);
        c.got += n;
        for (; c.got >= config_.size; c.got -= config_.size) {
            if (c.sent.empty()) die("an answer that nobody has asked for");
            answered(c.sent.front(), now);
            c.sent.pop_front();
            if (config_.rate == 0) {
                if (now < end_) send_new(c, now);
            } else {
                under_way_--;
                if (!c.waiting.empty()) {
                    send(c, c.waiting.front());
                    c.waiting.pop_front();
                }
            }
        }
    }

    void answered(const request& r, int64_t now) {
        all_++;
        const int64_t time = config_.rate != 0 ? r.at : now;  // of the request, or of its answer
        if (time < measure_from_ || time >= end_) return;
        answers_++;
        if (r.kind == FRAME_PLAIN) latencies_.add(now - r.at);
    }

    void report() {
        printf("rps\t%.1f\n", static_cast<double>(answers_) / static_cast<double>(config_.seconds));
        printf("answers\t%ld\nall\t%ld\n", answers_, all_);  // measured, and with those before
        for (const double p : {50.0, 99.0, 99.9})
            printf("p%g\t%lld\n", p, static_cast<long long>(latencies_.percentile(p)));
    }

    const config config_;
    std::vector<connection> connections_;
    crowd crowd_;
    int epoll_ = -1;
    std::mt19937_64 random_{1};
    int64_t measure_from_ = 0, end_ = 0, next_ = 0;
    long all_ = 0, answers_ = 0, under_way_ = 0;
    latencies latencies_;
};

bool option(std::string_view arg, std::string_view name, long least, long most, long* value) {
    if (!arg.starts_with(name)) return false;
    arg.remove_prefix(name.size());
    const auto [end, error] = std::from_chars(arg.data(), arg.data() + arg.size(), *value);
    if (error != std::errc() || end != arg.data() + arg.size() || *value < least || *value > most)
        die(std::string(name) + std::string(arg) + ": " + std::to_string(least) + " to " + std::to_string(most));
    return true;
}

}  // namespace

int main(int argc, char** argv) {
    config c;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--help")) return fputs(help, stdout) < 0;
        if (!option(argv[i], "--port=", 1, 65535, &c.port) && !option(argv[i], "--size=", 1, FRAME_MOST, &c.size) &&
            !option(argv[i], "--connections=", 1, 50000, &c.connections) &&
            !option(argv[i], "--window=", 1, 1024, &c.window) && !option(argv[i], "--rate=", 0, 10000000, &c.rate) &&
            !option(argv[i], "--seconds=", 1, 3600, &c.seconds) && !option(argv[i], "--share=", 0, 10000, &c.share) &&
            !option(argv[i], "--stall=", 1, 2, &c.stall) && !option(argv[i], "--crowd=", 0, 50000, &c.crowd) &&
            !option(argv[i], "--crowd-kind=", 1, 3, &c.crowd_kind))
            die(std::string("not an option: ") + argv[i] + "; see --help");
    }
    if (!c.port) die("--port is missing; see --help");
    frame_want_descriptors();
    load(c).run();
}
