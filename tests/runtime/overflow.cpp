// SPDX-License-Identifier: MIT
//
// Stack overflows, each in a child: it must say which task it was, and end as it would have ended
// without the runtime's handler.
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <system_error>
#include <umcg/runtime.hpp>

namespace {

volatile char sink;

__attribute__((noinline)) int deep(int n) {
    volatile char frame[256];
    frame[0] = static_cast<char>(n);
    sink = frame[0];
    return n == 0 ? 0 : deep(n - 1) + frame[0];
}

void overflow() {
    sink = static_cast<char>(deep(1 << 30));
}

// The compiler must not see that this is no address.
int* volatile nowhere = reinterpret_cast<int*>(8);
void fault() {
    *nowhere = 1;
}

void own_handler(int, siginfo_t*, void*) {
    _exit(7);
}

void handle() {
    struct sigaction a = {};
    a.sa_sigaction = own_handler;
    a.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigaction(SIGSEGV, &a, nullptr);
}

void in_a_task(umcg::attributes attr, void (*fn)()) {
    umcg::options o;
    o.servers = 2;
    umcg::runtime rt(o);
    rt.spawn([] { umcg::yield(); }).join();
    rt.spawn(fn, std::move(attr)).join();
}

struct scenario {
    const char* name;
    void (*run)();
    const char* text;  // in what is written; nullptr: nothing of it may be
    int end;           // a signal, or minus the exit code
};

const scenario scenarios[] = {
    {"fiber", [] { in_a_task({.name = "deep one"}, overflow); },
     "stack overflow in task 'deep one', which has ", SIGSEGV},
    {"large", [] { in_a_task({.name = "larger one", .stack_size = 1 << 20}, overflow); },
     "stack overflow in task 'larger one', which has 105", SIGSEGV},
    {"thread", [] { in_a_task({.name = "thread", .kind = umcg::kind::thread}, overflow); },
     "stack overflow in task 'thread', a thread task", SIGSEGV},
    {"handled",
     [] {
         handle();
         in_a_task({.name = "handled"}, overflow);
     },
     "stack overflow in task 'handled'", -7},
    {"other", [] { in_a_task({.name = "no overflow"}, fault); }, nullptr, SIGSEGV},
    {"sent", [] { in_a_task({.name = "no overflow"}, [] { raise(SIGSEGV); }); }, nullptr, SIGSEGV},
    {"outside",
     [] {
         umcg::runtime rt;
         fault();
     },
     nullptr, SIGSEGV},
};

bool check(const scenario& s) {
    int fd[2];
    if (pipe(fd)) return false;
    const pid_t child = fork();
    if (child == 0) {
        const rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        dup2(fd[1], STDERR_FILENO);
        close(fd[0]);
        close(fd[1]);
        alarm(240);  // a hang
        s.run();
        _exit(0);
    }
    close(fd[1]);
    std::string text;
    char buffer[4096];
    for (ssize_t n; (n = read(fd[0], buffer, sizeof(buffer))) > 0;)
        text.append(buffer, static_cast<size_t>(n));
    close(fd[0]);
    int status = 0;
    if (waitpid(child, &status, 0) != child) return false;
    const int end = WIFSIGNALED(status) ? WTERMSIG(status) : -WEXITSTATUS(status);
    const bool said = text.find(s.text ? s.text : "overflow") != std::string::npos;
    if (end == s.end && said == (s.text != nullptr)) return true;
    fprintf(stderr, "%s: ended with %d, not %d; said: %s\n", s.name, end, s.end, text.c_str());
    return false;
}

}  // namespace

// The parent has no runtime: what it forks has a process of its own to start one in.
int main() {
    if (const pid_t child = fork(); child == 0) {
        try {
            umcg::runtime rt;
            _exit(0);
        } catch (const std::system_error& e) {
            printf("skip: no backend works here: %s\n", e.what());
            fflush(stdout);
            _exit(77);
        }
    } else if (int status; waitpid(child, &status, 0) != child || status) {
        return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
    }
    int failed = 0;
    for (const auto& s : scenarios) failed += !check(s);
    return failed != 0;
}
