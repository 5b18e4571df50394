// SPDX-License-Identifier: MIT
//
// Plain blocking code in tasks: what stops other fiber libraries must not stop the server here.
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <future>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <vector>

#include <umcg/channel.hpp>
#include <umcg/mutex.hpp>
#include <umcg/semaphore.hpp>
#include <umcg/wait_group.hpp>

#include "harness.hpp"

namespace {

class Interop : public Runtime {};
IN_EVERY_CONFIGURATION(Interop);

struct pipe_pair {
    int fd[2];
    pipe_pair() {
        if (pipe(fd)) abort();
    }
    ~pipe_pair() {
        close(fd[0]);
        close(fd[1]);
    }
    void put() {
        if (write(fd[1], "x", 1) != 1) abort();
    }
    void get() {
        char c;
        if (read(fd[0], &c, 1) != 1) abort();
    }
};

// The only one who can end the read is a fiber that needs the same server.
TEST_P(Interop, BlockingReadLetsOthersRun) {
    umcg::runtime rt(options());
    std::vector<pipe_pair> pipes(20);
    std::vector<umcg::task<void>> readers;
    for (auto& p : pipes) readers.push_back(rt.spawn([&] { p.get(); }));
    auto writer = rt.spawn([&] {
        for (auto& p : pipes) {
            p.put();
            umcg::yield();
        }
    });
    for (auto& t : readers) t.join();
    writer.join();
}

TEST_P(Interop, BlockingReadInThreadTasks) {
    umcg::runtime rt(options());
    std::vector<pipe_pair> pipes(10);
    std::vector<umcg::task<void>> readers;
    for (auto& p : pipes)
        readers.push_back(rt.spawn([&] { p.get(); }, {.kind = umcg::kind::thread}));
    for (auto& p : pipes)
        rt.spawn([&] { p.put(); }, {.kind = umcg::kind::thread}).join();
    for (auto& t : readers) t.join();
}

// Fibers wake each other through the kernel, hundreds of times.
TEST_P(Interop, PipeStorm) {
    umcg::runtime rt(options());
    constexpr int pairs = 16;
    const int rounds = scaled(100);
    std::vector<pipe_pair> there(pairs), back(pairs);
    std::vector<umcg::task<void>> all;
    std::atomic<int> busy{0};
    for (int i = 0; i < pairs; i++) {
        all.push_back(rt.spawn([&, i] {
            for (int r = 0; r < rounds; r++) {
                there[i].put();
                back[i].get();
            }
        }));
        all.push_back(rt.spawn([&, i] {
            for (int r = 0; r < rounds; r++) {
                there[i].get();
                back[i].put();
            }
        }));
    }
    // and cheap ones beside them
    for (int i = 0; i < 8; i++)
        all.push_back(rt.spawn([&] {
            for (int r = 0; r < rounds; r++) {
                busy++;
                umcg::yield();
                if (r % 10 == 0) umcg::sleep_for(50us);
            }
        }));
    for (auto& t : all) t.join();
    EXPECT_EQ(busy, 8 * rounds);
}

// A std::mutex held across a yield: who wants it blocks its worker, and another goes on.
TEST_P(Interop, StdMutexAcrossYield) {
    umcg::runtime rt(options());
    std::mutex m;
    long n = 0;
    const int rounds = scaled(100);
    std::vector<umcg::task<void>> all;
    for (int i = 0; i < 8; i++)
        all.push_back(rt.spawn([&] {
            for (int r = 0; r < rounds; r++) {
                std::lock_guard hold(m);
                const long seen = n;
                umcg::yield();
                n = seen + 1;
            }
        }));
    for (auto& t : all) t.join();
    EXPECT_EQ(n, 8L * rounds);
}

TEST_P(Interop, StdConditionVariable) {
    umcg::runtime rt(options());
    std::mutex m;
    std::condition_variable cv;
    int turn = 0;
    constexpr int n = 6;
    const int rounds = scaled(30);
    std::vector<umcg::task<void>> all;
    // each waits for the one before: a signal that comes to nobody is a hang
    for (int i = 0; i < n; i++)
        all.push_back(rt.spawn(
            [&, i] {
                for (int r = 0; r < rounds; r++) {
                    std::unique_lock lock(m);
                    cv.wait(lock, [&] { return turn % n == i; });
                    turn++;
                    cv.notify_all();
                }
            },
            {.kind = i == n - 1 ? umcg::kind::thread : umcg::kind::fiber}));
    for (auto& t : all) t.join();
    EXPECT_EQ(turn, n * rounds);
    // a time that passes
    EXPECT_EQ(rt.spawn([&] {
                    std::unique_lock lock(m);
                    return cv.wait_for(lock, 1ms, [] { return false; });
                }).join(),
              false);
}

// Its threads are plain ones; tasks wait for them in the kernel, and the other way round.
TEST_P(Interop, StdAsync) {
    umcg::runtime rt(options());
    std::vector<umcg::task<int>> all;
    for (int i = 0; i < 12; i++)
        all.push_back(rt.spawn([&, i] {
            auto there = std::async(std::launch::async, [&, i] { return rt.spawn([i] { return i; }).join() + 1; });
            umcg::yield();
            return there.get();
        }));
    for (int i = 0; i < 12; i++) EXPECT_EQ(all[i].join(), i + 1);
    auto failed = rt.spawn([] {
        std::async(std::launch::async, [] { throw std::runtime_error("there"); }).get();
    });
    EXPECT_THROW(failed.join(), std::runtime_error);
}

TEST_P(Interop, ChildProcesses) {
    umcg::runtime rt(options());
    std::vector<umcg::task<int>> all;
    for (int i = 0; i < scaled(20); i++)
        all.push_back(rt.spawn([i] {
            const pid_t child = fork();
            if (!child) {
                const char code[] = {static_cast<char>('0' + i % 10), 0};
                execl("/bin/sh", "sh", "-c", "exit $0", code, nullptr);
                _exit(99);
            }
            int status = -1;
            if (waitpid(child, &status, 0) != child) return -1;
            return WEXITSTATUS(status) == i % 10 ? 0 : status;
        }));
    for (auto& t : all) EXPECT_EQ(t.join(), 0);
}

// ---- exceptions ----

// In the middle of catch, on another worker than before: the exception in flight goes with the task.
TEST_P(Interop, ExceptionMigratesBetweenWorkers) {
    umcg::runtime rt(options());
    std::atomic<int> migrated{0};
    std::atomic<bool> enough{false};
    std::vector<pipe_pair> pipes(4);
    std::vector<umcg::task<void>> all;
    // each blocks its worker from time to time, so that fibers are carried by another one
    for (auto& p : pipes)
        all.push_back(rt.spawn([&] {
            while (!enough) {
                p.get();
                umcg::yield();
            }
        }));
    const int rounds = scaled(200);
    std::vector<umcg::task<void>> throwing;
    for (int i = 0; i < 8; i++)
        throwing.push_back(rt.spawn([&, i] {
            // how often it moves depends on who is quick: until some have
            for (int r = 0; r < rounds || !migrated; r++) {
                try {
                    try {
                        throw std::runtime_error(std::to_string(i));
                    } catch (const std::exception&) {
                        const pid_t before = gettid();
                        pipes[r % pipes.size()].put();
                        umcg::yield();
                        if (r % 8 == 0) umcg::sleep_for(20us);
                        if (gettid() != before) migrated++;
                        EXPECT_EQ(std::uncaught_exceptions(), 0);
                        EXPECT_NE(std::current_exception(), nullptr);
                        throw;
                    }
                } catch (const std::runtime_error& e) {
                    EXPECT_EQ(e.what(), std::to_string(i));
                }
                EXPECT_EQ(std::current_exception(), nullptr);
            }
        }));
    for (auto& t : throwing) t.join();
    enough = true;
    for (auto& p : pipes) p.put();
    for (auto& t : all) t.join();
}

// The same in the middle of unwinding, in a destructor that waits; and an exception that is kept and
// thrown again elsewhere.
TEST_P(Interop, UnwindingMigratesBetweenWorkers) {
    umcg::runtime rt(options());
    std::atomic<int> migrated{0};
    struct waits {
        std::atomic<int>& count;
        bool& seen;
        ~waits() {
            const pid_t before = gettid();
            EXPECT_EQ(std::uncaught_exceptions(), 1);
            usleep(20);
            umcg::yield();
            umcg::sleep_for(20us);
            count += gettid() != before;
            // one inside, which is over before the outer one goes on
            try {
                throw 1;
            } catch (int) {
                umcg::yield();
                EXPECT_EQ(std::uncaught_exceptions(), 1);
            }
            seen = std::uncaught_exceptions() == 1;
        }
    };
    // how often depends on who is quick: until some have
    for (int r = 0; r < scaled(20) || !migrated; r++) {
        std::vector<umcg::task<void>> all;
        for (int i = 0; i < 16; i++)
            all.push_back(rt.spawn([&, i] {
                bool seen = false;
                std::exception_ptr kept;
                try {
                    waits w{migrated, seen};
                    throw std::runtime_error(std::to_string(i));
                } catch (...) {
                    kept = std::current_exception();
                }
                EXPECT_TRUE(seen);
                EXPECT_EQ(std::uncaught_exceptions(), 0);
                umcg::yield();
                std::rethrow_exception(kept);
            }));
        for (int i = 0; i < 16; i++) {
            try {
                all[i].join();
                ADD_FAILURE();
            } catch (const std::runtime_error& e) {
                EXPECT_EQ(e.what(), std::to_string(i));
            }
        }
    }
}

// ---- thread_local ----

struct counted_local {
    static inline std::atomic<int> alive{0};
    int value = 0;
    counted_local() { alive++; }
    ~counted_local() { alive--; }
};
thread_local counted_local of_this_thread;

// As in any thread: nobody else's, the same after a wait, destroyed at the latest with the thread.
// errno is one of them.
// A function of its own: a fiber that has migrated between two looks at errno in one function may use
// the address of its last thread's (scheduler/README.md), which is a thread task's here.
__attribute__((noinline)) void leave_errno() {
    errno = 1000;
    asm volatile("" ::: "memory");
}

TEST_P(Interop, ThreadLocalInThreadTasks) {
    {
        umcg::runtime rt(options());
        umcg::mutex m;
        std::vector<umcg::task<void>> all;
        for (int i = 1; i <= 8; i++)
            all.push_back(rt.spawn(
                [&, i] {
                    const auto* mine = &of_this_thread;
                    of_this_thread.value = i;
                    errno = i;
                    for (int r = 0; r < 50; r++) {
                        if (r % 4 == 0)
                            umcg::sleep_for(20us);
                        else if (r % 4 == 1 && usleep(20))
                            errno = i;  // EINTR, where workers are stopped by a signal
                        else if (r % 4 == 2)
                            std::lock_guard hold(m);
                        else
                            umcg::yield();
                        EXPECT_EQ(&of_this_thread, mine);
                        EXPECT_EQ(of_this_thread.value, i);
                    }
                    EXPECT_EQ(errno, i);
                },
                {.kind = umcg::kind::thread}));
        // fibers on the same servers, which leave errno as they like
        for (int i = 0; i < 8; i++)
            rt.spawn([] {
                  for (int r = 0; r < 50; r++) {
                      leave_errno();
                      umcg::yield();
                  }
              }).detach();
        for (auto& t : all) t.join();
        EXPECT_GT(counted_local::alive, 0);
    }
    EXPECT_EQ(counted_local::alive, 0);
}

// ---- page faults ----

// A page that a thread of ours fills in when somebody faults on it: each fault waits.
class fault_server {
  public:
    static constexpr size_t page = 4096;

