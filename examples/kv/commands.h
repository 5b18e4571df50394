// SPDX-License-Identifier: MIT
//
// What the commands do: arguments in, one reply out. No I/O but the store's.
#ifndef EXAMPLES_KV_COMMANDS_H_
#define EXAMPLES_KV_COMMANDS_H_

#include <span>
#include <string_view>

#include "buffer.h"
#include "engine.h"
#include "shared.h"
#include "store.h"

namespace kv {

using Args = std::span<const std::string_view>;

class Executor;

struct Command {
    std::string_view name;  // lower case
    int arity;              // with the name; negative: at least
    const char* flags;      // comma-separated, as COMMAND shows them
    int first_key, last_key, step;
    const char* group;
    const char* since;
    const char* summary;
    bool (Executor::*run)(Args args);  // false: the store failed, the session's writes are lost
};

// Runs one client's commands on one session.
class Executor {
  public:
    Executor(Shared* shared, Session* session, Worker* worker, Buffer* out)
        : shared_(*shared), session_(*session), worker_(*worker), out_(*out) {}

    // Append exactly one reply. False: the store failed; the reply is the error, all uncommitted
    // writes are lost, and so are the replies that promised them.
    bool Run(Args args);
    bool quit() const { return quit_; }
    // The error reply for a store's failure, and after Run() the last failure itself.
    void Fail(const Status& status);
    const Status& failure() const { return failure_; }

    // The commands.
    bool Ping(Args args);
    bool Echo(Args args);
    bool Quit(Args args);
    bool Get(Args args);
    bool Mget(Args args);
    bool Exists(Args args);
    bool Set(Args args);
    bool Del(Args args);
    bool Incr(Args args);
    bool IncrBy(Args args);
    bool Scan(Args args);
    bool Dbsize(Args args);
    bool Info(Args args);
    bool CommandCommand(Args args);
    bool Config(Args args);

  private:
    void UnknownCommand(Args args);
    void UnknownSubcommand(Args args, std::string_view container);
    bool Error(std::string_view text);  // an error of the client: true
    bool CheckKeys(Args keys);
    bool Add(std::string_view key, int64_t delta);
    void DescribeCommand(const Command& command);
    void DocumentCommand(const Command& command);

    Shared& shared_;
    Session& session_;
    Worker& worker_;
    Buffer& out_;
    bool quit_ = false;
    Status failure_;
};

}  // namespace kv

#endif  // EXAMPLES_KV_COMMANDS_H_
