// SPDX-License-Identifier: MIT
// main(), the fixtures and the watchdog.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <condition_variable>
#include <map>
#include <mutex>
#include <sstream>

#include "harness.hpp"
#include "internal.hpp"

namespace umcg_test {
namespace {

struct Known {
    const char* role;
    pid_t tid;
};
std::mutex known_lock;
std::map<const umcg_task*, Known> known;

std::mutex watch_lock;
std::condition_variable watch_changed;
uint64_t watch_end;  // 0: no test runs
bool watching;

void watchdog() {
    std::unique_lock lock(watch_lock);
    watching = true;
    watch_changed.notify_all();
    for (;;) {
        if (!watch_end) {
            watch_changed.wait(lock);
            continue;
        }
        const uint64_t now = now_ns();
        if (now >= watch_end) break;
        watch_changed.wait_for(lock, std::chrono::nanoseconds(watch_end - now));
    }
    const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
    give_up(std::string("deadline of ") + (info ? info->name() : "a test") + " has passed");
}

void set_deadline(uint64_t end) {
    const std::lock_guard lock(watch_lock);
    watch_end = end;
    watch_changed.notify_all();
}

// Each test its deadline, and how to replay one that failed.
class Deadlines : public ::testing::EmptyTestEventListener {
  public:
    void OnTestStart(const ::testing::TestInfo&) override {
        set_deadline(now_ns() + kTestSeconds * 1000000000ULL * std::min(slowness(), 4) * more());
    }
    void OnTestEnd(const ::testing::TestInfo& info) override {
        set_deadline(0);
        if (info.result()->Failed())
            printf("seed 0x%llx: replay with --seed=0x%llx --gtest_filter=%s.%s\n",
                   static_cast<unsigned long long>(seed()), static_cast<unsigned long long>(seed()),
                   info.test_suite_name(), info.name());
    }
};

// File pages come over a slow file system: a first touch would be a block of
// whatever worker does it.
void populate_mappings() {
    std::istringstream maps(slurp("/proc/self/maps"));
    std::string line;
    while (std::getline(maps, line)) {
        unsigned long from, to;
        char perms[5];
        if (sscanf(line.c_str(), "%lx-%lx %4s", &from, &to, perms) != 3 || perms[0] != 'r')
            continue;
        if (line.find('/') != std::string::npos)
            madvise(reinterpret_cast<void*>(from), to - from, MADV_POPULATE_READ);
    }
}

// What a program finds right after execve(): it is nobody's worker, nothing of
// its is pinned, and it can start anew.
int check_plain() {
    alignas(64) static umcg_task task;
    if (umcg_wait(0, 1) != -ESRCH) return 10;
    if (umcg_unregister(&task) != -EINVAL) return 11;
    if (status_kb("VmPin") != 0) return 12;
    if (umcg_register(&task, UMCG_REG_SERVER)) return 13;
    if (umcg_wait(0, 1) != -ETIMEDOUT) return 14;
    return 0;
}

bool option(const char* arg, const char* name, const char** value) {
    const size_t len = strlen(name);
    if (strncmp(arg, name, len) || arg[len] != '=') return false;
    *value = arg + len + 1;
    return true;
}

}  // namespace

void remember(const char* role, const umcg_task* t, pid_t tid) {
    const std::lock_guard lock(known_lock);
    known[t] = {role, tid};
}

void forget(const umcg_task* t) {
    const std::lock_guard lock(known_lock);
    known.erase(t);
}

void describe_all() {
    const std::unique_lock lock(known_lock, std::try_to_lock);
    for (const auto& [t, k] : known) {
        const char c = thread_state(k.tid);
        const std::string proc = "/proc/self/task/" + std::to_string(k.tid);
        fprintf(stderr, "  %s %d (%c in %s): %s\n", k.role, k.tid, c ? c : '-',
                slurp(proc + "/wchan").c_str(), task_text(t).c_str());
    }
}

void give_up(const std::string& why) {
    fprintf(stderr, "FAILED: %s; seed 0x%llx\n", why.c_str(),
            static_cast<unsigned long long>(seed()));
    describe_all();
    fflush(stdout);
    _exit(124);  // the whole process, held workers too
}

uint64_t hard_deadline() {
    const std::lock_guard lock(watch_lock);
    return watch_end ? watch_end - 1000000000ULL : in_ms(30000);
}

void extend_deadline(int seconds) {
    set_deadline(now_ns() + seconds * 1000000000ULL * std::min(slowness(), 4) * more());
}

void Guest::SetUp() {
    if (!kernel_has_umcg())
        GTEST_SKIP()
            << "this kernel has no umcg system calls (the patch or CONFIG_UMCG is missing)";
}

void Conformance::SetUp() {
    if (const int rc = umcg_init(nullptr)) {
        std::string why(umcg_backend_probe(nullptr, 0) + 1, 0);
        why.resize(umcg_backend_probe(why.data(), why.size()));
        const char* name = getenv("UMCG_BACKEND");
        // of the probe's text what is about this backend
        const size_t at = name ? why.find(std::string(name) + ": ") : std::string::npos;
        if (at != std::string::npos) why = why.substr(at, why.find('\n', at) - at);
        GTEST_SKIP() << "umcg_init(): " << strerror(-rc) << "; " << why;
    }
}

}  // namespace umcg_test

int main(int argc, char** argv) {
    using namespace umcg_test;
    if (argc == 2 && !strcmp(argv[1], kCheckPlain)) return check_plain();
    ::testing::InitGoogleTest(&argc, argv);
    for (int i = 1; i < argc; i++) {
        const char* v;
        if (option(argv[i], "--seed", &v))
            config().seed = strtoull(v, nullptr, 0);
        else if (option(argv[i], "--slow", &v))
            config().slow = atoi(v);
        else
            return fprintf(stderr, "%s: unknown argument; --seed=N, --slow=N, --gtest_...\n",
                           argv[i]),
                   2;
    }
    printf("seed 0x%llx, slowness %d, %d CPUs\n", static_cast<unsigned long long>(seed()),
           slowness(), cpus());
    fflush(stdout);
    populate_mappings();
    if (const char* env = getenv("UMCG_TEST_DELAY")) {  // POINT:MICROSECONDS
        int point, us;
        if (sscanf(env, "%d:%d", &point, &us) != 2 || !Delay::available())
            return fprintf(stderr, "UMCG_TEST_DELAY=%s: want POINT:MICROSECONDS, and a kernel with delay points\n", env), 2;
        new Delay(point, us);  // for good
    }
    // The listeners end in reverse order: the books are looked at under the deadline.
    // Before the tests: a failed expectation in a listener is printed with its test.
    ::testing::UnitTest::GetInstance()->listeners().Append(new Deadlines);
    if (kernel_has_umcg()) watch_kernel_books();
    std::thread(watchdog).detach();
    {
        // A thread that is just starting may own the allocator's locks, and a test may fork:
        // AddressSanitizer's stay locked in the child, whose next thread hangs in malloc().
        std::unique_lock lock(watch_lock);
        watch_changed.wait(lock, [] { return watching; });
    }
    const int rc = RUN_ALL_TESTS();
    const auto* unit = ::testing::UnitTest::GetInstance();
    fflush(stdout);
    if (rc == 0 && unit->skipped_test_count() == unit->test_to_run_count() &&
        unit->test_to_run_count())
        _exit(77);
    _exit(rc);
}
