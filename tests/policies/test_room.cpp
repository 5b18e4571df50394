// SPDX-License-Identifier: MIT
//
// A task that comes from outside while another one computes on its server: the policy's preempts() stops
// that one, and nothing else does, for slices have no end that a test would see, or are over already.
#include <gtest/gtest.h>

#include <umcg/semaphore.hpp>

#include "audit.hpp"
#include "workload.hpp"

namespace {

// Computes on the only server until it is told not to, and is not interrupted by slices.
class busy_server {
  public:
    explicit busy_server(const std::string& policy) : rt(long_slices(policy)) {
        hog_ = rt.spawn([this] {
            while (!end_) burns_++;
        });
        // who comes now does not find it queued
        goes_on();
    }
    ~busy_server() {
        end_ = true;
        hog_.join();
    }
    // It computes, or does so again.
    void goes_on() const {
        const uint64_t before = burns_;
        while (burns_ == before) usleep(100);
    }
    umcg::runtime rt;

  private:
    static umcg::options long_slices(const std::string& policy) {
        umcg::options o = two_servers(policy);
        o.servers = 1;
        o.slice = std::chrono::hours(1);
        return o;
    }
    std::atomic<uint64_t> burns_{0};
    std::atomic<bool> end_{false};
    umcg::task<void> hog_;
};

TEST(Room, IsMadeForWhoComes) {
    audit seen;
    seen.makes_room = true;
    {
        busy_server s(plugin("auditor") + seen.option());
        for (int i = 0; i < 100; i++) {
            s.goes_on();
            s.rt.spawn([] {}).join();
        }
        EXPECT_GT(seen.asked_for_room, 0U);
        EXPECT_GT(seen.ran_ns, 0U);
        EXPECT_GT(seen.enqueued[UMCG_ENQUEUE_PREEMPTED], 0U);
    }
    EXPECT_EQ(seen.wrong, 0U) << seen.first_wrong;
}

// One who waits for another, and is woken from outside.
TEST(Room, IsMadeForWhoIsWoken) {
    audit seen;
    seen.makes_room = true;
    {
        busy_server s(plugin("auditor") + seen.option());
        umcg::semaphore one(0), other(0);
        umcg::task<void> waits = s.rt.spawn([&] {
            for (int i = 0; i < 100; i++) {
                one.acquire();
                other.release();
            }
        });
        for (int i = 0; i < 100; i++) {
            s.goes_on();
            one.release();
            other.acquire();
        }
        waits.join();
        EXPECT_GT(seen.asked_for_room, 0U);
        EXPECT_GT(seen.enqueued[UMCG_ENQUEUE_PREEMPTED], 0U);
    }
    EXPECT_EQ(seen.wrong, 0U) << seen.first_wrong;
}

// Sooner than the server thread wakes for idle workers, and looks.
umcg::limit soon() { return umcg::clock::now() + std::chrono::seconds(8); }

// Who runs may just have been picked, and be on its way.
TEST(Room, IsMadeAtAnyMoment) {
    busy_server s("deadline");
    for (int i = 0; i < 20'000; i++) {
        umcg::task<void> t = s.rt.spawn([] {}, {.deadline = umcg::clock::now() + std::chrono::hours(1)});
        ASSERT_EQ(t.wait(soon()), umcg::wake::signalled) << "after " << i;
    }
}

// One hog more at a time: each who comes stops one, and waits for a worker that is still to be made.
TEST(Room, IsMadeWhenThereIsAWorker) {
    busy_server s("deadline");
    std::atomic<bool> end{false};
    std::vector<umcg::task<void>> hogs;
    for (int i = 0; i < 40; i++) {
        std::atomic<bool> begun{false};
        hogs.push_back(s.rt.spawn(
            [&] {
                begun = true;
                while (!end) {
                }
            },
            {.deadline = umcg::clock::now() + std::chrono::hours(100 - i)}));
        while (!begun) usleep(100);
        umcg::task<void> t = s.rt.spawn([] {}, {.deadline = umcg::clock::now() + std::chrono::hours(1)});
        EXPECT_EQ(t.wait(soon()), umcg::wake::signalled) << "with " << i;
    }
    end = true;
    for (auto& h : hogs) h.join();
}

TEST(Room, IsMadeByLongOnesOfTwoLevel) {
    // long enough that who comes is not stopped, on a slow machine either, for then it would be long, too
    busy_server s("two_level:slice=2s,long_slice=1000s");
    sleep(2);
    for (int i = 0; i < 100; i++) {
        s.goes_on();
        s.rt.spawn([] {}).join();
    }
    EXPECT_GT(s.rt.stats().preemptions, 0U);
}

TEST(Room, IsMadeForEarlierDeadlines) {
    busy_server s("deadline");
    for (int i = 0; i < 100; i++) {
        s.goes_on();
        s.rt.spawn([] {}, {.deadline = umcg::clock::now() + std::chrono::hours(1)}).join();
    }
    EXPECT_GT(s.rt.stats().preemptions, 0U);
}

}  // namespace
