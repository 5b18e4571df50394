// SPDX-License-Identifier: MIT
// The machine changes under the workers: CPUs go and come, a cgroup throttles or
// freezes them, a process limit is reached. All of them get on afterwards.
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "memory.hpp"

namespace umcg_test {
namespace {

class MachineChanges : public Guest {};

constexpr int kWorkers = 6;

// Turns of every worker, in memory that parent and child share.
struct Turns {
    std::atomic<uint64_t> of[kWorkers];
    bool each_made(uint64_t n, const uint64_t* since) const {
        for (int i = 0; i < kWorkers; i++)
            if (of[i] < since[i] + n) return false;
        return true;
    }
};

class SharedTurns {
  public:
    Turns* operator->() const { return reinterpret_cast<Turns*>(m_.data()); }
    void expect_progress(uint64_t n, uint64_t ms = hang_ms()) const {
        uint64_t since[kWorkers];
        for (int i = 0; i < kWorkers; i++) since[i] = (*this)->of[i];
        EXPECT_TRUE(poll_until([&] { return (*this)->each_made(n, since); }, ms))
            << "a worker made no " << n << " turns";
    }
    uint64_t sum() const {
        uint64_t s = 0;
        for (const auto& t : (*this)->of) s += t;
        return s;
    }

  private:
    Mapping m_{kPage, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS};
};

// A process with two servers and workers that sleep and yield until it is killed.
void run_for_ever(const SharedTurns& turns) {
    FifoServer a, b(UMCG_UF_DIRECT_RESUME);
    std::vector<std::unique_ptr<Worker>> workers;
    for (int i = 0; i < kWorkers; i++)
        workers.push_back(std::make_unique<Worker>(
            [&, i](Worker& w) {
                for (;;) {
                    if (turns->of[i]++ & 1)
                        sleep_us(50);
                    else
                        w.yield();
                }
            },
            Worker::Options{.home = i & 1 ? a.tid() : b.tid()}));
    pause();
}

TEST_F(MachineChanges, CpusGoAndCome) {
    if (cpus() < 2) GTEST_SKIP() << "one CPU: none can go";
    SharedTurns turns;
    Child child([&] { run_for_ever(turns); });
    turns.expect_progress(3);
    const int last = cpus() - 1;
    for (int i = 0; i < scaled(6, 2); i++) {
        const std::string online =
            "/sys/devices/system/cpu/cpu" + std::to_string(1 + i % last) + "/online";
        if (!spew(online, "0")) GTEST_SKIP() << online << ": no CPU hotplug in this kernel";
        turns.expect_progress(3);
        ASSERT_TRUE(spew(online, "1"));
        turns.expect_progress(3);
    }
    child.kill_and_wait();
}

TEST_F(MachineChanges, AffinityChangesAllTheTime) {
    SharedTurns turns;
    Child child([&] { run_for_ever(turns); });
    turns.expect_progress(3);
    auto random = rng();
    for (int i = 0; i < scaled(400, 50); i++) {
        cpu_set_t set;
        CPU_ZERO(&set);
        for (int c = 0; c < cpus(); c++)
            if (random() & 1) CPU_SET(c, &set);
        if (!CPU_COUNT(&set)) CPU_SET(0, &set);
        const pid_t tid = child.pid() + static_cast<pid_t>(random() % (kWorkers + 3));
        sched_setaffinity(tid, sizeof(set), &set);  // some tids are nobody's
        if (i % 100 == 0) turns.expect_progress(1);
    }
    turns.expect_progress(3);
    child.kill_and_wait();
}

// A fresh cgroup of the unified hierarchy, with `controller` if it is not "".
class Cgroup {
  public:
    explicit Cgroup(const std::string& controller) {
        mkdir(kRoot, 0755);
        if (mount("none", kRoot, "cgroup2", 0, nullptr)) return;
        mounted_ = true;
        if (!controller.empty() &&
            !spew(std::string(kRoot) + "/cgroup.subtree_control", "+" + controller))
            return;
        ok_ = mkdir(dir_.c_str(), 0755) == 0;
    }
    ~Cgroup() {
        if (ok_) {
            EXPECT_TRUE(poll_until([&] { return rmdir(dir_.c_str()) == 0; }));
        }
        if (mounted_) umount(kRoot);
        rmdir(kRoot);
    }
    bool ok() const { return ok_; }
    bool set(const std::string& file, const std::string& text) const {
        return spew(dir_ + "/" + file, text);
    }
    std::string get(const std::string& file) const { return slurp(dir_ + "/" + file); }

