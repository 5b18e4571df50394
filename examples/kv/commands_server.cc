// SPDX-License-Identifier: MIT
//
// The commands about the server itself: INFO, CONFIG GET, COMMAND.
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "command_table.h"
#include "commands.h"
#include "resp.h"
#include "status.h"

namespace kv {
namespace {

template <typename T>
void Line(std::string* out, std::string_view name, const T& value) {
    out->append(Cat(name, ":", value, "\r\n"));
}

void ServerSection(const Shared& shared, std::string* out) {
    using std::chrono::duration_cast;
    using std::chrono::seconds;
    Line(out, "redis_version", "7.0.0");  // whose protocol this is; some clients insist
    Line(out, "server_name", "umcg-kv");
    Line(out, "process_id", getpid());
    Line(out, "tcp_port", shared.port);
    Line(out, "uptime_in_seconds",
         duration_cast<seconds>(std::chrono::steady_clock::now() - shared.started).count());
}

void ClientsSection(const Shared& shared, std::string* out) {
    Line(out, "connected_clients", shared.counters.clients.load());
    Line(out, "maxclients", shared.options.max_clients);
}

void MemorySection(const Shared& shared, std::string* out) {
    Line(out, "client_buffers", shared.budget.used());
    Line(out, "maxmemory", shared.budget.limit());
}

void StatsSection(const Shared& shared, std::string* out) {
    Line(out, "total_connections_received", shared.counters.connections.load());
    Line(out, "total_commands_processed", shared.counters.commands.load());
    Line(out, "rejected_connections", shared.counters.rejected.load());
    Line(out, "total_error_replies", shared.counters.errors.load());
}

// See EngineStats for what is counted.
void EngineSection(const Shared& shared, std::string* out) {
    EngineStats stats = shared.engine->Stats();
    Line(out, "engine", shared.engine->name());
    Line(out, "tasks", shared.engine->tasks());
    Line(out, "backend", shared.engine->backend());
    Line(out, "capabilities", shared.engine->capabilities());
    Line(out, "servers", shared.options.servers);
    uint64_t blocks = 0;
    for (uint64_t count : stats.blocks) blocks += count;
    Line(out, "blocks", blocks);
    Line(out, "blocks_receive", stats.blocks[static_cast<int>(Stage::kReceive)]);
    // An LMDB read makes no system call: only a page fault blocks in it.
    Line(out, "blocks_page_fault", stats.blocks[static_cast<int>(Stage::kRead)]);
    Line(out, "blocks_write", stats.blocks[static_cast<int>(Stage::kWrite)]);
    Line(out, "blocks_send", stats.blocks[static_cast<int>(Stage::kSend)]);
    Line(out, "yields", stats.yields);
    Line(out, "hand_overs", stats.hand_overs);
    Line(out, "server_wakeups", stats.server_wakeups);
    Line(out, "io_ops", stats.io_ops);
    Line(out, "io_system_calls", stats.io_system_calls);
    Line(out, "user_spans", stats.spans);
    Line(out, "most_running_per_server", stats.most_running);
    Line(out, "overlaps", stats.overlaps);
    Line(out, "wrong_state", stats.wrong_state);
    rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        Line(out, "major_faults", usage.ru_majflt);
        Line(out, "voluntary_switches", usage.ru_nvcsw);
        Line(out, "involuntary_switches", usage.ru_nivcsw);
    }
}

void PersistenceSection(const Shared& shared, std::string* out) {
    const SyncMode mode = shared.options.sync;
    Line(out, "sync", mode == SyncMode::kFull ? "full" : mode == SyncMode::kMeta ? "meta" : "none");
    if (Result<uint64_t> bytes = shared.store->FileBytes(); bytes.ok())
        Line(out, "file_bytes", *bytes);
}

constexpr std::pair<std::string_view, void (*)(const Shared&, std::string*)> kSections[] = {
    {"Server", ServerSection},           {"Clients", ClientsSection}, {"Memory", MemorySection},
    {"Persistence", PersistenceSection}, {"Stats", StatsSection},     {"Engine", EngineSection},
};

std::vector<std::pair<std::string_view, std::string>> ConfigValues(const Shared& shared) {
    return {
        {"appendonly", "no"},
        {"bind", shared.options.bind},
        {"databases", "1"},
        {"dir", shared.options.dir},
        {"maxclients", std::to_string(shared.options.max_clients)},
        {"maxmemory", std::to_string(shared.options.memory)},
        {"port", std::to_string(shared.port)},
        {"proto-max-bulk-len", std::to_string(shared.options.max_value)},
        {"save", ""},
        {"timeout", std::to_string(shared.options.timeout_seconds)},
    };
}

}  // namespace

