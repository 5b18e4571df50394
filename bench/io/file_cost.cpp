// SPDX-License-Identifier: MIT
// Three ways from a cached file to a TCP socket: read and send as operations of a ring, two splices of
// a ring through a pipe of 1 MiB, and sendfile(2). The other end is a thread that throws away what it
// gets. CPU time of both ends per file; ways take turns, a figure is the median of the rounds.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#include "cost.hpp"
#include "frame.h"

namespace {

constexpr size_t block = 64 * 1024, pipe_size = 1024 * 1024;
constexpr int rounds = 9;

size_t good(const char* what, ssize_t result) {
    if (result > 0) return static_cast<size_t>(result);
    die(what, result ? static_cast<int>(-result) : ENODATA);
}

// A connection over the loopback interface, and who reads from it.
class connection {
  public:
    connection() {
        const int listener = socket(AF_INET, SOCK_STREAM, 0);
        sockaddr_in at = {};
        at.sin_family = AF_INET;
        at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof(at);
        auto* address = reinterpret_cast<sockaddr*>(&at);
        if (bind(listener, address, size) || listen(listener, 1) || getsockname(listener, address, &size))
            die("listen", errno);
        fd_ = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(fd_, address, size)) die("connect", errno);
        const int on = 1, peer = accept(listener, nullptr, nullptr);
        setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        close(listener);
        reader_ = std::jthread([peer] {
            std::vector<char> sink(1 << 20);
            while (read(peer, sink.data(), sink.size()) > 0)
                ;
            close(peer);
        });
    }
    ~connection() { close(fd_); }
    int fd() const { return fd_; }

  private:
    int fd_;
    std::jthread reader_;  // ends after the close
};

class sender {
  public:
    sender(int file, int socket) : file_(file), socket_(socket), buffer_(block) {
        make_ring(&ring_, 8);
        if (pipe(pipe_)) die("pipe", errno);
        fcntl(pipe_[0], F_SETPIPE_SZ, pipe_size);
    }

    size_t copied(size_t at, size_t left) {
        io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
        io_uring_prep_read(sqe, file_, buffer_.data(), static_cast<unsigned>(std::min(left, block)), at);
        const size_t n = done("read");
        for (size_t sent = 0; sent < n; sent += done("send")) {
            sqe = io_uring_get_sqe(&ring_);
            io_uring_prep_send(sqe, socket_, buffer_.data() + sent, n - sent, MSG_NOSIGNAL);
        }
        return n;
    }
    size_t spliced(size_t at, size_t left) {
        io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
        io_uring_prep_splice(sqe, file_, static_cast<int64_t>(at), pipe_[1], -1,
                             static_cast<unsigned>(std::min(left, pipe_size)), 0);
        const size_t n = done("splice");
        for (size_t sent = 0; sent < n; sent += done("splice")) {
            sqe = io_uring_get_sqe(&ring_);
            io_uring_prep_splice(sqe, pipe_[0], -1, socket_, -1, static_cast<unsigned>(n - sent), 0);
        }
        return n;
    }
    size_t sent(size_t at, size_t left) {
        auto offset = static_cast<off_t>(at);
        const ssize_t n = sendfile(socket_, file_, &offset, left);
        return good("sendfile", n < 0 ? -errno : n);
    }

  private:
    size_t done(const char* what) {
        io_uring_cqe* cqe = nullptr;
        io_uring_submit_and_wait(&ring_, 1);
        if (const int err = io_uring_wait_cqe(&ring_, &cqe)) good(what, err);
        const int n = cqe->res;
        io_uring_cqe_seen(&ring_, cqe);
        return good(what, n);
    }

    io_uring ring_ = {};
    const int file_, socket_;
    int pipe_[2] = {};
    std::vector<char> buffer_;
};

struct way {
    const char* name;
    size_t (sender::*some)(size_t at, size_t left);
};
constexpr way ways[] = {{"read and send", &sender::copied}, {"splice", &sender::spliced}, {"sendfile", &sender::sent}};

double us_per_file(sender& s, const way& w, size_t size, int files) {
    const int64_t begin = frame_now(CLOCK_PROCESS_CPUTIME_ID);
    for (int i = 0; i < files; i++)
        for (size_t at = 0; at < size;) at += (s.*w.some)(at, size - at);
    return static_cast<double>(frame_now(CLOCK_PROCESS_CPUTIME_ID) - begin) / 1000 / files;
}

}  // namespace

int main() {
    char path[] = "/tmp/file-cost-XXXXXX";
    const int file = mkstemp(path);
    unlink(path);
    const std::vector<char> content(4 << 20, 'x');
    if (write(file, content.data(), content.size()) != static_cast<ssize_t>(content.size())) die("write", errno);
    const connection to;
    sender s(file, to.fd());
    for (const size_t kib : {4u, 16u, 64u, 256u, 1024u, 4096u}) {
        const int files = static_cast<int>(std::clamp<size_t>(16384 / kib, 8, 500));
        std::vector<double> took[std::size(ways)];
        for (int r = 0; r < rounds; r++)
            for (size_t w = 0; w < std::size(ways); w++) took[w].push_back(us_per_file(s, ways[w], kib * 1024, files));
        printf("%zu KiB", kib);
        for (size_t w = 0; w < std::size(ways); w++) printf("\t%s %.0f us", ways[w].name, median(took[w]));
        printf("\n");
    }
}