  private:
    static constexpr char kRoot[] = "/tmp/umcg-cgroup";
    std::string dir_ = std::string(kRoot) + "/test";
    bool mounted_ = false, ok_ = false;
};

TEST_F(MachineChanges, CpuMaxOfOnePercent) {
    Cgroup group("cpu");
    if (!group.ok()) GTEST_SKIP() << "no cgroup2 with a cpu controller: errno " << errno;
    SharedTurns turns;
    Child child([&] { run_for_ever(turns); });
    turns.expect_progress(3);
    ASSERT_TRUE(group.set("cgroup.procs", std::to_string(child.pid())));
    ASSERT_TRUE(group.set("cpu.max", "1000 100000"));
    turns.expect_progress(3, 2 * hang_ms());
    EXPECT_EQ(group.get("cpu.stat").find("nr_throttled 0\n"), std::string::npos)
        << "the check cannot see: nothing was throttled";
    ASSERT_TRUE(group.set("cpu.max", "90000 100000"));
    turns.expect_progress(10);
    child.kill_and_wait();
}

TEST_F(MachineChanges, FreezeAndThaw) {
    Cgroup group("");
    if (!group.ok()) GTEST_SKIP() << "no cgroup2: errno " << errno;
    SharedTurns turns;
    Child child([&] { run_for_ever(turns); });
    turns.expect_progress(3);
    ASSERT_TRUE(group.set("cgroup.procs", std::to_string(child.pid())));
    for (int i = 0; i < scaled(20, 4); i++) {
        ASSERT_TRUE(group.set("cgroup.freeze", "1"));
        ASSERT_EVENTUALLY(group.get("cgroup.events").find("frozen 1") != std::string::npos);
        const uint64_t then = turns.sum();
        for (int n = 0; n < 20; n++) sched_yield();
        EXPECT_EQ(turns.sum(), then) << "a frozen worker ran";
        ASSERT_TRUE(group.set("cgroup.freeze", "0"));
        turns.expect_progress(2);
    }
    // a frozen process dies all the same
    ASSERT_TRUE(group.set("cgroup.freeze", "1"));
    ASSERT_EVENTUALLY(group.get("cgroup.events").find("frozen 1") != std::string::npos);
    const int status = child.kill_and_wait();
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << status;
}

TEST_F(MachineChanges, CpusetOfOneCpu) {
    if (cpus() < 2) GTEST_SKIP() << "one CPU is all there is";
    Cgroup group("cpuset");
    if (!group.ok()) GTEST_SKIP() << "no cgroup2 with a cpuset controller: errno " << errno;
    SharedTurns turns;
    Child child([&] { run_for_ever(turns); });
    turns.expect_progress(3);
    ASSERT_TRUE(group.set("cpuset.cpus", "1"));
    ASSERT_TRUE(group.set("cgroup.procs", std::to_string(child.pid())));
    turns.expect_progress(5);
    ASSERT_TRUE(group.set("cpuset.cpus", "0"));
    turns.expect_progress(5);
    child.kill_and_wait();
}

// A worker's clone() fails: an error for its caller and nothing else.
TEST_F(MachineChanges, NoMoreThreads) {
    in_child([] {
        // first: it makes every thread of the process run, and a held one would not
        ASSERT_EQ(setresuid(65533, 65533, 65533), 0);
        std::atomic<int> failed{0}, turns{0};
        FifoServer server;
        Gate gate;
        Worker w(
            [&](Worker& me) {
                gate.wait();
                for (int i = 0; i < 10; i++) {
                    pthread_t thread;
                    const auto nothing = [](void*) -> void* { return nullptr; };
                    failed += pthread_create(&thread, nullptr, nothing, nullptr) == EAGAIN;
                    failed += fork() < 0;
                    EXPECT_EQ(me.yield(), 0);
                    turns++;
                }
            },
            {.home = server.tid()});
        const rlimit none = {1, 1};
        ASSERT_EQ(setrlimit(RLIMIT_NPROC, &none), 0);
        gate.open();
        w.join();
        EXPECT_EQ(turns, 10);
        EXPECT_EQ(failed, 20);
    });
}

}  // namespace
}  // namespace umcg_test
