// SPDX-License-Identifier: MIT
//
// Runtimes that wait for I/O on simulated rings: I1 to I5 of docs/runtime.md. A completion that nobody
// looks for is a run in which nobody can go on.
#include <umcg/io.hpp>

#include "kernel.hpp"
#include "scenario_options.hpp"
#include "scenarios.hpp"

namespace explore {

using namespace std::chrono_literals;

namespace {

umcg::options with_rings(unsigned servers, std::chrono::nanoseconds slice) {
    umcg::options o = options(servers, slice);
    o.io_uring = true;
    o.ring_entries = 8;
    return o;
}

// A byte; its fall-back is a call on a descriptor that there is not.
void receive(const source& from) {
    char byte;
    must(umcg::io::recv(from.fd(), &byte, 1, 0) == 1, "what was put there is received");
}

// Where the operation before was, if the compiler does not put this into its caller.
[[gnu::noinline]] void use_the_stack() {
    volatile uint32_t own[256];
    for (auto& word : own) word = 0x5a5a5a5a;
    for (unsigned k = random(30); k; k--) yield();
    for (auto& word : own) must(word == 0x5a5a5a5a, "nobody writes to an operation that has been left");
}

}  // namespace

// I1: the last carrier waits in its ring; completions come at any moment, and so does work from outside,
// also where there is no other worker to do it.
void reads() {
    umcg::options o = with_rings(1 + random(2), 0ns);
    o.max_workers = 1 + random(3);
    source first, second, third;
    umcg::runtime rt(o);
    auto a = rt.spawn([&] {
        receive(first);
        third.put();
    });
    auto b = rt.spawn([&] { receive(second); });
    auto c = rt.spawn([&] {
        umcg::yield();
        first.put();
        receive(third);
    });
    a.join();
    rt.spawn([&] { second.put(); }).join();
    b.join();
    c.join();
}

// I2: the one who would wait for completions blocks, or computes.
void reads_beside() {
    source first, second;
    umcg::runtime rt(with_rings(1 + random(2), 100us));
    event blocked;
    std::atomic<bool> over{false};
    auto a = rt.spawn([&] {
        receive(first);
        blocked.set();
    });
    auto b = rt.spawn([&] {
        receive(second);
        over = true;
    });
    auto c = rt.spawn([&] {
        umcg::yield();
        blocked.wait();
        second.put();
        while (!over) yield();
    });
    for (unsigned k = random(100); k; k--) yield();
    first.put();
    a.join();
    b.join();
    c.join();
}

// I3: a task goes on elsewhere while who has found its completion is still at the operation.
void completions() {
    source first, second;
    umcg::options o = with_rings(2, 0ns);
    o.policy = "work_stealing";
    umcg::runtime rt(o);
    std::vector<umcg::task<void>> all;
    for (int i = 0; i < 4; i++)
        all.push_back(rt.spawn([&, i] {
            receive(i % 2 ? first : second);
            use_the_stack();
        }));
    for (int i = 0; i < 4; i++) {
        (i % 2 ? first : second).put();
        for (unsigned k = random(50); k; k--) yield();
    }
    for (auto& t : all) t.join();
}

// I4: a limit ends the wait for an operation that has not been submitted yet, since others were queued.
void limits() {
    source never;
    umcg::runtime rt(with_rings(1 + random(2), 0ns));
    std::vector<umcg::task<void>> all;
    std::atomic<int> waiting{2};
    for (int i = 0; i < 2; i++)
        all.push_back(rt.spawn([&] {
            char byte;
            must(umcg::io::recv(never.fd(), &byte, 1, 0, in(random(20'000))) == -ETIME, "it ends by its limit");
            waiting--;
        }));
    for (int i = 0; i < 2; i++)
        all.push_back(rt.spawn([&] {
            while (waiting) {
                umcg::yield();
                yield();
            }
        }));
    for (auto& t : all) t.join();
}

}  // namespace explore
