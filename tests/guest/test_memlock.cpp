// SPDX-License-Identifier: MIT
// RLIMIT_MEMLOCK: a page is charged once however many tasks live in it, VmPin
// says how much, and everything is given back however the process ends.
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <barrier>

#include "memory.hpp"
#include "raw.hpp"

namespace umcg_test {
namespace {

class Memlock : public Guest {};

constexpr uid_t kNobody = 65534;
constexpr int kPerPage = kPage / sizeof(umcg_task);

void limit_pages(unsigned long pages) {
    const rlimit lim = {pages * kPage, pages * kPage};
    ASSERT_EQ(setrlimit(RLIMIT_MEMLOCK, &lim), 0);
}

// In a child without CAP_IPC_LOCK that may pin `pages` pages.
void unprivileged(unsigned long pages, const std::function<void()>& fn) {
    in_child([&] {
        limit_pages(pages);
        ASSERT_EQ(setresgid(kNobody, kNobody, kNobody), 0);
        ASSERT_EQ(setresuid(kNobody, kNobody, kNobody), 0);
        ASSERT_EQ(prctl(PR_SET_DUMPABLE, 1), 0);  // or /proc/self is root's
        fn();
    });
}

// n threads that register as servers, task i at at(i), and stay until the end
// of the scope. Results in rc.
class Registered {
  public:
    Registered(int n, const std::function<umcg_task*(int)>& at)
        : rc(n), here_(n + 1), over_(n + 1) {
        for (int i = 0; i < n; i++)
            threads_.emplace_back([this, i, t = at(i)] {
                rc[i] = umcg_register(t, UMCG_REG_SERVER);
                here_.arrive_and_wait();
                over_.arrive_and_wait();
                if (!rc[i] && (i & 1)) {  // the others just exit
                    EXPECT_EQ(umcg_unregister(t), 0);
                }
            });
        here_.arrive_and_wait();
    }
    ~Registered() {
        over_.arrive_and_wait();
        for (auto& t : threads_) t.join();
    }
    int refused(int with) const { return static_cast<int>(std::count(rc.begin(), rc.end(), with)); }
    std::vector<int> rc;

