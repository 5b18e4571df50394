// SPDX-License-Identifier: MIT
// R24: a parked worker that sleeps outside of the hold (its signal stack is
// missing, a tracer has stopped it) and is dispatched meanwhile cannot run; its
// new server has to be told BLOCKED at once.
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "blocks.hpp"
#include "signals.hpp"
#include "uffd.hpp"

namespace umcg_test {
namespace {

using Away = Guest;

std::atomic<int> handled;

// A worker whose signal stack (16 pages; one more is left over) faults for as
// long as the test wants.
struct OnMissingStack {
    static constexpr size_t kBytes = 16 * MissingPages::kPage;
    MissingPages stack{17};
    Handler handler{SIGUSR1, [](int) { handled++; }, SA_ONSTACK};
    Group g;
    std::atomic<int> steps{0};
    Worker* w = nullptr;

    void start() {
        handled = 0;
        w = &g.worker([this](Worker& me) {
            stack_t ss = {stack.page(), 0, kBytes};
            EXPECT_EQ(sigaltstack(&ss, nullptr), 0);
            EXPECT_EQ(me.yield(), 0);
            steps++;
        });
        ASSERT_EQ(g.next(), runnable(*w));
        ASSERT_EQ(g.run(*w), 0);
        ASSERT_EQ(g.next(), runnable(*w));
        send(*w, SIGUSR1);
        at = stack.fault();
        ASSERT_TRUE(w->held());
    }
    // Let it build its frame.
    void fill() {
        for (size_t i = 0; i < 16; i++) ASSERT_TRUE(stack.fill(stack.page(i)));
    }
    uint64_t at = 0;
};

TEST_F(Away, DispatchedWhileItsFrameFaults) {
    OnMissingStack t;
    REQUIRE_USERFAULTFD(t.stack);
    t.start();
    ASSERT_FALSE(HasFatalFailure());
    ASSERT_EQ(t.g.run(*t.w), 0) << "back at once, not asleep behind a worker that cannot run";
    Event e = t.g.next();
    EXPECT_EQ(e, blocked(*t.w));
    EXPECT_EQ(e.state, UMCG_TASK_BLOCKED);
    EXPECT_EQ(t.g.task()->running_tid, 0u);
    EXPECT_EQ(t.g.task()->next_tid, 0u);
    t.fill();
    e = t.g.next();
    EXPECT_EQ(e, runnable(*t.w));
    sleep_us(2000);
    EXPECT_EQ(handled, 0);
    EXPECT_EQ(t.steps, 0);
    EXPECT_EQ(t.g.run(*t.w), 0);
    EXPECT_EQ(handled, 1);
    EXPECT_EQ(t.steps, 1);
    EXPECT_TRUE(t.g.next_exit());
}

// Not dispatched: it is still the same stop, and nobody is told anything.
TEST_F(Away, NotDispatchedIsNoEvent) {
    OnMissingStack t;
    REQUIRE_USERFAULTFD(t.stack);
    t.start();
    ASSERT_FALSE(HasFatalFailure());
    const uint32_t seq = t.w->task()->seq;
    t.fill();
    ASSERT_EVENTUALLY(signal_taken(t.w->tid(), SIGUSR1) && asleep(t.w->tid()));
    sleep_us(1000);
    EXPECT_FALSE(t.g.poll());
    EXPECT_EQ(t.w->task()->seq, seq);
    EXPECT_EQ(handled, 0);
    EXPECT_EQ(t.g.run(*t.w), 0);
    EXPECT_EQ(handled, 1);
    EXPECT_TRUE(t.g.next_exit());
}

// Another worker hands over to it: its server is told, the hander-over parks.
TEST_F(Away, HandedOverTo) {
    OnMissingStack t;
    REQUIRE_USERFAULTFD(t.stack);
    t.start();
    ASSERT_FALSE(HasFatalFailure());
    bool back = false;
    Worker& other = t.g.worker([&](Worker& me) {
        EXPECT_EQ(me.hand_to(t.w->tid()), 0);
        back = true;
    });
    ASSERT_EQ(t.g.next(), runnable(other));
    ASSERT_EQ(t.g.run(other), 0);
    EXPECT_EQ(t.g.next(), blocked(*t.w));
    EXPECT_FALSE(back);
    EXPECT_TRUE(other.held());
    EXPECT_EQ(t.g.run(other), 0);
    EXPECT_TRUE(back);
    EXPECT_TRUE(t.g.next_exit());
    t.fill();
    EXPECT_EQ(t.g.next(), runnable(*t.w));
    EXPECT_EQ(t.g.run(*t.w), 0);
    EXPECT_EQ(handled, 1);
}

// As a successor.
TEST_F(Away, Succeeds) {
    OnMissingStack t;
    REQUIRE_USERFAULTFD(t.stack);
    t.start();
    ASSERT_FALSE(HasFatalFailure());
    Worker& other = t.g.worker([&](Worker&) {
        uint32_t none = 0;
        __atomic_compare_exchange_n(&t.g.task()->next_tid, &none, uint32_t(t.w->tid()), false,
                                    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
        EXPECT_EQ(umcg_wait(0, 0), 0);
    });
    ASSERT_EQ(t.g.next(), runnable(other));
    ASSERT_EQ(t.g.run(other), 0);
    EXPECT_EQ(t.g.next(), blocked(*t.w));
    EXPECT_EQ(t.g.task()->running_tid, 0u);
    EXPECT_EQ(t.g.run(other), 0);
    EXPECT_TRUE(t.g.next_exit());
    t.fill();
    EXPECT_EQ(t.g.next(), runnable(*t.w));
    EXPECT_EQ(t.g.run(*t.w), 0);
    EXPECT_EQ(handled, 1);
}

// The dispatch races the fault and its end, again and again. Each dispatch is
// answered: BLOCKED and later RUNNABLE, or the handler has run.
TEST_F(Away, Race) {
    const int rounds = scaled(120, 20);
    OnMissingStack t;
    REQUIRE_USERFAULTFD(t.stack);
    handled = 0;
    std::atomic<bool> stop{false};
    std::thread filler([&] {
        // The page behind the stack tells it to end: it may be filling still for
        // an earlier fault when the last round is over.
        const auto end = uint64_t(t.stack.page(16));
        for (uint64_t at = 0; at != end;) {
            at = t.stack.fault();
            if (at == end) t.stack.fill(t.stack.page(16));
            for (size_t i = 0; i < 16; i++) t.stack.fill(t.stack.page(i));
        }
    });
    t.w = &t.g.worker([&](Worker& me) {
        stack_t ss = {t.stack.page(), 0, t.kBytes};
        EXPECT_EQ(sigaltstack(&ss, nullptr), 0);
        while (!stop) {
            t.steps++;
            EXPECT_EQ(me.yield(), 0);
        }
    });
    auto r = rng(1);
    int aways = 0;
    Event e = t.g.next();
    ASSERT_EQ(e, runnable(*t.w));
    ASSERT_EQ(t.g.run(*t.w), 0);
    ASSERT_EQ(t.g.next(), runnable(*t.w));
    for (int i = 0; i < rounds; i++) {
        for (size_t p = 0; p < 16; p++) t.stack.drop(p);
        const int before = t.steps;
        send(*t.w, SIGUSR1);
        for (unsigned n = r() % 5000; n; n--) __builtin_ia32_pause();
        while (t.steps == before) {
            const int rc = t.g.run(*t.w);
            ASSERT_EQ(rc, 0);
            e = t.g.next();
            if (e.kind == Event::kBlocked) {
                aways++;
                e = t.g.next();
            }
            ASSERT_EQ(e, runnable(*t.w));
        }
        ASSERT_EQ(handled, i + 1);
    }
    stop = true;
    std::thread([&] { *static_cast<volatile char*>(t.stack.page(16)) = 1; }).join();
    filler.join();
    RecordProperty("aways", aways);
}

}  // namespace
}  // namespace umcg_test
