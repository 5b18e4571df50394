// SPDX-License-Identifier: MIT
// A worker that comes back is held without its call noticing: no EINTR, no short result, the same
// under stop and continue as for a plain thread. What masks the hold signal is let go.
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <semaphore.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <csignal>
#include <cstring>
#include <mutex>
#include <new>

#include "crew.hpp"

namespace {

constexpr int kRounds = 40;

// Something that a worker does and that waits in the kernel until somebody else has done his part.
struct Kind {
    const char* name;
    // The call; what it returned, as text, if that is not what a plain thread gets.
    std::function<std::string(int fd)> call;
    // Of those that return EINTR after stop and continue on plain Linux, too: signal(7).
    bool notices_stop = false;
};

std::string outcome(long ret, long wanted) {
    if (ret == wanted) return "";
    return std::to_string(ret) + ", " + strerror(errno);
}

const Kind kKinds[] = {
    {"Read",
     [](int fd) {
         char c;
         return outcome(read(fd, &c, 1), 1);
     }},
    {"Poll",
     [](int fd) {
         pollfd p{.fd = fd, .events = POLLIN, .revents = 0};
         if (const auto e = outcome(poll(&p, 1, -1), 1); !e.empty()) return e;
         char c;
         return outcome(read(fd, &c, 1), 1);
     }},
    {"Ppoll",
     [](int fd) {
         pollfd p{.fd = fd, .events = POLLIN, .revents = 0};
         sigset_t none;
         sigemptyset(&none);
         if (const auto e = outcome(ppoll(&p, 1, nullptr, &none), 1); !e.empty()) return e;
         char c;
         return outcome(read(fd, &c, 1), 1);
     }},
    {"Select",
     [](int fd) {
         fd_set set;
         FD_ZERO(&set);
         FD_SET(fd, &set);
         if (const auto e = outcome(select(fd + 1, &set, nullptr, nullptr, nullptr), 1); !e.empty())
             return e;
         char c;
         return outcome(read(fd, &c, 1), 1);
     }},
    {"EpollWait",
     [](int fd) {
         const int ep = epoll_create1(EPOLL_CLOEXEC);
         epoll_event event{.events = EPOLLIN, .data = {}};
         epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event);
         auto e = outcome(epoll_wait(ep, &event, 1, -1), 1);
         close(ep);
         char c;
         if (e.empty()) e = outcome(read(fd, &c, 1), 1);
         return e;
     },
     true},
    {"PollTimeout", [](int) { return outcome(poll(nullptr, 0, 1), 0); }},
    {"EpollTimeout",
     [](int) {
         const int ep = epoll_create1(EPOLL_CLOEXEC);
         epoll_event event{};
         auto e = outcome(epoll_wait(ep, &event, 1, 1), 0);
         close(ep);
         return e;
     },
     true},
    {"Nanosleep",
     [](int) {
         const timespec t{.tv_sec = 0, .tv_nsec = 300000};
         return outcome(nanosleep(&t, nullptr), 0);
     }},
    {"ClockNanosleep",
     [](int) {
         const timespec t{.tv_sec = 0, .tv_nsec = 300000};
         return outcome(clock_nanosleep(CLOCK_MONOTONIC, 0, &t, nullptr), 0);
     }},
    {"FutexTimeout",
     [](int) {
         uint32_t word = 0;
         const timespec t{.tv_sec = 0, .tv_nsec = 300000};
         const long ret = syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &t, nullptr, 0);
         return ret == -1 && errno == ETIMEDOUT ? "" : outcome(ret, -1);
     }},
    {"SemTimedwait",
     [](int) {
         sem_t sem;
         sem_init(&sem, 0, 0);
         timespec t;
         clock_gettime(CLOCK_REALTIME, &t);
         t.tv_nsec += 300000;
         if (t.tv_nsec >= 1000000000) t = {.tv_sec = t.tv_sec + 1, .tv_nsec = t.tv_nsec - 1000000000};
         const int ret = sem_timedwait(&sem, &t);
         return ret == -1 && errno == ETIMEDOUT ? "" : outcome(ret, -1);
     }},
    {"Sigtimedwait",
     [](int) {
         sigset_t set;
         sigemptyset(&set);
         sigaddset(&set, SIGUSR2);
         const timespec t{.tv_sec = 0, .tv_nsec = 300000};
         const int ret = sigtimedwait(&set, nullptr, &t);
         return ret == -1 && errno == EAGAIN ? "" : outcome(ret, -1);
     },
     true},
    {"Waitpid",
     [](int) {
         const pid_t pid = fork();
         if (pid == 0) {
             const timespec t{.tv_sec = 0, .tv_nsec = 300000};
             nanosleep(&t, nullptr);
             _exit(7);
         }
         int status = 0;
         auto e = outcome(waitpid(pid, &status, 0), pid);
         return e.empty() && WEXITSTATUS(status) != 7 ? "status " + std::to_string(status) : e;
     }},
    {"Accept",
     [](int) {
         const int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
         sockaddr_in a{};
         a.sin_family = AF_INET;
         a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
         socklen_t len = sizeof(a);
         bind(s, reinterpret_cast<sockaddr*>(&a), len);
         listen(s, 1);
         getsockname(s, reinterpret_cast<sockaddr*>(&a), &len);
         std::thread client([a] {
             const timespec t{.tv_sec = 0, .tv_nsec = 300000};
             nanosleep(&t, nullptr);
             const int c = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
             connect(c, reinterpret_cast<const sockaddr*>(&a), sizeof(a));
             close(c);
         });
         const int c = accept(s, nullptr, nullptr);
         const auto e = c >= 0 ? "" : outcome(c, 0);
         close(c);
         close(s);
         client.join();
         return std::string(e);
     }},
};

