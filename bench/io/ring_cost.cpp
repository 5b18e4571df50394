// SPDX-License-Identifier: MIT
// What registered files and registered buffers save, per operation: a ring as the runtime sets it up,
// 32 operations per system call, nobody else. CPU time of the thread, so that other load does little.
// Ways that are compared take turns; a figure is the median of the rounds.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

#include "cost.hpp"
#include "frame.h"

namespace {

constexpr unsigned batch = 32;
constexpr int rounds = 31, batches = 300;
constexpr size_t most = 64 * 1024;

struct way {
    const char* name;
    bool file, buffer;  // registered
};
constexpr way ways[] = {{"plain", false, false}, {"registered file", true, false}, {"and buffer", true, true}};

class bench {
  public:
    bench() {
        make_ring(&ring_, batch * 2);
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds_)) die("socketpair", errno);
        char path[] = "/tmp/ring-cost-XXXXXX";
        fds_[2] = mkstemp(path);
        if (fds_[2] < 0) die(path, errno);
        fds_[3] = open(path, O_RDONLY | O_DIRECT);  // -1: the file system has no such thing
        unlink(path);
        buffer_ = static_cast<char*>(aligned_alloc(4096, most));
        memset(buffer_, 'x', most);
        if (write(fds_[2], buffer_, most) != static_cast<ssize_t>(most) || fsync(fds_[2])) die("write", errno);
        if (const int err = io_uring_register_files(&ring_, fds_, direct() ? 4 : 3)) die("register_files", -err);
        const iovec one = {buffer_, most};
        if (const int err = io_uring_register_buffers(&ring_, &one, 1)) die("register_buffers", -err);
    }
    bool direct() const { return fds_[3] >= 0; }

    void nop(way) {
        for (unsigned i = 0; i < batch; i++) io_uring_prep_nop(entry());
        submit(batch);
    }
    // Each byte block is there when it is asked for.
    void message(way w) {
        for (unsigned i = 0; i < batch / 2; i++) {
            io_uring_sqe* sqe = entry();
            io_uring_prep_send(sqe, fd(w, 0), buffer_, 64, MSG_NOSIGNAL);
            mark(sqe, w);
            sqe = entry();
            io_uring_prep_recv(sqe, fd(w, 1), buffer_, 64, 0);
            mark(sqe, w);
        }
        submit(batch);
    }
    void read(way w, int file, unsigned size, unsigned n) {
        for (unsigned i = 0; i < n; i++) {
            io_uring_sqe* sqe = entry();
            if (w.buffer)
                io_uring_prep_read_fixed(sqe, fd(w, file), buffer_, size, 0, 0);
            else
                io_uring_prep_read(sqe, fd(w, file), buffer_, size, 0);
            mark(sqe, w);
        }
        submit(n);
    }

  private:
    io_uring_sqe* entry() { return io_uring_get_sqe(&ring_); }
    int fd(way w, int which) const { return w.file ? which : fds_[which]; }
    static void mark(io_uring_sqe* sqe, way w) {
        if (w.file) sqe->flags |= IOSQE_FIXED_FILE;
    }
    void submit(unsigned n) {
        if (const int got = io_uring_submit_and_wait(&ring_, n); got < 0) die("submit", -got);
        unsigned head, seen = 0;
        io_uring_cqe* cqe;
        io_uring_for_each_cqe(&ring_, head, cqe) {
            seen++;
            if (cqe->res < 0) die("operation", -cqe->res);
        }
        io_uring_cq_advance(&ring_, seen);
    }

    io_uring ring_ = {};
    int fds_[4] = {};
    char* buffer_ = nullptr;
};

template <class Run>
double ns_per_operation(unsigned n, int times, Run run) {
    const int64_t begin = frame_now(CLOCK_THREAD_CPUTIME_ID);
    for (int i = 0; i < times; i++) run();
    return static_cast<double>(frame_now(CLOCK_THREAD_CPUTIME_ID) - begin) / (static_cast<double>(n) * times);
}

template <class Run>
void table(const char* what, unsigned n, int times, size_t n_ways, Run run) {
    std::vector<double> took[3], ratio[3];
    for (int r = 0; r < rounds; r++) {
        for (size_t w = 0; w < n_ways; w++) {
            took[w].push_back(ns_per_operation(n, times, [&] { run(ways[w]); }));
            ratio[w].push_back(took[w].back() / took[0].back());
        }
    }
    for (size_t w = 0; w < n_ways; w++)
        printf("%s\t%s\t%.0f ns\t%.3f\n", what, ways[w].name, median(took[w]), median(ratio[w]));
}

}  // namespace

int main() {
    // as in a program with workers: the descriptors' table is shared
    std::jthread other([](std::stop_token end) {
        while (!end.stop_requested()) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    });
    bench b;
    table("nop", batch, batches, 1, [&](way w) { b.nop(w); });
    table("send or recv of 64 B", batch, batches, 2, [&](way w) { b.message(w); });
    table("read of 4 KiB, cached", batch, batches, 3, [&](way w) { b.read(w, 2, 4096, batch); });
    table("read of 64 KiB, cached", batch, batches / 10, 3, [&](way w) { b.read(w, 2, most, batch); });
    if (!b.direct()) {
        puts("# O_DIRECT: not on this file system");
        return 0;
    }
    table("read of 4 KiB, O_DIRECT", batch, batches / 10, 3, [&](way w) { b.read(w, 3, 4096, batch); });
    table("read of 64 KiB, O_DIRECT", batch, batches / 30, 3, [&](way w) { b.read(w, 3, most, batch); });
}
