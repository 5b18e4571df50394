// SPDX-License-Identifier: MIT
//
// What never allocates: operator new is counted here, in tasks and where a thread says so.
#include <atomic>
#include <cstdlib>
#include <mutex>
#include <new>
#include <shared_mutex>

#include <umcg/barrier.hpp>
#include <umcg/cancellation.hpp>
#include <umcg/condition_variable.hpp>
#include <umcg/latch.hpp>
#include <umcg/mutex.hpp>
#include <umcg/once.hpp>
#include <umcg/select.hpp>
#include <umcg/semaphore.hpp>
#include <umcg/shared_mutex.hpp>
#include <umcg/task_local.hpp>
#include <umcg/wait_group.hpp>

#include "harness.hpp"

namespace {

std::atomic<bool> counting{false};
std::atomic<long> allocations{0};
thread_local bool counted_thread = false;

void* allocate(size_t n) {
    // not what the runtime's own threads do at the same time
    if (counting.load() && (counted_thread || umcg::in_task())) allocations++;
    return malloc(n ? n : 1);
}

}  // namespace

// Not inlined: the compiler would take malloc() and delete for a pair.
__attribute__((noinline)) void* operator new(size_t n) {
    if (void* p = allocate(n)) return p;
    throw std::bad_alloc();
}
__attribute__((noinline)) void* operator new(size_t n, const std::nothrow_t&) noexcept { return allocate(n); }
__attribute__((noinline)) void operator delete(void* p) noexcept { free(p); }
__attribute__((noinline)) void operator delete(void* p, size_t) noexcept { free(p); }

namespace {

class Allocation : public Runtime {
  protected:
    // How often fn() allocates, in a fiber, a thread task and a plain thread together.
    template <class F>
    static long of(umcg::runtime& rt, F fn) {
        const auto counted = [&] {
            allocations = 0;
            counting = true;
            fn();
            counting = false;
            return allocations.load();
        };
        long n = rt.spawn(counted).join();
        n += rt.spawn(counted, {.kind = umcg::kind::thread}).join();
        counted_thread = true;
        n += counted();
        counted_thread = false;
        return n;
    }
};
IN_EVERY_CONFIGURATION(Allocation);

// The control: it does see one.
TEST_P(Allocation, IsSeen) {
    umcg::runtime rt(options());
    umcg::task_local<int> local;
    EXPECT_GE(of(rt, [] { ::operator delete(::operator new(4)); }), 3);
    EXPECT_GE(of(rt, [&] { local.set(1); }), 3);
}

TEST_P(Allocation, NoneUncontended) {
    umcg::runtime rt(options());
    umcg::mutex mutex;
    umcg::shared_mutex shared;
    umcg::semaphore semaphore(1);
    umcg::channel<int> channel(2);
    umcg::once_flag once;
    umcg::task_local<int> local(3);
    umcg::cancel_source source;
    const umcg::limit limit(1h, source.token());
    long sum = 0;
    EXPECT_EQ(of(rt, [&] {
        { std::lock_guard hold(mutex); }
        { std::lock_guard hold(shared); }
        { std::shared_lock hold(shared); }
        mutex.lock(limit);
        mutex.unlock();
        shared.lock(limit);
        shared.unlock();
        shared.lock_shared(limit);
        shared.unlock_shared();
        semaphore.acquire(limit);
        semaphore.release();
        channel.send(1, limit);
        channel.send(2);
        sum += *channel.receive(limit) + *channel.receive();
        umcg::latch latch(1);
        latch.arrive_and_wait(1, limit);
        umcg::barrier barrier(1);
        barrier.arrive_and_wait(limit);
        umcg::wait_group group(1);
        group.done();
        group.wait(limit);
        umcg::call_once(once, [] {});
        umcg::call_once(once, limit, [] {});
        umcg::select(umcg::on_send(channel, 1), umcg::on_receive(channel, [](std::optional<int>) {}),
                     umcg::on_limit(limit));
        umcg::select(umcg::on_receive(channel, [](std::optional<int>) {}), umcg::otherwise());
        sum += local.get();
        umcg::yield();
    }), 0);
    EXPECT_EQ(sum, 3 * 6);
}

// Not even a wait does.
TEST_P(Allocation, NoneWhenItWaits) {
    umcg::runtime rt(options());
    umcg::mutex mutex;
    umcg::shared_mutex shared;
    umcg::semaphore semaphore(0);
    umcg::channel<int> channel;
    umcg::latch latch(1);
    umcg::barrier barrier(2);
    umcg::condition_variable cv;
    umcg::cancel_source source;
    mutex.lock();
    shared.lock();
    EXPECT_EQ(of(rt, [&] {
        const umcg::limit limit(50us, source.token());
        mutex.lock(limit);
        shared.lock(limit);
        shared.lock_shared(limit);
        semaphore.acquire(limit);
        channel.send(1, limit);
        channel.receive(limit);
        latch.wait(limit);
        umcg::mutex mine;
        std::unique_lock lock(mine);
        cv.wait(lock, limit);
        umcg::select(umcg::on_send(channel, 1), umcg::on_receive(channel, [](std::optional<int>) {}),
                     umcg::on_limit(limit));
        umcg::sleep_for(50us);
    }), 0);
    mutex.unlock();
    shared.unlock();
}

}  // namespace
