// SPDX-License-Identifier: MIT
//
// What makes threads of one kernel thread: each has a stack, thread-local variables, an errno and exceptions
// in flight, and switch_to() changes them all.
#include <cxxabi.h>
#include <errno.h>
#include <sys/mman.h>

#include <cstdlib>

#include "vthread.hpp"

// The linker's: the variables that instrument.hpp has put into a section.
extern "C" {
extern char __start_explored_locals[] __attribute__((weak));
extern char __stop_explored_locals[] __attribute__((weak));
}

namespace explore {

vthread* running = nullptr;

namespace {

constexpr size_t stack_size = 256 * 1024;
std::vector<char*> stacks;
std::vector<char> first_locals;  // as they are before the first run
exceptions* exceptions_here;
vthread outside;  // the kernel thread itself

size_t locals_size() { return static_cast<size_t>(__stop_explored_locals - __start_explored_locals); }

char* get_stack(size_t i) {
    while (stacks.size() <= i) {
        void* p = mmap(nullptr, stack_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED) abort();
        stacks.push_back(static_cast<char*>(p));
    }
    return stacks[i];
}

}  // namespace

void switch_to(vthread* t) {
    if (t == running) return;
    vthread* from = running;
    if (locals_size()) {
        memcpy(from->locals.data(), __start_explored_locals, locals_size());
        memcpy(__start_explored_locals, t->locals.data(), locals_size());
    }
    from->in_flight = *exceptions_here;
    *exceptions_here = t->in_flight;
    const int saved = errno;
    running = t;
    swapcontext(&from->context, &t->context);
    errno = saved;
}

void give_context(vthread& t, size_t stack, void (*body)()) {
    // the first thread of the first run: nobody has changed them yet
    if (first_locals.empty() && locals_size())
        first_locals.assign(__start_explored_locals, __stop_explored_locals);
    t.locals = first_locals;
    getcontext(&t.context);
    t.context.uc_stack.ss_sp = get_stack(stack);
    t.context.uc_stack.ss_size = stack_size;
    t.context.uc_link = nullptr;
    makecontext(&t.context, body, 0);
}

void enter_contexts(vthread& first) {
    exceptions_here = reinterpret_cast<exceptions*>(abi::__cxa_get_globals());
    outside.locals = first_locals;
    running = &outside;
    switch_to(&first);
    running = nullptr;
}

void leave_contexts() { switch_to(&outside); }

}  // namespace explore
