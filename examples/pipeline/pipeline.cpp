// SPDX-License-Identifier: MIT
//
// Find files with the same content: walk, read, compute, store, each its own stage. Three of the
// four block in libraries that know nothing of fibers: what README.md explains.
#include <fcntl.h>
#include <lmdb.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <umcg/channel.hpp>
#include <umcg/runtime.hpp>
#include <umcg/scope.hpp>
#include <utility>
#include <vector>

namespace fs = std::filesystem;

namespace {

constexpr int readers = 8;
constexpr size_t largest = 64 << 20;  // of a file that is read

struct content {
    std::string path;
    std::unique_ptr<char[]> bytes;
    size_t size = 0;
};

struct digest {
    std::string path;
    std::array<uint64_t, 3> key;  // size, two hashes
};

// ---- blocking: directory entries ----

void walk(const fs::path& root, umcg::channel<std::string>& out, const umcg::cancel_token& token) {
    for (const auto& entry :
         fs::recursive_directory_iterator(root, fs::directory_options::skip_permission_denied)) {
        if (entry.is_symlink() || !entry.is_regular_file()) continue;
        if (out.send(entry.path().string(), token) != umcg::channel_status::ok) return;
    }
}

// ---- blocking: the disk ----

content slurp(const std::string& path) {
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) throw std::system_error(errno, std::generic_category(), path);
    struct closer {
        int fd;
        ~closer() { close(fd); }
    } closes{fd};
    struct stat st;
    if (fstat(fd, &st)) throw std::system_error(errno, std::generic_category(), path);
    const size_t room = std::min(largest, static_cast<size_t>(st.st_size));
    content c{path, std::make_unique_for_overwrite<char[]>(room), 0};
    while (c.size < room) {
        const ssize_t n = read(fd, c.bytes.get() + c.size, room - c.size);
        if (n < 0) throw std::system_error(errno, std::generic_category(), path);
        if (!n) break;
        c.size += static_cast<size_t>(n);
    }
    return c;
}

// ---- computing: nothing here blocks, so it lets others go first now and then ----

uint64_t hash(const content& c, uint64_t seed) {
    uint64_t h = seed;
    for (size_t i = 0; i < c.size; i++) {
        h = (h ^ static_cast<unsigned char>(c.bytes[i])) * 0x100000001b3;
        if (i % (1 << 20) == (1 << 20) - 1) umcg::yield();
    }
    return h ^ (h >> 29);
}

digest compute(const content& c) {
    return {c.path, {c.size, hash(c, 0xcbf29ce484222325), hash(c, 0x9ae16a3b2f90404f)}};
}

// ---- blocking: a database, whose writer lock belongs to the thread that took it ----

class index_file {
  public:
    explicit index_file(const std::string& dir) {
        must(mdb_env_create(&env_), "mdb_env_create");
        must(mdb_env_set_mapsize(env_, size_t{1} << 30), "mdb_env_set_mapsize");
        must(mdb_env_open(env_, dir.c_str(), MDB_NOTLS, 0600), dir.c_str());
        begin();
        must(mdb_dbi_open(txn_, nullptr, MDB_DUPSORT, &files_), "mdb_dbi_open");
        must(mdb_drop(txn_, files_, 0), "mdb_drop");
    }
    ~index_file() {
        if (txn_) mdb_txn_abort(txn_);
        if (env_) mdb_env_close(env_);
    }
    void put(const digest& d) {
        MDB_val key = {sizeof(d.key), const_cast<uint64_t*>(d.key.data())};
        // values that are sorted have at most 511 bytes
        if (d.path.size() > 511)
            throw std::runtime_error(d.path + ": a path of more than 511 bytes");
        MDB_val value = {d.path.size(), const_cast<char*>(d.path.data())};
        must(mdb_put(txn_, files_, &key, &value, 0), "mdb_put");
        if (++pending_ % 100 == 0) commit(), begin();
    }
    // Those with the same content, sorted by path.
    std::vector<std::vector<std::string>> duplicates() {
        commit();
        begin();
        MDB_cursor* cursor;
        must(mdb_cursor_open(txn_, files_, &cursor), "mdb_cursor_open");
        std::vector<std::vector<std::string>> found;
        MDB_val key, value;
        for (int rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST); !rc;
             rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT_NODUP)) {
            std::vector<std::string> same;
            do same.emplace_back(static_cast<char*>(value.mv_data), value.mv_size);
            while (!mdb_cursor_get(cursor, &key, &value, MDB_NEXT_DUP));
            if (same.size() > 1) found.push_back(std::move(same));
        }
        mdb_cursor_close(cursor);
        return found;
    }

  private:
    static void must(int rc, const char* what) {
        if (rc) throw std::runtime_error(std::string(what) + ": " + mdb_strerror(rc));
    }
    void begin() { must(mdb_txn_begin(env_, nullptr, 0, &txn_), "mdb_txn_begin"); }
    void commit() { must(mdb_txn_commit(std::exchange(txn_, nullptr)), "mdb_txn_commit"); }

    MDB_env* env_ = nullptr;
    MDB_txn* txn_ = nullptr;
    MDB_dbi files_ = 0;
    int pending_ = 0;
};

