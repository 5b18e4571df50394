// SPDX-License-Identifier: MIT
// Several processes use the backend at once: none of them sees another's workers.
#include <signal.h>

#include "blocks.hpp"
#include "storm.hpp"

namespace umcg_test {
namespace {

using Processes = Conformance;

// Each with its own workers and servers, all at the same time.
TEST_F(Processes, StormsSideBySide) {
    constexpr int kProcesses = 3;
    std::vector<std::unique_ptr<Child>> children;
    for (uint64_t i = 0; i < kProcesses; i++)
        children.push_back(std::make_unique<Child>([=] {
            StormOptions o;
            o.workers = scaled(20, 6);
            o.steps = scaled(60, 10);
            o.quiet = o.direct = true;
            storm(o, 100 + i);
        }));
    for (auto& c : children) EXPECT_EQ(c->wait(), 0);
}

// What is a worker or a server there is nothing here.
TEST_F(Processes, ForeignTidsAreNobody) {
    Pipe ready, never;
    pid_t tids[2] = {};
    Child other([&] {
        Group g;
        Worker& w = g.worker([&](Worker&) { never.get(); });
        g.next();
        const pid_t mine[2] = {g.tid(), w.tid()};
        EXPECT_EQ(write(ready.fd[1], mine, sizeof(mine)), ssize_t(sizeof(mine)));
        never.get();
    });
    ASSERT_EQ(read(ready.fd[0], tids, sizeof(tids)), ssize_t(sizeof(tids)));
    Group g;
    for (const pid_t tid : tids) {
        SCOPED_TRACE(tid);
        EXPECT_EQ(umcg_kick(0, tid), -ESRCH);
        g.task()->next_tid = uint32_t(tid);
        EXPECT_EQ(umcg_wait(0, 0), -ESRCH);
        g.task()->next_tid = 0;
        std::thread([&] {
            umcg_task* t = umcg_task_alloc();
            t->server_tid = uint32_t(tid);
            EXPECT_EQ(umcg_register(t, UMCG_REG_WORKER), -ESRCH);
            umcg_task_free(t);
        }).join();
    }
    other.kill_and_wait(SIGKILL);
}

// One dies in the middle of it; the other goes on.
TEST_F(Processes, DeathOfANeighbour) {
    for (int i = 0; i < scaled(5, 2); i++) {
        Pipe started;
        Child victim([&] {
            FifoServer s;
            std::vector<std::unique_ptr<Worker>> workers;
            for (int k = 0; k < 8; k++)
                workers.push_back(std::make_unique<Worker>(
                    [](Worker& me) {
                        for (;;) {
                            nap_us(20);
                            me.yield();
                        }
                    },
                    Worker::Options{.home = s.tid()}));
            EVENTUALLY(s.counts.blocked > 20);
            started.put();
            pause();
        });
        char c;
        ASSERT_EQ(read(started.fd[0], &c, 1), 1);
        std::thread killer([&] {
            sleep_us(long(rng(uint64_t(i))() % 2000));
            victim.kill_and_wait(SIGKILL);
        });
        StormOptions o;
        o.workers = scaled(10, 6);
        o.steps = scaled(40, 10);
        storm(o, 200 + uint64_t(i));
        killer.join();
    }
}

}  // namespace
}  // namespace umcg_test
