// SPDX-License-Identifier: MIT
//
// Our side of the open-loop load: the generator spawns a task for each request, the runtime has one
// server. The policy is that of UMCG_POLICY.
#include <umcg/runtime.hpp>

#include <sys/resource.h>

#include <semaphore>
#include <system_error>
#include <thread>

#include "cases.hpp"
#include "measure.hpp"
#include "scan.h"

void serve(const char* schedule, const char* result, const char* data, int records) {
    load l;
    load_read(&l, schedule);
    const double steps = load_steps_per_ns();
    scan_data d;
    if (data) scan_open(&d, data);
    umcg::options o;
    o.servers = 1;
    o.cpus = {l.cpu};
    umcg::stats s;
    std::string report;
    {
        umcg::runtime rt(o);
        std::thread generator([&] {
            load_generate(&l);
            for (long i = 0; i < l.n; i++) {
                load_wait_for(&l, i);
                load_request& r = l.all[i];
                umcg::attributes attr;
                if (r.deadline)
                    attr.deadline = umcg::clock::time_point(std::chrono::nanoseconds(l.start + r.at + r.deadline));
                try {
                    rt.spawn([&, i] {
                          if (data && r.klass)
                              scan(&d, r.number, records);
                          else
                              load_work(static_cast<uint64_t>(steps * static_cast<double>(r.service)));
                          load_done(&l, i);
                      }, attr).detach();
                } catch (const std::system_error& e) {
                    if (e.code() != std::errc::device_or_resource_busy) throw;
                    r.latency = LOAD_REFUSED;
                }
            }
        });
        generator.join();
        rt.stop();
        s = rt.stats();
        report = rt.policy_report();
    }
    if (!report.empty()) bench::fail(report.c_str());
    load_write(&l, result);
    printf("steps_per_ns\t%.4f\npreemptions\t%llu\nblocks\t%llu\n", steps,
           static_cast<unsigned long long>(s.preemptions), static_cast<unsigned long long>(s.blocks));
}