class Hold : public testing::Test {
  protected:
    void SetUp() override {
        REQUIRE_BPF();
        setenv("UMCG_BACKEND", "bpf", 1);
        peek_choose_plain(getenv("UMCG_TEST_PLAIN"));
        ASSERT_EQ(umcg_init(nullptr), 0);
    }
};

// Writes a byte to each pipe, over and over, until told to stop.
class Feeder {
  public:
    explicit Feeder(size_t n) : fds_(n) {
        for (auto& fd : fds_) EXPECT_EQ(pipe2(fd.data(), O_CLOEXEC), 0);
        thread_ = std::thread([this] {
            while (!stop_) {
                for (auto& fd : fds_) {
                    if (write(fd[1], "x", 1) != 1) return;
                }
                const timespec t{.tv_sec = 0, .tv_nsec = 400000};
                nanosleep(&t, nullptr);
            }
        });
    }
    ~Feeder() {
        stop_ = true;
        thread_.join();
        for (auto& fd : fds_) {
            close(fd[0]);
            close(fd[1]);
        }
    }
    Feeder(const Feeder&) = delete;
    Feeder& operator=(const Feeder&) = delete;
    int in(size_t i) const { return fds_[i][0]; }

  private:
    std::vector<std::array<int, 2>> fds_;
    std::atomic<bool> stop_{false};
    std::thread thread_;
};

// All kinds at once, a worker each, on one server; nobody notices being held.
void all_kinds(int rounds, bool stops = false) {
    Crew crew;
    Feeder feeder(std::size(kKinds));
    std::vector<std::vector<std::string>> wrong(std::size(kKinds));
    for (size_t i = 0; i < std::size(kKinds); i++) {
        crew.add([&, i](Worker&) {
            for (int r = 0; r < rounds; r++) {
                if (stops && kKinds[i].notices_stop) continue;
                if (const auto e = kKinds[i].call(feeder.in(i)); !e.empty()) wrong[i].push_back(e);
            }
        });
    }
    crew.run();
    uint64_t held = 0;
    for (size_t i = 0; i < std::size(kKinds); i++) {
        EXPECT_TRUE(wrong[i].empty()) << kKinds[i].name << ": " << wrong[i].size() << " times, such as "
                                      << (wrong[i].empty() ? "" : wrong[i].front());
        held += crew.workers()[i]->counts.held;
    }
    EXPECT_GT(held, 0U);
}

TEST_F(Hold, NoCallNotices) { all_kinds(kRounds); }

