// SPDX-License-Identifier: MIT
//
// Keys and values in an LMDB file. Every read is a look at a memory map: what is not in memory is a
// page fault, and the thread waits for the disk inside an ordinary load instruction.
//
// On disk a key is SipHash(key) as 8 big-endian bytes, then the key itself. Redis promises no
// order, and this one gives SCAN a cursor that is a number, costs the server nothing, outlives
// restarts, and returns every key that was there from the first call to the last.
#ifndef EXAMPLES_KV_STORE_H_
#define EXAMPLES_KV_STORE_H_

#include <lmdb.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "siphash.h"
#include "status.h"

namespace kv {

// What is still there after an acknowledged write when ...
enum class SyncMode {
    kFull,  // ... the power fails: the write (fsync at each commit)
    kMeta,  // ... the power fails: all but the last writes. The process dies: the write
    kNone,  // ... the process dies: the write. The power fails: perhaps nothing of the file
};

struct StoreOptions {
    std::string dir;
    SyncMode sync = SyncMode::kFull;
    size_t map_size = size_t{64} << 30;  // the file's largest size
    unsigned max_readers = 1024;         // sessions at once
};

class Store {
  public:
    static constexpr size_t kMaxKey = 511 - sizeof(uint64_t);  // LMDB's 511, less the hash

    // Create or open the database in `dir`, which must exist.
    static Result<std::unique_ptr<Store>> Open(const StoreOptions& options);
    ~Store();
    Store(const Store&) = delete;
    Store& operator=(const Store&) = delete;

    Status Sync();  // all to disk, whatever the mode
    Result<uint64_t> FileBytes() const;

  private:
    friend class Session;
    Store() = default;

    MDB_env* env_ = nullptr;
    MDB_dbi data_ = 0;
    SipKey seed_ = {};
};

// One client's view; used by one thread at a time.
//
// The first write takes LMDB's one writer mutex, which Commit() or Abort() gives back. That is a
// futex, so a thread that waits for it is BLOCKED as far as its UMCG server knows, and the server
// runs another worker. A worker that holds the mutex may block on the disk in the middle, come back
// and be held RUNNABLE behind others; whoever of them wants the mutex meanwhile blocks in the
// kernel and gives the server up, so after finitely many steps the holder's turn comes: no
// deadlock, as long as no *server* ever takes this lock. None does. The mutex belongs to the thread
// that took it, and a fiber may change threads in a call of the runtime: there is none in between.
class Session {
  public:
    explicit Session(Store* store) : store_(store) {}
    ~Session();
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    // Reads see this session's uncommitted writes, else the newest commit; all reads up to
    // EndRead() see the same one. Values stay valid until EndRead() or the next write.
    Status Get(std::string_view key, bool* found, std::string_view* value);
    Result<uint64_t> Count();
    // Call `visit` for some keys, at least `count` if there are so many. *cursor 0: from the start;
    // on return where to go on, 0: all were seen.
    Status Scan(uint64_t* cursor, size_t count,
                const std::function<void(std::string_view key)>& visit);
    // Give the snapshot up: it keeps old pages of the file from being used again.
    void EndRead();

    // After any error of these the session's uncommitted writes are lost: call Abort().
    // BeginWrite() alone lets a read be followed by a write with nobody else's in between.
    Status BeginWrite();
    Status Put(std::string_view key, std::string_view value);
    Status Delete(std::string_view key, bool* found);
    bool writing() const { return write_ != nullptr; }
    Status Commit();
    void Abort();

  private:
    Result<MDB_txn*> Reading();

    Store* const store_;
    MDB_txn* read_ = nullptr;  // kept from command to command, and with it its reader slot
    bool reading_ = false;     // read_ has a snapshot
    MDB_txn* write_ = nullptr;
};

}  // namespace kv

#endif  // EXAMPLES_KV_STORE_H_
