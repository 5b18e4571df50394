// SPDX-License-Identifier: MIT
//
// Memory of workers and of servers' tasks.
//
// 64 umcg_tasks to a page, as few pages as can be charged to RLIMIT_MEMLOCK, and the workers behind
// them in the same aligned chunk. Never returned: a late look at a worker finds one.
#include "core.hpp"

#include <sys/mman.h>

#include <mutex>
#include <new>
#include <utility>
#include <vector>

namespace umcg::detail {

namespace {

struct chunk {
    static constexpr size_t size = size_t{1} << 16, count = 64;
    umcg_task tasks[count];
    worker workers[count];
};
static_assert(sizeof(chunk) <= chunk::size && sizeof(umcg_task) * chunk::count == 4096);

std::mutex memory_mutex;
worker* free_workers = nullptr;

chunk* new_chunk() {
    void* p = mmap(nullptr, 2 * chunk::size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                   -1, 0);
    if (p == MAP_FAILED) return nullptr;
    const auto start = reinterpret_cast<uintptr_t>(p);
    const uintptr_t aligned = (start + chunk::size - 1) & ~(chunk::size - 1);
    if (aligned > start) munmap(p, aligned - start);
    munmap(reinterpret_cast<void*>(aligned + chunk::size), start + chunk::size - aligned);
    // a child of fork() is no worker of its parent's servers
    madvise(reinterpret_cast<void*>(aligned), 4096, MADV_WIPEONFORK);
    return new (reinterpret_cast<void*>(aligned)) chunk;
}

}  // namespace

worker* new_worker(server& home) {
    std::lock_guard hold(memory_mutex);
    if (!free_workers) {
        chunk* c = new_chunk();
        if (!c) return nullptr;
        for (size_t i = 0; i < chunk::count; i++) {
            c->workers[i].kernel = &c->tasks[i];
            c->workers[i].next_spare = free_workers;
            free_workers = &c->workers[i];
        }
    }
    worker* w = free_workers;
    free_workers = w->next_spare;
    umcg_task* kernel = w->kernel;
    *kernel = {};
    *w = {};
    w->kernel = kernel;
    w->home = &home;
    return w;
}

worker* worker_of(const umcg_task* kernel) noexcept {
    const auto at = reinterpret_cast<uintptr_t>(kernel);
    auto* c = reinterpret_cast<chunk*>(at & ~(chunk::size - 1));
    return &c->workers[kernel - c->tasks];
}

// It has unregistered, and its thread was joined.
void free_worker(worker* w) noexcept {
    std::lock_guard hold(memory_mutex);
    w->next_spare = free_workers;
    free_workers = w;
}

// A server's belongs to the kernel for a while after its thread has gone: it is used again when the
// kernel says so.
namespace {

// Under memory_mutex.
std::vector<umcg_task*> left_by_servers;
size_t used_by_servers = 0;

}  // namespace

umcg_task* new_server_task() {
    std::lock_guard hold(memory_mutex);
    for (auto& task : left_by_servers) {
        if (__atomic_load_n(&task->tid, __ATOMIC_ACQUIRE)) continue;
        umcg_task_free(std::exchange(task, left_by_servers.back()));
        left_by_servers.pop_back();
        break;
    }
    // room for it when it is given back
    left_by_servers.reserve(left_by_servers.size() + used_by_servers + 1);
    umcg_task* task = umcg_task_alloc();
    used_by_servers += task != nullptr;
    return task;
}

void free_server_task(umcg_task* task) noexcept {
    std::lock_guard hold(memory_mutex);
    left_by_servers.push_back(task);
    used_by_servers--;
}

}  // namespace umcg::detail
