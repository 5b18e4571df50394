// SPDX-License-Identifier: MIT
//
// usage: explorer                       all scenarios, then all controls
//        explorer SCENARIO SEED         that run alone, with each point on standard error
//        explorer SCENARIO SEED CONTROL the same with the control of that name
// UMCG_EXPLORE: how many times the usual number of seeds.
#include <malloc.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "kernel.hpp"
#include "scenarios.hpp"

using namespace explore;

namespace {

struct entry {
    scenario what;
    unsigned seeds;
};
const entry scenarios[] = {
    {{"lists", lists}, 4000},
    {{"short_locks", short_locks}, 2000},
    {{"owner_locks", owner_locks}, 4000},
    {{"timed_waits", timed_waits}, 4000},
    {{"messages", messages}, 2000},
    {{"blocks", blocks}, 2000},
    {{"returns", returns}, 2000},
    {{"late_returns", late_returns}, 2000},
    {{"hand_overs", hand_overs}, 2000},
    {{"sleepers", sleepers}, 2000},
    {{"hogs", hogs}, 500},
    {{"ticks", ticks}, 1000},
    {{"room", room}, 1000},
    {{"thieves", thieves}, 2000},
    {{"idle_workers", idle_workers}, 2000},
    {{"swaps", swaps}, 2000},
    {{"stops", stops}, 2000},
    {{"reads", reads}, 2000},
    {{"reads_beside", reads_beside}, 1000},
    {{"completions", completions}, 2000},
    {{"limits", limits}, 2000},
};

// One rule of docs/runtime.md (P without "policy": of docs/kernel-protocol.md) is broken; the scenario
// must fail for some seed.
struct broken {
    const char* name;
    const char* scenario;
    control how;
    bool* switched = nullptr;
};
constexpr int relaxed = __ATOMIC_RELAXED, acquire = __ATOMIC_ACQUIRE, release = __ATOMIC_RELEASE, seq_cst = __ATOMIC_SEQ_CST;
const broken controls[] = {
    {"P6-unlink-is-no-barrier", "lists", {"umcg_unlink_", access::change, 8, -1, wrong::buffered}},
    {"lock-is-not-one-step", "short_locks", {"short_lock::lock(", access::change, 4, -1, wrong::in_two}},
    {"lock-wakes-nobody", "short_locks", {"short_lock::unlock", access::change, 4, -1, wrong::blind}},
    {"R10-visitor-without-barrier", "owner_locks", {"owner_lock::visit", access::barrier}},
    {"R10-owner-does-not-look", "owner_locks", {"owner_lock::lock(", access::load, 4, seq_cst, wrong::blind}},
    {"R10-visitor-is-left-asleep", "owner_locks", {"owner_lock::unlock", access::load, 4, seq_cst, wrong::blind}},
    {"R1-parks-in-two-steps", "timed_waits", {"::change(", access::change, 4, -1, wrong::in_two}},
    {"R1-finishes-in-two-steps", "timed_waits", {"detail::finish(", access::change, 4, -1, wrong::in_two}},
    {"R1-publishes-in-two-steps", "messages", {"after_switch", access::change, 4, -1, wrong::in_two}},
    {"R2-no-second-look-at-the-inbox", "blocks", {"server::settle", access::load, 8, seq_cst, wrong::blind}},
    {"R2-quiet-is-not-taken-away", "blocks", {"server::be_heard", access::change, 4, -1, wrong::nothing}},
    {"R2-quiet-is-no-barrier", "blocks", {"server::change_quiet", access::change, 4, -1, wrong::buffered}},
    {"R2-no-kick", "messages", {"server::tell", access::kick}},
    {"P2-kernel-without-second-look", "blocks", {}, &kernel_forgets_quiet},
    {"P7-kernel-forgets-kicks", "messages", {}, &kernel_forgets_kicks},
    {"R3-hungry-without-barrier", "thieves", {"server::change_hungry", access::barrier}},
    {"R3-thieves-are-not-called", "thieves", {"server::call_thieves", access::load, 4, seq_cst, wrong::blind}},
    {"R4-wait-is-not-looked-at", "sleepers", {"server::settle", access::load, 8, relaxed, wrong::blind}},
    {"R5-section-is-not-said", "late_returns", {"enter_section", access::store, 4, release, wrong::nothing}},
    {"R5-checkpoint-is-no-barrier", "late_returns", {}, &checkpoint_is_no_barrier},
    {"R6-hand-over-is-no-barrier", "hand_overs", {}, &kernel_hands_over_early},
    {"R7-end-without-barrier", "stops", {"core::join_all", access::barrier}},
    {"R7-bell-is-not-rung", "stops", {"core::task_ended", access::change, 4, -1, wrong::nothing}},
    {"R8-silent-without-barrier", "ticks", {"server::next_look", access::barrier}},
    {"R8-no-kick", "hogs", {"server::begin_ticks", access::kick}},
    {"R9-quiet-is-not-taken-away", "returns", {"server::pass_on_lists", access::change, 4, -1, wrong::nothing}},
    {"R12-nobody-is-stopped", "room", {"server::make_room", access::kick}},
    {"R12-picker-does-not-look", "room", {"server::room_is_wanted", access::load, 8, seq_cst, wrong::blind}},
    {"R12-server-does-not-stop", "room", {"server::watch", access::kick}},
    {"I1-nobody-is-the-waiter", "reads", {"ring::attend(", access::store, 8, -1, wrong::nothing}},
    {"I1-kernel-without-second-look", "reads", {}, &kernel_forgets_completions},
    {"I1-no-second-look-at-the-inbox", "reads", {"server::settle", access::load, 8, seq_cst, wrong::blind}},
    {"I2-nobody-looks-for-completions", "reads_beside", {"ring::unattended", access::load, 8, -1, wrong::blind}},
    {"I3-task-does-not-wait-for-the-lock", "completions", {"short_lock::lock(", access::change, 4, -1, wrong::blind, "::ended("}},
    {"I4-submitter-does-not-look", "limits", {"completion::is_unwanted", access::load, 1, -1, wrong::blind}},
    {"I4-it-is-not-said", "limits", {"completion::unwanted", access::store, 1, -1, wrong::nothing}},
    {"idle-workers-are-not-told-of", "idle_workers", {"server::expects_review", access::load, 8, relaxed, wrong::blind}},
    {"policy-P1-caller-does-not-ring", "swaps", {"bracket::~bracket", access::load, 4, relaxed, wrong::blind}},
    {"policy-P1-swap-without-barrier", "swaps", {"policy_host::stop_all", access::barrier}},
    {"policy-P1-caller-does-not-look", "swaps", {"bracket::bracket", access::load, 4, acquire, wrong::blind}},
    {"policy-P2-outsider-does-not-look", "swaps", {"outside_bracket::outside_bracket", access::load, 4, seq_cst, wrong::blind}},
};

struct shared {
    uint64_t seed, points;
    bool met;
    kernel_counts counts;
};
shared* told;

const entry* find(const char* name) {
    for (auto& s : scenarios)
        if (!strcmp(s.what.name, name)) return &s;
    return nullptr;
}

// In a child: a violation ends it, and so does a crash. Which seed was it? UINT64_MAX: none.
uint64_t explore_all(const entry& s, unsigned seeds, const broken* b) {
    fflush(stdout);
    *told = {};
    const pid_t child = fork();
    if (!child) {
        if (b) {
            active_control = b->how.function ? &b->how : nullptr;
            if (b->switched) *b->switched = true;
            if (!freopen("/dev/null", "w", stderr)) _exit(2);
        }
        for (unsigned i = 1; i <= seeds; i++) {
            told->seed = i;
            told->points += run(s.what.run, i);
            told->met = control_was_met;
            told->counts = counts;
        }
        _exit(0);
    }
    int status = 0;
    if (waitpid(child, &status, 0) != child) abort();
    if (!status) return UINT64_MAX;
    if (WIFSIGNALED(status) && !b)
        fprintf(stderr, "seed %lu: died of signal %d\n", told->seed, WTERMSIG(status));
    return told->seed;
}

}  // namespace

