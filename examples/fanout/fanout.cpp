// SPDX-License-Identifier: MIT
//
// A front end that asks many shards for each request and answers with what it has when the time is
// up: what README.md explains, line by line.
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>
#include <umcg/channel.hpp>
#include <umcg/runtime.hpp>
#include <umcg/scope.hpp>

using namespace std::chrono_literals;

namespace {

struct config {
    int requests = 100;
    int shards = 10;
    std::chrono::milliseconds deadline{50};
};

struct totals {
    int answered = 0, failed = 0, late = 0;
};

// A shard as they are: most answer at once, one is broken, one hangs. Only the token ends its wait.
int ask_shard(int shard, int request, const umcg::cancel_token& token) {
    if (shard == 1) throw std::runtime_error("shard 1 is broken");
    if (shard == 2)
        umcg::sleep_until(token);
    else
        umcg::sleep_until({std::chrono::microseconds(100 * (shard + request % 7)), token});
    return shard * request;
}

struct answer {
    int shard;
    bool good;
    int value;
};

// Ask all at once; whatever has not come by the deadline is given up.
totals serve(const config& c, int request) {
    const umcg::limit deadline(c.deadline);
    umcg::channel<answer> answers(static_cast<size_t>(c.shards));  // nobody waits to send
    umcg::scope asking;  // ends first: nobody sends into a channel that is gone
    for (int shard = 0; shard < c.shards; shard++)
        asking.spawn([&, shard, token = asking.token()] {
            try {
                const int value = ask_shard(shard, request, token);
                if (!token.cancelled()) answers.send({shard, true, value});
            } catch (const std::exception&) {
                // an exception that leaves a task cancels the rest of its scope; one shard's fault
                // shall not
                answers.send({shard, false, 0});
            }
        });

    totals sum;
    while (sum.answered + sum.failed < c.shards) {
        const auto a = answers.receive(deadline);
        if (!a) break;  // the time is up
        if (a->good && a->value != a->shard * request) throw std::logic_error("another's answer");
        (a->good ? sum.answered : sum.failed)++;
    }
    asking.cancel();  // whoever still works has until his next wait
    asking.join();
    sum.late = c.shards - sum.answered - sum.failed;
    return sum;
}

// Requests are tasks, too; one that fails ends them all, and the exception comes out of join().
totals serve_all(const config& c) {
    umcg::channel<totals> done(16);
    umcg::scope requests;
    for (int i = 0; i < c.requests; i++) requests.spawn([&, i] { done.send(serve(c, i)); });
    totals sum;
    // the token: should one fail, nobody would send for it
    for (int i = 0; i < c.requests; i++) {
        const auto one = done.receive(requests.token());
        if (!one) break;
        sum.answered += one->answered;
        sum.failed += one->failed;
        sum.late += one->late;
    }
    requests.join();
    return sum;
}

constexpr char help[] = R"(fanout [--requests=N] [--shards=N] [--deadline-ms=N]
Ask N shards for each of N requests (10 for each of 100), all at once, and count what has come by the
deadline (50 ms). Shard 1 always fails, shard 2 never answers.
)";

bool option(std::string_view arg, std::string_view name, int* value) {
    if (!arg.starts_with(name)) return false;
    arg.remove_prefix(name.size());
    const auto [end, error] = std::from_chars(arg.data(), arg.data() + arg.size(), *value);
    if (error != std::errc() || end != arg.data() + arg.size() || *value < 1 || *value > 1000000)
        throw std::invalid_argument(std::string(name) + std::string(arg) +
                                    " is not possible: 1 to 1000000");
    return true;
}

}  // namespace

int main(int argc, char** argv) {
    try {
        config c;
        int ms = static_cast<int>(c.deadline.count());
        for (int i = 1; i < argc; i++) {
            if (!strcmp(argv[i], "--help")) return fputs(help, stdout) < 0;
            if (!option(argv[i], "--requests=", &c.requests) &&
                !option(argv[i], "--shards=", &c.shards) && !option(argv[i], "--deadline-ms=", &ms))
                throw std::invalid_argument(std::string("not an option: ") + argv[i] +
                                            "; see --help");
        }
        c.deadline = std::chrono::milliseconds(ms);
        umcg::runtime rt;
        const totals sum = rt.spawn([&] { return serve_all(c); }).join();
        printf("%d requests to %d shards each: %d answered, %d failed, %d late\n", c.requests,
               c.shards, sum.answered, sum.failed, sum.late);
    } catch (const std::exception& e) {
        fprintf(stderr, "fanout: %s\n", e.what());
        return 1;
    }
}
