// SPDX-License-Identifier: MIT
// What the calls refuse, in the kernel's order, and that a refusal changes nothing.
#include <sys/mman.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstring>

#include "lab.hpp"

namespace {

using namespace lab;

struct Page {
    void* at;
    explicit Page(int prot = PROT_READ | PROT_WRITE, int flags = MAP_PRIVATE | MAP_ANONYMOUS)
        : at(mmap(nullptr, 4096, prot, flags, -1, 0)) {}
    ~Page() { munmap(at, 4096); }
    Page(const Page&) = delete;
    Page& operator=(const Page&) = delete;
    umcg_task* task() const { return static_cast<umcg_task*>(at); }
};

TEST(Register, BadArguments) {
    Page page;
    umcg_task* odd = reinterpret_cast<umcg_task*>(static_cast<char*>(page.at) + 8);
    for (uint32_t flags : {0u, 3u, 4u, 0x80000001u})
        EXPECT_EQ(emul_register(page.task(), flags), -EINVAL) << flags;
    EXPECT_EQ(emul_register(odd, UMCG_REG_SERVER), -EINVAL);
    EXPECT_EQ(emul_register(nullptr, UMCG_REG_SERVER), -EFAULT);
    Page read_only(PROT_READ);
    EXPECT_EQ(emul_register(read_only.task(), UMCG_REG_SERVER), -EFAULT);
    Page shared(PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS);
    EXPECT_EQ(emul_register(shared.task(), UMCG_REG_SERVER), -EOPNOTSUPP);
    page.task()->server_tid = 1;
    EXPECT_EQ(emul_register(page.task(), UMCG_REG_WORKER), -ESRCH);
    umcg_task same = {};
    same.server_tid = 1;
    EXPECT_EQ(memcmp(&same, page.task(), sizeof(same)), 0) << "changed by a call that failed";
    EXPECT_EQ(emul_self(), nullptr);
}

TEST(Register, AnyAlignedPrivateMemory) {
    Page page;
    umcg_task* last = page.task() + 63;
    const int before = attached;
    EXPECT_EQ(emul_register(last, UMCG_REG_SERVER), 0);
    EXPECT_EQ(attached, before + 1);
    EXPECT_EQ(last->tid, static_cast<uint32_t>(gettid()));
    EXPECT_EQ(last->state, UMCG_TASK_RUNNING);
    EXPECT_EQ(emul_register(page.task(), UMCG_REG_SERVER), -EBUSY);
    EXPECT_EQ(emul_register(page.task(), 7), -EINVAL) << "found first";
    EXPECT_EQ(emul_unregister(page.task()), -EINVAL);
    EXPECT_EQ(emul_unregister(last), 0);
    EXPECT_EQ(emul_unregister(last), -EINVAL);
    EXPECT_EQ(last->tid, 0u);
    EXPECT_EQ(last->state, UMCG_TASK_NONE);
    EXPECT_EQ(attached, before);
}

TEST(Wait, BadArguments) {
    EXPECT_EQ(emul_wait(0, 0), -ESRCH);
    EXPECT_EQ(emul_wait(~0u, 0), -ESRCH) << "found first";
    Server s;
    for (uint32_t flags : {2u, 3u, 4u, ~0u}) EXPECT_EQ(s.wait(flags), -EINVAL) << flags;
    EXPECT_EQ(s.wait(0, 1ull << 63), -EINVAL);
    s.task()->next_tid = 1;
    EXPECT_EQ(s.wait(), -ESRCH);
    EXPECT_EQ(s.task()->next_tid, 1u);
    EXPECT_EQ(s.task()->state, UMCG_TASK_RUNNING);
    s.task()->next_tid = static_cast<uint32_t>(s.tid());
    EXPECT_EQ(s.wait(), -ESRCH) << "a server is no worker";
    s.task()->next_tid = 0;
    EXPECT_EQ(s.wait(0, 1), -ETIMEDOUT);
    EXPECT_EQ(s.wait(UMCG_WAIT_PREEMPT, 1), -ETIMEDOUT);
    EXPECT_EQ(s.task()->state, UMCG_TASK_RUNNING);
}

TEST(Wait, OfAWorkerBadArguments) {
    Server s;
    Worker w(s.tid(), [&](Worker& me) {
        EXPECT_EQ(emul_wait(0, 1), -EINVAL);
        EXPECT_EQ(emul_wait(UMCG_WAIT_PREEMPT, 0), -EINVAL);
        EXPECT_EQ(emul_wait(4, 0), -EINVAL);
        for (pid_t next : {1, s.tid()}) {
            me.task()->next_tid = static_cast<uint32_t>(next);
            EXPECT_EQ(emul_wait(0, 0), -ESRCH);
            EXPECT_EQ(me.task()->next_tid, static_cast<uint32_t>(next));
        }
        me.task()->next_tid = static_cast<uint32_t>(me.tid());
        EXPECT_EQ(emul_wait(0, 0), -EAGAIN) << "itself runs";
        EXPECT_EQ(me.state(), UMCG_TASK_RUNNING);
        Page page;
        EXPECT_EQ(emul_register(page.task(), UMCG_REG_WORKER), -EBUSY);
        EXPECT_EQ(emul_unregister(me.task()), 0);
        EXPECT_EQ(me.state(), UMCG_TASK_NONE);
        EXPECT_EQ(emul_wait(0, 0), -ESRCH);
    });
    s.expect_runnable(w);
    EXPECT_EQ(s.run(w), 0) << "woken when it unregistered";
    EXPECT_FALSE(umcg_has_news(s.task()));
}

TEST(Kick, BadArguments) {
    Server s;
    EXPECT_EQ(emul_kick(1, s.tid()), -EINVAL);
    for (pid_t tid : {0, -1, 1, 1 << 22, 0x7fffffff}) EXPECT_EQ(emul_kick(0, tid), -ESRCH) << tid;
    Worker w(s.tid(), [](Worker&) {});
    s.expect_runnable(w);
    EXPECT_EQ(emul_kick(0, w.tid()), -EAGAIN) << "held";
    s.finish({&w});
}

TEST(Exit, OfAServerIsSeenByAll) {
    pid_t tid = 0;
    umcg_task* task = umcg_task_alloc();
    std::thread server([&] {
        EXPECT_EQ(emul_register(task, UMCG_REG_SERVER), 0);
        tid = gettid();
    });
    server.join();
    EXPECT_EQ(umcg_state(task), UMCG_TASK_NONE | UMCG_TF_EXITED);
    EXPECT_EQ(task->tid, 0u);
    EXPECT_EQ(emul_kick(0, tid), -ESRCH);
    Page page;
    page.task()->server_tid = static_cast<uint32_t>(tid);
    EXPECT_EQ(emul_register(page.task(), UMCG_REG_WORKER), -ESRCH);
    umcg_task_free(task);
}

TEST(Fork, NothingIsRegisteredInTheChild) {
    Server s;
    Worker w(s.tid(), [](Worker&) {});
    s.expect_runnable(w);
    const pid_t worker = w.tid();
    const pid_t pid = fork();
    if (!pid) {
        bool good = !emul_self() && emul_wait(0, 0) == -ESRCH && emul_kick(0, worker) == -ESRCH &&
                    emul_unregister(s.task()) == -EINVAL;
        // and may register anew
        good = good && emul_register(umcg_task_alloc(), UMCG_REG_SERVER) == 0 &&
               emul_wait(0, 1) == -ETIMEDOUT;
        _exit(good ? 0 : 1);
    }
    int status = -1;
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT_EQ(status, 0);
    s.finish({&w});
}

TEST(Markers, AreNothingForOthersThanWorkers) {
    EXPECT_EQ(emul_blocking_begin(), 0);
    EXPECT_EQ(emul_blocking_end(), 0);
    Server s;
    EXPECT_EQ(emul_blocking_begin(), 0);
    EXPECT_EQ(emul_blocking_end(), 0);
    EXPECT_EQ(emul_blocking_end(), 0);
}

}  // namespace