// The process is stopped and continued all the while: what plain Linux restarts without a word is
// restarted here, too.
TEST_F(Hold, StopAndContinue) {
    fflush(nullptr);
    int ready[2];
    ASSERT_EQ(pipe(ready), 0);
    // shared: the child goes on until it was stopped often enough
    void* page = mmap(nullptr, sizeof(std::atomic<int>), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(page, MAP_FAILED);
    auto& stops = *new (page) std::atomic<int>(0);
    const pid_t pid = fork();
    if (pid == 0) {
        // the program is loaded before: its verifier gives up when it is stopped
        umcg_task* first = umcg_task_alloc();
        EXPECT_EQ(umcg_register(first, UMCG_REG_SERVER), 0);
        EXPECT_EQ(umcg_unregister(first), 0);
        if (write(ready[1], "x", 1) != 1) _exit(1);
        do all_kinds(kRounds * 4, true);
        while (stops <= 10 && !HasFailure());
        fflush(nullptr);
        _exit(HasFailure() ? 1 : 0);
    }
    int status = 0;
    char c;
    ASSERT_EQ(read(ready[0], &c, 1), 1);
    while (waitpid(pid, &status, WNOHANG) == 0) {
        kill(pid, SIGSTOP);
        ASSERT_EQ(waitpid(pid, &status, WUNTRACED), pid);
        if (!WIFSTOPPED(status)) break;
        kill(pid, SIGCONT);
        stops++;
        usleep(1000);
    }
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
    EXPECT_GT(stops, 10);
    munmap(page, sizeof(std::atomic<int>));
}

volatile sig_atomic_t g_handled;

// A signal with a handler cuts a call short that is never restarted, as on plain Linux; but the
// handler runs when the worker is picked, not beside the one that runs meanwhile.
TEST_F(Hold, HandlerWaitsToBePicked) {
    struct sigaction action{};
    action.sa_handler = [](int) { g_handled = 1; };
    action.sa_flags = SA_RESTART;
    ASSERT_EQ(sigaction(SIGUSR1, &action, nullptr), 0);
    const std::function<int()> calls[] = {
        [] {
            const timespec t{.tv_sec = 1000, .tv_nsec = 0};
            return nanosleep(&t, nullptr);
        },
        [] { return poll(nullptr, 0, 1000000); },
        [] { return select(0, nullptr, nullptr, nullptr, nullptr); },
        [] { return pause(); },
    };
    for (const auto& call : calls) {
        g_handled = 0;
        Crew crew;
        std::atomic<pid_t> sleeper{0};
        umcg_task* task = nullptr;
        int ret = 0;
        int err = 0;
        bool early = false;
        crew.add([&](Worker& w) {
            task = w.task;
            sleeper = gettid();
            ret = call();
            err = errno;
        });
        crew.add([&](Worker&) {
            // runs when the first one has blocked, and does not block
            while (!sleeper || (umcg_state(task) & UMCG_TASK_MASK) != UMCG_TASK_BLOCKED) {
                const timespec t{.tv_sec = 0, .tv_nsec = 100000};
                if (!sleeper) nanosleep(&t, nullptr);
            }
            syscall(SYS_tgkill, getpid(), sleeper.load(), SIGUSR1);
            while (!early && (umcg_state(task) & UMCG_TASK_MASK) != UMCG_TASK_RUNNABLE) early = g_handled;
            early = g_handled;
        });
        crew.run();
        EXPECT_FALSE(early) << "the handler ran beside another worker";
        EXPECT_EQ(g_handled, 1);
        EXPECT_EQ(ret, -1);
        EXPECT_EQ(err, EINTR);
    }
}

// The control: with the hold signal masked workers are let go. They are counted, they do meet in
// user space, and the server goes on.
TEST_F(Hold, MaskedIsLetGo) {
    Crew crew;
    std::atomic<uint64_t> let_go{0};
    for (int i = 0; i < 4; i++) {
        crew.add([&](Worker& w) {
            sigset_t all, old;
            sigfillset(&all);
            pthread_sigmask(SIG_SETMASK, &all, &old);
            for (int r = 0; r < kRounds; r++) {
                const timespec t{.tv_sec = 0, .tv_nsec = 200000};
                nanosleep(&t, nullptr);
            }
            let_go += peek_slot(w.task)->let_go;
            pthread_sigmask(SIG_SETMASK, &old, nullptr);
            // held again; a nap may be over before the thread is off the CPU
            timespec t{.tv_sec = 0, .tv_nsec = 200000};
            do {
                nanosleep(&t, nullptr);
                t.tv_nsec = std::min(2 * t.tv_nsec, 100000000L);
            } while (!peek_slot(w.task)->held);
        });
    }
    crew.run();
    EXPECT_GT(let_go, 0U);
    for (const auto& w : crew.workers()) EXPECT_GT(w->counts.held, 0U);
}

}  // namespace
