// SPDX-License-Identifier: MIT
//
// Kernel threads under the open-loop load of bench/policies: a pool on one CPU takes requests from one queue, in the
// order that they came; the kernel's scheduler does the rest.
#include <condition_variable>
#include <cstring>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "scan.h"

namespace {

constexpr int threads = 128;

class queue {
  public:
    void put(long i) {
        {
            std::lock_guard hold(m_);
            all_.push_back(i);
        }
        not_empty_.notify_one();
    }
    // -1: no more
    long get() {
        std::unique_lock hold(m_);
        not_empty_.wait(hold, [this] { return ends_ || !all_.empty(); });
        if (all_.empty()) return -1;
        const long i = all_.front();
        all_.pop_front();
        return i;
    }
    void end() {
        {
            std::lock_guard hold(m_);
            ends_ = true;
        }
        not_empty_.notify_all();
    }

  private:
    std::mutex m_;
    std::condition_variable not_empty_;
    std::deque<long> all_;
    bool ends_ = false;
};

void serve(const char* schedule, const char* result, const char* data, int records) {
    load l;
    load_read(&l, schedule);
    load_use_cpu(l.cpu);
    const double steps = load_steps_per_ns();
    scan_data d;
    if (data) scan_open(&d, data);
    queue q;
    std::vector<std::thread> pool;
    for (int t = 0; t < threads; t++)
        pool.emplace_back([&] {
            for (long i; (i = q.get()) >= 0;) {
                if (data && l.all[i].klass)
                    scan(&d, l.all[i].number, records);
                else
                    load_work(static_cast<uint64_t>(steps * static_cast<double>(l.all[i].service)));
                load_done(&l, i);
            }
        });
    std::thread generator([&] {
        load_generate(&l);
        for (long i = 0; i < l.n; i++) {
            load_wait_for(&l, i);
            q.put(i);
        }
    });
    generator.join();
    q.end();
    for (auto& t : pool) t.join();
    load_write(&l, result);
    printf("steps_per_ns\t%.4f\n", steps);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc == 4 && !strcmp(argv[1], "cpu")) return serve(argv[2], argv[3], nullptr, 0), 0;
    if (argc == 6 && !strcmp(argv[1], "scan")) return serve(argv[2], argv[3], argv[4], atoi(argv[5])), 0;
    fprintf(stderr, "usage: %s cpu SCHEDULE RESULT | scan SCHEDULE RESULT DATA RECORDS\n", argv[0]);
    return 2;
}
