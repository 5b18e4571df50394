// SPDX-License-Identifier: MIT
//
// The program closes descriptors that it does not know, the rings' among them. Whether something else
// has their numbers afterwards must make no difference.
#include <fcntl.h>
#include <sys/socket.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <optional>
#include <set>
#include <thread>
#include <umcg/multishot.hpp>
#include <vector>

#include "io.hpp"

namespace {

// Parameter: their numbers are given to something else.
class Closed : public testing::TestWithParam<bool> {
  protected:
    void SetUp() override { NEEDS_RING(); }
    void TearDown() override { give_back(); }
    // What has the rings' numbers since they were closed.
    void give_back() {
        for (int fd : taken_) {
            EXPECT_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC) << "whoever has the number lost it";
            close(fd);
        }
        taken_.clear();
    }
    void start(unsigned servers) {
        const std::set<int> others = open_rings();
        umcg::options o = small(servers);
        o.receive_buffers = 16;
        o.policy = "fifo";  // the order in which they are spawned is the order in which they run
        rt_.emplace(o);
        rings_ = open_rings();
        for (int fd : others) rings_.erase(fd);
        ASSERT_EQ(rings_.size(), servers);
    }
    void close_rings() {
        const int other = open("/dev/null", O_RDONLY | O_CLOEXEC);
        for (int fd : rings_) {
            if (GetParam()) {
                // at once: else another thread of ours might get the number
                EXPECT_EQ(dup3(other, fd, O_CLOEXEC), fd);
                taken_.insert(fd);
            } else {
                close(fd);
            }
        }
        close(other);
    }
    // A task waits there, and nothing else is to be done.
    void settle(uint64_t operations) {
        while (rt_->stats().io_ops < operations) std::this_thread::sleep_for(1ms);
        for (umcg::stats before = rt_->stats(), now = before;; before = now) {
            std::this_thread::sleep_for(100ms);
            now = rt_->stats();
            if (now.server_wakes == before.server_wakes && now.io_enters == before.io_enters) return;
        }
    }
    void all_works() {
        const pair p;
        char c = 0;
        auto reader = rt_->spawn([&] { return io::recv(p.fd[0], &c, 1, 0); });
        auto writer = rt_->spawn([&] { return io::send(p.fd[1], "x", 1, 0); });
        EXPECT_EQ(writer.join(), 1);
        EXPECT_EQ(reader.join(), 1);
        EXPECT_EQ(c, 'x');
        EXPECT_EQ(rt_->spawn([&] { return io::recv(p.fd[0], &c, 1, 0, 10ms); }).join(), -ETIME);
    }
    std::optional<umcg::runtime> rt_;

  private:
    std::set<int> rings_, taken_;
};
INSTANTIATE_TEST_SUITE_P(, Closed, testing::Bool(),
                         [](const auto& i) { return i.param ? "AndTaken" : "AndFree"; });

// The servers rest, and nobody is in a ring.
TEST_P(Closed, AtRest) {
    start(2);
    close_rings();
    all_works();
    rt_.reset();
}

// What was submitted comes, and meanwhile others are served.
TEST_P(Closed, BehindWhoWaits) {
    start(2);
    std::vector<pair> pairs(20);
    std::vector<umcg::task<ssize_t>> waits;
    for (auto& p : pairs)
        waits.push_back(rt_->spawn([&] {
            char c;
            ssize_t sum = 0, n;
            while ((n = io::recv(p.fd[0], &c, 1, 0)) > 0) sum += n;
            return n ? n : sum;
        }));
    settle(pairs.size());
    close_rings();
    all_works();
    for (auto& p : pairs) {
        EXPECT_EQ(send(p.fd[1], "abc", 3, 0), 3);
        shutdown(p.fd[1], SHUT_WR);
    }
    for (auto& w : waits) EXPECT_EQ(w.join(), 3);
    rt_.reset();
}

// It finds nobody to do it but the one who waits there.
TEST_P(Closed, OneServer) {
    start(1);
    const pair p;
    auto waits = rt_->spawn([&] {
        char c;
        return io::recv(p.fd[0], &c, 1, 0);
    });
    settle(1);
    close_rings();
    EXPECT_EQ(rt_->spawn([] { return 7; }).join(), 7);
    EXPECT_EQ(send(p.fd[1], "x", 1, 0), 1);
    EXPECT_EQ(waits.join(), 1);
    all_works();
    EXPECT_FALSE(rt_->spawn([] { return io::uses_io_uring(); }).join());
    rt_.reset();
}

// It was filled, and waited for company: mostly, for nothing waits longer than 50 us.
TEST_P(Closed, BeforeItIsSubmitted) {
    int before = 0;
    for (int i = 0; i < 20; i++) {
        start(1);
        const pair p;
        std::atomic<bool> closed{false};
        auto first = rt_->spawn([&] {
            auto waits = rt_->spawn([&] {
                char c;
                return io::recv(p.fd[0], &c, 1, 0);
            });
            auto closes = rt_->spawn([&] {
                const umcg::stats now = rt_->stats();
                before += now.io_ops && !now.io_enters;
                close_rings();
                closed = true;
            });
            while (!closed) umcg::yield();
            closes.join();
            EXPECT_EQ(send(p.fd[1], "x", 1, 0), 1);
            return waits.join();
        });
        EXPECT_EQ(first.join(), 1);
        all_works();
        rt_.reset();
        give_back();
    }
    RecordProperty("before", before);
    printf("closed before it was submitted: %d of 20\n", before);
}

TEST_P(Closed, MultishotGoesOn) {
    start(2);
    const pair p;
    auto all = rt_->spawn([&] {
        io::receiver in(p.fd[0]);
        const char* data;
        ssize_t sum = 0, n;
        while ((n = in.next(&data)) > 0) sum += n;
        return n ? n : sum;
    });
    settle(1);
    close_rings();
    ssize_t sent = 0;
    for (int i = 0; i < 100; i++) sent += send(p.fd[1], "0123456789", 10, 0);
    shutdown(p.fd[1], SHUT_WR);
    EXPECT_EQ(all.join(), sent);
    all_works();
    rt_.reset();
}

}  // namespace
