// SPDX-License-Identifier: MIT
//
// The runtime's side of a policy: who may call it when, how one takes the place of another, and what
// becomes of one that breaks the rules. docs/policies.md has the argument and the pairs of barriers.
#ifndef UMCG_SRC_POLICY_HOST_HPP
#define UMCG_SRC_POLICY_HOST_HPP

#include <pthread.h>

#include <cstring>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <umcg/detail/wait.hpp>

#include "../policies/fifo/fifo.hpp"
#include "../policies/work_stealing/work_stealing.hpp"
#include "light_barrier.hpp"
#include "policy_call.hpp"
#include "policy_instance.hpp"

namespace umcg::detail {

long futex_wait(std::atomic<uint32_t>& word, uint32_t value, uint64_t abs_ns) noexcept;
void futex_wake(std::atomic<uint32_t>& word, int n) noexcept;

using enqueue_reason = umcg_enqueue_reason;
constexpr unsigned no_server = UMCG_POLICY_NO_SERVER;

// What a policy sees of a task, and what the host knows of it. Memory that has once been one stays
// one until the runtime ends.
struct policy_entry : umcg_policy_task {
    policy_entry() noexcept : umcg_policy_task{} {}
    policy_entry(const policy_entry&) = delete;
    policy_entry& operator=(const policy_entry&) = delete;

    uintptr_t self = reinterpret_cast<uintptr_t>(this);  // what a foreign pointer does not have
    uint32_t epoch = 0;            // of the policy that it is attached to; 0: none
    bool away = false;             // in the kernel, as the policy was told, and not yet that it is back
    uint64_t picked_at = 0;        // with UMCG_POLICY_WANTS_TIME, while it runs
    const char* name = "";         // as long as it is attached
    // Under the lock of the seat that it is queued on, for policies that are watched:
    std::atomic<uint32_t> queued_on{0};  // 1 + the server; 0: not queued
    uint64_t queue_seq = 0;        // the how manyth that was queued there
    uint64_t queued_at = 0;        // which of the watchdog's looks came before
    list_link<policy_entry> in_seat;
};

// A copy of who is on its way, to ask a policy about: the task itself may have come, run and ended since. No
// task for pick() to return, and without a name, which ends with the task.
struct policy_comer : policy_entry {
    explicit policy_comer(const policy_entry& t) noexcept {
        static_cast<umcg_policy_task&>(*this) = t;
        self = 0;
        epoch = t.epoch;
    }
};

// What the host keeps for each server.
struct alignas(64) policy_seat {
    std::atomic<uint32_t> inside{0};  // P1: its executor is in a call
    // What the executor has queued and not taken out; and how many of those thieves have.
    std::atomic<size_t> mine{0}, stolen{0};
    std::atomic<size_t> depth{0};  // of policies that are watched: the length of `queued`
    alignas(64) short_lock lock;      // and, under it, for policies that are watched:
    list<policy_entry, &policy_entry::in_seat> queued;  // in the order that they were queued
    uint64_t queue_seq = 0;
    uint64_t picked_seq = 0;  // the latest that has come out
    // the executor's
    policy_call call;
    // the watchdog's
    uint32_t seen_seq = 0;
    uint64_t seen_look = 0, seen_cpu = 0;
};

const char* in_words(umcg_policy_exit_reason reason);

struct policy_fault {
    umcg_policy_exit_reason reason;
    const char* op;
    uint64_t task;
    unsigned server = no_server;  // of LOST and STARVED, which are looked at again when all is stopped
};

class core;

class policy_host {
  public:
    // `n` servers; none of the calls below before choose().
    policy_host(core& owner, unsigned n, std::vector<uint32_t> domains);
    ~policy_host();
    // No more calls; the policy's exit(). Before the servers go.
    void stop() noexcept;

    // Put this policy in the place of the one that is there. Throws as policy_instance::make() does;
    // then nothing has changed. Not in a section; blocks.
    void choose(const std::string& spec, uint64_t slice_ns);