bool Executor::Info(Args args) {
    std::string text;
    auto wanted = [&](std::string_view name) {
        if (args.size() == 1) return true;
        return std::any_of(args.begin() + 1, args.end(), [&](std::string_view arg) {
            return EqualsIgnoreCase(arg, name) || EqualsIgnoreCase(arg, "all") ||
                   EqualsIgnoreCase(arg, "default") || EqualsIgnoreCase(arg, "everything");
        });
    };
    auto title = [&](std::string_view name) {
        text += Cat(text.empty() ? "" : "\r\n", "# ", name, "\r\n");
    };
    for (const auto& [name, print] : kSections) {
        if (!wanted(name)) continue;
        title(name);
        print(shared_, &text);
    }
    if (wanted("Keyspace")) {
        Result<uint64_t> count = session_.Count();
        title("Keyspace");
        if (count.ok() && *count > 0) text += Cat("db0:keys=", *count, ",expires=0,avg_ttl=0\r\n");
    }
    ReplyBulk(out_, text);
    return true;
}

void Executor::UnknownSubcommand(Args args, std::string_view container) {
    Error(Cat("ERR unknown subcommand '", args[1].substr(0, 128), "'. Try ", container, " HELP."));
}

bool Executor::Config(Args args) {
    if (!EqualsIgnoreCase(args[1], "get")) {
        UnknownSubcommand(args, "CONFIG");
        return true;
    }
    if (args.size() < 3) return Error("ERR wrong number of arguments for 'config|get' command");
    std::vector<std::pair<std::string_view, std::string>> found = ConfigValues(shared_);
    std::erase_if(found, [&](const auto& entry) {
        return std::none_of(args.begin() + 2, args.end(), [&](std::string_view pattern) {
            return GlobMatch(pattern, entry.first, true);
        });
    });
    ReplyArray(out_, 2 * found.size());
    for (const auto& [name, value] : found) {
        ReplyBulk(out_, name);
        ReplyBulk(out_, value);
    }
    return true;
}

void Executor::DescribeCommand(const Command& command) {
    ReplyArray(out_, 10);
    ReplyBulk(out_, command.name);
    ReplyInteger(out_, command.arity);
    std::string_view flags = command.flags;
    ReplyArray(out_, 1 + static_cast<size_t>(std::count(flags.begin(), flags.end(), ',')));
    for (size_t end; !flags.empty(); flags.remove_prefix(std::min(end, flags.size()))) {
        end = flags.find(',');
        ReplySimple(out_, flags.substr(0, end));
        if (end != std::string_view::npos) ++end;
    }
    ReplyInteger(out_, command.first_key);
    ReplyInteger(out_, command.last_key);
    ReplyInteger(out_, command.step);
    for (int i = 0; i < 4; ++i) ReplyArray(out_, 0);  // categories, tips, key specs, subcommands
}

void Executor::DocumentCommand(const Command& command) {
    ReplyBulk(out_, command.name);
    const std::string_view fields[] = {"summary",     command.summary, "since",
                                       command.since, "group",         command.group};
    ReplyArray(out_, std::size(fields));
    for (std::string_view field : fields) ReplyBulk(out_, field);
}

bool Executor::CommandCommand(Args args) {
    if (args.size() == 1) {
        ReplyArray(out_, Commands().size());
        for (const Command& command : Commands()) DescribeCommand(command);
    } else if (EqualsIgnoreCase(args[1], "count")) {
        if (args.size() != 2)
            return Error("ERR wrong number of arguments for 'command|count' command");
        ReplyInteger(out_, static_cast<int64_t>(Commands().size()));
    } else if (EqualsIgnoreCase(args[1], "info")) {
        ReplyArray(out_, args.size() == 2 ? Commands().size() : args.size() - 2);
        if (args.size() == 2)
            for (const Command& command : Commands()) DescribeCommand(command);
        for (std::string_view name : args.subspan(2)) {
            if (const Command* command = FindCommand(name))
                DescribeCommand(*command);
            else
                Append(out_, "*-1\r\n");
        }
    } else if (EqualsIgnoreCase(args[1], "docs")) {
        std::vector<const Command*> found;
        for (const Command& command : Commands())
            if (args.size() == 2 || std::any_of(args.begin() + 2, args.end(), [&](auto name) {
                    return EqualsIgnoreCase(name, command.name);
                }))
                found.push_back(&command);
        ReplyArray(out_, 2 * found.size());
        for (const Command* command : found) DocumentCommand(*command);
    } else {
        UnknownSubcommand(args, "COMMAND");
    }
    return true;
}

}  // namespace kv
