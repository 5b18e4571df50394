// SPDX-License-Identifier: MIT
//
// Wait until a number of things are done, whoever does them.
//
//     #include <umcg/runtime.hpp>
//     #include <umcg/wait_group.hpp>
//
//     int main() {
//         umcg::runtime rt;
//         umcg::wait_group all(100);
//         for (int i = 0; i < 100; i++) rt.spawn([&] { all.done(); }).detach();
//         all.wait();
//     }
#ifndef UMCG_WAIT_GROUP_HPP
#define UMCG_WAIT_GROUP_HPP

#include <cstddef>

#include <umcg/detail/wait.hpp>

namespace umcg {

// It may be destroyed as soon as one wait() has returned and no other call is to come.
class wait_group {
  public:
    explicit wait_group(size_t count = 0) noexcept : count_(count) {}
    wait_group(const wait_group&) = delete;
    wait_group& operator=(const wait_group&) = delete;

    // Never blocks. While the count is 0: not beside a wait().
    void add(size_t n = 1) noexcept {
        detail::guard g(lock_);
        count_ += n;
    }
    // Never blocks. Aborts when there is nothing left to be done.
    void done() noexcept {
        detail::guard g(lock_);
        if (!count_) detail::misuse("umcg::wait_group::done() more often than add()");
        if (--count_) return;
        while (detail::signal_one(waiting_)) {
        }
    }
    // Blocks until the count is 0 (signalled) or the limit.
    wake wait(const limit& until = {}) {
        detail::waiter w;
        {
            detail::guard g(lock_);
            if (!count_) return wake::signalled;
            waiting_.push_back(w);
        }
        const wake how = detail::park_on(w, until, lock_, waiting_);
        // the last done() lets go of the lock before we return
        detail::guard g(lock_);
        return how;
    }

  private:
    detail::short_lock lock_;
    size_t count_;
    detail::wait_list waiting_;
};

}  // namespace umcg

#endif
