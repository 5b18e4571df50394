// SPDX-License-Identifier: MIT
// Every block is reported exactly once, and in order; workers that come back are held.
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

#include <condition_variable>
#include <csignal>
#include <mutex>

#include "crew.hpp"

namespace {

void nap(long us) {
    const timespec t{.tv_sec = 0, .tv_nsec = us * 1000};
    nanosleep(&t, nullptr);
}

class Pipe {
  public:
    Pipe() { EXPECT_EQ(pipe2(fd_, O_CLOEXEC), 0); }
    ~Pipe() {
        close(fd_[0]);
        close(fd_[1]);
    }
    Pipe(const Pipe&) = delete;
    Pipe& operator=(const Pipe&) = delete;
    char get() {
        char c = 0;
        EXPECT_EQ(read(fd_[0], &c, 1), 1) << strerror(errno);
        return c;
    }
    void put(char c) { EXPECT_EQ(write(fd_[1], &c, 1), 1); }

  private:
    int fd_[2];
};

void check_exact(const Crew& crew, uint64_t at_least) {
    for (const auto& w : crew.workers()) {
        EXPECT_EQ((w->seq - 2) % 3, 0U);
        EXPECT_EQ(reported(*w), w->counts.blocks) << "the program saw, the server was told";
        EXPECT_GE(w->counts.blocks, at_least);
        EXPECT_EQ(w->counts.failed, 0U);
        EXPECT_EQ(w->counts.let_go, 0U);
        // an entry per block; entries of one worker coalesce only if it comes back before the
        // server has looked
        EXPECT_EQ(w->told_runnable, 1 + reported(*w));
        EXPECT_LE(w->told_blocked, reported(*w));
    }
}

// Sleepers and pairs that pass a byte to and fro: each read of an empty pipe is a block.
void storm(int workers, int rounds) {
    Crew crew;
    std::deque<Pipe> pipes(static_cast<size_t>(workers + 1) / 2);
    std::atomic<int> inside{0};
    std::atomic<int> together{0};
    for (int i = 0; i < workers; i++) {
        crew.add([&, i](Worker&) {
            for (int r = 0; r < rounds; r++) {
                if (inside.fetch_add(1) != 0) together++;
                inside.fetch_sub(1);
                if (i % 2) {
                    nap(100 + i % 7 * 50);
                } else {
                    pipes[static_cast<size_t>(i / 2)].put('x');
                    pipes[static_cast<size_t>(i / 2)].get();
                    nap(50);
                }
            }
        });
    }
    crew.run();
    EXPECT_EQ(together, 0) << "two workers of one server in user space";
    // a nap may be over before the thread is off the CPU, so there may be fewer
    check_exact(crew, 1);
}

class Events : public testing::Test {
  protected:
    void SetUp() override {
        REQUIRE_BPF();
        setenv("UMCG_BACKEND", "bpf", 1);
        rlimit files{};
        getrlimit(RLIMIT_NOFILE, &files);
        files.rlim_cur = files.rlim_max;  // 500 pipes
        setrlimit(RLIMIT_NOFILE, &files);
        peek_choose_plain(getenv("UMCG_TEST_PLAIN"));
        ASSERT_EQ(umcg_init(nullptr), 0);
    }
};

TEST_F(Events, EachBlockOnceAndInOrder) {
    constexpr int kWorkers = 16;
    constexpr int kRounds = 200;
    Crew crew;
    std::deque<Pipe> pipes(kWorkers);
    std::vector<int> order;  // who ran last, as the workers see it
    std::atomic_flag busy;   // two may run for a moment, and no lock may block here
    std::vector<int> seen;   // as the server is told
    std::vector<Worker*> by_number;
    std::vector<int> last(kWorkers, -1);
    for (int i = 0; i < kWorkers; i++) {
        crew.add([&, i](Worker&) {
            for (int r = 0; r < kRounds; r++) {
                while (busy.test_and_set(std::memory_order_acquire)) __builtin_ia32_pause();
                order.push_back(i);
                busy.clear(std::memory_order_release);
                pipes[static_cast<size_t>(i)].get();
            }
        });
    }
    for (const auto& w : crew.workers()) by_number.push_back(w.get());
    crew.on_block = [&](Worker& w) {
        const auto n = std::find(by_number.begin(), by_number.end(), &w) - by_number.begin();
        seen.push_back(static_cast<int>(n));
    };
    std::atomic<bool> stop{false};
    std::thread feeder([&] {
        // a plain thread; one byte for each read, each some time after the block
        for (int r = 0; r < kRounds && !stop; r++) {
            for (auto& p : pipes) p.put('x');
            nap(200);
        }
    });
    crew.run();
    stop = true;
    feeder.join();
    check_exact(crew, 0);
    // Reads that found a byte were no block: what was seen is what was done, less those. In the same
    // order, but for the moments in which two ran: of those each may have been the first to block.
    size_t at = 0;
    std::vector<int> passed_over(kWorkers);
    for (const int n : seen) {
        if (passed_over[static_cast<size_t>(n)] && !(umcg_capabilities() & UMCG_CAP_ONE_RUNNING)) {
            passed_over[static_cast<size_t>(n)]--;
            continue;
        }
        while (at < order.size() && order[at] != n) passed_over[static_cast<size_t>(order[at++])]++;
        ASSERT_LT(at, order.size()) << "reported out of order, or twice";
        at++;
    }
}

TEST_F(Events, Storm16) { storm(16, 500); }
TEST_F(Events, Storm1000) { storm(1000, 20); }

TEST_F(Events, MutexAndCondition) {
    Crew crew;
    std::mutex mutex;
    std::condition_variable turn_changed;
    int turn = 0;
    for (int i = 0; i < 4; i++) {
        crew.add([&, i](Worker&) {
            for (int r = 0; r < 100; r++) {
                std::unique_lock lock(mutex);
                turn_changed.wait(lock, [&] { return turn % 4 == i; });
                turn++;
                turn_changed.notify_all();
            }
        });
    }
    crew.run();
    EXPECT_EQ(turn, 400);
    check_exact(crew, 1);
}

}  // namespace
