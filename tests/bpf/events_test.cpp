// SPDX-License-Identifier: MIT
// Every block is reported exactly once, and in order; workers that come back are held.
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

#include <condition_variable>
#include <csignal>
#include <deque>
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
    // not UMCG_CAP_ONE_RUNNING: rare, and no failure
    testing::Test::RecordProperty("two_of_one_server_at_once", together);
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
        files.rlim_cur = files.rlim_max;  // 1000 pipes
        setrlimit(RLIMIT_NOFILE, &files);
        peek_choose_plain(getenv("UMCG_TEST_PLAIN"));
        ASSERT_EQ(umcg_init(nullptr), 0);
    }
};

// Each reads bytes that a plain thread feeds, `batch` of them at a time, in turn.
void in_order(int workers, int rounds, int batch) {
    Crew crew;
    std::deque<Pipe> pipes(static_cast<size_t>(workers));
    // Which read of them all a worker is in, from 1; 0: in none. No lock: a worker may be held where
    // another one would spin on it.
    std::vector<std::atomic<size_t>> turn(pipes.size());
    std::atomic<size_t> turns{0};
    std::vector<size_t> seen;  // as the server is told
    seen.reserve(2 * pipes.size() * static_cast<size_t>(rounds));
    std::unordered_map<const Worker*, size_t> number;
    for (size_t i = 0; i < pipes.size(); i++) {
        crew.add([&, i](Worker& w) {
            // Nobody has picked it: two run for a moment, and either may be the first to block.
            const auto is_late = [&] { return (umcg_state(w.task) & UMCG_TASK_MASK) != UMCG_TASK_RUNNING; };
            // what is touched for the first time may be a block of its own
            pipes[i].put('x');
            pipes[i].get();
            for (int r = 0; r < rounds; r++) {
                turn[i] = ++turns;
                if (is_late()) turn[i] = 0;
                pipes[i].get();
                turn[i] = 0;
            }
        });
        number[crew.workers().back().get()] = i;
    }
    crew.on_block = [&](Worker& w) {
        // it has not run since: blocked, or held
        if (const size_t t = turn[number.at(&w)]) seen.push_back(t);
    };
    std::thread feeder([&] {
        // the first read of each is a block; later ones are, if the byte comes after it
        while (turns < pipes.size()) nap(200);
        for (int fed = 0; fed < workers * rounds;) {
            pipes[static_cast<size_t>(fed % workers)].put('x');
            if (++fed % batch == 0) nap(200);
        }
    });
    crew.run();
    feeder.join();
    check_exact(crew, 1);
    EXPECT_GT(seen.size(), pipes.size() / 2) << "nothing to compare";
    // Reads that found a byte were no block, and are not seen; the others once, and in turn.
    for (size_t i = 1; i < seen.size(); i++) {
        ASSERT_LT(seen[i - 1], seen[i]) << "reported out of order, or twice: number " << i;
    }
}

TEST_F(Events, EachBlockOnceAndInOrder) { in_order(16, 200, 16); }
TEST_F(Events, EachBlockOnceAndInOrder1000) { in_order(1000, 10, 16); }

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
