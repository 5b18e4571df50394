// SPDX-License-Identifier: MIT
//
// Tasks. spawn() runs a function as a fiber (cheap: a small stack, switched in user space) or, with
// kind::thread, as a thread task (a thread of its own: thread_local, errno and mutex ownership are as
// in any thread). Both are waited for in the same way, and use the same calls.
//
//     #include <umcg/runtime.hpp>
//
//     int main() {
//         umcg::runtime rt;
//         auto sum = rt.spawn([] {
//             auto left = umcg::spawn([] { return 40; });
//             auto right = umcg::spawn([] { umcg::sleep_for(1ms); return 2; }, {.kind = umcg::kind::thread});
//             return left.join() + right.join();
//         });
//         return sum.join() == 42 ? 0 : 1;
//     }
#ifndef UMCG_TASK_HPP
#define UMCG_TASK_HPP

#include <atomic>
#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include <umcg/cancellation.hpp>
#include <umcg/detail/wait.hpp>
#include <umcg/limit.hpp>

namespace umcg {

enum class kind { fiber, thread };

// What is said of a task when it is spawned. spawn() throws std::invalid_argument for a value that
// is not what is said here.
struct attributes {
    std::string name = {};  // for messages
    umcg::kind kind = kind::fiber;
    // Of a fiber, in bytes; 0: options::stack_size, and never less than that. At least 8192, at most
    // 1 GB. It costs address space, and what was ever used of it. A thread task has the stack of a
    // thread (ulimit -s), whatever is said here.
    size_t stack_size = 0;

    // For policies: each looks at what it is made for. fifo and work_stealing look at none of these.
    int priority = 0;      // the higher the more urgent
    unsigned weight = 100;  // its share beside others'; 1 to 10000
    clock::time_point deadline = clock::time_point::max();  // when it shall have ended; max(): never
    unsigned group = 0;    // tasks with the same number are of one group; 0 is one, too

    // Does it take over from the task or thread that spawns it: the values of task_locals, the
    // token (task_token()), and the deadline, if that is the earlier one?
    bool inherit = true;
    // A fiber that changes the floating-point environment (rounding, exception masks, flush to zero:
    // fesetround() and its like) and calls the runtime before it has changed it back. It starts with its
    // spawner's and keeps its own across every wait, for a few nanoseconds a switch. Without it a fiber
    // has the environment of the thread that made the runtime, and must leave it so. Thread tasks
    // always have their own. docs/xstate.md
    bool float_environment = false;
};

template <class T>
class task;

namespace detail {

class core;
struct local_table;  // src/task_local.cpp

// What a task takes over from whoever spawns it. None of it changes: it is replaced.
struct inheritance {
    std::shared_ptr<const local_table> locals;
    cancel_token token;
};

// What a handle and the running task share.
class task_state {
  public:
    explicit task_state(attributes attr) : attr_(std::move(attr)) {}
    virtual ~task_state() = default;
    task_state(const task_state&) = delete;
    task_state& operator=(const task_state&) = delete;
    // src/state_memory.cpp
    static void* operator new(size_t size);
    static void* operator new(size_t size, std::align_val_t align);
    static void operator delete(void* block, size_t size) noexcept;
    static void operator delete(void* block, size_t size, std::align_val_t align) noexcept;

    virtual void run() noexcept = 0;
    // It has ended: whoever joins goes on. Then the task's own reference is dropped.
    void complete() noexcept;
    wake wait(const limit& until);
    bool done() const noexcept { return done_.load(std::memory_order_acquire); }
    const attributes& attr() const noexcept { return attr_; }
    // The task's own: touched by whoever spawns it, then by the task.
    inheritance& inherited() noexcept { return inherited_; }
    // Before it is queued. `token`: instead of the spawner's. Throws std::invalid_argument.
    void prepare(const cancel_token* token);

    void drop() noexcept {
        if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
    }

  private:
    std::atomic<unsigned> refs_{2};  // the handle and the task
    std::atomic<bool> done_{false};
    short_lock lock_;
    wait_list joining_;
    attributes attr_;
    inheritance inherited_;
};

template <class T>
class result_state : public task_state {
  public:
    using task_state::task_state;
    T take() {
        if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
        if constexpr (!std::is_void_v<T>) return *std::move(value_);
    }

  protected:
    struct nothing {};
    std::optional<std::conditional_t<std::is_void_v<T>, nothing, T>> value_;
    std::exception_ptr error_;
};

template <class T, class F>
class function_state final : public result_state<T> {
  public:
    template <class G>
    function_state(G&& fn, attributes attr)
        : result_state<T>(std::move(attr)), fn_(std::forward<G>(fn)) {}

