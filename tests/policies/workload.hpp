// SPDX-License-Identifier: MIT
//
// Tasks that do all that a policy has to stand: they are spawned from in- and outside, yield, wait, block,
// fault, are preempted, stolen and end. Each counts how often it has run.
#ifndef TESTS_POLICIES_WORKLOAD_HPP
#define TESTS_POLICIES_WORKLOAD_HPP

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <deque>
#include <filesystem>
#include <thread>
#include <vector>

#include <umcg/channel.hpp>
#include <umcg/io.hpp>

#include "../runtime/harness.hpp"

// The plugins are beside the program.
inline std::string plugin(const std::string& name) {
    return (std::filesystem::read_symlink("/proc/self/exe").parent_path() / (name + ".so")).string();
}

inline umcg::options two_servers(const std::string& policy) {
    umcg::options o;
    o.servers = 2;
    o.slice = std::chrono::milliseconds(1);
    o.policy = policy;
    o.guard = umcg::stack_guard::when_possible;
    // the machine may be slow, and a queue long
    o.policy_timeout = std::chrono::seconds(200);
    return o;
}

class workload {
  public:
    // `roots`: so many tasks, and about as many children. All have ended when it returns.
    workload(umcg::runtime& rt, int roots) : rt_(rt) {
        // one computes on each server until all others have ended: they get on by preemption alone
        std::vector<umcg::task<void>> hogs;
        for (unsigned i = 0; i < rt.servers() * 2; i++) {
            auto& ran = counter();
            hogs.push_back(rt.spawn([&] {
                ran++;
                while (!others_ended_) burn();
            }));
        }
        std::vector<umcg::task<void>> tasks;
        for (int i = 0; i < roots; i++) {
            auto& ran = counter();
            std::atomic<unsigned>* children[] = {&counter(), &counter()};
            umcg::attributes attr;
            attr.name = "root";
            attr.kind = i % 9 == 7 ? umcg::kind::thread : umcg::kind::fiber;
            attr.weight = 1 + static_cast<unsigned>(i) % 200;
            attr.priority = i % 5;
            if (i % 4 == 1) attr.deadline = umcg::clock::now() + std::chrono::hours(1 + i % 3);
            tasks.push_back(rt.spawn([this, &ran, children, i] {
                ran++;
                std::vector<umcg::task<void>> mine;
                for (auto* count : children)
                    mine.push_back(umcg::spawn([count, i] {
                        (*count)++;
                        if (i % 2) umcg::yield();
                    }));
                work(i);
                for (auto& t : mine) t.join();
            }, attr));
        }
        for (auto& t : tasks) t.join();
        others_ended_ = true;
        for (auto& t : hogs) t.join();
        // who is joined may not have been counted off yet; a lost one never is
        while (rt.stats().tasks_live) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }

    size_t tasks() const { return counters_.size(); }
    // Of all its tasks, how many did not run exactly once?
    unsigned wrong() const {
        unsigned n = 0;
        for (auto& c : counters_) n += c != 1;
        return n;
    }

  private:
    std::atomic<unsigned>& counter() { return counters_.emplace_back(0); }

    // `how` is read(), for a byte that another task has yet to write.
    template <class Read>
    static void read_from_a_task(Read how) {
        int ends[2];
        if (pipe2(ends, O_CLOEXEC)) throw std::runtime_error("pipe2");
        auto other = umcg::spawn([w = ends[1]] {
            umcg::yield();
            if (write(w, "x", 1) != 1) throw std::runtime_error("write");
        });
        char c;
        if (how(ends[0], &c, 1) != 1) throw std::runtime_error("read");
        other.join();
        close(ends[0]);
        close(ends[1]);
    }

    void work(int i) {
        switch (i % 8) {
        case 0:
            for (int k = 0; k < 5; k++) umcg::yield();
            break;
        case 1: umcg::sleep_for(std::chrono::microseconds(200)); break;
        case 2: usleep(500); break;  // in the kernel
        case 3: read_from_a_task(::read); break;  // waits in the kernel for another task
        case 4: {  // faults
            constexpr size_t size = 16 * 4096;
            auto* m = static_cast<volatile char*>(mmap(nullptr, size, PROT_READ | PROT_WRITE,
                                                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
            if (m == MAP_FAILED) throw std::runtime_error("mmap");
            for (int round = 0; round < 3; round++) {
                for (size_t at = 0; at < size; at += 4096) m[at] = 1;
                madvise(const_cast<char*>(m), size, MADV_DONTNEED);
            }
            munmap(const_cast<char*>(m), size);
            break;
        }
        case 5: {
            umcg::channel<int> there(1), back(1);
            auto other = umcg::spawn([&] {
                while (auto v = there.receive()) back.send(*v + 1);
            });
            for (int k = 0; k < 4; k++) {
                there.send(k);
                if (back.receive().value_or(-1) != k + 1) throw std::runtime_error("channel");
            }
            there.close();
            other.join();
            break;
        }
        case 6:  // asynchronous I/O
            read_from_a_task([](int fd, void* to, size_t n) { return umcg::io::read(fd, to, n); });
            break;
        default:
            for (int k = 0; k < 3; k++) {
                umcg::yield();
                umcg::sleep_for(std::chrono::microseconds(50));
            }
        }
    }

    umcg::runtime& rt_;
    std::deque<std::atomic<unsigned>> counters_;
    std::atomic<bool> others_ended_{false};
};

#endif
