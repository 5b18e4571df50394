// SPDX-License-Identifier: MIT
// A server and workers that never look at a worker's struct umcg_task, so that
// the memory under it can be taken away or filled with anything: the server
// throws its lists away unread and tries its workers by tid, in turn. Whatever
// happens to user memory, the kernel's own words must let every worker go on.
#pragma once

#include <functional>
#include <mutex>

#include "memory.hpp"

namespace umcg_test {

class Crew {
  public:
    // One turn of a worker; after it `progress` counts. i: which worker.
    using Turn = std::function<void(int i)>;
    Crew(umcg_task* server, std::vector<umcg_task*> workers, Turn turn = {});
    ~Crew();  // all of them must be able to end
    Crew(const Crew&) = delete;
    Crew& operator=(const Crew&) = delete;

    // Every worker has made n more turns; a failure if not.
    void expect_progress(uint64_t n);
    // fn in the server's thread, between two waits.
    void at_server(const std::function<void()>& fn);
    // Where the server now writes its next_tid; from at_server() only.
    void set_server_view(umcg_task* t) { view_ = t; }
    const std::vector<std::atomic<pid_t>>& tids() const { return tids_; }
    pid_t server_tid() const { return server_tid_; }
    std::atomic<uint64_t> successes{0};  // umcg_wait() of the server returned 0

  private:
    void serve();
    void work(int i);
    std::atomic<umcg_task*> view_;
    std::vector<umcg_task*> memory_;
    Turn turn_;
    std::vector<std::atomic<pid_t>> tids_;
    std::vector<std::atomic<uint64_t>> progress_;
    std::atomic<pid_t> server_tid_{0};
    std::atomic<bool> stop_{false};
    std::atomic<int> live_{0};
    std::mutex lock_;
    std::function<void()> job_;
    std::vector<std::thread> threads_;
    std::thread server_;
};

}  // namespace umcg_test
