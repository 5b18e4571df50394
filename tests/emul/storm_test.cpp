// SPDX-License-Identifier: MIT
// Hundreds of workers on a few servers that lend them to each other, while other
// threads report blocks at random moments, kick, and pull at next_tid. Invariants:
// a worker's own code runs only while it is RUNNING or BLOCKED; RUNNABLE is reported
// exactly once for each stop; nobody is lost; each exit is the last entry of its worker.
#include <sys/syscall.h>

#include <cerrno>
#include <cstdlib>
#include <deque>
#include <random>

#include "lab.hpp"

namespace {

using namespace lab;

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr int kWorkers = 120, kTurns = 60;
#else
constexpr int kWorkers = 400, kTurns = 200;
#endif
constexpr int kServers = 3;

struct Slot {
    umcg_task* task = umcg_task_alloc();
    std::atomic<pid_t> tid{0};
    std::atomic<uint64_t> stops{0};    // counted by the worker before it stops
    std::atomic<uint64_t> reports{0};  // counted by the servers
    std::atomic<bool> over{false};
    std::atomic<bool> last{false};
    std::thread thread;
};

struct Storm {
    std::vector<Slot> slots{kWorkers};
    std::atomic<pid_t> servers[kServers] = {};
    std::atomic<int> live{kWorkers}, up{0}, blocks{0};
    std::atomic<bool> enough{false};
    uint64_t seed = 1;

