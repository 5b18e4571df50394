// SPDX-License-Identifier: MIT
//
// Ten thousand cheap tasks beside code that blocks: what README.md explains, line by line.
#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cerrno>
#include <exception>
#include <mutex>
#include <string>
#include <system_error>

#include <umcg/channel.hpp>
#include <umcg/runtime.hpp>
#include <umcg/scope.hpp>

using namespace std::chrono_literals;

namespace {

// Plain code, written by somebody who has never heard of fibers: open, read, close.
size_t file_size_by_reading(const char* path) {
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) throw std::system_error(errno, std::generic_category(), path);
    char buffer[4096];
    size_t total = 0;
    for (ssize_t n; (n = read(fd, buffer, sizeof(buffer))) > 0;) total += static_cast<size_t>(n);
    close(fd);
    return total;
}

// A call that blocks for real: nobody writes until another task does.
void wait_for_byte(int fd) {
    char c;
    if (read(fd, &c, 1) != 1) throw std::system_error(errno, std::generic_category(), "pipe");
}

void demo() {
    // 1. cheap tasks: ten thousand fibers that all sleep at once
    const auto begin = umcg::clock::now();
    {
        umcg::scope sleepers;
        for (int i = 0; i < 10000; i++) sleepers.spawn([] { umcg::sleep_for(10ms); });
        sleepers.join();
    }
    const std::chrono::duration<double, std::milli> took = umcg::clock::now() - begin;
    printf("10000 fibers slept 10 ms each, together: %.0f ms\n", took.count());

    // 2. blocking calls: 50 fibers in read(), on a server or two, and the one who writes gets his turn
    int fd[2];
    if (pipe(fd)) throw std::system_error(errno, std::generic_category(), "pipe");
    {
        umcg::scope blocked;
        for (int i = 0; i < 50; i++) blocked.spawn([&] { wait_for_byte(fd[0]); });
        blocked.spawn([&] {
            for (int i = 0; i < 50; i++)
                if (write(fd[1], "x", 1) != 1) throw std::system_error(errno, std::generic_category());
        });
        blocked.join();
    }
    close(fd[0]);
    close(fd[1]);
    printf("50 fibers blocked in read() and came back\n");

    // 3. results over a channel; a std::mutex is as good as any
    umcg::channel<std::string> lines(4);
    umcg::scope workers;
    std::mutex counting;
    int left = 2;
    for (const char* path : {"/proc/self/maps", "/etc/passwd"})
        workers.spawn([&, path] {
            lines.send(std::string(path) + ": " + std::to_string(file_size_by_reading(path)) +
                       " bytes");
            std::lock_guard hold(counting);
            if (--left == 0) lines.close();
        });
    while (auto line = lines.receive()) printf("%s\n", line->c_str());
    workers.join();
}

}  // namespace

int main() {
    try {
        umcg::runtime rt;
        printf("backend %s, %u servers\n", rt.backend(), rt.servers());
        rt.spawn(demo, {.name = "demo", .kind = umcg::kind::thread}).join();
        const auto s = rt.stats();
        printf("%llu workers made, %llu blocks seen, %llu switches between fibers\n",
               static_cast<unsigned long long>(s.workers_created),
               static_cast<unsigned long long>(s.blocks),
               static_cast<unsigned long long>(s.switches));
    } catch (const std::exception& e) {
        fprintf(stderr, "fibers: %s\n", e.what());
        return 1;
    }
}
