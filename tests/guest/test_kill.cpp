// SPDX-License-Identifier: MIT
// The whole process dies: at random moments, with a thousand held workers, by a
// core dump. It is gone in time, with no zombie and no pin.
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "memory.hpp"
#include "raw.hpp"

namespace umcg_test {
namespace {

class Kill : public Guest {};

void dies_of(Child& child, int sig, int expected) {
    const pid_t pid = child.pid();
    if (sig) kill(pid, sig);
    const int status = child.wait(4 * hang_ms());
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == expected) << "status " << status;
    EXPECT_EQ(access(("/proc/" + std::to_string(pid)).c_str(), F_OK), -1) << "a zombie";
}

// Everything at once: blocks, yields, hand-overs, exits, slices, two servers.
void storm(int stream) {
    auto random = rng(stream);
    FifoServer a(UMCG_UF_DIRECT_RESUME), b(UMCG_UF_WAKE_ON_RUNNABLE);
    std::vector<std::unique_ptr<Worker>> workers;
    std::atomic<pid_t> first{0};
    for (int i = 0; i < 8; i++) {
        workers.push_back(std::make_unique<Worker>(
            [&, i](Worker& w) {
                for (unsigned n = i;; n++) {
                    switch (n % 4) {
                        case 0:
                            sleep_us(20);
                            break;
                        case 1:
                            w.yield();
                            break;
                        case 2:
                            w.hand_to(first, UMCG_WAIT_ENQUEUE);
                            break;
                        default:
                            w.task()->server_tid = n & 8 ? a.tid() : b.tid();
                    }
                }
            },
            Worker::Options{.home = random() & 1 ? a.tid() : b.tid()}));
        first = workers[0]->tid();
    }
    for (;;) {
        umcg_kick(0, workers[random() % 8]->tid());
        in_thread([] {});
    }
}

TEST_F(Kill, AtRandomMoments) {
    auto random = rng(1);
    const int rounds = scaled(100, 12);
    for (int i = 0; i < rounds; i++) {
        Child child([=] { storm(i); });
        sleep_us(static_cast<long>(random() % 40000) * slowness());
        dies_of(child, SIGKILL, SIGKILL);
        if (HasFailure()) break;
    }
    EVENTUALLY(pins_balanced());
}

// n threads with small stacks, registered and held, by a process that then does `end`.
class Crowd {
  public:
    explicit Crowd(int n) : memory_((n * sizeof(umcg_task) + kPage - 1) / kPage * kPage) {
        pthread_attr_t attr;
        pthread_attr_init(&attr);
        pthread_attr_setstacksize(&attr, PTHREAD_STACK_MIN);
        for (int i = 0; i < n; i++) {
            pthread_t thread;
            const auto body = [](void* task) -> void* {
                raw::reg(task, UMCG_REG_WORKER);
                _exit(55);  // nobody dispatches it
            };
            EXPECT_EQ(pthread_create(&thread, &attr, body, memory_.task(i)), 0) << i;
        }
        for (int i = 0; i < n; i++) EVENTUALLY(umcg_state(memory_.task(i)) == UMCG_TASK_RUNNABLE);
    }

  private:
    Mapping memory_;
};

int crowd() {
    return scaled(1000, 200);
}

void crowd_dies(const std::function<void()>& end, int expected, bool core = false) {
    int ready[2];
    ASSERT_EQ(pipe(ready), 0);
    Child child([&] {
        const rlimit limit = {core ? RLIM_INFINITY : 0, core ? RLIM_INFINITY : 0};
        setrlimit(RLIMIT_CORE, &limit);
        Crowd all(crowd());
        EXPECT_EQ(write(ready[1], "x", 1), 1);
        end();
    });
    char c;
    ASSERT_EQ(read(ready[0], &c, 1), 1);
    if (expected < 0) {
        EXPECT_EQ(child.wait(4 * hang_ms()), 0);
    } else {
        dies_of(child, expected == SIGKILL ? SIGKILL : 0, expected);
    }
    EVENTUALLY(pins_balanced());
    close(ready[0]);
    close(ready[1]);
}

TEST_F(Kill, ExitGroupWithManyHeld) {
    crowd_dies([] { _exit(0); }, -1);
}

TEST_F(Kill, SigkillWithManyHeld) {
    crowd_dies([] { pause(); }, SIGKILL);
}

TEST_F(Kill, FatalSignalWithManyHeld) {
    crowd_dies([] { raise(SIGTERM); }, SIGTERM);
}

// Every held thread has to come out of its hold to be dumped.
TEST_F(Kill, CoredumpWithManyHeld) {
    const std::string pattern = slurp("/proc/sys/kernel/core_pattern");
    if (!spew("/proc/sys/kernel/core_pattern", "/tmp/umcg-core"))
        GTEST_SKIP() << "no core dumps in this kernel";
    crowd_dies([] { abort(); }, SIGABRT, true);
    EXPECT_EQ(access("/tmp/umcg-core", R_OK), 0) << "the check cannot see: no core";
    unlink("/tmp/umcg-core");
    spew("/proc/sys/kernel/core_pattern", pattern);
}

}  // namespace
}  // namespace umcg_test