    void run() noexcept override {
        try {
            if constexpr (std::is_void_v<T>)
                (*std::move(fn_))();
            else
                this->value_.emplace((*std::move(fn_))());
        } catch (...) {
            this->error_ = std::current_exception();
        }
        // what it has captured goes before anybody hears of its end
        fn_.reset();
    }

  private:
    std::optional<F> fn_;
};

// Queue it. `where` nullptr: the runtime of the calling task. Throws; then it has not run.
void start(core* where, task_state* state);

// `token`: what the task has as task_token(); nullptr: its spawner's.
template <class F>
auto spawn_on(core* where, F&& fn, attributes attr, const cancel_token* token = nullptr) {
    using function = std::decay_t<F>;
    using result = std::invoke_result_t<function>;
    static_assert(!std::is_reference_v<result>, "a task returns a value");
    auto state = std::make_unique<function_state<result, function>>(std::forward<F>(fn),
                                                                    std::move(attr));
    state->prepare(token);
    start(where, state.get());
    return task<result>(state.release());
}

}  // namespace detail

// The handle of a task. Like std::jthread's, its destructor waits for the task.
template <class T>
class [[nodiscard]] task {
  public:
    task() = default;
    task(task&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
    task& operator=(task&& other) noexcept {
        if (this != &other) {
            end();
            state_ = std::exchange(other.state_, nullptr);
        }
        return *this;
    }
    ~task() { end(); }

    bool joinable() const noexcept { return state_ != nullptr; }
    // Has it ended? Never blocks.
    bool done() const { return checked("umcg::task::done")->done(); }
    // Wait until it has ended. It is still to be joined.
    wake wait(const limit& until = {}) { return checked("umcg::task::wait")->wait(until); }
    // Wait, then its result, or the exception that it ended with. Once. From a task, a thread task
    // or a plain thread. Blocks.
    T join() {
        checked("umcg::task::join")->wait({});
        struct release {
            detail::result_state<T>* state;
            ~release() { state->drop(); }
        } last{std::exchange(state_, nullptr)};
        return last.state->take();
    }
    // Let it run on alone. Its result is lost; an exception, too.
    void detach() { checked("umcg::task::detach"); std::exchange(state_, nullptr)->drop(); }

  private:
    template <class F>
    friend auto detail::spawn_on(detail::core*, F&&, attributes, const cancel_token*);
    explicit task(detail::result_state<T>* state) : state_(state) {}

    detail::result_state<T>* checked(const char* call) const {
        if (!state_) detail::misuse(call);
        return state_;
    }
    void end() noexcept {
        if (!state_) return;
        state_->wait({});
        std::exchange(state_, nullptr)->drop();
    }

    detail::result_state<T>* state_ = nullptr;
};

// Run fn() as a task of the runtime that the caller is a task of; elsewhere it aborts: use
// runtime::spawn(). Throws as that does.
template <class F>
[[nodiscard]] auto spawn(F&& fn, attributes attr = {}) {
    return detail::spawn_on(nullptr, std::forward<F>(fn), std::move(attr));
}

// Let other tasks run first. On a plain thread: sched_yield().
void yield() noexcept;

// Wait. Other tasks run meanwhile. With a token: how it ended.
wake sleep_until(const limit& until);
template <class Rep, class Period>
void sleep_for(std::chrono::duration<Rep, Period> d) {
    sleep_until(limit(d));
}

// Is the caller a task? Its name, "" for none.
bool in_task() noexcept;
const char* task_name() noexcept;

// For policies: from now on the calling task has another priority, weight or deadline than it was spawned
// with. The policy hears of it at once (attr_changed() in umcg/policy.h); one that does not ask for that
// sees it when the task is next queued. task_deadline() and waits stay what they are. A weight is 1 to
// 10000, else std::invalid_argument. On a plain thread: nothing. Does not block.
void set_priority(int priority) noexcept;
void set_weight(unsigned weight);
void set_deadline(clock::time_point when) noexcept;  // max(): none

// Cancelled when nobody wants the calling task's result any more: the token of the scope that it was
// spawned in, or that its spawner was; of no scope: its runtime's (runtime::cancel()).
cancel_token task_token();
// When the calling task shall have ended: its attribute, its spawner's or its scope's, whichever is
// the earliest. max(): at no time.
clock::time_point task_deadline() noexcept;
// Both, as the limit of a wait in the calling task: m.lock(umcg::task_limit()).
limit task_limit() noexcept;

}  // namespace umcg

#endif