    // ---- the executor of server `s` ----
    void enqueue(unsigned s, policy_entry& t, enqueue_reason reason) noexcept;
    void dequeue(unsigned s, policy_entry& t) noexcept;
    policy_entry* pick(unsigned s, uint64_t& slice_ns) noexcept;
    policy_entry* steal(unsigned thief, unsigned victim) noexcept;
    // Too large, never too small, while a thief is about to say what it has taken. A swap changes
    // nothing here, so no bracket is needed.
    size_t depth(unsigned s) const noexcept {
        const policy_seat& at = seats_[s];
        return at.mine.load(std::memory_order_relaxed) - at.stolen.load(std::memory_order_relaxed);
    }
    // True: the policy wants to know, and does.
    bool blocked(unsigned s, policy_entry& t, umcg_blocked_reason why) noexcept {
        return wants_blocks_.load(std::memory_order_relaxed) && tell_blocked(s, t, why);
    }
    void attr_changed(unsigned s, policy_entry& t) noexcept;

    // ---- the executor of server `here`, or with no_server anybody ----
    unsigned select(unsigned here, policy_entry& t, enqueue_reason reason) noexcept;
    // 0 or a negative errno value: the policy does not take it.
    int attach(unsigned here, policy_entry& t) noexcept;
    void detach(unsigned here, policy_entry& t) noexcept;
    // Is what was picked ran_ns ago on server `s` to make room for `t`, which is on its way there?
    bool preempts(unsigned here, unsigned s, policy_comer& t, uint64_t ran_ns) noexcept;

    // ---- from anywhere, no lock ----
    bool steals() const noexcept { return steals_.load(std::memory_order_relaxed); }
    bool wants_time() const noexcept { return wants_time_.load(std::memory_order_relaxed); }
    bool wants_faults() const noexcept { return wants_faults_.load(std::memory_order_relaxed); }
    bool wants_preempts() const noexcept { return preempts_.load(std::memory_order_relaxed); }
    // Is attach() to be called before a task is queued?
    bool asks_before_spawn() const noexcept { return attaches_.load(std::memory_order_relaxed); }
    uint64_t swaps() const noexcept { return swaps_.load(std::memory_order_relaxed); }
    uint64_t ejections() const noexcept { return ejections_.load(std::memory_order_relaxed); }
    // Not the executor: beside it.
    size_t depth_from_outside(unsigned s) noexcept;
    bool tick(unsigned s, uint64_t ran_ns) noexcept;

    // P3: a call has begun.
    void call_begun() noexcept;

    // ---- not in a section; blocks ----
    std::string name();
    std::string report();

    // Tasks' limits, in ns. Before choose().
    struct limits {
        uint64_t call = 100'000'000;      // CPU time of one call; twenty times that in all
        uint64_t starved = 30'000'000'000;  // how long a task may be passed by others
    } limit;

  private:
    enum class kind : uint8_t { work_stealing, fifo, table };
    class bracket;
    class outside_bracket;
    friend class bracket;
    friend class outside_bracket;

