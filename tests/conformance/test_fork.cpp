// SPDX-License-Identifier: MIT
// fork and posix_spawn by a worker and by a server: the child is an
// ordinary thread, and nothing has changed for the parent.
#include <spawn.h>
#include <sys/wait.h>

#include "memory.hpp"

namespace umcg_test {
namespace {

class Fork : public Conformance {};

// In the child: 0, or what is wrong.
int check_child(umcg_task* parents) {
    alignas(64) static umcg_task mine;
    const umcg_task before = *parents;
    if (umcg_wait(0, 0) != -ESRCH) return 1;
    if (umcg_unregister(parents) != -EINVAL) return 2;
    if (umcg_kick(0, getppid()) != -ESRCH) return 3;
    if (umcg_kick(0, static_cast<pid_t>(parents->tid)) != -ESRCH) return 4;
    // it is held by nobody and sleeps unreported
    usleep(1000);
    sched_yield();
    if (memcmp(&before, parents, sizeof(before))) return 5;
    // and can start its own
    if (umcg_register(&mine, UMCG_REG_SERVER)) return 6;
    if (umcg_wait(0, 1) != -ETIMEDOUT) return 7;
    if (memcmp(&before, parents, sizeof(before))) return 8;
    return 0;
}

int fork_and_check(umcg_task* parents) {
    const pid_t pid = fork();
    if (pid == 0) _exit(check_child(parents));
    int status = -1;
    const Blocking mark;
    return pid > 0 && waitpid(pid, &status, 0) == pid ? status : -1;
}

TEST_F(Fork, ByAWorker) {
    FifoServer s;
    std::atomic<int> done{0};
    Worker w(
        [&](Worker& me) {
            for (int i = 0; i < scaled(20, 4); i++) {
                EXPECT_EQ(fork_and_check(me.task()), 0);
                EXPECT_EQ(me.state(), UMCG_TASK_RUNNING);
                EXPECT_EQ(me.yield(), 0) << "still a worker";
            }
            done = 1;
        },
        {.home = s.tid()});
    w.join();
    EXPECT_EQ(done, 1);
}

TEST_F(Fork, ByAServer) {
    Group g;
    Worker& w = g.worker([&](Worker& me) {
        while (!g.stopping()) me.yield();
    });
    EXPECT_EQ(g.next(), runnable(w));
    for (int i = 0; i < scaled(20, 4); i++) {
        EXPECT_EQ(fork_and_check(g.task()), 0);
        EXPECT_EQ(umcg_state(g.task()), UMCG_TASK_RUNNING);
        ASSERT_EQ(g.run(w), 0);
        ASSERT_EQ(g.next(), runnable(w));
    }
}

void spawn_and_check() {
    char self[] = "/proc/self/exe", arg[32];
    snprintf(arg, sizeof(arg), "%s", kCheckPlain);
    char* argv[] = {self, arg, nullptr};
    pid_t pid = 0;
    int status = -1;
    EXPECT_EQ(posix_spawn(&pid, self, nullptr, nullptr, argv, environ), 0);
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT_EQ(status, 0) << "exit code " << WEXITSTATUS(status);
}

TEST_F(Fork, PosixSpawnByAWorkerAndAServer) {
    FifoServer s;
    std::atomic<int> done{0};
    Worker w(
        [&](Worker& me) {
            for (int i = 0; i < scaled(3); i++) {
                spawn_and_check();
                EXPECT_EQ(me.yield(), 0);
            }
            done = 1;
        },
        {.home = s.tid()});
    w.join();
    EXPECT_EQ(done, 1);
    Server here;
    spawn_and_check();
    EXPECT_EQ(here.wait(0, 1), -ETIMEDOUT);
}

// A thread that a worker creates is not one.
TEST_F(Fork, ThreadCreatedByAWorkerIsPlain) {
    FifoServer s;
    std::atomic<int> rc{1};
    Worker w([&](Worker&) { in_thread([&] { rc = umcg_wait(0, 0); }); }, {.home = s.tid()});
    w.join();
    EXPECT_EQ(rc, -ESRCH);
}

}  // namespace
}  // namespace umcg_test
