// SPDX-License-Identifier: MIT
//
// One client, served by straight-line code: read, run all that has come, write, again. The socket
// is waited for by umcg::io, LMDB is called directly.
//
// Writes of one such turn share one LMDB transaction: their replies are sent after its commit, so
// what a client has seen acknowledged is in the file. If the commit fails, every command of it gets
// the error for its reply.
#ifndef EXAMPLES_KV_CONNECTION_H_
#define EXAMPLES_KV_CONNECTION_H_

#include <atomic>
#include <string_view>
#include <umcg/limit.hpp>
#include <vector>

#include "buffer.h"
#include "commands.h"
#include "engine.h"
#include "resp.h"
#include "shared.h"
#include "store.h"

namespace kv {

class Connection {
  public:
    // Neither owns `fd`, a blocking socket, nor closes it.
    Connection(Shared* shared, int fd, const std::atomic<bool>* stopping);

    // Until the client leaves, fails, quits, or *stopping.
    void Serve(Worker& worker);

  private:
    enum Outcome { kMore, kClose };  // kClose: what is to be said was said

    Outcome RunBuffered(Worker& worker, Executor& executor);
    void RunOne(Executor& executor);
    void FailBatch(Executor& executor, const Status& status);
    bool Flush(Worker& worker, Executor& executor);
    bool Receive(Worker& worker);
    bool Send(Worker& worker);
    void Linger();
    umcg::limit Patience() const;

    Shared& shared_;
    const int fd_;
    const std::atomic<bool>& stopping_;
    Session session_;
    Buffer in_, out_;
    Parser parser_;
    std::vector<std::string_view> args_;
    // Commands whose replies, from batch_start_ on, depend on the next commit.
    size_t batch_start_ = 0;
    int batch_size_ = 0;
};

}  // namespace kv

#endif  // EXAMPLES_KV_CONNECTION_H_
