// SPDX-License-Identifier: MIT
#include "store.h"

#include <sys/random.h>
#include <sys/stat.h>

#include <bit>
#include <cerrno>
#include <cstring>

#include "status.h"

namespace kv {
namespace {

Status Error(const char* what, int rc) {
    // Deleting needs free pages too, for the changed tree.
    if (rc == MDB_MAP_FULL)
        return Status::Error("the database is full, restart with a larger --map-size");
    return Status::Error(Cat(what, ": ", mdb_strerror(rc)));
}

// A key as it is on disk.
class DiskKey {
  public:
    DiskKey(const SipKey& seed, std::string_view key) : size_(sizeof(uint64_t) + key.size()) {
        uint64_t hash = __builtin_bswap64(SipHash(seed, key));
        std::memcpy(bytes_, &hash, sizeof(hash));
        std::memcpy(bytes_ + sizeof(hash), key.data(), key.size());
    }
    MDB_val val() { return {size_, bytes_}; }

  private:
    size_t size_;
    char bytes_[sizeof(uint64_t) + Store::kMaxKey];
};

MDB_val Val(std::string_view text) {
    return {text.size(), const_cast<char*>(text.data())};
}

std::string_view View(const MDB_val& val) {
    return {static_cast<const char*>(val.mv_data), val.mv_size};
}

Status CheckKey(std::string_view key) {
    if (key.size() <= Store::kMaxKey) return Status();
    return Status::Error(
        Cat("key has ", key.size(), " bytes, the most that the store takes is ", Store::kMaxKey));
}

// The hash's key is made once and lies in the file, else the file could not be read again.
Status LoadSeed(MDB_txn* txn, SipKey* seed) {
    MDB_dbi meta;
    MDB_val key = Val("seed"), value;
    if (int rc = mdb_dbi_open(txn, "meta", MDB_CREATE, &meta)) return Error("mdb_dbi_open", rc);
    int rc = mdb_get(txn, meta, &key, &value);
    if (rc == MDB_NOTFOUND) {
        if (getrandom(seed, sizeof(*seed), 0) != ssize_t{sizeof(*seed)})
            return Status::Errno(errno, "getrandom");
        value = {sizeof(*seed), seed};
        rc = mdb_put(txn, meta, &key, &value, 0);
        return rc ? Error("mdb_put", rc) : Status();
    }
    if (rc) return Error("mdb_get", rc);
    if (value.mv_size != sizeof(*seed)) return Status::Error("the file's seed is damaged");
    std::memcpy(seed, value.mv_data, sizeof(*seed));
    return Status();
}

}  // namespace

Result<std::unique_ptr<Store>> Store::Open(const StoreOptions& options) {
    std::unique_ptr<Store> store(new Store);
    int rc = mdb_env_create(&store->env_);
    if (rc) return Error("mdb_env_create", rc);
    if ((rc = mdb_env_set_mapsize(store->env_, options.map_size)))
        return Error("mdb_env_set_mapsize", rc);
    if ((rc = mdb_env_set_maxreaders(store->env_, options.max_readers)))
        return Error("mdb_env_set_maxreaders", rc);
    if ((rc = mdb_env_set_maxdbs(store->env_, 2))) return Error("mdb_env_set_maxdbs", rc);

    // NOTLS: a reader slot belongs to a Session, which gives it back when its client leaves, and
    // not to a thread, whose end would be noticed by a destructor that runs when nobody expects it.
    // NORDAHEAD: keys lie in hash order, so reading ahead reads what nobody asked for.
    unsigned flags = MDB_NOTLS | MDB_NORDAHEAD;
    if (options.sync == SyncMode::kMeta) flags |= MDB_NOMETASYNC;
    if (options.sync == SyncMode::kNone) flags |= MDB_NOSYNC;
    if ((rc = mdb_env_open(store->env_, options.dir.c_str(), flags, 0600)))
        return Status::Error(
            Cat("cannot open the database in ", options.dir, ": ", mdb_strerror(rc)));
    // Slots of a process that was killed while it read.
    int dead;
    if ((rc = mdb_reader_check(store->env_, &dead))) return Error("mdb_reader_check", rc);

    MDB_txn* txn;
    if ((rc = mdb_txn_begin(store->env_, nullptr, 0, &txn))) return Error("mdb_txn_begin", rc);
    Status status = LoadSeed(txn, &store->seed_);
    if (status.ok() && (rc = mdb_dbi_open(txn, "data", MDB_CREATE, &store->data_)))
        status = Error("mdb_dbi_open", rc);
    if (!status.ok()) {
        mdb_txn_abort(txn);
        return status;
    }
    if ((rc = mdb_txn_commit(txn))) return Error("mdb_txn_commit", rc);
    return store;
}

Store::~Store() {
    if (env_) mdb_env_close(env_);
}

Status Store::Sync() {
    int rc = mdb_env_sync(env_, 1);
    return rc ? Error("mdb_env_sync", rc) : Status();
}

Result<uint64_t> Store::FileBytes() const {
    int fd;
    struct stat st;
    if (int rc = mdb_env_get_fd(env_, &fd)) return Error("mdb_env_get_fd", rc);
    if (fstat(fd, &st)) return Status::Errno(errno, "fstat");
    return static_cast<uint64_t>(st.st_blocks) * 512;
}

Session::~Session() {
    Abort();
    if (read_) mdb_txn_abort(read_);
}

Result<MDB_txn*> Session::Reading() {
    if (write_) return write_;
    if (reading_) return read_;
    int rc =
        read_ ? mdb_txn_renew(read_) : mdb_txn_begin(store_->env_, nullptr, MDB_RDONLY, &read_);
    if (rc) return Error("cannot begin to read", rc);
    reading_ = true;
    return read_;
}

void Session::EndRead() {
    if (reading_) mdb_txn_reset(read_);
    reading_ = false;
}

Status Session::Get(std::string_view key, bool* found, std::string_view* value) {
    *found = false;
    if (Status status = CheckKey(key); !status.ok()) return status;
    Result<MDB_txn*> txn = Reading();
    if (!txn.ok()) return txn.status();
    MDB_val k, v;
    DiskKey disk_key(store_->seed_, key);
    k = disk_key.val();
    int rc = mdb_get(*txn, store_->data_, &k, &v);
    if (rc == MDB_NOTFOUND) return Status();
    if (rc) return Error("cannot read", rc);
    *found = true;
    *value = View(v);
    return Status();
}

Result<uint64_t> Session::Count() {
    Result<MDB_txn*> txn = Reading();
    if (!txn.ok()) return txn.status();
    MDB_stat stat;
    if (int rc = mdb_stat(*txn, store_->data_, &stat)) return Error("cannot count", rc);
    return stat.ms_entries;
}

Status Session::Scan(uint64_t* cursor, size_t count,
                     const std::function<void(std::string_view key)>& visit) {
    Result<MDB_txn*> txn = Reading();
    if (!txn.ok()) return txn.status();
    MDB_cursor* at;
    if (int rc = mdb_cursor_open(*txn, store_->data_, &at)) return Error("cannot scan", rc);

    uint64_t start = __builtin_bswap64(*cursor), seen_hash = 0;
    MDB_val key = {sizeof(start), &start}, value;
    *cursor = 0;
    size_t seen = 0;
    int rc = mdb_cursor_get(at, &key, &value, MDB_SET_RANGE);
    for (; rc == 0; rc = mdb_cursor_get(at, &key, nullptr, MDB_NEXT)) {
        uint64_t hash;
        std::memcpy(&hash, key.mv_data, sizeof(hash));
        hash = __builtin_bswap64(hash);
        // Stop between two hashes only: the cursor names a hash, and 0 is taken.
        if (seen >= count && hash != seen_hash && hash != 0) {
            *cursor = hash;
            break;
        }
        seen_hash = hash;
        ++seen;
        visit(View(key).substr(sizeof(hash)));
    }
    mdb_cursor_close(at);
    return rc == 0 || rc == MDB_NOTFOUND ? Status() : Error("cannot scan", rc);
}

Status Session::BeginWrite() {
    if (write_) return Status();
    // Reads go through the write transaction from here on; an old snapshot would only pin pages.
    EndRead();
    int rc = mdb_txn_begin(store_->env_, nullptr, 0, &write_);
    if (rc == 0) return Status();
    write_ = nullptr;
    return Error("cannot begin to write", rc);
}

Status Session::Put(std::string_view key, std::string_view value) {
    if (Status status = CheckKey(key); !status.ok()) return status;
    if (Status status = BeginWrite(); !status.ok()) return status;
    DiskKey disk_key(store_->seed_, key);
    MDB_val k = disk_key.val(), v = Val(value);
    int rc = mdb_put(write_, store_->data_, &k, &v, 0);
    return rc ? Error("cannot write", rc) : Status();
}

Status Session::Delete(std::string_view key, bool* found) {
    *found = false;
    if (Status status = CheckKey(key); !status.ok()) return status;
    if (Status status = BeginWrite(); !status.ok()) return status;
    DiskKey disk_key(store_->seed_, key);
    MDB_val k = disk_key.val();
    int rc = mdb_del(write_, store_->data_, &k, nullptr);
    if (rc == MDB_NOTFOUND) return Status();
    *found = rc == 0;
    return rc ? Error("cannot delete", rc) : Status();
}

Status Session::Commit() {
    if (!write_) return Status();
    int rc = mdb_txn_commit(write_);  // frees it, whatever happens
    write_ = nullptr;
    return rc ? Error("cannot commit", rc) : Status();
}

void Session::Abort() {
    if (write_) mdb_txn_abort(write_);
    write_ = nullptr;
}

}  // namespace kv
