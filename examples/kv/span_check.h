// SPDX-License-Identifier: MIT
//
// Does ever more than one worker of a server run in user space? Looked at from inside the tasks, in
// stretches of code ("spans") that make no system call and no call of the runtime.
#ifndef EXAMPLES_KV_SPAN_CHECK_H_
#define EXAMPLES_KV_SPAN_CHECK_H_

#include <atomic>
#include <memory>
#include <umcg/native_handle.hpp>

#include "engine.h"

namespace kv {

// One server's part. A worker gets its record the first time that it is seen here, and the record
// lives as long as the check: others may look at it at any time.
class SpanCheck {
  public:
    SpanCheck() = default;
    ~SpanCheck();
    SpanCheck(const SpanCheck&) = delete;
    SpanCheck& operator=(const SpanCheck&) = delete;

    struct Record {
        const umcg_task* worker;
        Record* next;                      // never changes
        std::atomic<bool> inside = false;  // between Enter() and Leave()
    };

    // Of `on.worker`, a worker of this server, by a task on it. Walks the records: keep it.
    Record* RecordOf(const umcg::native_handles& on);
    // Leave() on the same worker.
    void Enter(Record* mine, const umcg::native_handles& on);
    void Leave(Record* mine, const umcg::native_handles& on);

    void AddTo(EngineStats* stats) const { home_.AddTo(stats); }

  private:
    void CheckSelf(const umcg::native_handles& on);

    Home home_;
    std::atomic<Record*> all_ = nullptr;
};

}  // namespace kv

#endif  // EXAMPLES_KV_SPAN_CHECK_H_
