// SPDX-License-Identifier: MIT
//
// Tasks that do not give way: others of their server go on all the same. What ends a hog here is
// what the others have done, so one that is not preempted is a hang.
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <random>
#include <stdexcept>
#include <thread>
#include <umcg/cancellation.hpp>
#include <umcg/channel.hpp>
#include <umcg/mutex.hpp>
#include <vector>

#include "harness.hpp"

namespace {

class Preempt : public Runtime {
  protected:
    umcg::options options() const {
        umcg::options o = Runtime::options();
        o.slice = 1ms;
        return o;
    }
    // That each server has one.
    unsigned enough() const { return GetParam().servers * 2; }
};
IN_EVERY_CONFIGURATION(Preempt);

// Tasks that do `work` until this object ends.
class hogs {
  public:
    hogs(umcg::runtime& rt, unsigned n, void (*work)() = burn,
         umcg::kind kind = umcg::kind::fiber) {
        for (unsigned i = 0; i < n; i++)
            tasks_.push_back(rt.spawn(
                [this, work] {
                    while (!end_) work();
                },
                {.name = "hog", .kind = kind}));
    }
    ~hogs() { end_ = true; }

  private:
    std::atomic<bool> end_{false};
    std::vector<umcg::task<void>> tasks_;  // joined first
};

TEST_P(Preempt, OthersRun) {
    umcg::runtime rt(options());
    hogs some(rt, enough());
    for (int i = 0; i < 20; i++)
        EXPECT_EQ(rt.spawn([i] {
                        umcg::yield();
                        return i;
                    }).join(),
                  i);
    EXPECT_GT(rt.stats().preemptions, 0U);
}

TEST_P(Preempt, ThreadTasks) {
    umcg::runtime rt(options());
    hogs some(rt, enough(), burn, umcg::kind::thread);
    for (auto kind : {umcg::kind::fiber, umcg::kind::thread})
        for (int i = 0; i < 5; i++) rt.spawn([] { umcg::yield(); }, {.kind = kind}).join();
}

// Stopped while it owns malloc's locks, perhaps, which the others want.
TEST_P(Preempt, InMalloc) {
    umcg::runtime rt(options());
    hogs some(rt, enough(), [] {
        for (size_t n : {16, 3000, 200000}) free(malloc(n));
    });
    for (int i = 0; i < 20; i++)
        EXPECT_EQ(rt.spawn([] {
                        size_t sum = 0;
                        for (int j = 0; j < 100; j++)
                            sum += std::vector<char>(static_cast<size_t>(j) * 100).size();
                        return sum;
                    }).join(),
                  495000U);
}

// The owner goes on only when all have asked for the mutex: they run while it has it, block, and so
// let it run.
TEST_P(Preempt, OwnerOfAMutex) {
    umcg::runtime rt(options());
    std::mutex m;
    std::atomic<unsigned> asking{0};
    unsigned had = 0;
    constexpr unsigned n = 6;
    std::atomic<bool> owned{false};
    auto owner = rt.spawn([&] {
        std::lock_guard hold(m);
        owned = true;
        while (asking < n) burn();
        had++;
    });
    while (!owned) std::this_thread::yield();
    std::vector<umcg::task<void>> others;
    for (unsigned i = 0; i < n; i++)
        others.push_back(rt.spawn([&] {
            asking++;
            std::lock_guard hold(m);
            had++;
        }));
    owner.join();
    for (auto& t : others) t.join();
    EXPECT_EQ(had, n + 1);
}

// Timers that are there before the hog runs, and new ones.
TEST_P(Preempt, Timers) {
    umcg::runtime rt(options());
    std::atomic<bool> asleep{false};
    auto before = rt.spawn([&] {
        asleep = true;
        umcg::sleep_for(20ms);
    });
    while (!asleep) std::this_thread::yield();
    hogs some(rt, enough());
    std::vector<umcg::task<void>> sleepers;
    for (int i = 0; i < 4; i++)
        sleepers.push_back(rt.spawn([] {
            for (int j = 0; j < 3; j++) umcg::sleep_for(1ms);
        }));
    for (auto& t : sleepers) t.join();
    before.join();
}

// What has been blocked in the kernel comes back beside a hog that was alone until then.
TEST_P(Preempt, Returns) {
    umcg::runtime rt(options());
    int fd[2];
    ASSERT_EQ(pipe(fd), 0);
    std::atomic<unsigned> begun{0};
    std::vector<umcg::task<bool>> readers;
    for (unsigned i = 0; i < enough(); i++)
        readers.push_back(rt.spawn([&] {
            char c;
            begun++;
            return read(fd[0], &c, 1) == 1;
        }));
    // blocked, or soon
    while (begun < enough()) std::this_thread::yield();
    {
        hogs some(rt, enough());
        for (auto& t : readers) {
            EXPECT_EQ(write(fd[1], "x", 1), 1);
            (void)t;
        }
        for (auto& t : readers) EXPECT_TRUE(t.join());
    }
    close(fd[0]);
    close(fd[1]);
}

// A timer that nobody waits for yet, set right before the hog takes the server.
TEST_P(Preempt, TimerOfAParkedFiber) {
    umcg::runtime rt(options());
    std::atomic<bool> woken{false};
    // both of one server: the second is spawned by the first, and nobody else takes it
    auto first = rt.spawn([&] {
        auto second = umcg::spawn([&] {
            while (!woken) burn();
        });
        umcg::sleep_for(2ms);
        woken = true;
        second.join();
    });
    first.join();
}

// Nobody who only computes is left behind: it ends when each has had its turns. How many more others
// had meanwhile says nothing: a turn is time on the clock, and the machine may give it to somebody
// else.
TEST_P(Preempt, AllHogs) {
    umcg::options o = options();
    o.max_workers = 8;
    umcg::runtime rt(o);
    constexpr unsigned n = 6;
    const unsigned wanted = static_cast<unsigned>(scaled(20));
    std::atomic<unsigned> begun{0}, last{n};
    std::atomic<bool> done{false};
    std::atomic<unsigned> turns[n] = {};
    std::vector<umcg::task<void>> all;
    for (unsigned i = 0; i < n; i++)
        all.push_back(rt.spawn([&, i] {
            begun++;
            while (begun < n) burn();
            while (!done) {
                if (last.exchange(i) != i) turns[i]++;
                burn();
                if (std::all_of(std::begin(turns), std::end(turns),
                                [&](auto& t) { return t >= wanted; }))
                    done = true;
            }
        }));
    for (auto& t : all) t.join();
}

uint64_t wakes(umcg::runtime& rt) {
    return rt.stats().server_wakes;
}

// Computes until the servers have run for a few times at most in a hundred slices: with a tick it
// would be a hundred each time, and no end. Some runs may be on their way when it begins, and a page
// of the program that has to be read is a block.
void compute_without_ticks(umcg::runtime& rt) {
    constexpr uint64_t few = 10;
    for (uint64_t before = 0, now = wakes(rt); before == 0 || now - before > few;) {
        before = now;
        for (const auto end = umcg::clock::now() + 100ms; umcg::clock::now() < end;) burn();
        now = wakes(rt);
    }
}

TEST_P(Preempt, NoTickAlone) {
    umcg::runtime rt(options());
    rt.spawn([&] { compute_without_ticks(rt); }).join();
    // nor when there was company once, or there is a timer far away
    for (int i = 0; i < 10; i++) rt.spawn([] { umcg::yield(); }).join();
    umcg::cancel_source enough_slept;
    auto sleeper = rt.spawn([&] { umcg::sleep_until({1h, enough_slept.token()}); });
    rt.spawn([&] {
          umcg::yield();
          compute_without_ticks(rt);
      }).join();
    enough_slept.cancel();
    sleeper.join();
}

TEST_P(Preempt, NoTickIdle) {
    umcg::runtime rt(options());
    rt.spawn([] { umcg::sleep_for(1ms); }).join();
    // a tick would come in each of these times, and this would not end
    for (uint64_t before = 0; before != wakes(rt);) {
        before = wakes(rt);
        usleep(100000);
    }
}

// Slice 0: who does not give way is not stopped. On one server: with two a thief may have taken the
// first task to the other one's place, and behind a task that is never stopped the second would wait.
TEST_P(Preempt, Off) {
    umcg::options o = options();
    o.slice = 0ms;
    o.servers = 1;
    umcg::runtime rt(o);
    std::atomic<bool> begun{false}, others{false}, beside{false};
    auto hog = rt.spawn([&] {
        begun = true;
        for (const auto end = umcg::clock::now() + 30ms; umcg::clock::now() < end;) burn();
        beside = others.load();
    });
    while (!begun) std::this_thread::yield();
    auto late = rt.spawn([&] { others = true; });
    hog.join();
    late.join();
    EXPECT_EQ(rt.stats().preemptions, 0U);
    // unless a page of ours had to be read: then it has waited for the disk, which is giving way
    if (!rt.stats().blocks) {
        EXPECT_FALSE(beside);
    }
}

TEST_P(Preempt, BadSlice) {
    umcg::options o = options();
    for (auto slice : {std::chrono::nanoseconds(-1), std::chrono::nanoseconds(99999)}) {
        o.slice = slice;
        try {
            umcg::runtime rt(o);
            FAIL() << "accepted";
        } catch (const std::invalid_argument& e) {
            EXPECT_NE(std::string(e.what()).find(std::to_string(slice.count())), std::string::npos);
        }
    }
}

// A preempted fiber keeps its worker; with no other one to be had the rest waits, and it is
// counted.
TEST_P(Preempt, CapReached) {
    umcg::options o = options();
    o.max_workers = 1;
    umcg::runtime rt(o);
    std::vector<umcg::task<void>> all;
    for (unsigned i = 0; i < rt.servers(); i++)
        all.push_back(rt.spawn([&] {
            while (rt.stats().cap_reached < rt.servers()) burn();
        }));
    std::atomic<unsigned> ran{0};
    for (unsigned i = 0; i < 10; i++) all.push_back(rt.spawn([&] { ran++; }));
    for (auto& t : all) t.join();
    EXPECT_EQ(ran, 10U);
}

// The shortest slices, beside all that a stop can meet: nothing is lost, nothing is done twice.
TEST_P(Preempt, Storm) {
    const char* given = getenv("UMCG_TEST_SEED");
    const unsigned seed = given ? static_cast<unsigned>(atol(given)) : std::random_device{}();
    SCOPED_TRACE("UMCG_TEST_SEED=" + std::to_string(seed));
    umcg::options o = options();
    o.slice = 100us;
    umcg::runtime rt(o);
    umcg::mutex cheap;
    std::mutex plain;
    umcg::channel<int> numbers(4);
    std::atomic<long> sent{0}, received{0}, locked{0}, ended{0};
    long under_cheap = 0, under_plain = 0;
    int fd[2];
    ASSERT_EQ(pipe(fd), 0);
    const int rounds = scaled(150);
    auto work = [&](unsigned id) {
        std::minstd_rand random(seed + id);
        for (int r = 0; r < rounds; r++) {
            // some of it longer than a slice
            for (unsigned n = random() % (random() % 16 ? 300 : 20000); n; n--) burn();
            const auto limit = std::chrono::microseconds(random() % 100);
            switch (random() % 8) {
                case 0:
                    umcg::yield();
                    break;
                case 1:
                    umcg::sleep_for(limit);
                    break;
                case 2: {
                    std::lock_guard hold(cheap);
                    for (unsigned n = random() % 30; n; n--) burn();
                    under_cheap++;
                    locked++;
                    break;
                }
                case 3: {
                    std::lock_guard hold(plain);
                    for (unsigned n = random() % 30; n; n--) burn();
                    under_plain++;
                    locked++;
                    break;
                }
                case 4:
                    if (numbers.send(r, limit) == umcg::channel_status::ok) sent += r;
                    break;
                case 5:
                    if (auto v = numbers.receive(limit)) received += *v;
                    break;
                case 6: {
                    char c = 'x';
                    EXPECT_EQ(write(fd[1], &c, 1), 1);
                    EXPECT_EQ(read(fd[0], &c, 1), 1);
                    break;
                }
                case 7: {
                    const auto kind = random() % 8 ? umcg::kind::fiber : umcg::kind::thread;
                    EXPECT_EQ(umcg::spawn(
                                  [r] {
                                      burn();
                                      return r;
                                  },
                                  {.kind = kind})
                                  .join(),
                              r);
                    break;
                }
            }
        }
        ended++;
    };
    std::vector<umcg::task<void>> all;
    for (unsigned i = 0; i < 20; i++)
        all.push_back(rt.spawn([&, i] { work(i); },
                               {.kind = i % 5 ? umcg::kind::fiber : umcg::kind::thread}));
    for (auto& t : all) t.join();
    while (auto v = numbers.receive(umcg::clock::now())) received += *v;
    EXPECT_EQ(ended, 20);
    EXPECT_EQ(sent, received);
    EXPECT_EQ(under_cheap + under_plain, locked);
    EXPECT_GT(rt.stats().preemptions, 0U);
    close(fd[0]);
    close(fd[1]);
}

// All that is queued was stopped in the middle of something: the policy decides among these, too. Who has the
// earliest deadline goes on each time that it was stopped itself, and the others stay where they are.
TEST(PreemptPolicy, DecidesAmongTheStopped) {
    umcg::options o;
    o.servers = 1;
    o.policy = "deadline";
    o.slice = 1ms;
    o.guard = umcg::stack_guard::when_possible;
    umcg::runtime rt(o);
    std::atomic<bool> end{false};
    std::atomic<uint64_t> progress{0};
    std::atomic<int> begun{0};
    const auto hog = [&] {
        begun++;
        while (!end) {
            burn();
            progress++;
        }
    };
    const auto now = umcg::clock::now();
    auto last = rt.spawn(hog, {.deadline = now + 2h});
    while (begun < 1) std::this_thread::yield();
    auto second = rt.spawn(hog, {.deadline = now + 1h});
    while (begun < 2) std::this_thread::yield();
    auto first = rt.spawn(
        [&] {
            const auto stopped_until = [&](uint64_t n) {
                while (rt.stats().preemptions < n) burn();
                return n;
            };
            const uint64_t n = stopped_until(rt.stats().preemptions + 2);
            const uint64_t before = progress;
            stopped_until(n + 10);
            const uint64_t made = progress - before;
            end = true;
            return made;
        },
        {.deadline = now + 30min});
    EXPECT_EQ(first.join(), 0U);
}

}  // namespace