  private:
    std::barrier<> here_, over_;
    std::vector<std::thread> threads_;
};

TEST_F(Memlock, SixtyFourTasksOneCharge) {
    unprivileged(1, [] {
        Mapping m;
        EXPECT_EQ(status_kb("VmPin"), 0);
        {
            Registered all(kPerPage, [&](int i) { return m.task(i); });
            EXPECT_EQ(all.refused(0), kPerPage);
            EXPECT_EQ(status_kb("VmPin"), 4);
        }
        EVENTUALLY(status_kb("VmPin") == 0);
    });
}

TEST_F(Memlock, TheLastPageThatFits) {
    for (const int pages : {0, 1, 3}) {
        SCOPED_TRACE(pages);
        unprivileged(pages, [=] {
            Mapping m((pages + 1) * kPage);
            Registered all(pages, [&](int i) { return m.task(i * kPerPage); });
            EXPECT_EQ(all.refused(0), pages);
            EXPECT_EQ(status_kb("VmPin"), 4 * pages);
            umcg_task* t = m.task(pages * kPerPage);
            t->server_tid = 7;
            const umcg_task before = *t;
            EXPECT_EQ(raw::reg(t, UMCG_REG_SERVER), -ENOMEM) << "one page too many";
            EXPECT_EQ(memcmp(&before, t, sizeof(before)), 0);
            EXPECT_EQ(status_kb("VmPin"), 4 * pages) << "a refused call is charged";
            if (pages) {
                EXPECT_EQ(raw::reg(m.task(5), UMCG_REG_SERVER), 0) << "a page already paid";
                EXPECT_EQ(status_kb("VmPin"), 4 * pages);
                EXPECT_EQ(raw::unreg(m.task(5)), 0);
            }
        });
    }
}

TEST_F(Memlock, WhatIsGivenBackCanBeHadAgain) {
    unprivileged(1, [] {
        Mapping m(2 * kPage);
        for (int i = 0; i < scaled(100, 10); i++) {
            umcg_task* t = m.task(i & 1 ? kPerPage : 0);
            // the pin goes after a grace period, and the charge may go with it
            ASSERT_TRUE(poll_until([&] { return raw::reg(t, UMCG_REG_SERVER) == 0; })) << i;
            ASSERT_EQ(status_kb("VmPin"), 4);
            ASSERT_EQ(raw::unreg(t), 0);
        }
        EVENTUALLY(status_kb("VmPin") == 0);
    });
}

TEST_F(Memlock, ManyThreadsComeAndGoOnOnePage) {
    unprivileged(1, [] {
        Mapping m;
        std::vector<std::thread> threads;
        std::atomic<int> refused{0};
        for (int n = 0; n < 8; n++)
            threads.emplace_back([&, n] {
                for (int i = 0; i < scaled(100, 15); i++) {
                    if (raw::reg(m.task(n), UMCG_REG_SERVER))
                        refused++;
                    else
                        EXPECT_EQ(raw::unreg(m.task(n)), 0);
                }
            });
        for (auto& t : threads) t.join();
        EXPECT_EQ(refused, 0) << "one page is within the limit at every moment";
        EVENTUALLY(status_kb("VmPin") == 0);
    });
}

TEST_F(Memlock, CapIpcLockIsAboveTheLimit) {
    in_child([] {
        limit_pages(0);
        Mapping m;
        EXPECT_EQ(raw::reg(m.task(), UMCG_REG_SERVER), 0);
        EXPECT_EQ(status_kb("VmPin"), 4) << "not limited, but counted";
        EXPECT_EQ(raw::unreg(m.task()), 0);
        EVENTUALLY(status_kb("VmPin") == 0);
    });
}

TEST_F(Memlock, ForkedChildHasNoPinAndCanHaveItsOwn) {
    unprivileged(1, [] {
        Mapping m;
        ASSERT_EQ(raw::reg(m.task(), UMCG_REG_SERVER), 0);
        in_child([&] {
            EXPECT_EQ(status_kb("VmPin"), 0);
            EXPECT_EQ(raw::unreg(m.task()), -EINVAL);
            EXPECT_EQ(raw::reg(m.task(1), UMCG_REG_SERVER), 0);
            EXPECT_EQ(status_kb("VmPin"), 4);
        });
        EXPECT_EQ(status_kb("VmPin"), 4);
        EXPECT_EQ(raw::unreg(m.task()), 0);
    });
}

// Process ends with 64 tasks on 4 pages; the counters of /proc/vmstat meet again.
TEST_F(Memlock, NothingStaysPinnedHoweverTheProcessEnds) {
    enum End { kExit, kKill, kSegv, kExec, kUnregister };
    for (const End end : {kExit, kKill, kSegv, kExec, kUnregister}) {
        SCOPED_TRACE(end);
        int ready[2];
        ASSERT_EQ(pipe2(ready, O_CLOEXEC), 0);
        Child child([&] {
            const rlimit none = {0, 0};
            setrlimit(RLIMIT_CORE, &none);
            Mapping m(4 * kPage);
            const auto go = [&] {
                EXPECT_EQ(status_kb("VmPin"), 16);
                char c = 0;
                EXPECT_EQ(write(ready[1], &c, 1), 1);
                if (end == kKill) pause();
                if (end == kExit) _exit(0);
                if (end == kSegv) raise(SIGSEGV);
                if (end == kExec) execl("/bin/true", "true", nullptr);
            };
            {
                Registered all(64, [&](int i) { return m.task(i); });
                // 64 tasks lie on one page; give the other three one each
                Registered more(3, [&](int i) { return m.task((i + 1) * kPerPage); });
                EXPECT_EQ(all.refused(0) + more.refused(0), 67);
                go();
            }
            EVENTUALLY(status_kb("VmPin") == 0);
        });
        char c;
        ASSERT_EQ(read(ready[0], &c, 1), 1);
        EXPECT_FALSE(end == kKill && pins_balanced()) << "the check cannot see";
        const int status = end == kKill ? child.kill_and_wait() : child.wait();
        if (end == kKill || end == kSegv)
            EXPECT_TRUE(WIFSIGNALED(status));
        else
            EXPECT_EQ(status, 0);
        EVENTUALLY(pins_balanced());
        close(ready[0]);
        close(ready[1]);
    }
}

}  // namespace
}  // namespace umcg_test
