// SPDX-License-Identifier: MIT
// The user's view of a registered page goes away or turns into something else
// (R14). The kernel writes to the page it has pinned and to nothing else; nobody
// is killed, and the workers go on, because no decision rests on that memory.
#include <linux/userfaultfd.h>
#include <poll.h>
#include <sys/ioctl.h>

#include "crew.hpp"
#include "raw.hpp"

namespace umcg_test {
namespace {

class PagesLost : public Guest {};

constexpr int kWorkers = 3;
constexpr unsigned char kPattern = 0x5a;

std::vector<umcg_task*> tasks_in(const Mapping& m) {
    std::vector<umcg_task*> out;
    for (int i = 0; i < kWorkers; i++) out.push_back(m.task(i * 7));
    return out;
}

// The old place stays mapped, so that nobody else gets it.
constexpr int kMove = MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP;

// Not a byte of the page that now lies there was written.
void expect_pattern(const void* page) {
    const auto* p = static_cast<const unsigned char*>(page);
    for (size_t i = 0; i < kPage; i++)
        ASSERT_EQ(p[i], kPattern) << "byte " << i << " of memory that was never registered";
}

TEST_F(PagesLost, Munmap) {
    for (int round = 0; round < scaled(10, 2); round++) {
        Mapping server;
        Mapping m;
        char* const at = m.data();
        Crew crew(server.task(), tasks_in(m));
        ASSERT_EQ(munmap(at, kPage), 0);
        m.release();
        // whatever is mapped next may get the address: keep it, watched
        void* over = mmap(at, kPage, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
        if (over != MAP_FAILED) memset(over, kPattern, kPage);
        crew.expect_progress(5);
        if (over == at) {
            expect_pattern(over);
            munmap(over, kPage);
        }
    }
}

TEST_F(PagesLost, MunmapOfTheServersPage) {
    Mapping server;
    Mapping m;
    Mapping elsewhere;
    Crew crew(server.task(), tasks_in(m));
    crew.at_server([&] {
        // nothing is there any more, nor will be
        ASSERT_EQ(munmap(server.data(), kPage), 0);
        ASSERT_EQ(mmap(server.data(), kPage, PROT_NONE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0),
                  server.data());
        crew.set_server_view(elsewhere.task());  // the kernel does not know this one
    });
    // another server of the process runs them
    Server s;
    std::atomic<bool> all{true};
    for (const auto& tid : crew.tids()) {
        int rc = -1;
        all = all && poll_until([&] { return (rc = s.run(tid, 0, in_ms(50))) == 0; });
    }
    EXPECT_TRUE(all);
    crew.at_server([&] {
        // a way to end: register the thread anew, on memory that it can write
        EXPECT_EQ(raw::unreg(server.task()), 0);
        EXPECT_EQ(raw::reg(elsewhere.task(), UMCG_REG_SERVER), 0);
    });
    crew.expect_progress(3);
}

TEST_F(PagesLost, MremapToAndFro) {
    Mapping server;
    Mapping room(4 * kPage);
    Mapping m;
    Crew crew(server.task(), tasks_in(m));
    char* at = m.data();
    for (int i = 0; i < scaled(2000, 100); i++) {
        char* to = i & 1 ? m.data() : room.data() + (i >> 1) % 4 * kPage;
        ASSERT_EQ(mremap(at, kPage, kPage, kMove, to), to);
        at = to;
    }
    crew.expect_progress(5);
    if (at != m.data()) {
        ASSERT_EQ(mremap(at, kPage, kPage, kMove, m.data()), m.data());
    }
}

// The server's page moves: its words are found at the new address.
TEST_F(PagesLost, MremapOfTheServersPage) {
    Mapping server;
    Mapping room(2 * kPage);
    Mapping m;
    Crew crew(server.task(), tasks_in(m));
    char* at = server.data();
    for (int i = 0; i < scaled(100, 10); i++) {
        char* to = room.data() + (i & 1) * kPage;
        crew.at_server([&] {
            ASSERT_EQ(mremap(at, kPage, kPage, kMove, to), to);
            crew.set_server_view(reinterpret_cast<umcg_task*>(to));
        });
        at = to;
    }
    crew.expect_progress(5);
}

TEST_F(PagesLost, MprotectLoop) {
    Mapping server;
    Mapping m;
    Crew crew(server.task(), tasks_in(m));
    for (int i = 0; i < scaled(3000, 200); i++) {
        static const int kProt[] = {PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE};
        ASSERT_EQ(mprotect(m.data(), kPage, kProt[i % 3]), 0);
    }
    ASSERT_EQ(mprotect(m.data(), kPage, PROT_NONE), 0);
    crew.expect_progress(5);
}

TEST_F(PagesLost, MadvDontneedLoop) {
    Mapping server;
    Mapping m;
    Crew crew(server.task(), tasks_in(m));
    for (int i = 0; i < scaled(500, 50); i++) {
        ASSERT_EQ(madvise(m.data(), kPage, MADV_DONTNEED), 0);
        memset(m.data(), kPattern, kPage);  // a fresh page
        if (i % 50 == 0) crew.expect_progress(1);
        expect_pattern(m.data());
    }
    ASSERT_EQ(madvise(m.data(), kPage, MADV_DONTNEED), 0);
    memset(m.data(), kPattern, kPage);
    crew.expect_progress(5);
    expect_pattern(m.data());
}

TEST_F(PagesLost, MemfdMappedOverIt) {
    Fd fd(shared_fd(kPage));
    ASSERT_TRUE(fd.ok());
    Mapping view(kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get());
    memset(view.data(), kPattern, kPage);
    Mapping server;
    Mapping m;
    Crew crew(server.task(), tasks_in(m));
    for (int i = 0; i < scaled(300, 30); i++) {
        ASSERT_EQ(
            mmap(m.data(), kPage, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd.get(), 0),
            m.data());
        if (i % 50 == 0) crew.expect_progress(1);
        expect_pattern(view.data());
        ASSERT_EQ(mmap(m.data(), kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
                  m.data());
    }
    crew.expect_progress(5);
    expect_pattern(view.data());
}

TEST_F(PagesLost, ProtectionKeyThatDeniesTheWorkers) {
    const int key = pkey_alloc(0, 0);
    if (key < 0) GTEST_SKIP() << "no protection keys: errno " << errno;
    Mapping server;
    Mapping m;
    {
        Crew crew(server.task(), tasks_in(m));
        ASSERT_EQ(pkey_set(key, PKEY_DISABLE_ACCESS), 0);
        for (int i = 0; i < scaled(500, 50); i++)
            ASSERT_EQ(pkey_mprotect(m.data(), kPage, PROT_READ | PROT_WRITE, i & 1 ? 0 : key), 0);
        ASSERT_EQ(pkey_mprotect(m.data(), kPage, PROT_READ | PROT_WRITE, key), 0);
        crew.expect_progress(5);
    }
    // and what the thread may not write it may not register
    in_thread([&] {
        pkey_set(key, PKEY_DISABLE_WRITE);
        EXPECT_EQ(raw::reg(m.task(), UMCG_REG_SERVER), -EFAULT);
    });
    pkey_free(key);
}

// A userfaultfd that nobody serves: a kernel that touched the page by its user
// address would wait for ever.
TEST_F(PagesLost, UserfaultfdOverIt) {
    Fd uffd(static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK)));
    if (!uffd.ok()) GTEST_SKIP() << "no userfaultfd: errno " << errno;
    uffdio_api api = {};
    api.api = UFFD_API;
    ASSERT_EQ(ioctl(uffd.get(), UFFDIO_API, &api), 0);
    Mapping server;
    Mapping m;
    Crew crew(server.task(), tasks_in(m));
    uffdio_register reg = {};
    reg.range = {reinterpret_cast<unsigned long>(m.data()), kPage};
    reg.mode = UFFDIO_REGISTER_MODE_MISSING;
    ASSERT_EQ(ioctl(uffd.get(), UFFDIO_REGISTER, &reg), 0);
    ASSERT_EQ(madvise(m.data(), kPage, MADV_DONTNEED), 0);  // now it is missing
    crew.expect_progress(10);
    pollfd fault = {uffd.get(), POLLIN, 0};
    EXPECT_EQ(::poll(&fault, 1, 0), 0) << "the kernel has touched the user's view of the page";
}

}  // namespace
}  // namespace umcg_test
