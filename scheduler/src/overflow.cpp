// SPDX-License-Identifier: MIT
#include "overflow.hpp"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "core.hpp"

namespace umcg::detail {

namespace {

constexpr size_t alternative_size = 64 * 1024;

struct sigaction before;

// Only what may be called in a handler.
class message {
  public:
    void add(const char* text) noexcept {
        for (; *text && length_ < sizeof(text_); text++) text_[length_++] = *text;
    }
    void add(size_t n) noexcept {
        char digits[24];
        char* p = digits + sizeof(digits);
        *--p = 0;
        do *--p = static_cast<char>('0' + n % 10);
        while (n /= 10);
        add(p);
    }
    void write() const noexcept {
        if (::write(STDERR_FILENO, text_, length_) < 0) return;
    }

  private:
    char text_[512];
    size_t length_ = 0;
};

void name_it(const task_body& t, uintptr_t at) noexcept {
    message m;
    m.add("umcg: stack overflow in task '");
    m.add(t.state->attr().name.c_str());
    if (t.kind == kind::thread) {
        m.add("', a thread task: its stack is a thread's (ulimit -s)\n");
        m.write();
        return;
    }
    auto* top = const_cast<task_body*>(&t);
    const auto low = reinterpret_cast<uintptr_t>(t.pool->bottom(top));
    if (at >= low || at < low - t.pool->guard_size()) return;
    m.add("', which has ");
    m.add(t.pool->usable());
    m.add(" bytes: raise umcg::options::stack_size or its attributes::stack_size\n");
    m.write();
}

bool in_guard(const worker& w, uintptr_t at) noexcept {
    if (w.current->kind != kind::thread) return true;  // name_it() looks
    return at < w.stack_low && at >= w.stack_low - w.stack_guard;
}

void as_before(int number, siginfo_t* info, void* context) noexcept {
    if (before.sa_flags & SA_SIGINFO) {
        before.sa_sigaction(number, info, context);
    } else if (before.sa_handler == SIG_DFL || before.sa_handler == SIG_IGN) {
        const bool sent = info->si_code <= 0;
        if (sent && before.sa_handler == SIG_IGN) return;
        // the access is repeated and dies of the same signal; a signal that was sent is sent again
        signal(number, SIG_DFL);
        if (sent) syscall(SYS_tgkill, getpid(), gettid(), number);
    } else {
        before.sa_handler(number);
    }
}

void on_fault(int number, siginfo_t* info, void* context) noexcept {
    const int saved = errno;
    const worker* w = this_worker();
    const auto at = reinterpret_cast<uintptr_t>(info->si_addr);
    if (info->si_code > 0 && w && w->current && in_guard(*w, at)) name_it(*w->current, at);
    errno = saved;
    as_before(number, info, context);
}

}  // namespace

alternative_stack::alternative_stack() noexcept {
    stack_t s = {};
    s.ss_size = alternative_size;
    s.ss_sp = memory_ = mmap(nullptr, alternative_size, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (good()) sigaltstack(&s, nullptr);
}

bool alternative_stack::good() const noexcept {
    return memory_ != MAP_FAILED;
}

alternative_stack::~alternative_stack() {
    stack_t s = {};
    s.ss_flags = SS_DISABLE;
    sigaltstack(&s, nullptr);
    if (good()) munmap(memory_, alternative_size);
}

void name_overflows() {
    static const int err = [] {
        struct sigaction ours = {};
        if (sigaction(SIGSEGV, nullptr, &before)) return errno;
        ours.sa_sigaction = on_fault;
        ours.sa_mask = before.sa_mask;
        ours.sa_flags = SA_SIGINFO | SA_ONSTACK | (before.sa_flags & (SA_NODEFER | SA_RESTART));
        return sigaction(SIGSEGV, &ours, nullptr) ? errno : 0;
    }();
    if (err) throw std::system_error(err, std::generic_category(), "umcg: sigaction");
}

void learn_thread_stack(worker& w) noexcept {
    pthread_attr_t attr;
    if (pthread_getattr_np(pthread_self(), &attr)) return;
    void* low = nullptr;
    size_t size = 0;
    if (!pthread_attr_getstack(&attr, &low, &size) &&
        !pthread_attr_getguardsize(&attr, &w.stack_guard))
        w.stack_low = reinterpret_cast<uintptr_t>(low);
    pthread_attr_destroy(&attr);
}

}  // namespace umcg::detail
