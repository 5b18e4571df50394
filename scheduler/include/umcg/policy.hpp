// SPDX-License-Identifier: MIT
//
// A policy as a C++ class: policy_table<my_policy> is the table of umcg/policy.h for it. The same class
// can be compiled into the runtime and called without the table.
//
//     #include <umcg/policy.hpp>
//
//     struct my_policy {
//         static constexpr const char* name = "my_policy";
//         struct task { umcg::policy_link<task> link; };          // in each task
//         struct server { umcg::policy_queue<task> queue; };      // for each server
//
//         void enqueue(umcg_policy& p, unsigned s, umcg_policy_task& t, umcg_enqueue_reason) noexcept {
//             umcg::server_data<my_policy>(p, s).queue.push_back(umcg::task_data<my_policy>(t));
//         }
//         void dequeue(umcg_policy& p, unsigned s, umcg_policy_task& t) noexcept {
//             umcg::server_data<my_policy>(p, s).queue.erase(umcg::task_data<my_policy>(t));
//         }
//         umcg_policy_task* pick(umcg_policy& p, unsigned s, uint64_t&) noexcept {
//             return umcg::task_of(umcg::server_data<my_policy>(p, s).queue.pop_front());
//         }
//     };
//     UMCG_POLICY_PLUGIN(my_policy)
//
//     int main() { return umcg::policy_table<my_policy>.steal == nullptr ? 0 : 1; }
//
// The class is the policy's data, `server` a server's, `task` a task's; the first two are constructed
// before init() and destroyed after exit(). A task's data is all zero bytes at first, and never
// destroyed. Every member function is noexcept and has the meaning of the op of its name; those that
// the class does not have are NULL in the table. Optional: flags, description.
// For an init() that fails, exit() is not called.
#ifndef UMCG_POLICY_HPP
#define UMCG_POLICY_HPP

#include <cerrno>
#include <new>
#include <type_traits>

#include <umcg/detail/list.hpp>
#include <umcg/policy.h>

namespace umcg {

template <class T>
using policy_link = detail::list_link<T>;
// Of policies' data of tasks that have a member `link`.
template <class T>
using policy_queue = detail::list<T, &T::link>;

template <class P>
P& policy_of(const umcg_policy& p) noexcept {
    return *static_cast<P*>(p.data);
}

template <class P>
typename P::server& server_data(const umcg_policy& p, unsigned server) noexcept {
    return *reinterpret_cast<typename P::server*>(p.servers + server * p.server_stride);
}

template <class P>
typename P::task& task_data(umcg_policy_task& t) noexcept {
    return *reinterpret_cast<typename P::task*>(t.data);
}

// The way back; nullptr is nullptr.
template <class T>
umcg_policy_task* task_of(T* data) noexcept {
    if (!data) return nullptr;
    return reinterpret_cast<umcg_policy_task*>(reinterpret_cast<unsigned char*>(data) -
                                               offsetof(umcg_policy_task, data));
}

// umcg_policy_lock() for a scope.
class policy_guard {
  public:
    policy_guard(const umcg_policy& p, uint32_t& word) noexcept : p_(p), word_(word) {
        umcg_policy_lock(&p_, &word_);
    }
    ~policy_guard() { umcg_policy_unlock(&p_, &word_); }
    policy_guard(const policy_guard&) = delete;
    policy_guard& operator=(const policy_guard&) = delete;

  private:
    const umcg_policy& p_;
    uint32_t& word_;
};

namespace detail {

template <class P>
class policy_adapter {
    using reason = umcg_enqueue_reason;

    static_assert(std::is_nothrow_default_constructible_v<P> && std::is_nothrow_destructible_v<P>);
    static_assert(std::is_nothrow_default_constructible_v<typename P::server>);
    static_assert(std::is_trivially_copyable_v<typename P::task>,
                  "a task's data is zero bytes at first and never destroyed");
    static_assert(sizeof(typename P::task) <= UMCG_POLICY_TASK_ROOM && alignof(typename P::task) <= 64);
    static_assert(alignof(P) <= 64 && alignof(typename P::server) <= 64);

    static P& self(umcg_policy* p) noexcept { return policy_of<P>(*p); }

