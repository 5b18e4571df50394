// SPDX-License-Identifier: MIT
//
// Structured tasks: a scope does not end before the tasks that were spawned in it. The first that
// throws cancels the others' token, and join() throws what it threw. Cancellation and deadlines go
// down: to the scope's tasks, to the scopes that these make, and so on.
//
//     #include <stdexcept>
//     #include <umcg/runtime.hpp>
//     #include <umcg/scope.hpp>
//
//     int main() {
//         umcg::runtime rt;
//         return rt.spawn([] {
//             umcg::scope s;
//             s.spawn([] { umcg::sleep_until(umcg::task_limit()); });   // until somebody fails
//             s.spawn([] { throw std::runtime_error("no"); });
//             try {
//                 s.join();
//             } catch (const std::runtime_error&) {
//                 return 0;
//             }
//             return 1;
//         }).join();
//     }
#ifndef UMCG_SCOPE_HPP
#define UMCG_SCOPE_HPP

#include <exception>
#include <utility>

#include <umcg/cancellation.hpp>
#include <umcg/task.hpp>
#include <umcg/wait_group.hpp>

namespace umcg {

// Its tasks are of the runtime that the caller is a task of. spawn(), join() and the destructor
// belong to the one who made it; cancel() and token() to anybody. For its tasks, token() is
// task_token(), and its deadline is theirs unless their own is earlier.
class scope {
  public:
    // Cancelled when the task_token() of its maker is.
    scope() : source_(task_token()) {}
    // The same, and at `deadline`.
    explicit scope(clock::time_point deadline) : source_(task_token(), deadline) {}
    // The same, `time` from now on.
    template <class Rep, class Period>
    explicit scope(std::chrono::duration<Rep, Period> time)
        : scope(clock::now() + std::chrono::ceil<clock::duration>(time)) {}
    // Cancels, then waits for all. An exception that join() has not thrown is lost.
    ~scope() {
        cancel();
        running_.wait();
    }
    scope(const scope&) = delete;
    scope& operator=(const scope&) = delete;

    // Run fn() as a task. Throws as umcg::spawn() does. Nothing waits for its result: it returns
    // nothing, or what it returns is dropped.
    template <class F>
    void spawn(F&& fn, attributes attr = {}) {
        running_.add();
        struct undo {
            wait_group* group;
            ~undo() {
                if (group) group->done();
            }
        } unless_spawned{&running_};
        const cancel_token token = source_.token();
        detail::spawn_on(
            nullptr,
            [this, fn = std::decay_t<F>(std::forward<F>(fn))]() mutable {
                // the last that is done: what fn has captured is gone by then
                struct end {
                    wait_group& group;
                    ~end() { group.done(); }
                } at_end{running_};
                run(std::move(fn));
            },
            std::move(attr), &token)
            .detach();
        unless_spawned.group = nullptr;
    }

    // Wait until all have ended; throws what the first that failed has thrown, once. That it was
    // cancelled, or late, is no error of its own: token().cancelled(). Blocks.
    void join() {
        running_.wait();
        // nobody else is left
        if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
    }
    // The same up to the limit, which cancels the rest and waits for it: false.
    bool join(const limit& until) {
        const bool in_time = running_.wait(until) == wake::signalled;
        if (!in_time) cancel();
        join();
        return in_time;
    }

    bool cancel() noexcept { return source_.cancel(); }
    cancel_token token() const { return source_.token(); }

  private:
    template <class F>
    void run(F fn) noexcept {
        try {
            std::move(fn)();
        } catch (...) {
            // the first; the wait group brings it to join()
            if (!failed_.exchange(true, std::memory_order_relaxed))
                error_ = std::current_exception();
            cancel();
        }
    }

    cancel_source source_;
    wait_group running_;
    std::atomic<bool> failed_{false};
    std::exception_ptr error_;  // written by the one who sets failed_, read when all have ended
};

}  // namespace umcg

#endif
