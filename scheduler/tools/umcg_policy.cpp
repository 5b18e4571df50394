// SPDX-License-Identifier: MIT
//
// umcg-policy: lists policies, checks them, and simulates them. See umcg-policy(1).
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <sstream>
#include <stdexcept>

#include "policy_simulator.hpp"

namespace {

using namespace umcg::detail;

constexpr char usage[] =
    "usage: umcg-policy list\n"
    "       umcg-policy check POLICY...\n"
    "       umcg-policy simulate POLICY [KEY=VALUE...]\n"
    "\n"
    "A POLICY is NAME[:OPTIONS] or FILE.so[:OPTIONS]. Keys of simulate: load=0.7 servers=1 seed=1\n"
    "seconds=10 short_us=10 long_us=5000 rare=5 (of 1000) slice_us=10000 switch_ns=100\n"
    "preempt_ns=1000 arrivals=FILE (lines: at_us service_us class [deadline_us weight group])\n";

int list() {
    for (const umcg_policy_ops* ops : built_in_policies())
        printf("%-14s %s\n", ops->name, ops->description ? ops->description : "");
    return 0;
}

// In a child: a policy may crash, or not return.
bool check(const char* text) {
    int out[2];
    if (pipe(out)) {
        perror("umcg-policy: pipe");
        exit(2);
    }
    fflush(nullptr);
    const pid_t child = fork();
    if (child < 0) {
        perror("umcg-policy: fork");
        exit(2);
    }
    if (!child) {
        close(out[0]);
        alarm(60);
        std::string why;
        try {
            for (uint64_t seed : {1, 2, 3})
                if (why.empty()) why = check_policy(parse_policy_spec(text), seed * 1000);
        } catch (const std::exception& e) {
            why = e.what();
        } catch (...) {
            why = "it let an exception out";
        }
        const ssize_t n = write(out[1], why.data(), why.size());
        _exit(n == static_cast<ssize_t>(why.size()) && why.empty() ? 0 : 1);
    }
    close(out[1]);
    std::string why;
    char buffer[512];
    for (ssize_t n; (n = read(out[0], buffer, sizeof(buffer))) > 0;) why.append(buffer, static_cast<size_t>(n));
    close(out[0]);
    int status = 0;
    waitpid(child, &status, 0);
    if (WIFSIGNALED(status))
        why = WTERMSIG(status) == SIGALRM ? "it did not return within 60 s"
                                          : std::string("it crashed: ") + strsignal(WTERMSIG(status));
    const bool good = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    printf("%s: %s\n", text, good ? "conforms" : why.c_str());
    return good;
}

double number(const std::string& key, const std::string& value) {
    char* end = nullptr;
    const double n = strtod(value.c_str(), &end);
    if (value.empty() || *end || !(n >= 0))
        throw std::invalid_argument(key + "=" + value + ": not a number");
    return n;
}

std::vector<sim_arrival> recorded(const std::string& file) {
    std::ifstream in(file);
    if (!in) throw std::invalid_argument("arrivals=" + file + ": " + strerror(errno));
    std::vector<sim_arrival> all;
    std::string line;
    for (int n = 1; std::getline(in, line); n++) {
        if (line.empty() || line[0] == '#') continue;
        std::istringstream words(line);
        double at, service, deadline = 0;
        sim_arrival a;
        if (!(words >> at >> service >> a.klass) || at < 0 || service <= 0)
            throw std::invalid_argument(file + ":" + std::to_string(n) + ": '" + line +
                                        "' is not at_us service_us class [deadline_us weight group]");
        if (words >> deadline) words >> a.weight >> a.group;
        a.at = static_cast<uint64_t>(at * 1000);
        a.service = static_cast<uint64_t>(service * 1000);
        a.deadline = static_cast<uint64_t>(deadline * 1000);
        all.push_back(a);
    }
    return all;
}

double at(const std::vector<double>& sorted, double part) {
    return sorted.empty() ? 0 : sorted[std::min(sorted.size() - 1, static_cast<size_t>(static_cast<double>(sorted.size()) * part))];
}

int run_simulation(const char* text, char** rest) {
    std::map<std::string, double> keys = {{"load", 0.7}, {"servers", 1}, {"seed", 1}, {"seconds", 10},
                                          {"short_us", 10}, {"long_us", 5000}, {"rare", 5},
                                          {"slice_us", 10000}, {"switch_ns", 100}, {"preempt_ns", 1000}};
    std::string file;
    for (; *rest; rest++) {
        const std::string one = *rest;
        const size_t is = one.find('=');
        const std::string key = one.substr(0, is), value = is == one.npos ? "" : one.substr(is + 1);
        if (key == "arrivals")
            file = value;
        else if (keys.count(key))
            keys[key] = number(key, value);
        else
            throw std::invalid_argument("'" + one + "': there is no such key");
    }
    if (keys["servers"] < 1 || keys["servers"] > 4096) throw std::invalid_argument("servers: 1 to 4096");
    if (keys["load"] <= 0 || keys["short_us"] <= 0) throw std::invalid_argument("load and short_us: more than 0");
    sim_options o;
    o.servers = static_cast<unsigned>(keys["servers"]);
    o.seed = static_cast<uint64_t>(keys["seed"]);
    o.slice_ns = static_cast<uint64_t>(keys["slice_us"] * 1000);
    o.switch_ns = static_cast<uint64_t>(keys["switch_ns"]);
    o.preempt_ns = static_cast<uint64_t>(keys["preempt_ns"]);
    const auto arrivals =
        file.empty() ? bimodal_arrivals(o.seed, keys["load"], o.servers, static_cast<uint64_t>(keys["seconds"] * 1e9),
                                        static_cast<uint64_t>(keys["short_us"] * 1000),
                                        static_cast<uint64_t>(keys["long_us"] * 1000), static_cast<unsigned>(keys["rare"]))
                     : recorded(file);
    const sim_result r = simulate(parse_policy_spec(text), arrivals, o);
    std::map<unsigned, std::vector<double>> slowdown, latency;
    uint64_t late = 0;
    for (const sim_done& d : r.done) {
        slowdown[d.klass].push_back(static_cast<double>(d.latency) / static_cast<double>(d.service));
        latency[d.klass].push_back(static_cast<double>(d.latency) / 1000);
        late += d.late;
    }
    printf("# %s: %zu arrivals, %zu done, %llu refused, %llu late, %llu preemptions, %llu steals\n", text, arrivals.size(),
           r.done.size(), static_cast<unsigned long long>(r.refused), static_cast<unsigned long long>(late),
           static_cast<unsigned long long>(r.preemptions), static_cast<unsigned long long>(r.steals));
    printf("class\tn\tp50_us\tp99_us\tp99.9_us\tp50_slowdown\tp99_slowdown\tp99.9_slowdown\n");
    for (auto& [klass, s] : slowdown) {
        auto& l = latency[klass];
        std::sort(s.begin(), s.end());
        std::sort(l.begin(), l.end());
        printf("%u\t%zu\t%.1f\t%.1f\t%.1f\t%.2f\t%.2f\t%.2f\n", klass, s.size(), at(l, .5), at(l, .99), at(l, .999),
               at(s, .5), at(s, .99), at(s, .999));
    }
    if (r.wrong.empty()) return 0;
    fprintf(stderr, "umcg-policy: %s: %s\n", text, r.wrong.c_str());
    return 1;
}

}  // namespace

int main(int argc, char** argv) {
    const std::string command = argc > 1 ? argv[1] : "";
    try {
        if (command == "list" && argc == 2) return list();
        if (command == "simulate" && argc >= 3) return run_simulation(argv[2], argv + 3);
        if (command == "check" && argc >= 3) {
            bool all = true;
            for (int i = 2; i < argc; i++) all &= check(argv[i]);
            return all ? 0 : 1;
        }
    } catch (const std::exception& e) {
        fprintf(stderr, "umcg-policy: %s\n", e.what());
        return 1;
    }
    fputs(usage, command == "--help" || command == "help" ? stdout : stderr);
    return command == "--help" || command == "help" ? 0 : 2;
}
