// SPDX-License-Identifier: MIT
//
// What the plugins of these tests write down: their option at=ADDRESS names one of these in the test.
#ifndef TESTS_POLICIES_AUDIT_HPP
#define TESTS_POLICIES_AUDIT_HPP

#include <umcg/policy.h>

#include <atomic>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

struct audit {
    std::atomic<uint64_t> attached{0}, detached{0}, selected{0}, enqueued[6] = {}, picked{0}, stolen{0},
        dequeued{0}, blocked[4] = {}, changed{0}, online{0}, offline{0}, dumped{0}, exits{0};
    // What exit() was told; before `exits` counts it.
    umcg_policy_exit_reason reason = {};
    char op[32] = "", message[500] = "";
    uint64_t task_id = 0;
    // The first thing that was against the contract.
    std::atomic<uint32_t> wrong{0};
    char first_wrong[200] = "";
    // Of tasks of group 77, as they were seen when they were attached, queued and changed last.
    std::atomic<int32_t> priority[3] = {};
    std::atomic<uint32_t> weight[3] = {};
    std::atomic<uint64_t> deadline_ns[3] = {};

    // Who runs makes room for who comes; how often that was asked, and what it had run then.
    std::atomic<bool> makes_room{false};
    std::atomic<uint64_t> asked_for_room{0}, ran_ns{0};

    // A sin is committed from when this is set.
    std::atomic<bool> sins{true};

    std::string option() const {
        char text[40];
        snprintf(text, sizeof(text), ":at=%" PRIxPTR, reinterpret_cast<uintptr_t>(this));
        return text;
    }
    static audit* of(const umcg_policy* p) {
        if (strncmp(p->options, "at=", 3)) return nullptr;
        return reinterpret_cast<audit*>(strtoull(p->options + 3, nullptr, 16));
    }
    void exited(const umcg_policy_exit* info) {
        reason = info->reason;
        task_id = info->task_id;
        snprintf(op, sizeof(op), "%s", info->op ? info->op : "");
        snprintf(message, sizeof(message), "%s", info->message);
        exits.fetch_add(1);
    }
};

#endif