    explicit fault_server(size_t pages) : pages_(pages) {
        fd_ = static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY));
        if (fd_ < 0) return;
        uffdio_api api = {};
        api.api = UFFD_API;
        memory_ = static_cast<char*>(mmap(nullptr, pages * page, PROT_READ | PROT_WRITE,
                                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        uffdio_register reg = {};
        reg.range = {reinterpret_cast<__u64>(memory_), pages * page};
        reg.mode = UFFDIO_REGISTER_MODE_MISSING;
        if (memory_ == MAP_FAILED || ioctl(fd_, UFFDIO_API, &api) ||
            ioctl(fd_, UFFDIO_REGISTER, &reg)) {
            close(fd_);
            fd_ = -1;
            return;
        }
        server_ = std::thread([this] { serve(); });
    }
    ~fault_server() {
        if (fd_ < 0) return;
        server_.join();
        close(fd_);
        munmap(memory_, pages_ * page);
    }
    bool works() const { return fd_ >= 0; }
    volatile char* at(size_t i) { return memory_ + i * page; }

  private:
    // Until each page was asked for.
    void serve() {
        static char content[page] __attribute__((aligned(4096)));
        content[0] = 'p';
        for (size_t filled = 0; filled < pages_;) {
            uffd_msg message;
            if (read(fd_, &message, sizeof(message)) != sizeof(message)) abort();
            uffdio_copy copy = {};
            copy.dst = message.arg.pagefault.address & ~(page - 1);
            copy.src = reinterpret_cast<__u64>(content);
            copy.len = page;
            if (!ioctl(fd_, UFFDIO_COPY, &copy))
                filled++;
            else if (errno != EEXIST)
                abort();
        }
    }

    size_t pages_;
    int fd_ = -1;
    char* memory_ = nullptr;
    std::thread server_;
};

TEST_P(Interop, PageFaultStorm) {
    constexpr int tasks = 32;
    const int each = scaled(20);
    fault_server faults(static_cast<size_t>(tasks) * each);
    if (!faults.works()) GTEST_SKIP() << "no userfaultfd here";
    umcg::runtime rt(options());
    std::vector<umcg::task<int>> all;
    for (int i = 0; i < tasks; i++)
        all.push_back(rt.spawn([&, i] {
            int good = 0;
            for (int r = 0; r < each; r++) good += *faults.at(i * each + r) == 'p';
            return good;
        }));
    for (auto& t : all) EXPECT_EQ(t.join(), each);
}

// ---- the cap ----

// More blocking tasks than workers may be: they wait for their turn, others go on as workers come
// back, and it is counted.
TEST_P(Interop, WorkerCap) {
    umcg::options o = options();
    o.max_workers = 4;
    umcg::runtime rt(o);
    pipe_pair p;
    constexpr int n = 40;
    std::atomic<int> begun{0};
    std::vector<umcg::task<void>> readers;
    for (int i = 0; i < n; i++)
        readers.push_back(rt.spawn([&] {
            begun++;
            p.get();
            umcg::yield();
        }));
    // all workers are blocked, and tasks are queued
    while (rt.stats().cap_reached == 0) std::this_thread::yield();
    EXPECT_LT(begun, n);
    for (int i = 0; i < n; i++) p.put();
    for (auto& t : readers) t.join();
    const auto s = rt.stats();
    EXPECT_GT(s.cap_reached, 0U);
    EXPECT_LE(s.workers, 4U * rt.servers());
    EXPECT_LE(s.workers_created, 4U * rt.servers());
}

}  // namespace
