// SPDX-License-Identifier: MIT
//
// Options are refused here, by a name and the value, before anything is started.
#include "startup.hpp"

#include <sched.h>

#include <cerrno>
#include <cstdlib>
#include <stdexcept>
#include <system_error>
#include <vector>

#include <umcg/umcg.h>

#include "policy_host.hpp"

namespace umcg::detail {

void fail(int err, const char* what) {
    throw std::system_error(err, std::generic_category(), what);
}

options checked(options opts) {
    if (opts.policy.empty()) {
        const char* env = secure_getenv("UMCG_POLICY");
        opts.policy = env && *env ? env : "work_stealing";
    }
    // before any thread is started
    parse_policy_spec(opts.policy);
    if (opts.policy_timeout < std::chrono::milliseconds(10))
        throw std::invalid_argument("umcg: policy_timeout is " +
                                    std::to_string(opts.policy_timeout.count()) + " ns, at least 10000000");
    if (!opts.max_workers) throw std::invalid_argument("umcg: max_workers is 0, at least 1");
    if (opts.idle_worker_time.count() != 0 && opts.idle_worker_time < std::chrono::milliseconds(1))
        throw std::invalid_argument("umcg: idle_worker_time is " +
                                    std::to_string(opts.idle_worker_time.count()) +
                                    " ns, at least 1000000, or 0 for ever");
    if (opts.stack_size < 8192)
        throw std::invalid_argument("umcg: stack_size is " + std::to_string(opts.stack_size) +
                                    ", at least 8192");
    if (opts.receive_buffers > 32768 || (opts.receive_buffers & (opts.receive_buffers - 1)))
        throw std::invalid_argument("umcg: receive_buffers is " +
                                    std::to_string(opts.receive_buffers) +
                                    ", not a power of two up to 32768");
    if (opts.receive_buffers && (opts.receive_buffer_size < 64 || opts.receive_buffer_size > 1 << 24))
        throw std::invalid_argument("umcg: receive_buffer_size is " +
                                    std::to_string(opts.receive_buffer_size) +
                                    ", not from 64 bytes to 16 MB");
    if (!opts.ring_entries || opts.ring_entries > 8192)
        throw std::invalid_argument("umcg: ring_entries is " + std::to_string(opts.ring_entries) +
                                    ", 1 to 8192");
    if (opts.servers > 4096)
        throw std::invalid_argument("umcg: servers is " + std::to_string(opts.servers) +
                                    ", at most 4096");
    if (opts.slice.count() != 0 && opts.slice < std::chrono::microseconds(100))
        throw std::invalid_argument("umcg: slice is " + std::to_string(opts.slice.count()) +
                                    " ns, at least 100000, or 0 for no preemption");
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof(allowed), &allowed)) fail(errno, "umcg: sched_getaffinity");
    for (int cpu : opts.cpus)
        if (cpu < 0 || cpu >= CPU_SETSIZE || !CPU_ISSET(cpu, &allowed))
            throw std::invalid_argument("umcg: CPU " + std::to_string(cpu) +
                                        " is not one that this thread may run on");
    if (opts.cpus.empty())
        for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
            if (CPU_ISSET(cpu, &allowed)) opts.cpus.push_back(cpu);
    if (!opts.servers) opts.servers = static_cast<unsigned>(opts.cpus.size());
    return opts;
}

void init_backend(std::string name) {
    if (name.empty())
        if (const char* env = secure_getenv("UMCG_BACKEND")) name = env;
    // the better one first
    constexpr std::pair<const char*, umcg_backend> backends[] = {{"kernel", UMCG_BACKEND_KERNEL},
                                                                 {"bpf", UMCG_BACKEND_BPF},
                                                                 {"portable", UMCG_BACKEND_PORTABLE}};
    const bool any = name.empty() || name == "auto";
    int err = any ? -ENOTSUP : 0;
    for (const auto& [known, id] : backends) {
        if (!any && name != known) continue;
        umcg_options o = {};
        o.size = sizeof(o);
        o.backend = id;
        const int refused = umcg_init(&o);
        if (!refused) return;
        if (!any) err = refused;
    }
    if (!err) throw std::invalid_argument("umcg: no backend '" + name + "'");
    std::string why(umcg_backend_probe(nullptr, 0) + 1, '\0');
    umcg_backend_probe(why.data(), why.size());
    fail(-err, ("umcg: backend '" + (name.empty() ? "auto" : name) + "' cannot be used; " + why.c_str()).c_str());
}

topology topology_of(const options& opts) {
    std::vector<int> cpus;
    for (unsigned i = 0; i < opts.servers; i++) cpus.push_back(opts.cpus[i % opts.cpus.size()]);
    return topology(cpus);
}

}  // namespace umcg::detail
