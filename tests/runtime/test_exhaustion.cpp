// SPDX-License-Identifier: MIT
//
// Memory, mappings and threads are refused at the n-th request, for every n, once or from then on:
// a program gets an exception or a working runtime, never a crash, a hang or a lost task.
#include <dlfcn.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <new>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <umcg/channel.hpp>
#include <umcg/scope.hpp>
#include <vector>

#include "harness.hpp"

namespace {

enum what { nothing, memory, mappings, threads };
std::atomic<what> refused{nothing};
std::atomic<long> left{0};
std::atomic<bool> for_ever{false};

bool refuse(what w) {
    if (refused.load(std::memory_order_relaxed) != w) return false;
    const long n = left.fetch_sub(1, std::memory_order_relaxed);
    return n == 0 || (n < 0 && for_ever);
}

struct refuse_from {
    refuse_from(what w, long n, bool always) {
        left = n;
        for_ever = always;
        refused = w;
    }
    ~refuse_from() { refused = nothing; }
    bool happened() const { return left < 0; }
};

}  // namespace

// These come before the C library's. Not inlined: the compiler would find new freed by free().
[[gnu::noinline]] void* operator new(size_t size) {
    void* p = refuse(memory) ? nullptr : malloc(size);
    if (!p) throw std::bad_alloc();
    return p;
}
[[gnu::noinline]] void* operator new(size_t size, std::align_val_t align) {
    void* p = refuse(memory) ? nullptr : aligned_alloc(static_cast<size_t>(align), size);
    if (!p) throw std::bad_alloc();
    return p;
}
[[gnu::noinline]] void operator delete(void* p) noexcept {
    free(p);
}
[[gnu::noinline]] void operator delete(void* p, size_t) noexcept {
    free(p);
}
[[gnu::noinline]] void operator delete(void* p, std::align_val_t) noexcept {
    free(p);
}
[[gnu::noinline]] void operator delete(void* p, size_t, std::align_val_t) noexcept {
    free(p);
}

extern "C" void* mmap(void* at, size_t size, int prot, int flags, int fd, off_t offset) noexcept {
    static const auto real = reinterpret_cast<decltype(&mmap)>(dlsym(RTLD_NEXT, "mmap"));
    if (refuse(mappings)) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    return real(at, size, prot, flags, fd, offset);
}

extern "C" int pthread_create(pthread_t* thread, const pthread_attr_t* attr, void* (*fn)(void*),
                              void* arg) noexcept {
    static const auto real =
        reinterpret_cast<decltype(&pthread_create)>(dlsym(RTLD_NEXT, "pthread_create"));
    return refuse(threads) ? EAGAIN : real(thread, attr, fn, arg);
}

namespace {

class Exhaustion : public testing::TestWithParam<std::pair<what, bool>> {};

// Starts, spawns and stops. Each task that was spawned ends.
void use(int& spawned, std::atomic<int>& ended) {
    umcg::options o;
    o.servers = 2;
    o.guard = umcg::stack_guard::when_possible;
    umcg::runtime rt(o);
    std::vector<umcg::task<void>> all;
    all.reserve(20);
    for (int i = 0; i < 20; i++) {
        const auto kind = i % 4 ? umcg::kind::fiber : umcg::kind::thread;
        all.push_back(rt.spawn(
            [&, i] {
                struct end {
                    std::atomic<int>& n;
                    ~end() { n++; }
                } at_end{ended};
                if (i % 3 == 0) {
                    umcg::scope s;
                    s.spawn([] { umcg::yield(); });
                    s.join();
                } else {
                    // a worker is needed in the place of this one
                    usleep(1000);
                }
            },
            {.name = "named with more than fits into the string itself", .kind = kind}));
        spawned++;
    }
    for (auto& t : all) {
        try {
            t.join();
        } catch (const std::bad_alloc&) {
        } catch (const std::system_error&) {
        }
    }
}

TEST_P(Exhaustion, EveryNth) {
    const auto [what, always] = GetParam();
    int refusals = 0;
    for (long n = 0;; n++) {
        int spawned = 0;
        std::atomic<int> ended{0};
        refuse_from r(what, n, always);
        try {
            use(spawned, ended);
        } catch (const std::bad_alloc&) {
        } catch (const std::system_error&) {
        }
        EXPECT_EQ(spawned, ended) << "refused at request " << n;
        if (!r.happened()) break;
        refusals++;
    }
    EXPECT_GT(refusals, 0);
}

std::string name(const testing::TestParamInfo<std::pair<what, bool>>& c) {
    static const char* const names[] = {"", "memory", "mappings", "threads"};
    return std::string(names[c.param.first]) + (c.param.second ? "_from_then_on" : "_once");
}

INSTANTIATE_TEST_SUITE_P(, Exhaustion,
                         testing::Values(std::pair{memory, false}, std::pair{memory, true},
                                         std::pair{mappings, false}, std::pair{mappings, true},
                                         std::pair{threads, false}, std::pair{threads, true}),
                         name);

}  // namespace
