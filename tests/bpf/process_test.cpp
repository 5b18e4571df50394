// SPDX-License-Identifier: MIT
// What is left of a process, and what processes see of each other: nothing.
#include <dirent.h>
#include <linux/bpf.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include <csignal>
#include <cstring>
#include <fstream>

#include "crew.hpp"

namespace {

void nap(long us) {
    const timespec t{.tv_sec = 0, .tv_nsec = us * 1000};
    nanosleep(&t, nullptr);
}

class Process : public testing::Test {
  protected:
    void SetUp() override {
        REQUIRE_BPF();
        setenv("UMCG_BACKEND", "bpf", 1);
        peek_choose_plain(getenv("UMCG_TEST_PLAIN"));
    }
};

void check_exact(const Crew& crew) {
    for (const auto& w : crew.workers()) {
        EXPECT_EQ((w->seq - 2) / 3, w->counts.blocks);
        EXPECT_EQ(w->counts.failed, 0U);
        EXPECT_GT(w->counts.blocks, 0U);
    }
}

void run_crew(int workers, int rounds) {
    Crew crew;
    for (int i = 0; i < workers; i++) {
        crew.add([rounds](Worker&) {
            for (int r = 0; r < rounds; r++) nap(200);
        });
    }
    crew.run();
    check_exact(crew);
}

template <class Body>
pid_t child(Body body) {
    fflush(nullptr);
    const pid_t pid = fork();
    if (pid) return pid;
    alarm(300);
    body();
    fflush(nullptr);
    _exit(testing::Test::HasFailure() ? 1 : 0);
}

int status_of(pid_t pid) {
    int status = -1;
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    return status;
}

// The programs (or links) that the descriptors of `pid` hold, by number.
std::vector<uint32_t> held_by(pid_t pid, const std::string& key) {
    std::vector<uint32_t> ids;
    const std::string dir = "/proc/" + std::to_string(pid) + "/fdinfo";
    DIR* d = opendir(dir.c_str());
    if (!d) return ids;
    while (const dirent* e = readdir(d)) {
        std::ifstream file(dir + "/" + e->d_name);
        for (std::string line; std::getline(file, line);) {
            if (line.rfind(key + ":", 0) == 0)
                ids.push_back(static_cast<uint32_t>(std::stoul(line.substr(key.size() + 1))));
        }
    }
    closedir(d);
    return ids;
}

bool exists(int cmd, uint32_t id) {
    bpf_attr attr;
    memset(&attr, 0, sizeof(attr));
    attr.prog_id = id;  // link_id is in the same place
    const long fd = syscall(SYS_bpf, cmd, &attr, sizeof(attr));
    if (fd >= 0) close(static_cast<int>(fd));
    EXPECT_TRUE(fd >= 0 || errno == ENOENT) << strerror(errno);
    return fd >= 0;
}

// The kernel frees them a little later; until the test's own deadline.
void wait_until_gone(int cmd, const std::vector<uint32_t>& ids) {
    for (const uint32_t id : ids) {
        while (exists(cmd, id)) nap(1000);
    }
}

TEST_F(Process, KilledLeavesNothing) {
    int ready[2];
    ASSERT_EQ(pipe(ready), 0);
    const pid_t pid = child([&] {
        Crew crew;
        for (int i = 0; i < 8; i++) {
            crew.add([&](Worker&) {
                for (int r = 0;; r++) {
                    nap(100);
                    if (r == 20 && write(ready[1], "x", 1) != 1) _exit(1);
                }
            });
        }
        crew.run();
    });
    char c;
    ASSERT_EQ(read(ready[0], &c, 1), 1);
    const auto programs = held_by(pid, "prog_id");
    const auto links = held_by(pid, "link_id");
    ASSERT_GE(links.size(), 2U);
    ASSERT_GE(programs.size(), 2U);
    for (const uint32_t id : links) EXPECT_TRUE(exists(BPF_LINK_GET_FD_BY_ID, id));
    kill(pid, SIGKILL);
    EXPECT_TRUE(WIFSIGNALED(status_of(pid)));
    wait_until_gone(BPF_LINK_GET_FD_BY_ID, links);
    wait_until_gone(BPF_PROG_GET_FD_BY_ID, programs);
}

TEST_F(Process, TwoAtOnce) {
    const pid_t a = child([] { run_crew(16, 300); });
    const pid_t b = child([] { run_crew(16, 300); });
    EXPECT_EQ(status_of(a), 0);
    EXPECT_EQ(status_of(b), 0);
}

TEST_F(Process, ForkedChildHasItsOwn) {
    const pid_t pid = child([] {
        run_crew(4, 20);
        const auto mine = held_by(getpid(), "link_id");
        EXPECT_GE(mine.size(), 2U);
        const pid_t inner = child([&] {
            EXPECT_TRUE(held_by(getpid(), "link_id").empty()) << "the parent's, left open";
            run_crew(4, 20);
            for (const uint32_t id : held_by(getpid(), "link_id")) {
                EXPECT_EQ(std::count(mine.begin(), mine.end(), id), 0) << "the parent's";
            }
        });
        run_crew(4, 100);
        EXPECT_EQ(status_of(inner), 0);
    });
    EXPECT_EQ(status_of(pid), 0);
}

// A child that lives on does not keep its dead parent's program attached.
TEST_F(Process, ChildDoesNotKeepTheParents) {
    int ready[2];
    int stay[2];
    ASSERT_EQ(pipe(ready), 0);
    ASSERT_EQ(pipe(stay), 0);
    const pid_t pid = child([&] {
        run_crew(2, 5);
        child([&] {
            close(stay[1]);
            char c;
            if (write(ready[1], "x", 1) != 1 || read(stay[0], &c, 1) < 0) _exit(1);
        });
        pause();
    });
    close(stay[0]);
    char c;
    ASSERT_EQ(read(ready[0], &c, 1), 1);
    const auto links = held_by(pid, "link_id");
    ASSERT_GE(links.size(), 2U);
    kill(pid, SIGKILL);
    EXPECT_TRUE(WIFSIGNALED(status_of(pid)));
    wait_until_gone(BPF_LINK_GET_FD_BY_ID, links);
    close(stay[1]);
}

TEST_F(Process, ExecLeavesNothing) {
    const pid_t pid = child([] {
        Crew crew;
        for (int i = 0; i < 4; i++) {
            crew.add([i](Worker&) {
                for (int r = 0;; r++) {
                    nap(100);
                    if (i == 0 && r == 50) execl("/bin/sleep", "sleep", "1000", nullptr);
                }
            });
        }
        crew.run();
    });
    const std::string exe = "/proc/" + std::to_string(pid) + "/comm";
    for (std::string name; name != "sleep"; nap(1000)) {
        std::ifstream file(exe);
        ASSERT_TRUE(std::getline(file, name));
    }
    EXPECT_TRUE(held_by(pid, "link_id").empty());
    EXPECT_TRUE(held_by(pid, "prog_id").empty());
    kill(pid, SIGKILL);
    status_of(pid);
}

// No destructor runs: only the kernel knows.
TEST_F(Process, ThreadThatEndsWithoutAWord) {
    EXPECT_EQ(status_of(child([] {
                  umcg_task* server = umcg_task_alloc();
                  umcg_task* w = umcg_task_alloc();
                  ASSERT_EQ(umcg_register(server, UMCG_REG_SERVER), 0);
                  std::thread thread([&] {
                      w->server_tid = server->tid;
                      if (umcg_register(w, UMCG_REG_WORKER)) _exit(1);
                      syscall(SYS_exit, 0);
                  });
                  thread.detach();
                  bool gone = false;
                  while (!gone) {
                      umcg_news news;
                      umcg_take(server, &news);
                      while (umcg_task* t = umcg_next_blocked(&news)) gone = umcg_exited(t);
                      while (umcg_task* t = umcg_next_runnable(&news)) server->next_tid = t->tid;
                      if (!gone) umcg_wait(0, 0);
                  }
                  EXPECT_EQ(umcg_state(w), UMCG_TASK_NONE | UMCG_TF_EXITED);
                  EXPECT_EQ(umcg_unregister(server), 0);
              })),
              0);
}

// Threads that are not registered block and come back as they always did.
TEST_F(Process, OtherThreadsAreLeftAlone) {
    EXPECT_EQ(status_of(child([] {
                  std::atomic<bool> stop{false};
                  std::thread plain([&] {
                      while (!stop) {
                          const timespec t{.tv_sec = 0, .tv_nsec = 50000};
                          if (nanosleep(&t, nullptr)) _exit(2);
                      }
                  });
                  run_crew(8, 200);
                  stop = true;
                  plain.join();
              })),
              0);
}

}  // namespace