    Slot* slot(const umcg_task* t) {
        for (Slot& s : slots)
            if (s.task == t) return &s;
        return nullptr;
    }
    void serve(int i, uint32_t flags);
    void work(int i);
    void notice();
};

void Storm::serve(int i, uint32_t flags) {
    umcg_task* self = umcg_task_alloc();
    std::mt19937_64 random(seed + 1000 + static_cast<uint64_t>(i));
    std::deque<umcg_task*> queue;
    self->user_flags = flags;
    EXPECT_EQ(emul_register(self, UMCG_REG_SERVER), 0);
    servers[i] = gettid();
    up++;
    UNTIL(up == kServers);
    __atomic_store_n(&self->peer_tid, static_cast<uint32_t>(servers[(i + 1) % kServers].load()),
                     __ATOMIC_SEQ_CST);
    while (live) {
        for (const Event& e : take(self)) {
            Slot* s = slot(e.task);
            if (e.kind == 'R') {
                s->reports++;
                queue.push_back(e.task);
            } else if (e.last && !s->last.exchange(true)) {
                live--;
            }
        }
        const uint32_t offered = queue.empty() ? 0 : queue.front()->tid;
        uint32_t word = 0;
        if (offered)
            __atomic_compare_exchange_n(&self->next_tid, &word, offered, false, __ATOMIC_SEQ_CST,
                                        __ATOMIC_SEQ_CST);
        const bool slice = random() % 4 == 0;
        const int rc = emul_wait(slice ? UMCG_WAIT_PREEMPT : 0, now_ns() + random() % 2'000'000);
        EXPECT_TRUE(rc == 0 || rc == -EAGAIN || rc == -ETIMEDOUT || rc == -ESRCH) << rc;
        word = offered;
        if (!offered) continue;
        // still there: it was not run, and is ours again
        if (!__atomic_compare_exchange_n(&self->next_tid, &word, 0, false, __ATOMIC_SEQ_CST,
                                         __ATOMIC_SEQ_CST)) {
            queue.pop_front();
        } else {
            queue.push_back(queue.front());
            queue.pop_front();
        }
    }
    for (pid_t s : servers) emul_kick(0, s);
    EXPECT_EQ(emul_unregister(self), 0);
}

void Storm::work(int i) {
    Slot& me = slots[static_cast<size_t>(i)];
    std::mt19937_64 random(seed + static_cast<uint64_t>(i));
    me.task->server_tid = static_cast<uint32_t>(servers[i % kServers].load());
    me.tid = gettid();
    EXPECT_EQ(emul_register(me.task, UMCG_REG_WORKER), 0);
    for (int turn = 0; turn < kTurns || !blocks; turn++) {  // until some block was noticed
        const uint32_t state = umcg_state(me.task) & UMCG_TASK_MASK;
        EXPECT_TRUE(state == UMCG_TASK_RUNNING || state == UMCG_TASK_BLOCKED) << state;
        switch (random() % 8) {
            case 0:
            case 1:
                me.task->next_tid = 0;
                EXPECT_EQ(emul_wait(UMCG_WAIT_ENQUEUE, 0), 0);
                break;
            case 2:
                EXPECT_EQ(emul_blocking_begin(), 0);
                std::this_thread::yield();
                EXPECT_EQ(emul_blocking_end(), 0);
                break;
            case 3:  // moves house
                __atomic_store_n(&me.task->server_tid,
                                 static_cast<uint32_t>(servers[random() % kServers].load()),
                                 __ATOMIC_SEQ_CST);
                break;
            case 4:
                emul_kick(0, slots[random() % kWorkers].tid);
                break;
            case 5:
                __atomic_store_n(&me.task->user_flags, UMCG_UF_LOCKED, __ATOMIC_SEQ_CST);
                std::this_thread::yield();
                __atomic_store_n(&me.task->user_flags, 0, __ATOMIC_SEQ_CST);
                break;
            case 6:
                std::this_thread::sleep_for(std::chrono::microseconds(random() % 50));
                break;
            default:
                emul_return(emul_self());
                break;
        }
    }
    me.over = true;
}

// A monitor that is wrong half of the time: workers are reported whatever they do.
void Storm::notice() {
    std::mt19937_64 random(seed + 5000);
    while (!enough) {
        Slot& s = slots[random() % kWorkers];
        emul_thread* t = emul_find(static_cast<uint32_t>(s.tid.load()));
        if (!t) continue;
        const uint64_t seen = emul_word(t);
        if (random() % 2) std::this_thread::yield();
        if (random() % 8 == 0)
            emul_preempt(t);
        else
            blocks += emul_block_if(t, seen);
        // the CPUs are for the others
        std::this_thread::sleep_for(std::chrono::microseconds(20));
    }
}

void run_storm(uint32_t flags) {
    Storm storm;
    const char* seed = getenv("UMCG_TEST_SEED");
    storm.seed = seed ? strtoull(seed, nullptr, 0) : std::random_device()();
    SCOPED_TRACE("UMCG_TEST_SEED=" + std::to_string(storm.seed));
    std::vector<std::thread> servers;
    for (int i = 0; i < kServers; i++)
        servers.emplace_back([&storm, i, flags] { storm.serve(i, flags); });
    UNTIL(storm.up == kServers);
    for (int i = 0; i < kWorkers; i++)
        storm.slots[static_cast<size_t>(i)].thread = std::thread([&storm, i] { storm.work(i); });
    std::thread noticer([&] { storm.notice(); });
    for (Slot& s : storm.slots) s.thread.join();
    storm.enough = true;
    noticer.join();
    for (std::thread& t : servers) t.join();
    EXPECT_EQ(storm.live, 0);
    for (Slot& s : storm.slots) {
        EXPECT_TRUE(s.over);
        EXPECT_TRUE(s.last);
        EXPECT_EQ(umcg_state(s.task), UMCG_TASK_NONE | UMCG_TF_EXITED);
        EXPECT_TRUE(umcg_task_unlinked(s.task));
        umcg_task_free(s.task);
    }
}

TEST(Storm, PlainServers) { run_storm(0); }
TEST(Storm, WakeOnRunnable) { run_storm(UMCG_UF_WAKE_ON_RUNNABLE); }
TEST(Storm, QuietAndDirectResume) { run_storm(UMCG_UF_DIRECT_RESUME); }

}  // namespace
