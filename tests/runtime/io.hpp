// SPDX-License-Identifier: MIT
//
// What the tests of umcg::io share.
#ifndef TESTS_RUNTIME_IO_HPP
#define TESTS_RUNTIME_IO_HPP

#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <set>
#include <string>
#include <system_error>
#include <thread>
#include <umcg/cancellation.hpp>
#include <umcg/io.hpp>

#include "harness.hpp"

namespace io = umcg::io;

struct pair {
    int fd[2];
    pair() {
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd)) abort();
    }
    ~pair() {
        close(fd[0]);
        close(fd[1]);
    }
    pair(const pair&) = delete;
    pair& operator=(const pair&) = delete;
};

struct temporary_file {
    char path[32] = "/tmp/umcg-io-XXXXXX";
    int fd = mkstemp(path);
    ~temporary_file() {
        close(fd);
        unlink(path);
    }
};

inline umcg::options small(unsigned servers) {
    umcg::options o;
    o.servers = servers;
    o.guard = umcg::stack_guard::when_possible;
    return o;
}

inline bool ring_works() {
    umcg::runtime rt(small(1));
    return rt.spawn([] { return io::uses_io_uring(); }).join();
}

// The descriptors of all rings of this process.
inline std::set<int> open_rings() {
    std::set<int> found;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
        std::error_code gone;
        const std::string what = std::filesystem::read_symlink(entry.path(), gone).string();
        if (what.find("io_uring") != what.npos) found.insert(std::stoi(entry.path().filename().string()));
    }
    return found;
}

#define NEEDS_RING() \
    if (!ring_works()) GTEST_SKIP() << "no io_uring here"

// A thread that cancels, which begins when it is there: what is called next is cancelled in the middle.
class cancelled_beside {
  public:
    explicit cancelled_beside(umcg::cancel_source& source)
        : thread_([this, &source] {
              begun_.wait(false);
              source.cancel();
          }) {
        begun_ = true;
        begun_.notify_one();
    }

  private:
    std::atomic<bool> begun_{false};
    std::jthread thread_;
};

// fn() on a fiber, a thread task and this thread.
template <class F>
void everywhere(umcg::runtime& rt, F fn) {
    rt.spawn(fn).join();
    rt.spawn(fn, {.kind = umcg::kind::thread}).join();
    fn();
}

// Tests that run on both ways: on io_uring and without it.
class EitherWay : public testing::TestWithParam<bool> {
  protected:
    umcg::options options() const {
        umcg::options o = small(2);
        o.io_uring = GetParam();
        return o;
    }
    template <class F>
    void everywhere(F fn) {
        umcg::runtime rt(options());
        ::everywhere(rt, fn);
        EXPECT_TRUE(GetParam() || !rt.stats().io_ops);
    }
};

#define ON_EITHER_WAY(Name)                                                             \
    INSTANTIATE_TEST_SUITE_P(, Name, testing::Values(true, false), [](const auto& way) { \
        return std::string(way.param ? "io_uring" : "plain");                           \
    })

#endif
