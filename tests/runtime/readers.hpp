// SPDX-License-Identifier: MIT
//
// Tasks that are blocked in the kernel, each on a worker of its own.
#ifndef TESTS_RUNTIME_READERS_HPP
#define TESTS_RUNTIME_READERS_HPP

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <new>
#include <system_error>
#include <vector>

#include <umcg/runtime.hpp>

#include "harness.hpp"

class readers {
  public:
    readers() {
        if (pipe(pipe_)) abort();
    }
    readers(umcg::runtime& rt, size_t n) : readers() {
        spawn(rt, n);
        until([&] { return begun_ == n; });
    }
    ~readers() {
        end();
        close(pipe_[0]);
        close(pipe_[1]);
    }
    readers(const readers&) = delete;
    readers& operator=(const readers&) = delete;
    // Fewer, where it is refused.
    void spawn(umcg::runtime& rt, size_t n, umcg::kind kind = umcg::kind::fiber) {
        tasks_.reserve(n);
        try {
            while (tasks_.size() < n)
                tasks_.push_back(rt.spawn(
                    [this] {
                        char c;
                        begun_++;
                        EXPECT_EQ(read(pipe_[0], &c, 1), 1);
                    },
                    {.kind = kind}));
        } catch (const std::system_error&) {
        } catch (const std::bad_alloc&) {
        }
    }
    void end() {
        for (size_t i = 0; i < tasks_.size(); i++) EXPECT_EQ(write(pipe_[1], "x", 1), 1);
        for (auto& t : tasks_) t.join();
        tasks_.clear();
    }

  private:
    int pipe_[2];
    std::atomic<size_t> begun_{0};
    std::vector<umcg::task<void>> tasks_;
};

#endif
