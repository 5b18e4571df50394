// SPDX-License-Identifier: MIT
#include "commands.h"

#include <algorithm>
#include <charconv>
#include <string>
#include <vector>

#include "command_table.h"
#include "resp.h"
#include "status.h"

namespace kv {
namespace {

// One SCAN call looks at no more keys than this, whatever COUNT says (it is a hint in Redis too):
// the snapshot is held meanwhile, and the others of this server wait.
constexpr int64_t kMaxScan = 4096;

constexpr std::string_view kNotAnInteger = "ERR value is not an integer or out of range";
constexpr std::string_view kSyntaxError = "ERR syntax error";

bool Is(std::string_view arg, std::string_view word) {
    return EqualsIgnoreCase(arg, word);
}

}  // namespace

bool Executor::Error(std::string_view text) {
    shared_.counters.errors.fetch_add(1, std::memory_order_relaxed);
    ReplyError(out_, text);
    return true;
}

void Executor::Fail(const Status& status) {
    failure_ = status;
    Error(Cat("ERR ", failure_.message()));
}

bool Executor::Run(Args args) {
    const size_t start = out_.size();
    shared_.counters.commands.fetch_add(1, std::memory_order_relaxed);
    const Command* command = FindCommand(args[0]);
    bool ok = true;
    if (!command) {
        UnknownCommand(args);
    } else if (command->arity > 0 ? args.size() != static_cast<size_t>(command->arity)
                                  : args.size() < static_cast<size_t>(-command->arity)) {
        Error(Cat("ERR wrong number of arguments for '", command->name, "' command"));
    } else {
        ok = (this->*command->run)(args);
        session_.EndRead();
    }
    if (out_.failed()) {
        out_.Truncate(start);
        Error("OOM command not allowed when used memory > 'maxmemory'.");
    }
    return ok;
}

void Executor::UnknownCommand(Args args) {
    std::string shown;
    for (size_t i = 1; i < args.size() && shown.size() < 128; ++i)
        shown += Cat("'", args[i].substr(0, 128 - shown.size()), "' ");
    Error(Cat("ERR unknown command '", args[0].substr(0, 128),
              "', with args beginning with: ", shown));
}

// A key that the store cannot take is refused before anything is done.
bool Executor::CheckKeys(Args keys) {
    for (std::string_view key : keys) {
        if (key.size() <= Store::kMaxKey) continue;
        Error(Cat("ERR key has ", key.size(), " bytes, more than ", Store::kMaxKey));
        return false;
    }
    return true;
}

bool Executor::Ping(Args args) {
    if (args.size() > 2) return Error("ERR wrong number of arguments for 'ping' command");
    if (args.size() == 2)
        ReplyBulk(out_, args[1]);
    else
        ReplySimple(out_, "PONG");
    return true;
}

bool Executor::Echo(Args args) {
    ReplyBulk(out_, args[1]);
    return true;
}

bool Executor::Quit(Args) {
    ReplySimple(out_, "OK");
    quit_ = true;
    return true;
}

bool Executor::Get(Args args) {
    if (!CheckKeys(args.subspan(1))) return true;
    StageScope reading(worker_, Stage::kRead);
    bool found;
    std::string_view value;
    if (Status status = session_.Get(args[1], &found, &value); !status.ok()) {
        Fail(status);
        return false;
    }
    if (found)
        ReplyBulk(out_, value);
    else
        ReplyNil(out_);
    return true;
}

bool Executor::Mget(Args args) {
    if (!CheckKeys(args.subspan(1))) return true;
    StageScope reading(worker_, Stage::kRead);
    const size_t start = out_.size();
    ReplyArray(out_, args.size() - 1);
    for (std::string_view key : args.subspan(1)) {
        bool found;
        std::string_view value;
        if (Status status = session_.Get(key, &found, &value); !status.ok()) {
            out_.Truncate(start);
            Fail(status);
            return false;
        }
        if (found)
            ReplyBulk(out_, value);
        else
            ReplyNil(out_);
    }
    return true;
}

bool Executor::Exists(Args args) {
    if (!CheckKeys(args.subspan(1))) return true;
    StageScope reading(worker_, Stage::kRead);
    int64_t count = 0;
    for (std::string_view key : args.subspan(1)) {
        bool found;
        std::string_view value;
        if (Status status = session_.Get(key, &found, &value); !status.ok()) {
            Fail(status);
            return false;
        }
        count += found;
    }
    ReplyInteger(out_, count);
    return true;
}

bool Executor::Set(Args args) {
    bool nx = false, xx = false, get = false;
    for (std::string_view option : args.subspan(3)) {
        if (Is(option, "nx") && !xx)
            nx = true;
        else if (Is(option, "xx") && !nx)
            xx = true;
        else if (Is(option, "get"))
            get = true;
        else  // expiry is not known here
            return Error(kSyntaxError);
    }
    if (!CheckKeys(args.subspan(1, 1))) return true;
    if (args[2].size() > shared_.options.max_value)
        return Error(
            Cat("ERR value has ", args[2].size(), " bytes, more than ", shared_.options.max_value));

    StageScope writing(worker_, Stage::kWrite);
    const size_t start = out_.size();
    bool found = false;
    Status status;
    if (nx || xx || get) {
        // Under the writer's mutex, so that nobody comes between the look and the write.
        std::string_view old;
        status = session_.BeginWrite();
        if (status.ok()) status = session_.Get(args[1], &found, &old);
        if (status.ok() && get) {
            if (found)
                ReplyBulk(out_, old);
            else
                ReplyNil(out_);
            if (out_.failed()) return true;  // no reply, so nothing may be done
        }
    }
    const bool write = !(nx && found) && !(xx && !found);
    if (status.ok() && write) status = session_.Put(args[1], args[2]);
    if (!status.ok()) {
        out_.Truncate(start);
        Fail(status);
        return false;
    }
    if (get) return true;
    if (write)
        ReplySimple(out_, "OK");
    else
        ReplyNil(out_);
    return true;
}

bool Executor::Del(Args args) {
    if (!CheckKeys(args.subspan(1))) return true;
    StageScope writing(worker_, Stage::kWrite);
    int64_t count = 0;
    for (std::string_view key : args.subspan(1)) {
        bool found;
        if (Status status = session_.Delete(key, &found); !status.ok()) {
            Fail(status);
            return false;
        }
        count += found;
    }
    ReplyInteger(out_, count);
    return true;
}

bool Executor::Incr(Args args) {
    return Add(args[1], 1);
}

bool Executor::IncrBy(Args args) {
    int64_t delta;
    if (!ParseInt64(args[2], &delta)) return Error(kNotAnInteger);
    return Add(args[1], delta);
}

bool Executor::Add(std::string_view key, int64_t delta) {
    if (!CheckKeys({&key, 1})) return true;
    StageScope writing(worker_, Stage::kWrite);
    bool found = false;
    std::string_view old;
    int64_t number = 0;
    Status status = session_.BeginWrite();
    if (status.ok()) status = session_.Get(key, &found, &old);
    if (status.ok()) {
        if (found && !ParseInt64(old, &number)) return Error(kNotAnInteger);
        if (__builtin_add_overflow(number, delta, &number))
            return Error("ERR increment or decrement would overflow");
        status = session_.Put(key, std::to_string(number));
    }
    if (!status.ok()) {
        Fail(status);
        return false;
    }
    ReplyInteger(out_, number);
    return true;
}

bool Executor::Scan(Args args) {
    uint64_t cursor;
    const char* end = args[1].data() + args[1].size();
    if (auto [at, error] = std::from_chars(args[1].data(), end, cursor);
        error != std::errc() || at != end)
        return Error("ERR invalid cursor");
    int64_t count = 10;
    std::string_view pattern = "*";
    bool no_type = false;  // every value is a string
    for (size_t i = 2; i < args.size(); i += 2) {
        if (i + 1 == args.size()) return Error(kSyntaxError);
        if (Is(args[i], "count")) {
            if (!ParseInt64(args[i + 1], &count)) return Error(kNotAnInteger);
            if (count < 1) return Error(kSyntaxError);
        } else if (Is(args[i], "match")) {
            pattern = args[i + 1];
        } else if (Is(args[i], "type")) {
            no_type = !Is(args[i + 1], "string");
        } else {
            return Error(kSyntaxError);
        }
    }

    StageScope reading(worker_, Stage::kRead);
    std::vector<std::string> keys;
    Status status = session_.Scan(&cursor, static_cast<size_t>(std::min(count, kMaxScan)),
                                  [&](std::string_view key) {
                                      if (!no_type && GlobMatch(pattern, key))
                                          keys.emplace_back(key);
                                  });
    if (!status.ok()) {
        Fail(status);
        return false;
    }
    ReplyArray(out_, 2);
    ReplyBulk(out_, std::to_string(cursor));
    ReplyArray(out_, keys.size());
    for (const std::string& key : keys) ReplyBulk(out_, key);
    return true;
}

bool Executor::Dbsize(Args) {
    StageScope reading(worker_, Stage::kRead);
    Result<uint64_t> count = session_.Count();
    if (!count.ok()) {
        Fail(count.status());
        return false;
    }
    ReplyInteger(out_, static_cast<int64_t>(*count));
    return true;
}

}  // namespace kv