int main(int argc, char** argv) {
    told = static_cast<shared*>(mmap(nullptr, sizeof(shared), PROT_READ | PROT_WRITE,
                                     MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    if (told == MAP_FAILED) abort();
    // what is used after it was freed is garbage
    mallopt(M_PERTURB, 0xa5);
    if (argc > 2) {
        const entry* s = find(argv[1]);
        if (!s) return 2;
        for (auto& b : controls)
            if (argc > 3 && !strcmp(b.name, argv[3])) {
                active_control = b.how.function ? &b.how : nullptr;
                if (b.switched) *b.switched = true;
            }
        const unsigned long seed = strtoul(argv[2], nullptr, 10);
        // what a run finds of memory depends on those before
        for (unsigned long i = 1; i < seed; i++) run(s->what.run, i);
        trace = true;
        run(s->what.run, seed);
        return 0;
    }
    const char* times = getenv("UMCG_EXPLORE");
    const unsigned factor = times ? static_cast<unsigned>(atoi(times)) : 1;
    int wrong = 0;
    for (auto& s : scenarios) {
        if (argc > 1 && strcmp(argv[1], s.what.name)) continue;
        const uint64_t seed = explore_all(s, s.seeds * factor, nullptr);
        if (seed == UINT64_MAX) {
            printf("ok   %-12s %u seeds, %lu points\n", s.what.name, s.seeds * factor, told->points);
            const kernel_counts& n = told->counts;
            if (n.dispatches)
                printf("     %lu dispatches, %lu successors, %lu blocks, %lu quiet, %lu late, %lu direct resumes, "
                       "%lu preemptions, %lu completions\n",
                       n.dispatches, n.successors, n.blocks, n.quiet, n.late, n.direct_resumes, n.preemptions,
                       n.completions);
        } else {
            printf("FAIL %-12s seed %lu: `explorer %s %lu` shows it\n", s.what.name, seed, s.what.name, seed);
            wrong++;
        }
    }
    for (auto& b : controls) {
        if (argc > 1 && strcmp(argv[1], b.scenario) && strcmp(argv[1], b.name)) continue;
        const entry& s = *find(b.scenario);
        // most are caught among the first hundred
        const uint64_t seed = explore_all(s, s.seeds * 100, &b);
        if (seed != UINT64_MAX) {
            printf("ok   %s is caught: `explorer %s %lu %s`\n", b.name, b.scenario, seed, b.name);
        } else {
            printf("FAIL %s is not caught by %s%s\n", b.name, b.scenario,
                   told->met || b.switched ? "" : ": it applies to nothing");
            wrong++;
        }
    }
    return wrong != 0;
}
