// SPDX-License-Identifier: MIT
//
// The structures by themselves, on plain threads.
#include <umcg/channel.hpp>
#include <umcg/semaphore.hpp>
#include <umcg/umcg.h>

#include "light_barrier.hpp"
#include "owner_lock.hpp"
#include "scenarios.hpp"
#include "timer.hpp"

namespace explore {

using namespace umcg::detail;

namespace {

umcg::limit at(uint64_t ns) {
    return umcg::clock::time_point(std::chrono::nanoseconds(ns));
}

}  // namespace

// A server takes its lists while workers change and are pushed, as the kernel does it (P6 in
// docs/kernel-protocol.md): the last thing that it sees of each is the last that has happened.
void lists() {
    constexpr int n = 3, changes = 4;
    struct one {
        umcg_task server = {}, worker[n] = {};
        int seen[n] = {};
    };
    const auto all = std::make_unique<one>();
    std::atomic<int> left{n};
    std::vector<pthread_t> kernel;
    for (int i = 0; i < n; i++)
        kernel.push_back(start([&, i] {
            umcg_task& w = all->worker[i];
            for (uint32_t c = 1; c <= changes; c++) {
                __atomic_exchange_n(&w.state, c, __ATOMIC_SEQ_CST);
                __u64 none = UMCG_LINK_NONE;
                if (!__atomic_compare_exchange_n(&w.runnable_ptr, &none, UMCG_LINK_PENDING, false,
                                                 __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
                    continue;
                const __u64 before = __atomic_exchange_n(
                    &all->server.runnable_ptr, reinterpret_cast<__u64>(&w), __ATOMIC_SEQ_CST);
                __atomic_store_n(&w.runnable_ptr, before ? before : UMCG_LINK_END, __ATOMIC_RELEASE);
            }
            left--;
        }));
    for (bool last = false; !last;) {
        last = !left.load();
        umcg_news news;
        umcg_take(&all->server, &news);
        while (umcg_task* w = umcg_next_runnable(&news))
            all->seen[w - all->worker] = static_cast<int>(umcg_state(w));
        yield();
    }
    for (auto t : kernel) join(t);
    for (int seen : all->seen) must(seen == changes, "a list shows the last change of a worker");
}

void short_locks() {
    short_lock lock;
    int inside = 0, n = 0;
    std::vector<pthread_t> all;
    for (int i = 0; i < 3; i++)
        all.push_back(start([&] {
            for (int r = 0; r < 3; r++) {
                lock.lock();
                must(++inside == 1, "one at a time has the lock");
                // sometimes for longer than others spin for it
                for (unsigned k = random(4) ? 1 : 300; k; k--) yield();
                n++;
                inside--;
                lock.unlock();
            }
        }));
    for (auto t : all) join(t);
    must(n == 9, "all have had it");
}

// R10, with two owners in turn.
void owner_locks() {
    init_barriers();
    owner_lock lock;
    int inside = 0, n = 0;
    const auto critical = [&] {
        must(++inside == 1, "one at a time has the lock");
        yield();
        n++;
        must(--inside == 0, "and nobody came in meanwhile");
    };
    const auto own = [&] {
        for (int i = 0; i < 4; i++) {
            lock.lock();
            critical();
            lock.unlock();
        }
    };
    std::vector<pthread_t> visitors;
    for (int i = 0; i < 2; i++)
        visitors.push_back(start([&] {
            for (int r = 0; r < 2; r++) {
                lock.visit();
                critical();
                lock.leave();
            }
        }));
    join(start(own));
    join(start(own));
    for (auto t : visitors) join(t);
    must(n == 12, "all have had it");
}

// R1 for plain threads, and the timer heap: waits that end by a signal and by the clock at once. Who
// gets what is open; nothing is lost or doubled, and a wait that has ended is in no list.
void timed_waits() {
    timer_heap heap;
    short_lock lock;
    wait_list queue;
    int given = 0, got = 0, left = 3;
    const auto fire = [&](bool last) {
        if (last || heap.earliest() <= now()) heap.fire(last ? timer_heap::never - 1 : now());
    };
    std::vector<pthread_t> all;
    for (int i = 0; i < 3; i++)
        all.push_back(start([&, i] {
            for (int r = 0; r < 2; r++) {
                waiter w;
                {
                    guard g(lock);
                    queue.push_back(w);
                }
                const uint64_t until = now() + 1000 + random(3000);
                heap.insert(w.timer, until);
                const umcg::wake how = park(w, umcg::limit());
                heap.erase(w.timer);
                guard g(lock);
                must(!w.in_queue.linked || how != umcg::wake::signalled, "signalled is off the list");
                if (w.in_queue.linked) queue.erase(w);
                got += how == umcg::wake::signalled;
                must(!w.timer.inside, "no timer of a wait that has ended");
                if (i == 0) must(how == umcg::wake::signalled || how == umcg::wake::timeout, "one of the two");
            }
            guard g(lock);
            left--;
        }));
    for (bool over = false; !over;) {
        {
            guard g(lock);
            given += random(2) && signal_one(queue);
            over = !left;
        }
        fire(random(4) == 0);
        yield();
    }
    for (auto t : all) join(t);
    must(given == got, "each signal is one wait's end");

    // and with limits of their own, through a channel
    umcg::channel<int> c(1);
    int sent = 0, received = 0;
    pthread_t sender = start([&] {
        for (int i = 0; i < 4; i++)
            if (c.send(1, at(now() + random(2000))) == umcg::channel_status::ok) sent++;
    });
    for (int i = 0; i < 4; i++)
        if (c.receive(at(now() + random(2000)))) received++;
    join(sender);
    while (c.receive(at(1))) received++;
    must(sent == received, "what was sent is received");
}

}  // namespace explore
