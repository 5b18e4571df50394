// SPDX-License-Identifier: MIT
#include <execinfo.h>
#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <umcg/umcg.h>

#include "harness.hpp"

namespace {

// Only ever fires on a hang. On the main thread's behalf: by then nothing else may run.
void on_deadline(int) {
    static const char text[] = "\ntest: no end within the deadline\n";
    if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0) _exit(3);
    abort();
}

#ifndef UNDER_SANITIZER
// Where it was. Not on the stack of a fiber, which may be what has run out.
void on_fault(int number, siginfo_t* info, void*) {
    void* frames[64];
    static const char text[] = "\ntest: fault, backtrace:\n";
    if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0) _exit(3);
    dprintf(STDERR_FILENO, "signal %d at %p, thread %d\n", number, info->si_addr, gettid());
    backtrace_symbols_fd(frames, backtrace(frames, 64), STDERR_FILENO);
    signal(number, SIG_DFL);
}
#endif

class Deadline : public testing::EmptyTestEventListener {
    void OnTestStart(const testing::TestInfo&) override {
        const char* seconds = getenv("UMCG_TEST_DEADLINE");
        alarm(seconds ? static_cast<unsigned>(atoi(seconds)) : 600);
    }
    void OnTestEnd(const testing::TestInfo&) override { alarm(0); }
};

}  // namespace

int scaled(int n) {
#ifdef UNDER_SANITIZER
    n = (n + 9) / 10;
#endif
    if (const char* percent = getenv("UMCG_TEST_SCALE")) n = n * atoi(percent) / 100;
    return n > 0 ? n : 1;
}

unsigned long status_field(const char* name) {
    unsigned long value = 0;
    char line[256];
    FILE* f = fopen("/proc/self/status", "re");
    if (!f) abort();
    while (fgets(line, sizeof(line), f))
        if (!strncmp(line, name, strlen(name))) value = strtoul(line + strlen(name), nullptr, 10);
    fclose(f);
    return value;
}

int main(int argc, char** argv) {
    testing::InitGoogleTest(&argc, argv);
    try {
        const umcg::runtime first;  // chooses the backend
        printf("backend: %s\n", first.backend());
    } catch (const std::system_error& e) {
        printf("skip: no backend works here: %s\n", e.what());
        return 77;
    }
    signal(SIGALRM, on_deadline);
#ifndef UNDER_SANITIZER
    struct sigaction fault = {};
    fault.sa_sigaction = on_fault;
    fault.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    for (int number : {SIGSEGV, SIGBUS, SIGILL}) sigaction(number, &fault, nullptr);
    void* first;  // it allocates: now
    backtrace(&first, 1);
#endif
    testing::UnitTest::GetInstance()->listeners().Append(new Deadline);
    return RUN_ALL_TESTS();
}
