// SPDX-License-Identifier: MIT
// What one call of umcg::io costs, beside the plain call in the same task and in a thread: CPU time of
// the whole process per call, and system calls for it. Nothing is waited for: all data is there. Ways that are compared
// take turns; a figure is the median of the rounds.
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <umcg/io.hpp>
#include <umcg/runtime.hpp>

#include "cost.hpp"
#include "frame.h"

namespace {

constexpr int rounds = 31, calls = 6400;
constexpr size_t page = 4096, message = 64;

struct files {
    files() {
        char path[] = "/tmp/call-cost-XXXXXX";
        fd = mkstemp(path);
        if (fd < 0) die(path, errno);
        unlink(path);
        const std::vector<char> text(page, 'x');
        if (write(fd, text.data(), page) != static_cast<ssize_t>(page)) die("write", errno);
    }
    int fd;
};

// Each task has a pair: what it sends is there when it receives.
struct sockets {
    explicit sockets(int n) : pairs(static_cast<size_t>(n)) {
        for (auto& p : pairs)
            if (socketpair(AF_UNIX, SOCK_STREAM, 0, p.fd)) die("socketpair", errno);
    }
    ~sockets() {
        for (auto& p : pairs) {
            close(p.fd[0]);
            close(p.fd[1]);
        }
    }
    struct pair {
        int fd[2];
    };
    std::vector<pair> pairs;
};

void check(ssize_t got, size_t wanted, const char* what) {
    if (got != static_cast<ssize_t>(wanted)) die(what, got < 0 ? static_cast<int>(-got) : EIO);
}

// Two operations at each step of `messages`, one of `pages`.
struct pages {
    static constexpr const char* name = "pread of 4 KiB, cached";
    static constexpr int operations = 1;
    explicit pages(int) {}
    void by_io(int) {
        char to[page];
        check(umcg::io::pread(file.fd, to, page, 0), page, "umcg::io::pread");
    }
    void plainly(int) {
        char to[page];
        check(pread(file.fd, to, page, 0), page, "pread");
    }
    files file;
};
struct messages {
    static constexpr const char* name = "send or recv of 64 B";
    static constexpr int operations = 2;
    explicit messages(int n) : of(n) {}
    void by_io(int task) {
        char text[message] = {};
        const auto& [fd] = of.pairs[static_cast<size_t>(task)];
        check(umcg::io::send(fd[0], text, message, MSG_NOSIGNAL), message, "umcg::io::send");
        check(umcg::io::recv(fd[1], text, message, 0), message, "umcg::io::recv");
    }
    void plainly(int task) {
        char text[message] = {};
        const auto& [fd] = of.pairs[static_cast<size_t>(task)];
        check(send(fd[0], text, message, MSG_NOSIGNAL), message, "send");
        check(recv(fd[1], text, message, 0), message, "recv");
    }
    sockets of;
};

struct cost {
    double ns, enters;
};

template <class Step>
cost in_tasks(umcg::runtime& rt, int tasks, int operations, Step step) {
    const uint64_t enters = rt.stats().io_enters;
    const int64_t begin = frame_now(CLOCK_PROCESS_CPUTIME_ID);
    std::vector<umcg::task<void>> all;
    for (int t = 0; t < tasks; t++)
        all.push_back(rt.spawn([=] {
            for (int i = 0; i < calls / tasks / operations; i++) step(t);
        }));
    for (auto& t : all) t.join();
    const double n = calls;
    return {static_cast<double>(frame_now(CLOCK_PROCESS_CPUTIME_ID) - begin) / n,
            static_cast<double>(rt.stats().io_enters - enters) / n};
}

template <class Step>
cost in_thread(int operations, Step step) {
    const int64_t begin = frame_now(CLOCK_PROCESS_CPUTIME_ID);
    for (int i = 0; i < calls / operations; i++) step(0);
    return {static_cast<double>(frame_now(CLOCK_PROCESS_CPUTIME_ID) - begin) / calls, 1};
}

template <class Work>
void table(umcg::runtime& rt) {
    Work work(64);
    const auto by_io = [&work](int t) { work.by_io(t); };
    const auto plainly = [&work](int t) { work.plainly(t); };
    constexpr const char* names[] = {"plain call, thread", "plain call, task", "umcg::io, one task", "umcg::io, 64 tasks"};
    std::vector<double> ns[4], ratio[4], enters[4];
    for (int r = 0; r < rounds; r++) {
        const cost took[] = {in_thread(Work::operations, plainly),
                             in_tasks(rt, 1, Work::operations, plainly),
                             in_tasks(rt, 1, Work::operations, by_io),
                             in_tasks(rt, 64, Work::operations, by_io)};
        for (size_t w = 0; w < 4; w++) {
            ns[w].push_back(took[w].ns);
            ratio[w].push_back(took[w].ns / took[0].ns);
            // a plain call is one by itself
            enters[w].push_back(w < 2 ? 1 : took[w].enters);
        }
    }
    for (size_t w = 0; w < 4; w++)
        printf("%s\t%s\t%.0f ns\t%.2f\t%.2f system calls\n", Work::name, names[w], median(ns[w]), median(ratio[w]),
               median(enters[w]));
}

}  // namespace

int main() {
    umcg::options o;
    o.servers = 1;
    umcg::runtime rt(o);
    table<pages>(rt);
    table<messages>(rt);
}
