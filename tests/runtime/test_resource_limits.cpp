// SPDX-License-Identifier: MIT
//
// The system's own limits, reached for real: threads of a user (RLIMIT_NPROC), address space
// (RLIMIT_AS), descriptors (RLIMIT_NOFILE), memory that stays (RLIMIT_MEMLOCK), mappings of a process
// (vm.max_map_count, which is not changed: the program makes as many). A call that needs what there is
// none of says so; what was spawned ends; and when there is some again the runtime goes on.
#include <dirent.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <new>
#include <string>
#include <system_error>
#include <umcg/semaphore.hpp>

#include "io.hpp"
#include "readers.hpp"

namespace {

// Root's threads are not limited. A user of its own, of whom nobody else is, who may still load eBPF
// programs; before main(), which chooses the backend.
bool become_a_user() {
    if (getuid() != 0) return false;
    const auto id = static_cast<uid_t>(1'000'000'000 + getpid());
    __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct caps[2] = {};
    constexpr int bpf = 39, perfmon = 38;
    caps[1].permitted = caps[1].effective = 1U << (bpf - 32) | 1U << (perfmon - 32);
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) || syscall(SYS_setresgid, id, id, id) ||
        syscall(SYS_setresuid, id, id, id) || syscall(SYS_capset, &header, caps) ||
        // its own files in /proc are readable again
        prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)) {
        perror("test: cannot become another user");
        _exit(1);
    }
    return true;
}
const bool is_limited = become_a_user();

unsigned long threads() { return status_field("Threads:"); }

// Who has been joined is counted until the kernel has let go of it, and runs until then. The threads
// that stay, a backend's, sleep.
bool nobody_else_runs() {
    DIR* all = opendir("/proc/self/task");
    if (!all) abort();
    bool runs = false;
    while (const dirent* d = readdir(all)) {
        const int tid = atoi(d->d_name);
        if (!tid || tid == gettid()) continue;
        const std::string path = "/proc/self/task/" + std::string(d->d_name) + "/stat";
        char line[512] = {};
        FILE* f = fopen(path.c_str(), "re");
        const char* name_end = f && fgets(line, sizeof(line), f) ? strrchr(line, ')') : nullptr;
        if (f) fclose(f);
        // gone while it was read: the list is another one now
        runs |= !name_end || name_end[2] != 'S';
    }
    closedir(all);
    return !runs;
}

// A soft limit, until the end of the block.
class limited {
  public:
    limited(int what, rlim_t value) : what_(what) {
        if (getrlimit(resource(), &before_)) abort();
        set(value);
    }
    ~limited() { set(before_.rlim_cur); }
    limited(const limited&) = delete;
    limited& operator=(const limited&) = delete;
    void set(rlim_t value) {
        const rlimit now = {value, before_.rlim_max};
        if (setrlimit(resource(), &now)) abort();
    }

  private:
    __rlimit_resource_t resource() const { return static_cast<__rlimit_resource_t>(what_); }
    const int what_;
    rlimit before_;
};

// Those that stay when nothing has been started.
unsigned long settled_threads() {
    until(nobody_else_runs);
    return threads();
}