    policy_seat& seat(unsigned s) noexcept { return seats_[s]; }
    void count_mine(unsigned s, size_t more) noexcept {
        auto& n = seat(s).mine;
        n.store(n.load(std::memory_order_relaxed) + more, std::memory_order_relaxed);
    }
    // Compiled-in policies are called directly and trusted.
    bool compiled_in() const noexcept { return kind_ != kind::table; }
    template <class F>
    auto with_compiled_in(F&& f) noexcept {
        return __builtin_expect(kind_ == kind::work_stealing, 1) ? f(policy_of<policies::work_stealing>(*p_))
                                                                 : f(policy_of<policies::fifo>(*p_));
    }
    void enqueue_directly(unsigned s, policy_entry& t, enqueue_reason reason) noexcept {
        with_compiled_in([&](auto& p) { p.enqueue(*p_, s, t, reason); });
    }
    policy_entry* pick_directly(unsigned s, uint64_t& slice_ns) noexcept {
        return static_cast<policy_entry*>(
            with_compiled_in([&](auto& p) { return p.pick(*p_, s, slice_ns); }));
    }
    unsigned select_directly(unsigned here, policy_entry& t, enqueue_reason reason) noexcept {
        // it writes the task's data: that is not another policy's from now on
        if (t.epoch != epoch_.load(std::memory_order_relaxed)) take_over(t);
        return with_compiled_in([&](auto& p) { return p.select(*p_, t, here, reason); });
    }
    // The first time that this policy sees the task.
    void take_over(policy_entry& t) noexcept {
        if (t.epoch) memset(t.data, 0, sizeof(t.data));
        t.epoch = epoch_.load(std::memory_order_relaxed);
    }
    void enqueue_slowly(unsigned s, policy_entry& t, enqueue_reason reason) noexcept;
    policy_entry* pick_slowly(unsigned s, uint64_t& slice_ns) noexcept;
    unsigned select_slowly(unsigned here, policy_entry& t, enqueue_reason reason) noexcept;
    bool tell_blocked(unsigned s, policy_entry& t, umcg_blocked_reason why) noexcept;
    template <class F>
    void bracketed(unsigned here, F&& ask) noexcept;
    void enter_slowly(policy_seat& s) noexcept;
    void ring() noexcept;
    void stop_all() noexcept;
    void resume_all() noexcept;
    void adopt(policy_entry& t, enqueue_reason reason, policy_call& call,
               std::optional<policy_fault>& fault) noexcept;
    bool queued(policy_seat& seat, unsigned s, policy_entry& t) noexcept;
    void unqueued(policy_seat& seat, policy_entry& t) noexcept;
    std::optional<policy_fault> call(policy_call& at, const char* op, uint64_t task, void (*fn)(),
                                     const uint64_t (&args)[4], uint64_t& value) noexcept;
    std::optional<policy_fault> take_out(unsigned s, const char* op, uint64_t& slice,
                                         unsigned thief, policy_entry*& t) noexcept;
    std::unique_ptr<policy_instance> install(std::unique_ptr<policy_instance> fresh) noexcept;
    void gather() noexcept;
    std::optional<policy_fault> hand_out(policy_call& call) noexcept;
    bool is_so(policy_fault& fault) noexcept;
    void eject(uint64_t epoch, policy_fault fault, policy_call& call) noexcept;
    void eject_stopped(const policy_fault& fault, policy_call& call) noexcept;
    void end_ejected(policy_instance& who, const policy_fault& fault, policy_call& call) noexcept;
    void tell_servers() noexcept;
    void begin(policy_instance& fresh);
    void finish(policy_instance& old, umcg_policy_exit_reason reason) noexcept;
    void fill_fallback();
    void start_watchdog();
    static void* watchdog_thread(void* arg);
    void watch() noexcept;
    void inspect() noexcept;
    void inspect_call(policy_seat& seat, uint64_t look) noexcept;
    bool inspect_queue(unsigned s) noexcept;
    bool at_rest() noexcept;
    uint64_t period() const noexcept;
    void look_at_watchdog() noexcept;
    void wake_watchdog() noexcept;

    const unsigned n_;
    const std::vector<uint32_t> domains_;
    core& owner_;
    std::unique_ptr<policy_seat[]> seats_;  // n_; one for whoever is no server; choose()'s
    short_lock outside_lock_;               // who is no server calls one at a time

    // Changed while all is stopped:
    kind kind_ = kind::fifo;
    umcg_policy* p_ = nullptr;
    std::unique_ptr<policy_instance> now_;
    std::atomic<uint32_t> epoch_{0};  // of now_
    std::atomic<bool> steals_{false}, wants_time_{false}, wants_faults_{false}, wants_blocks_{false},
        attaches_{false}, preempts_{false};

    std::unique_ptr<policy_instance> fallback_;  // fifo, made when there was time to
    std::vector<std::unique_ptr<policy_instance>> ejected_;  // room for one more is made beforehand
    std::mutex choose_mutex_;
    uint64_t slice_ns_ = 0;

    std::atomic<uint32_t> swapping_{0};  // P1; futex
    std::atomic<uint32_t> bell_{0};      // futex of who waits for all to be outside
    std::atomic<uint32_t> outside_{0};   // P2: how many that are no servers are in a call