    static int init(umcg_policy* p) noexcept {
        new (p->data) P;
        for (unsigned i = 0; i < p->n_servers; i++)
            new (p->servers + i * p->server_stride) typename P::server;
        if constexpr (requires(P& c) { c.init(*p); }) {
            static_assert(noexcept(self(p).init(*p)));
            const int err = self(p).init(*p);
            if (err) destroy(p);
            return err;
        } else {
            if (!*p->options) return 0;
            p->host->log(p, UMCG_POLICY_LOG_ERROR, "it has no options");
            destroy(p);
            return -EINVAL;
        }
    }
    static void exit(umcg_policy* p, const umcg_policy_exit* info) noexcept {
        if constexpr (requires(P& c) { c.exit(*p, *info); }) self(p).exit(*p, *info);
        destroy(p);
    }
    static void destroy(umcg_policy* p) noexcept {
        for (unsigned i = 0; i < p->n_servers; i++) {
            using server = typename P::server;
            reinterpret_cast<server*>(p->servers + i * p->server_stride)->~server();
        }
        self(p).~P();
    }
    static void enqueue(umcg_policy* p, uint32_t s, umcg_policy_task* t, reason r) noexcept {
        static_assert(noexcept(self(p).enqueue(*p, s, *t, r)));
        self(p).enqueue(*p, s, *t, r);
    }
    static void dequeue(umcg_policy* p, uint32_t s, umcg_policy_task* t) noexcept {
        static_assert(noexcept(self(p).dequeue(*p, s, *t)));
        self(p).dequeue(*p, s, *t);
    }
    static umcg_policy_task* pick(umcg_policy* p, uint32_t s, uint64_t* slice) noexcept {
        static_assert(noexcept(self(p).pick(*p, s, *slice)));
        return self(p).pick(*p, s, *slice);
    }

// An op that the class may not have.
#define UMCG_POLICY_OPTIONAL(op, parameters, arguments)                                             \
    static constexpr auto find_##op() noexcept {                                                    \
        using pointer = decltype(umcg_policy_ops::op);                                              \
        if constexpr (requires(P & c, umcg_policy * p, uint32_t s, uint32_t v, uint64_t n,          \
                               umcg_policy_task * t, reason r, umcg_blocked_reason b, char* text) { \
                          c.op arguments;                                                           \
                      })                                                                            \
            return pointer(+[] parameters noexcept {                                                \
                static_assert(noexcept(self(p).op arguments), "every member is noexcept");          \
                return self(p).op arguments;                                                        \
            });                                                                                     \
        else {                                                                                      \
            static_assert(!requires { &P::op; }, "has a member of this name with other parameters"); \
            return pointer(nullptr);                                                                \
        }                                                                                           \
    }
    UMCG_POLICY_OPTIONAL(server_online, (umcg_policy * p, uint32_t s), (*p, s))
    UMCG_POLICY_OPTIONAL(server_offline, (umcg_policy * p, uint32_t s), (*p, s))
    UMCG_POLICY_OPTIONAL(attach, (umcg_policy * p, umcg_policy_task* t, reason r), (*p, *t, r))
    UMCG_POLICY_OPTIONAL(detach, (umcg_policy * p, umcg_policy_task* t), (*p, *t))
    UMCG_POLICY_OPTIONAL(select, (umcg_policy * p, umcg_policy_task* t, uint32_t s, reason r),
                         (*p, *t, s, r))
    UMCG_POLICY_OPTIONAL(steal, (umcg_policy * p, uint32_t s, uint32_t v), (*p, s, v))
    UMCG_POLICY_OPTIONAL(tick, (umcg_policy * p, uint32_t s, uint64_t n), (*p, s, n))
    UMCG_POLICY_OPTIONAL(blocked,
                         (umcg_policy * p, uint32_t s, umcg_policy_task* t, umcg_blocked_reason b),
                         (*p, s, *t, b))
    UMCG_POLICY_OPTIONAL(attr_changed, (umcg_policy * p, umcg_policy_task* t), (*p, *t))
    UMCG_POLICY_OPTIONAL(dump, (umcg_policy * p, char* text, size_t n), (*p, text, n))
    UMCG_POLICY_OPTIONAL(preempts,
                         (umcg_policy * p, uint32_t s, const umcg_policy_task* t, uint64_t n),
                         (*p, s, *t, n))
#undef UMCG_POLICY_OPTIONAL

    static constexpr uint32_t flags() noexcept {
        if constexpr (requires { P::flags; }) return P::flags;
        return 0;
    }
    static constexpr const char* description() noexcept {
        if constexpr (requires { P::description; }) return P::description;
        return nullptr;
    }

  public:
    static constexpr umcg_policy_ops table = {
        .size = sizeof(umcg_policy_ops),
        .major = UMCG_POLICY_MAJOR,
        .minor = UMCG_POLICY_MINOR,
        .flags = flags(),
        .name = P::name,
        .description = description(),
        .data_size = sizeof(P),
        .server_size = sizeof(typename P::server),
        .task_size = sizeof(typename P::task),
        .init = init,
        .exit = exit,
        .server_online = find_server_online(),
        .server_offline = find_server_offline(),
        .attach = find_attach(),
        .detach = find_detach(),
        .select = find_select(),
        .enqueue = enqueue,
        .dequeue = dequeue,
        .pick = pick,
        .steal = find_steal(),
        .tick = find_tick(),
        .blocked = find_blocked(),
        .attr_changed = find_attr_changed(),
        .dump = find_dump(),
        .preempts = find_preempts(),
    };
};

}  // namespace detail

template <class P>
constexpr const umcg_policy_ops& policy_table = detail::policy_adapter<P>::table;

}  // namespace umcg

// In one source file of a plugin.
#define UMCG_POLICY_PLUGIN(P) UMCG_POLICY_EXPORT(umcg::policy_table<P>)

#endif
