// SPDX-License-Identifier: MIT
//
// A policy that broke the rules: it is looked at again when all is stopped, asked what it has to say, told
// why, and fifo takes its place.
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "core.hpp"

namespace umcg::detail {

const char* in_words(umcg_policy_exit_reason reason) {
    switch (reason) {
    case UMCG_POLICY_EXIT_STOP: return "the runtime ends";
    case UMCG_POLICY_EXIT_REPLACED: return "another one takes its place";
    case UMCG_POLICY_EXIT_LOST: return "nothing came out although something is queued";
    case UMCG_POLICY_EXIT_DOUBLED: return "a task came out that is not queued";
    case UMCG_POLICY_EXIT_FOREIGN: return "what came out is no task, not of this server, or not movable";
    case UMCG_POLICY_EXIT_STARVED: return "a task waits too long while later ones are picked";
    case UMCG_POLICY_EXIT_OVERRUN: return "it did not return in time";
    case UMCG_POLICY_EXIT_CRASHED: return "it crashed";
    case UMCG_POLICY_EXIT_EXCEPTION: return "it let an exception out";
    case UMCG_POLICY_EXIT_BAD_SERVER: return "it chose a server that there is not";
    }
    return "?";
}

// What two threads were needed to see is looked at again, now that neither is in the middle.
bool policy_host::is_so(policy_fault& fault) noexcept {
    if (fault.server == no_server) return true;
    policy_seat& at = seat(fault.server);
    const policy_entry* oldest = at.queued.front();
    if (!oldest) return false;
    if (fault.reason == UMCG_POLICY_EXIT_STARVED) return oldest->id == fault.task;
    fault.task = oldest->id;
    return true;
}

void policy_host::end_ejected(policy_instance& who, const policy_fault& fault, policy_call& at) noexcept {
    char task[64] = "";
    if (fault.task) snprintf(task, sizeof(task), ", task %llu", static_cast<unsigned long long>(fault.task));
    guard g(report_lock_);
    const int n = snprintf(report_, 400, "policy '%s' ejected, fifo takes its place: %s()%s: %s",
                           who.name.c_str(), fault.op, task, in_words(fault.reason));
    char line[420];
    const int length = snprintf(line, sizeof(line), "umcg: %s\n", report_);
    if (write(STDERR_FILENO, line, static_cast<size_t>(length)) < 0) line[0] = 0;

    umcg_policy_exit info = {};
    info.size = sizeof(info);
    info.reason = fault.reason;
    info.op = fault.op;
    info.task_id = fault.task;
    char message[400];
    memcpy(message, report_, sizeof(message));
    message[sizeof(message) - 1] = 0;
    info.message = message;

    uint64_t value = 0;
    const auto p = reinterpret_cast<uint64_t>(&who.p);
    char* dump = report_ + n + 1;
    const size_t room = sizeof(report_) - static_cast<size_t>(n) - 1;
    if (who.ops.dump && !call(at, "dump", 0, reinterpret_cast<void (*)()>(who.ops.dump),
                              {p, reinterpret_cast<uint64_t>(dump), room, 0}, value)) {
        report_[n] = '\n';
        report_[sizeof(report_) - 1] = 0;
    }
    if (who.ops.exit)
        call(at, "exit", 0, reinterpret_cast<void (*)()>(who.ops.exit),
             {p, reinterpret_cast<uint64_t>(&info), 0, 0}, value);
    who.give_up();
}

// All is stopped.
void policy_host::eject_stopped(const policy_fault& fault, policy_call& at) noexcept {
    end_ejected(*now_, fault, at);
    // allocates nothing: reserved by choose()
    ejected_.push_back(install(std::move(fallback_)));
    hand_out(at);
    ejections_.fetch_add(1, std::memory_order_relaxed);
}

void policy_host::eject(uint64_t epoch, policy_fault fault, policy_call& at) noexcept {
    stop_all();
    // somebody else may have been first
    const bool so = epoch_.load(std::memory_order_relaxed) == epoch && is_so(fault);
    if (so) eject_stopped(fault, at);
    resume_all();
    if (so) tell_servers();
}

}  // namespace umcg::detail
