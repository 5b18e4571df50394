// SPDX-License-Identifier: MIT
// Scale, seed, time, and what /proc and debugfs say.
#include <fcntl.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "harness.hpp"
#include "internal.hpp"
#include "raw.hpp"

namespace umcg_test {

Config& config() {
    static Config c;
    return c;
}

namespace {

int guess_slowness() {
    if (access("/sys/kernel/debug/kcsan", F_OK) == 0) return 8;
    if (access("/proc/lockdep_stats", F_OK) == 0) return 8;  // and then KASAN too, mostly
    return 1;
}

uint64_t counter(const std::string& text, const std::string& name) {
    const size_t at = text.find(name + " ");
    return at == std::string::npos ? 0 : strtoull(text.c_str() + at + name.size(), nullptr, 10);
}

constexpr char kDelayFile[] = "/sys/module/umcg/parameters/delay";

}  // namespace

int slowness() {
    static const int s = [] {
        if (config().slow > 0) return config().slow;
        const char* env = getenv("UMCG_TEST_SLOW");
        return env && atoi(env) > 0 ? atoi(env) : guess_slowness();
    }();
    return s;
}

int more(int n) {
    static const int m = [] {
        const char* env = getenv("UMCG_TEST_MORE");
        return env && atoi(env) > 0 ? atoi(env) : 1;
    }();
    return n * m;
}

int scaled(int n, int least) {
    return std::max(more(n) / slowness(), least);
}

uint64_t seed() {
    static const uint64_t s = []() -> uint64_t {
        if (config().seed) return config().seed;
        if (const char* env = getenv("UMCG_TEST_SEED")) return strtoull(env, nullptr, 0);
        uint64_t r = 0;
        if (getrandom(&r, sizeof(r), 0) != sizeof(r)) r = now_ns();
        return r;
    }();
    return s;
}

std::mt19937_64 rng(uint64_t stream) {
    return std::mt19937_64(seed() + stream * 0x9e3779b97f4a7c15ULL);
}

uint64_t now_ns() {
    timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

uint64_t in_ms(uint64_t ms) {
    return now_ns() + ms * 1000000ULL * slowness();
}

uint64_t hang_ms() {
    static const uint64_t ms = [] {
        const char* env = getenv("UMCG_TEST_HANG_MS");
        return env && atoi(env) > 0 ? static_cast<uint64_t>(atoi(env)) : 30000;
    }();
    return ms;
}

void sleep_us(long us) {
    timespec ts = {us / 1000000, us % 1000000 * 1000};
    nanosleep(&ts, nullptr);
}

void nap_us(long us) {
    const Blocking mark;
    sleep_us(us);
}

bool poll_until(const std::function<bool()>& pred, uint64_t ms) {
    const uint64_t end = in_ms(ms);
    for (;;) {
        if (pred()) return true;
        if (now_ns() > end) return pred();
        sleep_us(200);
    }
}

bool kernel_has_umcg() {
    return raw::kick(0, 0) != -ENOSYS;
}

int cpus() {
    return static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
}

std::string slurp(const std::string& path) {
    std::ifstream in(path);
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
}

bool spew(const std::string& path, const std::string& text) {
    const int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC);
    if (fd < 0) return false;
    const bool ok = write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
    close(fd);
    return ok;
}

long status_kb(const char* key, pid_t pid) {
    const std::string text =
        slurp(pid ? "/proc/" + std::to_string(pid) + "/status" : "/proc/self/status");
    const size_t at = text.find(std::string(key) + ":");
    return at == std::string::npos ? -1 : strtol(text.c_str() + at + strlen(key) + 1, nullptr, 10);
}

char thread_state(pid_t tid, pid_t pid) {
    const std::string text = slurp("/proc/" + (pid ? std::to_string(pid) : "self") + "/task/" +
                                   std::to_string(tid) + "/stat");
    const size_t at = text.rfind(") ");  // the name may hold anything
    return at == std::string::npos ? 0 : text[at + 2];
}

bool pins_balanced() {
    spew("/proc/sys/vm/stat_refresh", "1");  // what CPUs have not yet added up
    const std::string text = slurp("/proc/vmstat");
    return counter(text, "nr_foll_pin_acquired") == counter(text, "nr_foll_pin_released");
}

std::string task_text(const umcg_task* t) {
    static const char* const kNames[] = {"NONE", "RUNNING", "RUNNABLE", "BLOCKED"};
    const uint32_t s = umcg_state(t);
    std::ostringstream out;
    out << "tid " << t->tid << " ";
    if ((s & UMCG_TASK_MASK) < 4)
        out << kNames[s & UMCG_TASK_MASK];
    else
        out << "state?";
    if (s & UMCG_TF_IDLE) out << "|IDLE";
    if (s & UMCG_TF_PREEMPTED) out << "|PREEMPTED";
    if (s & UMCG_TF_PREEMPT_PENDING) out << "|PREEMPT_PENDING";
    if (s & UMCG_TF_EXITED) out << "|EXITED";
    out << std::hex << " (0x" << s << ") blocked_ptr 0x" << t->blocked_ptr << " runnable_ptr 0x"
        << t->runnable_ptr << " flags 0x" << t->user_flags << std::dec << " server "
        << t->server_tid << " next " << t->next_tid << " running " << t->running_tid << " peer "
        << t->peer_tid << " seq " << t->seq;
    return out.str();
}

Gate::Gate() {
    if (pipe2(fds_, O_CLOEXEC)) give_up("pipe(): no descriptors");
}

Gate::~Gate() {
    close(fds_[0]);
    close(fds_[1]);
}

void Gate::wait() {
    const Blocking mark;
    char c;
    ssize_t n;
    do n = read(fds_[0], &c, 1);
    while (n < 0 && errno == EINTR);
    EXPECT_EQ(n, 1) << "errno " << errno;
}

void Gate::open() {
    EXPECT_EQ(write(fds_[1], "x", 1), 1) << "errno " << errno;
}

int Delay::points() {
    const std::string all = slurp(kDelayFile);
    return all.empty() ? 0 : 1 + static_cast<int>(std::count(all.begin(), all.end(), ','));
}

bool Delay::available() {
    return access(kDelayFile, W_OK) == 0;
}

// The file holds all of them: microseconds for each point, by comma.
void Delay::set(int point, int us) {
    std::istringstream in(slurp(kDelayFile));
    std::string out, item;
    int n = 0;
    for (; std::getline(in, item, ','); n++)
        out +=
            (n ? "," : "") + (n == point ? std::to_string(us) : std::to_string(atoi(item.c_str())));
    EXPECT_TRUE(point < n && spew(kDelayFile, out)) << kDelayFile << " has no point " << point;
}

Delay::Delay(int point, int us) : point_(point) {
    set(point, us);
}

Delay::~Delay() {
    set(point_, 0);
}

}  // namespace umcg_test
