// SPDX-License-Identifier: MIT
#include "connection.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <umcg/io.hpp>

namespace kv {
namespace {

// Replies are sent, and writes committed, when so much has gathered, even if more requests wait.
constexpr size_t kFlushBytes = 64 * 1024;
constexpr int kFlushCommands = 1000;

constexpr std::string_view kOutOfMemory = "OOM command not allowed when used memory > 'maxmemory'.";

ParserLimits Limits(const Options& options) {
    ParserLimits limits;
    limits.max_bulk = options.max_value;
    limits.max_request = options.max_value + (size_t{64} << 20);
    return limits;
}

// To announce a wait that keeps a thread costs more than a look: only if there is one. -EAGAIN:
// there is, or the ring is to be asked at once.
template <class Call>
ssize_t LookFirst(Call call) {
    if (umcg::io::uses_io_uring()) return -EAGAIN;
    const ssize_t n = call(MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n >= 0) return n;
    return errno == EINTR ? -EAGAIN : -errno;
}

}  // namespace

Connection::Connection(Shared* shared, int fd, const std::atomic<bool>* stopping)
    : shared_(*shared),
      fd_(fd),
      stopping_(*stopping),
      session_(shared->store),
      in_(&shared->budget),
      out_(&shared->budget),
      parser_(Limits(shared->options)) {}

void Connection::Serve(Worker& worker) {
    Executor executor(&shared_, &session_, &worker, &out_);
    while (!stopping_.load(std::memory_order_relaxed)) {
        // Whoever waits for this server may take over while we wait for the client.
        worker.Checkpoint();
        if (!Receive(worker)) return;
        Outcome outcome = RunBuffered(worker, executor);
        if (!Flush(worker, executor)) return;
        if (outcome == kClose) return Linger();
    }
}

Connection::Outcome Connection::RunBuffered(Worker& worker, Executor& executor) {
    size_t used = 0;
    Outcome outcome = in_.failed() ? kClose : kMore;
    if (outcome == kClose) ReplyError(out_, kOutOfMemory);
    while (outcome == kMore) {
        Parser::Result result;
        {
            UserScope user(worker);
            result = parser_.Parse(in_.view(used));
            args_.clear();
            if (result == Parser::kCommand)
                for (size_t i = 0; i < parser_.argc(); ++i) args_.push_back(parser_.arg(i));
        }
        if (result == Parser::kNeedMore) break;
        if (result == Parser::kError) {
            shared_.counters.errors.fetch_add(1, std::memory_order_relaxed);
            ReplyError(out_, parser_.error());
            outcome = kClose;
            break;
        }
        if (!args_.empty()) RunOne(executor);
        used += parser_.consumed();
        parser_.Reset();
        if (executor.quit()) outcome = kClose;
        // No reply could be kept for it: the client would take the next one for this one.
        if (out_.failed()) outcome = kClose;
        if (out_.size() >= kFlushBytes || batch_size_ >= kFlushCommands)
            if (!Flush(worker, executor)) outcome = kClose;
        // Not with LMDB's writer mutex: the others would only queue up behind it.
        if (!session_.writing()) worker.Checkpoint();
    }
    if (args_.capacity() > 4096) std::vector<std::string_view>().swap(args_);
    in_.Drop(used);
    return outcome;
}

void Connection::RunOne(Executor& executor) {
    if (!session_.writing()) {
        batch_start_ = out_.size();
        batch_size_ = 0;
    }
    ++batch_size_;
    if (!executor.Run(args_)) FailBatch(executor, executor.failure());
}

void Connection::FailBatch(Executor& executor, const Status& status) {
    session_.Abort();
    out_.Truncate(batch_start_);
    for (int i = 0; i < batch_size_; ++i) executor.Fail(status);
    batch_size_ = 0;
}

// How long one receive or send may take.
umcg::limit Connection::Patience() const {
    const int seconds = shared_.options.timeout_seconds;
    return seconds ? umcg::limit(std::chrono::seconds(seconds)) : umcg::limit();
}

// False: the client is gone.
bool Connection::Flush(Worker& worker, Executor& executor) {
    if (session_.writing()) {
        StageScope writing(worker, Stage::kWrite);
        if (Status status = session_.Commit(); !status.ok()) FailBatch(executor, status);
    }
    batch_size_ = 0;
    return Send(worker);
}

bool Connection::Send(Worker& worker) {
    size_t sent = 0;
    while (sent < out_.size()) {
        const char* from = out_.data() + sent;
        const size_t size = out_.size() - sent;
        ssize_t n = LookFirst([&](int flags) { return send(fd_, from, size, flags); });
        if (n == -EAGAIN) {
            StageScope sending(worker, Stage::kSend);
            n = umcg::io::send(fd_, from, size, 0, Patience());
        }
        if (n <= 0) return false;
        sent += static_cast<size_t>(n);
    }
    out_.Drop(sent);
    return true;
}

// False: the client has finished or is gone, or said nothing for --timeout.
bool Connection::Receive(Worker& worker) {
    // A request may announce 512 MB: memory follows what has really come.
    size_t want = std::min(parser_.wanted(), in_.size());
    if (!in_.Reserve(std::max(want, in_.room() ? size_t{1} : Buffer::kFree))) return true;
    ssize_t n = LookFirst([&](int flags) { return recv(fd_, in_.end(), in_.room(), flags); });
    if (n == -EAGAIN) {
        StageScope receiving(worker, Stage::kReceive);
        n = umcg::io::recv(fd_, in_.end(), in_.room(), 0, Patience());
    }
    if (n <= 0) return false;
    in_.Grow(static_cast<size_t>(n));
    return true;
}

// A close with unread input resets the connection, and the client may lose our last reply. So say
// that we are done, and read a little, for a little while.
void Connection::Linger() {
    if (shutdown(fd_, SHUT_WR)) return;
    const umcg::limit end(std::chrono::seconds(1));
    char sink[4096];
    while (umcg::io::recv(fd_, sink, sizeof(sink), 0, end) > 0) {
    }
}

}  // namespace kv
