// SPDX-License-Identifier: MIT
//
// Libraries that know nothing of tasks, called directly: name resolution, SQLite, OpenSSL, malloc.
#include <malloc.h>
#include <netdb.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <umcg/latch.hpp>
#include <umcg/umcg.h>

#include "harness.hpp"

namespace {

class Libraries : public Runtime {};
IN_EVERY_CONFIGURATION(Libraries);

// What these libraries want: an ordinary thread's worth of stack, for a fiber that says so.
constexpr umcg::attributes with_stack() {
    return {.stack_size = 512 * 1024};
}

// ---- getaddrinfo ----

// Numeric names, and one of /etc/hosts: nothing leaves the machine.
TEST_P(Libraries, GetAddrInfo) {
    umcg::runtime rt(options());
    std::vector<umcg::task<int>> all;
    for (int i = 0; i < scaled(100); i++)
        all.push_back(rt.spawn(
            [i] {
                const bool numeric = i % 2;
                addrinfo want = {}, *found = nullptr;
                want.ai_family = AF_INET;
                want.ai_socktype = SOCK_STREAM;
                want.ai_flags = numeric ? AI_NUMERICHOST : 0;
                const int err = getaddrinfo(numeric ? "127.0.0.1" : "localhost", "80", &want, &found);
                if (err) return err;
                const std::unique_ptr<addrinfo, void (*)(addrinfo*)> hold(found, freeaddrinfo);
                umcg::yield();
                const auto* at = reinterpret_cast<const sockaddr_in*>(found->ai_addr);
                return at->sin_addr.s_addr == htonl(INADDR_LOOPBACK) && at->sin_port == htons(80) ? 0 : 1;
            },
            with_stack()));
    for (auto& t : all) {
        const int err = t.join();
        EXPECT_EQ(err, 0) << gai_strerror(err);
    }
}

// ---- SQLite ----

struct database {
    sqlite3* db = nullptr;
    explicit database(const std::string& path) {
        if (sqlite3_open_v2(path.c_str(), &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX,
                            nullptr))
            abort();
        // a writer that finds the file locked sleeps in nanosleep() and tries again
        sqlite3_busy_timeout(db, 3600000);
    }
    ~database() { sqlite3_close(db); }
    int run(const char* sql) { return sqlite3_exec(db, sql, nullptr, nullptr, nullptr); }
    int64_t number(const char* sql) {
        sqlite3_stmt* s = nullptr;
        int64_t n = -1;
        if (!sqlite3_prepare_v2(db, sql, -1, &s, nullptr) && sqlite3_step(s) == SQLITE_ROW)
            n = sqlite3_column_int64(s, 0);
        sqlite3_finalize(s);
        return n;
    }
};

// Tasks with a connection of their own, which wait for each other's file locks, and all of them
// through one connection, which wait for its mutex.
TEST_P(Libraries, SQLite) {
    umcg::runtime rt(options());
    const std::string path = std::filesystem::temp_directory_path() /
                             ("umcg-sqlite-" + std::to_string(getpid()) + ".db");
    constexpr int writers = 6;
    const int rounds = scaled(30);
    {
        database shared(path);
        ASSERT_EQ(shared.run("PRAGMA synchronous=OFF; CREATE TABLE t(who INTEGER, n INTEGER)"), SQLITE_OK);
        std::vector<umcg::task<void>> all;
        for (int i = 0; i < writers; i++)
            all.push_back(rt.spawn(
                [&, i] {
                    database mine(path);
                    mine.run("PRAGMA synchronous=OFF");
                    for (int r = 0; r < rounds; r++) {
                        const std::string insert = "BEGIN IMMEDIATE; INSERT INTO t VALUES(" +
                                                   std::to_string(i) + "," + std::to_string(r) + ");COMMIT";
                        EXPECT_EQ(mine.run(insert.c_str()), SQLITE_OK) << sqlite3_errmsg(mine.db);
                        if (r % 4 == 0) umcg::yield();
                        EXPECT_GE(shared.number("SELECT count(*) FROM t"), 1);
                    }
                },
                i % 3 == 2 ? umcg::attributes{.kind = umcg::kind::thread} : with_stack()));
        for (auto& t : all) t.join();
        EXPECT_EQ(shared.number("SELECT count(*) FROM t"), writers * rounds);
        EXPECT_EQ(shared.number("SELECT sum(n) FROM t"), int64_t{writers} * rounds * (rounds - 1) / 2);
    }
    std::filesystem::remove(path);
    std::filesystem::remove(path + "-journal");
}

// ---- OpenSSL ----

template <class T, void (*Free)(T*)>
struct freed {
    void operator()(T* p) const { Free(p); }
};
using key_ptr = std::unique_ptr<EVP_PKEY, freed<EVP_PKEY, EVP_PKEY_free>>;
using certificate_ptr = std::unique_ptr<X509, freed<X509, X509_free>>;
using context_ptr = std::unique_ptr<SSL_CTX, freed<SSL_CTX, SSL_CTX_free>>;
using session_ptr = std::unique_ptr<SSL, freed<SSL, SSL_free>>;

std::string openssl_error() {
    char text[256];
    ERR_error_string_n(ERR_get_error(), text, sizeof(text));
    return text;
}

// Signed by itself, for this test.
certificate_ptr make_certificate(EVP_PKEY* key) {
    certificate_ptr c(X509_new());
    X509_set_version(c.get(), 2);
    ASN1_INTEGER_set(X509_get_serialNumber(c.get()), 1);
    X509_gmtime_adj(X509_getm_notBefore(c.get()), -3600);
    X509_gmtime_adj(X509_getm_notAfter(c.get()), 24 * 3600);
    X509_set_pubkey(c.get(), key);
    X509_NAME* name = X509_get_subject_name(c.get());
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("umcg test"),
                               -1, -1, 0);
    X509_set_issuer_name(c.get(), name);
    return X509_sign(c.get(), key, EVP_sha256()) ? std::move(c) : nullptr;
}