// ---- the stages, and the channels between them ----

// The last one of a stage closes what it has filled.
class closes_last {
  public:
    explicit closes_last(int n) : left_(n) {}
    template <class T>
    void done(umcg::channel<T>& out) {
        if (--left_ == 0) out.close();
    }

  private:
    std::atomic<int> left_;
};

int run(const std::string& dir, const std::vector<std::string>& roots) {
    umcg::channel<std::string> paths(64);
    umcg::channel<content> contents(readers);
    umcg::channel<digest> digests(64);
    closes_last walking(static_cast<int>(roots.size())), reading(readers), computing(2);
    int files = 0;
    std::atomic<int> unreadable{0};
    size_t groups = 0;

    umcg::scope stages;  // the first that throws cancels the others' waits
    const umcg::cancel_token token = stages.token();
    for (const auto& root : roots)
        stages.spawn(
            [&, root] {
                walk(root, paths, token);
                walking.done(paths);
            },
            {.name = "walk",
             .kind = umcg::kind::thread});  // libstdc++ wants more stack than a fiber has
    for (int i = 0; i < readers; i++)
        stages.spawn(
            [&] {
                while (auto path = paths.receive(token)) {
                    try {
                        contents.send(slurp(*path), token);
                    } catch (const std::system_error& e) {
                        fprintf(stderr, "pipeline: %s\n", e.what());
                        unreadable++;
                    }
                }
                reading.done(contents);
            },
            {.name = "read"});
    for (int i = 0; i < 2; i++)
        stages.spawn(
            [&] {
                while (auto c = contents.receive(token)) digests.send(compute(*c), token);
                computing.done(digests);
            },
            {.name = "compute"});
    stages.spawn(
        [&] {
            index_file index(dir);
            while (auto d = digests.receive(token)) {
                index.put(*d);
                files++;
            }
            for (const auto& same : index.duplicates()) {
                groups++;
                for (const auto& path : same) printf("%s\n", path.c_str());
                printf("\n");
            }
        },
        {.name = "store", .kind = umcg::kind::thread});  // it waits between LMDB's lock and unlock
    stages.join();
    fprintf(stderr, "%d files, %zu groups with the same content, %d unreadable\n", files, groups,
            unreadable.load());
    return unreadable ? 2 : 0;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 3 || argv[1][0] == '-') {
        fputs(
            "usage: pipeline INDEX-DIR PATH...\n"
            "Print groups of files below PATHs whose first 64 MB are the same. INDEX-DIR, an "
            "existing\n"
            "directory, gets the index (LMDB). Exit code 2: some files could not be read.\n",
            argc == 2 && !strcmp(argv[1], "--help") ? stdout : stderr);
        return argc == 2 && !strcmp(argv[1], "--help") ? 0 : 1;
    }
    try {
        umcg::runtime rt;
        return rt
            .spawn(
                [&] {
                    return run(argv[1], {argv + 2, argv + argc});
                },
                {.kind = umcg::kind::thread})
            .join();
    } catch (const std::exception& e) {
        fprintf(stderr, "pipeline: %s\n", e.what());
        return 1;
    }
}
