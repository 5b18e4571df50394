// SPDX-License-Identifier: MIT
#include "command_table.h"

#include "status.h"

namespace kv {
namespace {

constexpr Command kCommands[] = {
    {"command", -1, "loading,stale", 0, 0, 0, "server", "2.8.13",
     "Get array of Redis command details", &Executor::CommandCommand},
    {"config", -2, "admin,noscript,loading,stale", 0, 0, 0, "server", "2.0.0",
     "Get configuration parameters", &Executor::Config},
    {"dbsize", 1, "readonly,fast", 0, 0, 0, "server", "1.0.0",
     "Return the number of keys in the database", &Executor::Dbsize},
    {"del", -2, "write", 1, -1, 1, "generic", "1.0.0", "Delete a key", &Executor::Del},
    {"echo", 2, "fast", 0, 0, 0, "connection", "1.0.0", "Echo the given string", &Executor::Echo},
    {"exists", -2, "readonly,fast", 1, -1, 1, "generic", "1.0.0", "Determine if a key exists",
     &Executor::Exists},
    {"get", 2, "readonly,fast", 1, 1, 1, "string", "1.0.0", "Get the value of a key",
     &Executor::Get},
    {"incr", 2, "write,denyoom,fast", 1, 1, 1, "string", "1.0.0",
     "Increment the integer value of a key by one", &Executor::Incr},
    {"incrby", 3, "write,denyoom,fast", 1, 1, 1, "string", "1.0.0",
     "Increment the integer value of a key by the given amount", &Executor::IncrBy},
    {"info", -1, "loading,stale", 0, 0, 0, "server", "1.0.0",
     "Get information and statistics about the server", &Executor::Info},
    {"mget", -2, "readonly,fast", 1, -1, 1, "string", "1.0.0",
     "Get the values of all the given keys", &Executor::Mget},
    {"ping", -1, "fast", 0, 0, 0, "connection", "1.0.0", "Ping the server", &Executor::Ping},
    {"quit", -1, "noscript,loading,stale,fast,allow_busy", 0, 0, 0, "connection", "1.0.0",
     "Close the connection", &Executor::Quit},
    {"scan", -2, "readonly", 0, 0, 0, "generic", "2.8.0", "Incrementally iterate the keys space",
     &Executor::Scan},
    {"set", -3, "write,denyoom", 1, 1, 1, "string", "1.0.0", "Set the string value of a key",
     &Executor::Set},
};

}  // namespace

std::span<const Command> Commands() {
    return kCommands;
}

const Command* FindCommand(std::string_view name) {
    for (const Command& command : kCommands)
        if (EqualsIgnoreCase(name, command.name)) return &command;
    return nullptr;
}

}  // namespace kv
