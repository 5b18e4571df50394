// SPDX-License-Identifier: MIT
//
// The watchdog of policies: a plain thread, there while a policy is watched, asleep while nothing is
// queued and nobody is in a call. Whoever queues a task looks after it: see look_at_watchdog().
#include <algorithm>
#include <cerrno>
#include <system_error>

#include "core.hpp"
#include "cpu_time.hpp"

namespace umcg::detail {

void policy_host::start_watchdog() {
    if (has_watchdog_) return;
    if (const int err = pthread_create(&watchdog_, nullptr, watchdog_thread, this))
        throw std::system_error(err, std::generic_category(), "umcg: the watchdog of policies cannot be started");
    pthread_setname_np(watchdog_, "umcg-watchdog");
    has_watchdog_ = true;
}

void* policy_host::watchdog_thread(void* arg) {
    static_cast<policy_host*>(arg)->watch();
    return nullptr;
}

void policy_host::wake_watchdog() noexcept {
    watchdog_rests_.store(0, std::memory_order_relaxed);
    watchdog_bell_.fetch_add(1, std::memory_order_release);
    futex_wake(watchdog_bell_, 1);
}

void policy_host::call_begun() noexcept {
    // the store before was seq's, plain: see policy_call::run()
    if (watchdog_rests_.load(std::memory_order_seq_cst)) wake_watchdog();
}

bool policy_host::at_rest() noexcept {
    for (unsigned s = 0; s <= n_; s++)
        if (seat(s).depth.load(std::memory_order_seq_cst) ||
            seat(s).call.seq.load(std::memory_order_seq_cst) % 2)
            return false;
    return true;
}

void policy_host::watch() noexcept {
    while (!watchdog_ends_.load(std::memory_order_acquire)) {
        const uint32_t bell = watchdog_bell_.load(std::memory_order_acquire);
        if (at_rest()) {
            // P3
            watchdog_rests_.store(1, std::memory_order_seq_cst);
            heavy_barrier();
            if (at_rest()) {
                futex_wait(watchdog_bell_, bell, 0);
                beat_.store(now_ns(), std::memory_order_relaxed);
                continue;
            }
            watchdog_rests_.store(0, std::memory_order_relaxed);
        }
        futex_wait(watchdog_bell_, bell, now_ns() + period());
        inspect();
    }
}

uint64_t policy_host::period() const noexcept { return std::min(limit.call, limit.starved) / 4; }

// Does a call take too long? By the CPU time of its thread, which may get little; and if it gets none
// because it sleeps, by the number of looks, which a machine that stands still does not raise.
void policy_host::inspect_call(policy_seat& at, uint64_t look) noexcept {
    const uint32_t seq = at.call.seq.load(std::memory_order_acquire);
    if (seq % 2 == 0) return;
    const uint64_t cpu = cpu_ns_of(at.call.tid.load(std::memory_order_relaxed));
    if (seq != at.seen_seq) {
        at.seen_seq = seq;
        at.seen_look = look;
        at.seen_cpu = cpu;
        return;
    }
    if (cpu - at.seen_cpu > limit.call || (look - at.seen_look) * period() > 20 * limit.call)
        end_policy_call(at.call, seq);
}

// Does a task wait too long while later ones go? The head of the list has waited longest.
bool policy_host::inspect_queue(unsigned s) noexcept {
    policy_seat& at = seat(s);
    const uint64_t epoch = epoch_.load(std::memory_order_relaxed);
    policy_fault fault = {UMCG_POLICY_EXIT_STARVED, "pick", 0, s};
    {
        guard g(at.lock);
        const policy_entry* t = at.queued.front();
        if (!t) return false;
        const uint64_t looks = beats_.load(std::memory_order_relaxed) - t->queued_at;
        if (looks * period() < limit.starved || at.picked_seq < t->queue_seq) return false;
        fault.task = t->id;
    }
    eject(epoch, fault, seat(n_).call);
    return true;
}

void policy_host::inspect() noexcept {
    if (inspecting_.exchange(1, std::memory_order_acquire)) return;
    beat_.store(now_ns(), std::memory_order_relaxed);
    const uint64_t look = beats_.fetch_add(1, std::memory_order_relaxed) + 1;
    for (unsigned s = 0; s <= n_; s++) inspect_call(seat(s), look);
    for (unsigned s = 0; s < n_; s++)
        if (inspect_queue(s)) break;
    inspecting_.store(0, std::memory_order_release);
}

// The watchdog is watched by whoever queues: has it not looked for long, the look is taken here.
void policy_host::look_at_watchdog() noexcept {
    const uint64_t beat = beat_.load(std::memory_order_relaxed);
    if (now_ns() - beat < 20 * period()) return;
    inspect();
}

}  // namespace umcg::detail