// As many mappings as a process may have, but for a few.
class full_of_mappings {
  public:
    explicit full_of_mappings(size_t left) {
        memory_ = static_cast<char*>(mmap(nullptr, most * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        if (memory_ == MAP_FAILED) abort();
        // every other page: each is a mapping, and so is the one after it
        size_t n = 0;
        while (n < most && !mprotect(memory_ + n * page, page, PROT_READ)) n += 2;
        is_full_ = n < most && errno == ENOMEM;
        while (left-- && n) mprotect(memory_ + (n -= 2) * page, page, PROT_NONE);
    }
    ~full_of_mappings() { munmap(memory_, most * page); }
    full_of_mappings(const full_of_mappings&) = delete;
    full_of_mappings& operator=(const full_of_mappings&) = delete;
    bool is_full() const { return is_full_; }

  private:
    static constexpr size_t page = 4096, most = 1 << 18;
    char* memory_;
    bool is_full_;
};

// Not the portable backend's of threads in /proc: its monitor keeps a few for the next look.
size_t descriptors() {
    size_t n = 0;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
        std::error_code gone;
        n += std::filesystem::read_symlink(entry.path(), gone).string().find("/task/") == std::string::npos;
    }
    return n;
}

// The lowest number that is free.
rlim_t free_descriptor() {
    const int fd = dup(0);
    close(fd);
    return static_cast<rlim_t>(fd);
}

umcg::options options(unsigned servers) {
    umcg::options o;
    o.servers = servers;
    return o;
}

// Spawns fibers that wait, until it is refused or there are so many. Those that there are end.
struct spawned {
    int tasks = 0, ended = 0;
    int error = 0;  // 0: none was refused
};
spawned spawn_until_refused(umcg::runtime& rt, int most) {
    spawned n;
    umcg::semaphore go(0);
    std::atomic<int> ended{0};
    std::vector<umcg::task<void>> all;
    all.reserve(static_cast<size_t>(most));
    try {
        while (n.tasks < most) {
            all.push_back(rt.spawn([&] {
                go.acquire();
                ended++;
            }));
            n.tasks++;
        }
    } catch (const std::system_error& e) {
        n.error = e.code().value();
    } catch (const std::bad_alloc&) {
        n.error = ENOMEM;
    }
    go.release(n.tasks);
    for (auto& t : all) t.join();
    n.ended = ended;
    return n;
}

class Threads : public testing::TestWithParam<umcg::kind> {
  protected:
    void SetUp() override {
        if (!is_limited) GTEST_SKIP() << "not root: other processes of this user count, too";
    }
};

// The constructor says that there are too few, whichever it misses, and leaves none behind.
TEST_P(Threads, TooFewToStart) {
    const unsigned long before = settled_threads();
    unsigned refused = 0;
    for (unsigned more = 0;; more++) {
        limited at(RLIMIT_NPROC, before + more);
        bool started = false;
        try {
            umcg::runtime rt(options(2));
            started = true;
            EXPECT_EQ(rt.spawn([] { return 7; }, {.kind = GetParam()}).join(), 7);
        } catch (const std::system_error& e) {
            EXPECT_FALSE(started) << e.what();
            EXPECT_EQ(e.code().value(), EAGAIN) << e.what();
            refused++;
        }
        // the kernel counts them until they are gone
        until([&] { return threads() == before; });
        if (started) break;
    }
    // two servers, a worker each, and who makes more
    EXPECT_GE(refused, 5U);
}

// Workers are blocked and there can be no others: what is queued waits for one to come back.
TEST_P(Threads, NoMoreWorkers) {
    umcg::runtime rt(options(1));
    readers blocked;
    {
        limited at(RLIMIT_NPROC, threads());
        blocked.spawn(rt, 8, GetParam());
        until([&] { return rt.stats().create_failed > 0; });
        // nobody turns round and round meanwhile
        const uint64_t wakes = rt.stats().server_wakes;
        usleep(200'000);
        EXPECT_LT(rt.stats().server_wakes, wakes + 100);
        blocked.end();
        EXPECT_EQ(rt.spawn([] { return 7; }, {.kind = GetParam()}).join(), 7);
    }
    // and now there can
    const uint64_t created = rt.stats().workers_created;
    blocked.spawn(rt, 8, GetParam());
    EXPECT_EQ(rt.spawn([] { return 8; }, {.kind = GetParam()}).join(), 8);
    EXPECT_GT(rt.stats().workers_created, created);
    blocked.end();
}

INSTANTIATE_TEST_SUITE_P(, Threads, testing::Values(umcg::kind::fiber, umcg::kind::thread),
                         [](const auto& c) {
                             return std::string(c.param == umcg::kind::fiber ? "fibers" : "thread_tasks");
                         });

TEST(AddressSpace, NoMoreStacks) {
    umcg::runtime rt(options(2));
    {
        limited at(RLIMIT_AS, (status_field("VmSize:") << 10) + (48 << 20));
        const spawned n = spawn_until_refused(rt, 1'000'000);
        EXPECT_EQ(n.error, ENOMEM);
        EXPECT_GT(n.tasks, 0);
        EXPECT_EQ(n.ended, n.tasks);
        // what has ended is used again
        EXPECT_EQ(rt.spawn([] { return 7; }).join(), 7);
    }
    const spawned n = spawn_until_refused(rt, 5000);
    EXPECT_EQ(n.error, 0);
    EXPECT_EQ(n.ended, 5000);
}

TEST(AddressSpace, TooLittleToStart) {
    const unsigned long before = settled_threads();
    bool started = false;
    unsigned refused = 0;
    for (rlim_t more = 0; !started; more += 4 << 20) {
        limited at(RLIMIT_AS, (status_field("VmSize:") << 10) + more);
        try {
            umcg::runtime rt(options(2));
            started = true;
        } catch (const std::system_error& e) {
            EXPECT_TRUE(e.code().value() == EAGAIN || e.code().value() == ENOMEM) << e.what();
            refused++;
        } catch (const std::bad_alloc&) {
            refused++;
        }
        until([&] { return threads() == before; });
    }
    EXPECT_GT(refused, 0U);
}

// Rings are descriptors. What is to be had with fewer of them: plain calls.
TEST(Descriptors, TooFewToStart) {
    { umcg::runtime opens_what_stays(options(2)); }
    const unsigned long before = settled_threads();
    const size_t open = descriptors();
    const pair p;
    unsigned refused = 0, with_rings = 0;
    constexpr unsigned enough = 32;
    for (unsigned more = 0; more <= enough; more++) {
        {
            limited at(RLIMIT_NOFILE, free_descriptor() + more);
            try {
                umcg::runtime rt(options(2));
                char c;
                auto reader = rt.spawn([&] { return umcg::io::recv(p.fd[0], &c, 1, 0); });
                EXPECT_EQ(rt.spawn([&] { return umcg::io::send(p.fd[1], "x", 1, 0); }).join(), 1);
                EXPECT_EQ(reader.join(), 1);
                with_rings += rt.spawn([] { return umcg::io::uses_io_uring(); }).join();
            } catch (const std::system_error& e) {
                EXPECT_EQ(e.code().value(), EMFILE) << e.what() << ", with " << more;
                EXPECT_LT(more, enough);
                refused++;
            }
        }
        until([&] { return threads() == before; });
        EXPECT_EQ(descriptors(), open + 2) << "after " << more;
    }
    RecordProperty("refused", static_cast<int>(refused));
    if (ring_works()) {
        EXPECT_GT(with_rings, 0U);
    }
}

// Newer kernels count the rings as well: then there are none.
TEST(LockedMemory, NoneForRegisteredBuffers) {
    if (!ring_works()) GTEST_SKIP() << "no io_uring here";
    const size_t open = descriptors();
    static char memory[8192] __attribute__((aligned(4096)));
    umcg::options o = options(2);
    o.registered_buffers = {{memory, sizeof(memory)}};
    {
        limited at(RLIMIT_MEMLOCK, 0);
        try {
            umcg::runtime rt(o);
            EXPECT_FALSE(rt.spawn([] { return umcg::io::uses_io_uring(); }).join()) << "they are registered";
        } catch (const std::system_error& e) {
            EXPECT_EQ(e.code().value(), ENOMEM);
            EXPECT_NE(std::string(e.what()).find("registered_buffers"), std::string::npos) << e.what();
        }
    }
    EXPECT_EQ(descriptors(), open);
    umcg::runtime rt(o);
    EXPECT_EQ(rt.spawn([] { return 7; }).join(), 7);
}

// Threads and stacks are mappings, some of them two. Few rounds: on the backends without the kernel's
// calls registering a thread reads the list of all mappings.
TEST(Mappings, FewLeft) {
    const unsigned long before = settled_threads();
    for (size_t left : {0, 1, 2, 4, 7}) {
        umcg::runtime rt(options(1));
        readers blocked;
        {
            const full_of_mappings all(left);
            if (!all.is_full()) GTEST_SKIP() << "vm.max_map_count is larger than what this test makes";
            try {
                umcg::runtime another(options(2));
                EXPECT_EQ(another.spawn([] { return 7; }).join(), 7);
            } catch (const std::system_error& e) {
                EXPECT_TRUE(e.code().value() == EAGAIN || e.code().value() == ENOMEM) << e.what();
            } catch (const std::bad_alloc&) {
            }
            const spawned n = spawn_until_refused(rt, 500);
            EXPECT_EQ(n.ended, n.tasks);
            // the first to come back carry the others, where there are no more workers
            blocked.spawn(rt, 3, umcg::kind::fiber);
            blocked.end();
        }
        const spawned n = spawn_until_refused(rt, 500);
        EXPECT_EQ(n.error, 0);
        EXPECT_EQ(n.ended, 500);
    }
    until([&] { return threads() == before; });
}

// Linux before 6.13: a guard page is two mappings.
TEST(Mappings, GuardsWithoutAdvice) {
    // of this thread and of those that it starts
    std::thread([] {
        constexpr uint32_t guard_install = 102;
        sock_filter code[] = {
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_madvise, 0, 3),
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[2])),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, guard_install, 0, 1),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        const sock_fprog filter = {sizeof(code) / sizeof(code[0]), code};
        ASSERT_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        ASSERT_EQ(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter), 0);

        umcg::options o = options(1);
        umcg::runtime rt(o);
        o.guard = umcg::stack_guard::when_possible;
        umcg::runtime lenient(o);
        {
            const full_of_mappings all(4);
            if (!all.is_full()) GTEST_SKIP() << "vm.max_map_count is larger than what this test makes";
            const spawned n = spawn_until_refused(rt, 500);
            EXPECT_EQ(n.error, ENOMEM);
            EXPECT_EQ(n.ended, n.tasks);
            // until there is not even a mapping for more stacks
            const spawned m = spawn_until_refused(lenient, 5000);
            EXPECT_EQ(m.ended, m.tasks);
            EXPECT_GT(static_cast<uint64_t>(m.tasks), lenient.stats().stacks_guarded);
        }
        const spawned n = spawn_until_refused(rt, 500);
        EXPECT_EQ(n.error, 0);
        EXPECT_EQ(n.ended, 500);
        EXPECT_EQ(rt.stats().stacks_guarded, rt.stats().stacks);
    }).join();
}

}  // namespace
