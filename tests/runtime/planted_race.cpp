// SPDX-License-Identifier: MIT
//
// Must be reported: two fibers change a variable without any order. Shows that ThreadSanitizer sees
// through the runtime's switches. The exit code is the sanitizer's.
#include <cstdio>

#include <umcg/runtime.hpp>

int main() {
    umcg::options o;
    o.servers = 2;
    o.policy = "fifo";  // one fiber for each server
    umcg::runtime rt(o);
    volatile long n = 0;
    auto count = [&] {
        for (int i = 0; i < 1000; i++) {
            n = n + 1;
            umcg::yield();
        }
    };
    auto a = rt.spawn(count), b = rt.spawn(count);
    a.join();
    b.join();
    printf("%ld\n", n);
}
