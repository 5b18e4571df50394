// SPDX-License-Identifier: MIT
//
// Trees of tasks on two CPUs.
#include <vector>

#include "cases.hpp"

namespace {

umcg::options for_trees() {
    umcg::options o = with_servers(2);
    o.policy = "work_stealing:spawned=newest";  // in depth; the default walks them in breadth
    return o;
}

// Each task has ten children, down to `leaves` leaves; every one gives the sum of its children.
long sum(long number, long leaves) {
    if (leaves <= 1) return number;
    std::vector<umcg::task<long>> children;
    children.reserve(10);
    const long each = leaves / 10;
    for (long i = 0; i < 10; i++)
        children.push_back(umcg::spawn([=] { return sum(number + i * each, each); }));
    long total = 0;
    for (auto& c : children) total += c.join();
    return total;
}

long fibonacci(long n) {
    if (n < 2) return n;
    auto left = umcg::spawn([n] { return fibonacci(n - 1); });
    const long right = fibonacci(n - 2);
    return left.join() + right;
}

}  // namespace

// n leaves, a power of ten; the figure is of the whole tree.
void skynet(long n) {
    umcg::runtime rt(for_trees());
    const bench::stopwatch watch;
    const long total = rt.spawn([n] { return sum(0, n); }).join();
    watch.report(1);
    if (total != n * (n - 1) / 2) bench::fail("skynet: wrong sum");
}

// One spawn and one call at each node; the figure is of the whole tree.
void fib(long n) {
    umcg::runtime rt(for_trees());
    const bench::stopwatch watch;
    const long result = rt.spawn([n] { return fibonacci(n); }).join();
    watch.report(1);
    long a = 0, b = 1;
    for (long i = 0; i < n; i++) b += std::exchange(a, b);
    if (result != a) bench::fail("fib: wrong number");
}
