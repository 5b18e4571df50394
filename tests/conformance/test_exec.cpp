// SPDX-License-Identifier: MIT
// execve() by a worker, a server and a plain thread, with workers in every
// state: the new program is nobody's. An execve() that fails has changed nothing.
#include <sys/wait.h>

#include "memory.hpp"

namespace umcg_test {
namespace {

class Exec : public Conformance {};

// Becomes this program again, which then checks that it is not registered.
void exec_check() {
    execl("/proc/self/exe", "check", kCheckPlain, nullptr);
    _exit(99);
}

// Workers in every state a worker can be in, and two servers.
struct Zoo {
    Zoo() {
        add([this](Worker&) { gate->wait(); });
        // before the one that never stops, or it may never get as far
        EVENTUALLY(workers[0]->low_state() == UMCG_TASK_BLOCKED);
        add([](Worker&) {
            for (;;) __builtin_ia32_pause();
        });
        for (int i = 0; i < 3; i++)
            add([](Worker& w) {
                for (;;) w.yield();
            });
        workers.push_back(new Worker([](Worker&) {}, {}));  // never dispatched
        // the one that spins has taken its server, so the yielding ones are held
        EVENTUALLY(workers[1]->low_state() == UMCG_TASK_RUNNING);
    }
    void add(Worker::Body body) {
        workers.push_back(new Worker(std::move(body), {.home = server->tid()}));
    }
    // never deleted: the process ends by execve()
    FifoServer* server = new FifoServer;
    FifoServer* idle = new FifoServer;
    std::vector<Worker*> workers;
    Gate* gate = new Gate;
};

void expect_good_end(const std::function<void()>& fn) {
    Child child(fn);
    const int status = child.wait();
    EXPECT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
    EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST_F(Exec, ByAPlainThread) {
    expect_good_end([] {
        new Zoo;
        exec_check();
    });
}

TEST_F(Exec, ByAThreadThatIsNotTheLeader) {
    expect_good_end([] {
        new Zoo;
        in_thread(exec_check);
    });
}

TEST_F(Exec, ByAServer) {
    expect_good_end([] {
        new Zoo;
        Server s;
        exec_check();
    });
}

TEST_F(Exec, ByAWorker) {
    expect_good_end([] {
        auto* zoo = new Zoo;
        new Worker([](Worker&) { exec_check(); }, {.home = zoo->idle->tid()});
        pause();
    });
}

// What was on its way to stop the worker must not reach the new program.
TEST_F(Exec, ByAWorkerThatIsKicked) {
    for (int i = 0; i < scaled(10, 2); i++)
        expect_good_end([=] {
            auto* s = new FifoServer;
            auto* w = new Worker([=](Worker&) { exec_check(); }, {.home = s->tid()});
            auto r = rng(uint64_t(i));
            for (;;) {
                umcg_kick(0, w->tid());
                for (unsigned n = r() % 1000; n; n--) __builtin_ia32_pause();
            }
        });
}

TEST_F(Exec, ManyTimesLeavesNoPin) {
    for (int i = 0; i < scaled(10, 2); i++)
        expect_good_end([=] {
            auto* s = new FifoServer;
            auto* w = new Worker(
                [=](Worker&) {
                    if (i & 1) nap_us(100);
                    exec_check();
                },
                {.home = s->tid()});
            w->join();
        });
}

TEST_F(Exec, FailedExecLeavesTheWorkerRegistered) {
    FifoServer s;
    std::atomic<int> turns{0};
    char name[] = "/tmp/umcg-exec-XXXXXX";
    {
        // no format that the kernel knows: fails late
        Fd fd(mkstemp(name));
        ASSERT_TRUE(fd.ok());
        ASSERT_EQ(write(fd.get(), "\177ELF nothing else", 17), 17);
        ASSERT_EQ(fchmod(fd.get(), 0755), 0);
    }
    Worker w(
        [&](Worker& me) {
            for (int i = 0; i < scaled(20, 4); i++) {
                EXPECT_EQ(execl("/nonexistent", "x", nullptr), -1);
                EXPECT_EQ(errno, ENOENT);
                EXPECT_EQ(execl("/", "x", nullptr), -1);
                EXPECT_EQ(errno, EACCES);
                EXPECT_EQ(execl(name, "x", nullptr), -1);
                EXPECT_EQ(errno, ENOEXEC);
                // a disk may have been waited for: where that is found out late, it counts until here
                EXPECT_EQ(umcg_checkpoint(), 0);
                EXPECT_EQ(me.state(), UMCG_TASK_RUNNING);
                EXPECT_EQ(me.yield(), 0);
                turns++;
            }
        },
        {.home = s.tid()});
    w.join();
    unlink(name);
    EXPECT_EQ(turns, scaled(20, 4));
    EVENTUALLY(s.counts.exited == 1);
}

TEST_F(Exec, FailedExecLeavesTheServerRegistered) {
    Server s;
    EXPECT_EQ(execl("/nonexistent", "x", nullptr), -1);
    EXPECT_EQ(umcg_state(s.task()), UMCG_TASK_RUNNING);
    EXPECT_EQ(s.wait(0, 1), -ETIMEDOUT);
}

}  // namespace
}  // namespace umcg_test