    std::atomic<uint64_t> swaps_{0}, ejections_{0};
    short_lock report_lock_;
    char report_[4096] = {};

    pthread_t watchdog_ = {};
    bool has_watchdog_ = false;
    std::atomic<bool> watchdog_ends_{false};
    std::atomic<uint32_t> watchdog_bell_{0};    // futex
    std::atomic<uint32_t> watchdog_rests_{0};   // P3: nothing is queued, nobody is in a call
    std::atomic<uint64_t> beat_{0};             // ns of its last look
    std::atomic<uint64_t> beats_{0};            // how many looks
    std::atomic<uint32_t> inspecting_{0};
};

// An executor in a call. P1: `inside`, then `swapping_`; who swaps the other way round, with a
// membarrier between.
class policy_host::bracket {
  public:
    bracket(policy_host& h, policy_seat& s) noexcept : host_(h), seat_(s) {
        store_lightly(seat_.inside, 1);
        if (__builtin_expect(host_.swapping_.load(std::memory_order_acquire), 0))
            host_.enter_slowly(seat_);
    }
    ~bracket() {
        store_lightly(seat_.inside, 0);
        if (__builtin_expect(host_.swapping_.load(std::memory_order_relaxed), 0)) host_.ring();
    }
    bracket(const bracket&) = delete;
    bracket& operator=(const bracket&) = delete;

  private:
    policy_host& host_;
    policy_seat& seat_;
};

inline void policy_host::enqueue(unsigned s, policy_entry& t, enqueue_reason reason) noexcept {
    count_mine(s, 1);
    {
        bracket in(*this, seat(s));
        if (__builtin_expect(compiled_in(), 1)) {
            if (t.epoch != epoch_.load(std::memory_order_relaxed)) take_over(t);
            return enqueue_directly(s, t, reason);
        }
    }
    enqueue_slowly(s, t, reason);
}

inline policy_entry* policy_host::pick(unsigned s, uint64_t& slice_ns) noexcept {
    policy_entry* t = nullptr;
    bool directly;
    {
        bracket in(*this, seat(s));
        directly = compiled_in();
        slice_ns = p_->slice_ns;
        if (directly) t = pick_directly(s, slice_ns);
    }
    if (!directly) t = pick_slowly(s, slice_ns);
    if (t) count_mine(s, static_cast<size_t>(-1));
    return t;
}

inline unsigned policy_host::select(unsigned here, policy_entry& t, enqueue_reason reason) noexcept {
    if (here != no_server) {
        bracket in(*this, seat(here));
        if (__builtin_expect(compiled_in(), 1)) return select_directly(here, t, reason);
    }
    return select_slowly(here, t, reason);
}

// Who is no server, one at a time. In a section, if it is a worker.
class policy_host::outside_bracket {
  public:
    explicit outside_bracket(policy_host& h) noexcept : host_(h), hold_(h.outside_lock_) {
        for (;;) {
            // P2
            host_.outside_.store(1, std::memory_order_seq_cst);
            if (!host_.swapping_.load(std::memory_order_seq_cst)) return;
            host_.outside_.store(0, std::memory_order_seq_cst);
            host_.ring();
            while (host_.swapping_.load(std::memory_order_acquire))
                futex_wait(host_.swapping_, 1, 0);
        }
    }
    ~outside_bracket() {
        host_.outside_.store(0, std::memory_order_seq_cst);
        if (host_.swapping_.load(std::memory_order_seq_cst)) host_.ring();
    }

  private:
    policy_host& host_;
    guard hold_;
};

// For policy_call::run(), which takes a function and its arguments as what they are in registers.
template <class F>
void (*erased(F* f))() {
    return reinterpret_cast<void (*)()>(f);
}

template <class T>
uint64_t arg(T v) {
    if constexpr (std::is_pointer_v<T>)
        return reinterpret_cast<uint64_t>(v);
    else
        return static_cast<uint64_t>(v);
}

}  // namespace umcg::detail

#endif
