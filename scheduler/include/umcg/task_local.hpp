// SPDX-License-Identifier: MIT
//
// Variables of which each task has its own, and which it takes over from the task or thread that
// spawns it: a request's identity, a tracing context, a locale. What changes later in one of the
// two is not seen in the other.
//
//     #include <string>
//     #include <umcg/runtime.hpp>
//     #include <umcg/task_local.hpp>
//
//     umcg::task_local<std::string> user("nobody");
//
//     int main() {
//         umcg::runtime rt;
//         return rt.spawn([] {
//             user.set("ada");
//             auto child = umcg::spawn([] {
//                 const std::string inherited = user.get();
//                 user.set("bob");                              // its own
//                 return inherited;
//             });
//             return child.join() == "ada" && user.get() == "ada" ? 0 : 1;
//         }).join();
//     }
#ifndef UMCG_TASK_LOCAL_HPP
#define UMCG_TASK_LOCAL_HPP

#include <cstdint>
#include <memory>
#include <utility>

namespace umcg {

namespace detail {

uint64_t new_local_key() noexcept;
// Of the calling task or thread; nullptr: it has none.
const void* find_local(uint64_t key) noexcept;
// nullptr: it has none from now on. Returns what it had.
std::shared_ptr<const void> exchange_local(uint64_t key, std::shared_ptr<const void> value);

}  // namespace detail

// A thread_local of a task: usable where a thread_local in a fiber is not, since a fiber moves from
// thread to thread. Works in plain threads, too, and goes on from there to the tasks of
// runtime::spawn(). Spawning costs the same however many there are; get() looks through those that
// are set; set() allocates. A value is destroyed when nobody has it any more, in the task or thread
// that was the last one, and may wait there.
template <class T>
class task_local {
  public:
    // `initial`: what everybody has who has set and inherited nothing.
    explicit task_local(T initial = T()) : initial_(std::move(initial)) {}
    task_local(const task_local&) = delete;
    task_local& operator=(const task_local&) = delete;

    // Valid until the caller sets it again or ends. Shared with those who have inherited it.
    const T& get() const noexcept {
        const void* value = detail::find_local(key_);
        return value ? *static_cast<const T*>(value) : initial_;
    }
    const T& operator*() const noexcept { return get(); }
    const T* operator->() const noexcept { return &get(); }
    // For the caller, and for what it spawns from now on.
    void set(T value) {
        detail::exchange_local(key_, std::make_shared<const T>(std::move(value)));
    }

    // As long as it lives the caller has `value`; then again what it had before. Of one task, the
    // last one made ends first.
    class [[nodiscard]] binding {
      public:
        binding(task_local& local, T value)
            : key_(local.key_),
              before_(detail::exchange_local(key_, std::make_shared<const T>(std::move(value)))) {}
        ~binding() { detail::exchange_local(key_, std::move(before_)); }
        binding(const binding&) = delete;
        binding& operator=(const binding&) = delete;

      private:
        const uint64_t key_;
        std::shared_ptr<const void> before_;
    };

  private:
    const uint64_t key_ = detail::new_local_key();
    const T initial_;
};

}  // namespace umcg

#endif
