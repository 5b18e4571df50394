// SPDX-License-Identifier: MIT
//
// Whole runtimes on the simulated kernel. What is explored is the idle protocol and all that is under
// it: a wake-up that is lost is a run in which nobody can go on, or without an end.
#include <umcg/channel.hpp>
#include <umcg/mutex.hpp>
#include <umcg/semaphore.hpp>

#include "kernel.hpp"
#include "scenario_options.hpp"
#include "scenarios.hpp"

namespace explore {

using namespace std::chrono_literals;

// R1, R2, R3, R6: tasks of two servers that wake each other, and a plain thread.
void messages() {
    umcg::runtime rt(options(2, 0ns));
    umcg::channel<int> there, back(1);
    auto echo = rt.spawn(
        [&] {
            while (auto v = there.receive()) back.send(*v + 1);
        },
        {.kind = some_kind()});
    auto caller = rt.spawn(
        [&] {
            for (int i = 0; i < 3; i++) {
                there.send(i);
                must(back.receive() == i + 1, "the answer");
            }
            there.close();
        },
        {.kind = some_kind()});
    must(rt.spawn([] { return 7; }).join() == 7, "a result");
    caller.join();
    echo.join();
}

namespace {

// Blocks until the other one goes first, then lets that one go on.
umcg::task<void> follow(umcg::runtime& rt, event& first, event& third) {
    return rt.spawn(
        [&] {
            first.wait();
            third.set();
        },
        {.kind = some_kind()});
}

umcg::task<void> lead(umcg::runtime& rt, event& first, event& third) {
    return rt.spawn(
        [&] {
            umcg::yield();
            first.set();
            third.wait();
        },
        {.kind = some_kind()});
}

// What ends a block is queued from outside at any moment, on a server that is quiet.
void end_blocks(std::chrono::nanoseconds slice) {
    umcg::runtime rt(options(1 + random(2), slice));
    event first, second, third;
    auto a = follow(rt, first, third);
    auto b = rt.spawn([&] { second.wait(); });
    auto c = lead(rt, first, third);
    a.join();
    rt.spawn([&] { second.set(); }).join();
    b.join();
    c.join();
}

}  // namespace

// R2, P2.
void blocks() { end_blocks(0ns); }

// R9: with a slice, a worker that returns beside a running one comes to it by the server's thread. That
// it would be found at the slice's end is no excuse: the slice has none here.
void returns() {
    clock_stands();
    umcg::runtime rt(options(1, 1s));
    event first, third;
    auto a = follow(rt, first, third);
    // blocks with nobody queued, as far as it knows, when the other one is back
    auto c = lead(rt, first, third);
    a.join();
    c.join();
}

// R5: the same where that a worker sleeps is found out late, and one that has woken runs on.
void late_returns() {
    const late_kernel monitor;
    end_blocks(random(2) ? 0ns : 100us);
}

// R6: thread tasks that give way to each other, and what their server counts meanwhile.
void hand_overs() {
    std::atomic<int> ended{0};
    {
        umcg::runtime rt(options(1, 0ns));
        for (int i = 0; i < 3; i++)
            rt.spawn(
                  [&] {
                      umcg::yield();
                      umcg::spawn([&] { ended++; }, {.kind = some_kind()}).detach();
                      umcg::yield();
                      ended++;
                  },
                  {.kind = umcg::kind::thread})
                .detach();
    }
    must(ended == 6, "all have ended");
}

// R4: timers that a server in its wait does not know of, and others that it knows.
void sleepers() {
    umcg::runtime rt(options(1 + random(2), 0ns));
    event gone;
    auto a = rt.spawn([&] {
        umcg::sleep_until(in(20'000));
        gone.set();
    });
    auto b = rt.spawn([&] {
        umcg::yield();
        gone.wait();  // alone on its server now, perhaps, with a timer that nobody waits for
    });
    auto c = rt.spawn([&] { umcg::sleep_until(in(10'000 + random(20'000))); }, {.kind = some_kind()});
    a.join();
    b.join();
    c.join();
}

// R8, R9: a task that calls nothing is stopped for others, whatever they come by.
void hogs() {
    umcg::runtime rt(options(1 + random(2), 100us, random(2) ? "work_stealing" : "fifo"));
    std::atomic<int> over{0};
    event returns;
    const unsigned n = rt.servers();
    std::vector<umcg::task<void>> all;
    for (unsigned i = 0; i < n; i++)
        all.push_back(rt.spawn([&] {
            while (over < 3) yield();
        }));
    all.push_back(rt.spawn([&] {
        over++;
        umcg::sleep_until(in(50'000));
        over++;
        returns.wait();
        over++;
    }));
    while (over < 2) yield();
    returns.set();
    for (auto& t : all) t.join();
}

// R8 from the executor's side: the task that goes on has queued another one itself, while the server is
// about to stop ticking, or has stopped. Everywhere else that it looks there is a read-modify-write in
// between, but not where workers have not blocked for long: the queue has run empty 64 times.
void ticks() {
    umcg::runtime rt(options(1, 100us));
    std::atomic<int> ran{0};
    rt.spawn([&] {
          for (int i = 0; i < 70; i++) umcg::yield();
          auto first = umcg::spawn([&] { ran++; });
          while (ran < 1) umcg::yield();
          // alone for a while, mostly without letting others run
          for (unsigned k = random(400); k; k--) {
              if (k % 16)
                  static_cast<void>(ran.load());
              else
                  yield();
          }
          auto second = umcg::spawn([&] { ran++; });
          while (ran < 2) yield();
      }).join();
}

// R12: who comes from outside is due before the one that computes, and slices have no end.
void room() {
    clock_stands();
    umcg::runtime rt(options(1, 1s, "deadline"));
    std::atomic<int> ran{0};
    event go;
    std::vector<umcg::task<void>> hogs;
    for (unsigned n = 1 + random(3); n; n--)
        hogs.push_back(rt.spawn([&, blocks = random(2)] {
            if (blocks) go.wait();  // and takes the place of its idle server, perhaps
            while (ran < 3) yield();
        }));
    for (unsigned k = random(60); k; k--) yield();
    go.set();
    for (int i = 0; i < 3; i++) {
        rt.spawn([&] { ran++; }, {.kind = some_kind(), .deadline = umcg::clock::time_point(1s)}).join();
        for (unsigned k = random(60); k; k--) yield();
    }
    for (auto& h : hogs) h.join();
}

// R3: one server is busy for good with a task that waits for what it has spawned: the other has to
// steal that.
void thieves() {
    umcg::runtime rt(options(2, 0ns, "work_stealing"));
    std::atomic<int> ran{0};
    rt.spawn([&] {
          auto child = umcg::spawn([&] { ran++; });
          while (!ran) yield();
          child.join();
      }).join();
    must(ran == 1, "it ran");
}

// Workers that are idle end while others block and come back. The last task has found them, and blocks
// before the server could see them.
void idle_workers() {
    umcg::options o = options(1, 0ns);
    o.idle_worker_time = 1ms;
    umcg::runtime rt(o);
    event last;
    for (int round = 0; round < 2; round++) {
        event go[3];
        std::atomic<int> ended{0};
        std::vector<umcg::task<void>> all;
        for (auto& e : go)
            all.push_back(rt.spawn([&] {
                e.wait();
                ended++;
            }));
        all.push_back(rt.spawn([&] {
            for (auto& e : go) e.set();
            while (ended < 3) {
                umcg::yield();
                yield();
            }
            last.wait();
        }));
        if (random(2))
            while (rt.stats().workers > 3) yield();
        last.set();
        for (auto& t : all) t.join();
    }
    while (rt.stats().workers > 2) yield();
}

// P1, P2 of docs/policies.md: policies take each other's place while tasks come and go.
void swaps() {
    umcg::runtime rt(options(2, 0ns));
    umcg::semaphore go(0);
    std::atomic<int> ended{0};
    std::vector<umcg::task<void>> all;
    for (int i = 0; i < 3; i++)
        all.push_back(rt.spawn([&] {
            umcg::yield();
            go.acquire();
            umcg::spawn([&] { ended++; }).join();
        }));
    const pthread_t outsider = start([&] {
        for (int i = 0; i < 2; i++) must(rt.spawn([i] { return i; }).join() == i, "a result");
    });
    rt.set_policy(random(2) ? "work_stealing" : "fifo");
    go.release(2);
    rt.set_policy(random(2) ? "work_stealing" : "fifo");
    go.release();
    for (auto& t : all) t.join();
    join(outsider);
    must(ended == 3, "no task is lost");
}

// R7: the end of the runtime waits for tasks that nobody joins, and for those that they spawn.
void stops() {
    std::atomic<int> ended{0};
    int n = 0, spawned = 0;
    {
        umcg::runtime rt(options(1 + random(2), 0ns));
        for (n = 1 + static_cast<int>(random(2)); spawned < n; spawned++)
            rt.spawn([&] {
                  umcg::spawn([&] { ended++; }).detach();
                  ended++;
              }).detach();
        for (unsigned k = random(60); k; k--) yield();
    }
    must(ended == 2 * n, "all have ended");
}

}  // namespace explore