// Both ends are tasks of the same runtime on blocking sockets: each read blocks in the kernel until
// the other end has run.
TEST_P(Libraries, OpenSSL) {
    signal(SIGPIPE, SIG_IGN);  // whoever says goodbye second writes to nobody
    umcg::runtime rt(options());
    const key_ptr key(EVP_EC_gen("P-256"));
    ASSERT_TRUE(key) << openssl_error();
    const certificate_ptr certificate = make_certificate(key.get());
    ASSERT_TRUE(certificate) << openssl_error();
    const context_ptr serves(SSL_CTX_new(TLS_server_method())), connects(SSL_CTX_new(TLS_client_method()));
    ASSERT_EQ(SSL_CTX_use_certificate(serves.get(), certificate.get()), 1) << openssl_error();
    ASSERT_EQ(SSL_CTX_use_PrivateKey(serves.get(), key.get()), 1) << openssl_error();
    // the client believes this one and no other
    ASSERT_EQ(X509_STORE_add_cert(SSL_CTX_get_cert_store(connects.get()), certificate.get()), 1);
    SSL_CTX_set_verify(connects.get(), SSL_VERIFY_PEER, nullptr);

    std::vector<umcg::task<std::string>> all;
    for (int i = 0; i < scaled(20); i++) {
        int fd[2];
        ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
        const auto attr = i % 4 == 3 ? umcg::attributes{.kind = umcg::kind::thread} : with_stack();
        all.push_back(rt.spawn(
            [&, at = fd[0]]() -> std::string {
                const session_ptr s(SSL_new(serves.get()));
                SSL_set_fd(s.get(), at);
                std::string result;
                char text[64];
                int n = 0;
                if (SSL_accept(s.get()) != 1)
                    result = "accept: " + openssl_error();
                else if ((n = SSL_read(s.get(), text, sizeof(text))) <= 0)
                    result = "read: " + openssl_error();
                else if (SSL_write(s.get(), text, n) != n)
                    result = "write: " + openssl_error();
                SSL_shutdown(s.get());
                close(at);
                return result;
            },
            attr));
        all.push_back(rt.spawn(
            [&, i, at = fd[1]]() -> std::string {
                const session_ptr s(SSL_new(connects.get()));
                SSL_set_fd(s.get(), at);
                const std::string hello = "hello " + std::to_string(i);
                std::string result;
                char text[64];
                if (SSL_connect(s.get()) != 1)
                    result = "connect: " + openssl_error();
                else if (SSL_write(s.get(), hello.data(), static_cast<int>(hello.size())) <= 0)
                    result = "write: " + openssl_error();
                else if (const int n = SSL_read(s.get(), text, sizeof(text));
                         n <= 0 || std::string(text, static_cast<size_t>(n)) != hello)
                    result = "read: " + openssl_error();
                SSL_shutdown(s.get());
                close(at);
                return result;
            },
            attr));
    }
    for (auto& t : all) EXPECT_EQ(t.join(), "");
}

// ---- malloc under preemption ----

// Tasks in malloc() and free() all the time, on one arena, so on one lock; from outside their
// workers are preempted at any moment, also in the middle of it.
TEST_P(Libraries, MallocUnderPreemption) {
    umcg::runtime rt(options());
    mallopt(M_ARENA_MAX, 1);
    constexpr int n = 6;
    std::array<std::atomic<pid_t>, n> runs_on = {};
    std::atomic<bool> enough{false};
    std::atomic<long> kicks{0};
    // without any the test shows nothing
    constexpr long least = 20;
    const int rounds = scaled(3000);
    std::vector<umcg::task<bool>> all;
    for (int i = 0; i < n; i++)
        all.push_back(rt.spawn([&, i] {
            std::minstd_rand random(static_cast<unsigned>(i));
            std::vector<std::vector<unsigned char>> held(16);
            bool good = true;
            for (int r = 0; r < rounds || kicks < least; r++) {
                runs_on[i].store(gettid(), std::memory_order_relaxed);
                auto& v = held[random() % held.size()];
                for (unsigned char c : v) good = good && c == static_cast<unsigned char>(i);
                v.assign(random() % 4000, static_cast<unsigned char>(i));
                v.shrink_to_fit();
                if (r % 64 == 0) umcg::yield();
            }
            return good;
        }));
    std::jthread kicker([&] {
        while (!enough) {
            for (auto& tid : runs_on)
                // no worker there any more, not running: as good
                if (const pid_t t = tid.load(std::memory_order_relaxed))
                    kicks += umcg_kick(0, t) == 0;
            // between two rounds they get something done
            usleep(100);
        }
    });
    for (auto& t : all) EXPECT_TRUE(t.join());
    enough = true;
    kicker.join();
}

}  // namespace
