// SPDX-License-Identifier: MIT
// umcg_register() and umcg_unregister(): what they refuse, with which errno,
// and that a refused call changes nothing.
#include <limits.h>
#include <stdio.h>

#include "memory.hpp"
#include "raw.hpp"

namespace umcg_test {
namespace {

class RegisterArgs : public Guest {};

// Bytes that no call may touch, but with a home that a worker could have.
void fill(umcg_task* t, pid_t home) {
    memset(t, 0x5a, sizeof(*t));
    t->server_tid = home;
}

// rc == want, and not a byte of the struct has changed.
void expect_refused(umcg_task* t, unsigned long flags, int want) {
    umcg_task before;
    memcpy(&before, t, sizeof(before));
    EXPECT_EQ(raw::reg(t, flags), want) << "flags 0x" << std::hex << flags;
    EXPECT_EQ(memcmp(&before, t, sizeof(before)), 0) << "a refused call wrote: " << task_text(t);
    EXPECT_EQ(raw::unreg(t), -EINVAL) << "a refused call has registered";
}

TEST_F(RegisterArgs, EachFlagBitAndNone) {
    Mapping m;
    fill(m.task(), 0);
    expect_refused(m.task(), 0, -EINVAL);
    expect_refused(m.task(), UMCG_REG_SERVER | UMCG_REG_WORKER, -EINVAL);
    for (int bit = 2; bit < 32; bit++) {
        expect_refused(m.task(), 1U << bit, -EINVAL);
        expect_refused(m.task(), UMCG_REG_SERVER | 1U << bit, -EINVAL);
        expect_refused(m.task(), UMCG_REG_WORKER | 1U << bit, -EINVAL);
    }
    expect_refused(m.task(), UINT_MAX, -EINVAL);
}

TEST_F(RegisterArgs, EveryMisalignment) {
    Mapping m(2 * kPage);
    memset(m.data(), 0x5a, 2 * kPage);
    for (size_t off = 1; off < 64; off++)
        EXPECT_EQ(raw::reg(m.data() + off, UMCG_REG_SERVER), -EINVAL) << "offset " << off;
    // the last ones would cross into the next page
    for (size_t off = kPage - 63; off < kPage; off++)
        EXPECT_EQ(raw::reg(m.data() + off, UMCG_REG_SERVER), -EINVAL) << "offset " << off;
    for (size_t i = 0; i < 2 * kPage; i++) ASSERT_EQ(m.data()[i], 0x5a);
}

TEST_F(RegisterArgs, EverySlotOfAPageServes) {
    Mapping m;
    for (size_t i = 0; i < kPage / sizeof(umcg_task); i++) {
        ASSERT_EQ(raw::reg(m.task(i), UMCG_REG_SERVER), 0) << "slot " << i;
        EXPECT_EQ(m.task(i)->state, UMCG_TASK_RUNNING);
        EXPECT_EQ(m.task(i)->tid, static_cast<uint32_t>(gettid()));
        ASSERT_EQ(raw::unreg(m.task(i)), 0) << "slot " << i;
        EXPECT_EQ(m.task(i)->state & UMCG_TASK_MASK, UMCG_TASK_NONE);
    }
}

TEST_F(RegisterArgs, AddressesThatAreNoMemory) {
    const unsigned long hole = [] {
        Mapping m;
        return reinterpret_cast<unsigned long>(m.data());
    }();
    const unsigned long kAddresses[] = {
        0,                     // NULL
        hole,                  // unmapped
        0x7fffffffffc0UL,      // the last bytes of user space
        0x7ffffffff000UL,      // the guard page above them
        0x0000800000000000UL,  // non-canonical
        0x8000000000000000UL,
        0xffff7fffffffffc0UL,
        0xffff888000000000UL,  // kernel: direct map
        0xffffffff81000000UL,  // kernel: text
        0xffffffffff600000UL,  // vsyscall
        0xffffffffffffffc0UL,
    };
    for (const unsigned long a : kAddresses)
        for (const unsigned flags : {UMCG_REG_SERVER, UMCG_REG_WORKER})
            EXPECT_EQ(raw::reg(reinterpret_cast<void*>(a), flags), -EFAULT)
                << "address 0x" << std::hex << a;
}

TEST_F(RegisterArgs, MemoryThatCannotBeWritten) {
    for (const int prot : {PROT_READ, PROT_NONE, PROT_READ | PROT_EXEC}) {
        Mapping m(kPage, prot);
        ASSERT_TRUE(m.ok());
        EXPECT_EQ(raw::reg(m.task(), UMCG_REG_SERVER), -EFAULT) << "prot " << prot;
    }
    // written once, then protected
    Mapping m;
    fill(m.task(), 0);
    mprotect(m.data(), kPage, PROT_READ);
    expect_refused(m.task(), UMCG_REG_SERVER, -EFAULT);
}

TEST_F(RegisterArgs, SharedAnonymousMemory) {
    Mapping m(kPage, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS);
    ASSERT_TRUE(m.ok());
    fill(m.task(), 0);
    expect_refused(m.task(), UMCG_REG_SERVER, -EOPNOTSUPP);
}

TEST_F(RegisterArgs, Memfd) {
    Fd fd(shared_fd(kPage));
    ASSERT_TRUE(fd.ok());
    Mapping m(kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get());
    ASSERT_TRUE(m.ok());
    fill(m.task(), 0);
    expect_refused(m.task(), UMCG_REG_SERVER, -EOPNOTSUPP);
}

TEST_F(RegisterArgs, SharedFile) {
    char name[] = "/tmp/umcg-args-XXXXXX";
    Fd fd(mkstemp(name));
    ASSERT_TRUE(fd.ok()) << "/tmp: errno " << errno;
    unlink(name);
    ASSERT_EQ(ftruncate(fd.get(), kPage), 0);
    Mapping m(kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get());
    ASSERT_TRUE(m.ok());
    fill(m.task(), 0);
    expect_refused(m.task(), UMCG_REG_SERVER, -EOPNOTSUPP);
}

// A private file page that is read-only is the page cache's; nothing may be
// written there on any ground.
TEST_F(RegisterArgs, PrivateReadOnlyFile) {
    Fd fd(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
    ASSERT_TRUE(fd.ok());
    Mapping m(kPage, PROT_READ, MAP_PRIVATE, fd.get());
    ASSERT_TRUE(m.ok());
    EXPECT_EQ(raw::reg(m.task(), UMCG_REG_SERVER), -EFAULT);
}

// The copy of a private file page is anonymous memory: a global variable's page
// is one. Whatever the file holds stays as it is.
TEST_F(RegisterArgs, PrivateWritableFileNeverReachesTheFile) {
    Fd fd(shared_fd(kPage));
    ASSERT_TRUE(fd.ok());
    Mapping shared(kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get());
    Mapping priv(kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd.get());
    ASSERT_TRUE(shared.ok() && priv.ok());
    const int rc = raw::reg(priv.task(), UMCG_REG_SERVER);
    EXPECT_TRUE(rc == 0 || rc == -EOPNOTSUPP) << rc;
    if (!rc) {
        EXPECT_EQ(raw::wait(0, 1), -ETIMEDOUT);
        EXPECT_EQ(raw::unreg(priv.task()), 0);
    }
    for (size_t i = 0; i < kPage; i++) ASSERT_EQ(shared.data()[i], 0) << "byte " << i;
}

TEST_F(RegisterArgs, HugetlbPage) {
    const std::string before = slurp("/proc/sys/vm/nr_hugepages");
    if (!spew("/proc/sys/vm/nr_hugepages", "2")) GTEST_SKIP() << "no hugetlb in this kernel";
    {
        Mapping m(kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB);
        if (m.ok()) {
            fill(m.task(), 0);
            expect_refused(m.task(), UMCG_REG_SERVER, -EOPNOTSUPP);
            fill(m.task(100), 0);
            expect_refused(m.task(100), UMCG_REG_SERVER, -EOPNOTSUPP);
        }
        spew("/proc/sys/vm/nr_hugepages", before);
        if (!m.ok()) GTEST_SKIP() << "no huge page could be reserved";
    }
}

TEST_F(RegisterArgs, TwiceIsBusyAndChangesNothing) {
    Mapping m;
    ASSERT_EQ(raw::reg(m.task(0), UMCG_REG_SERVER), 0);
    umcg_task before[2];
    memcpy(before, m.task(0), sizeof(before));
    for (const unsigned flags : {UMCG_REG_SERVER, UMCG_REG_WORKER})
        for (const int slot : {0, 1}) EXPECT_EQ(raw::reg(m.task(slot), flags), -EBUSY);
    EXPECT_EQ(memcmp(before, m.task(0), sizeof(before)), 0);
    EXPECT_EQ(raw::wait(0, 1), -ETIMEDOUT) << "still a server";
    EXPECT_EQ(raw::unreg(m.task(0)), 0);
}

TEST_F(RegisterArgs, HomeThatIsNoServerOfThisProcess) {
    Mapping m;
    const auto refused = [&](long home, const char* what) {
        SCOPED_TRACE(what);
        fill(m.task(), static_cast<pid_t>(home));
        expect_refused(m.task(), UMCG_REG_WORKER, -ESRCH);
    };
    refused(gettid(), "self");
    refused(-1, "-1");
    refused(INT_MIN, "INT_MIN");
    refused(INT_MAX, "INT_MAX");
    refused(1, "another process");
    pid_t dead = 0;
    in_thread([&] { dead = gettid(); });
    refused(dead, "a thread that is gone");
    std::atomic<bool> over{false};
    std::atomic<pid_t> plain{0};
    std::thread t([&] {
        plain = gettid();
        plain.notify_all();
        over.wait(false);
    });
    plain.wait(0);
    refused(plain, "a thread that is not registered");
    over = true;
    over.notify_all();
    t.join();

    Group g;
    Worker& w = g.worker([](Worker&) {});
    EXPECT_EQ(g.next(), runnable(w));
    in_thread([&] { refused(w.tid(), "a worker"); });
}

TEST_F(RegisterArgs, ServerOfAnotherProcess) {
    int ready[2], over[2];
    ASSERT_EQ(pipe(ready), 0);
    ASSERT_EQ(pipe(over), 0);
    Child other([&] {
        Mapping m;
        EXPECT_EQ(raw::reg(m.task(), UMCG_REG_SERVER), 0);
        char c = 0;
        EXPECT_EQ(write(ready[1], &c, 1), 1);
        EXPECT_EQ(read(over[0], &c, 1), 1);
        EXPECT_EQ(raw::wait(0, 1), -ETIMEDOUT) << "somebody has told it something";
    });
    char c = 0;
    ASSERT_EQ(read(ready[0], &c, 1), 1);
    Mapping m;
    fill(m.task(), other.pid());
    expect_refused(m.task(), UMCG_REG_WORKER, -ESRCH);
    EXPECT_EQ(raw::kick(0, other.pid()), -ESRCH);
    ASSERT_EQ(write(over[1], &c, 1), 1);
    EXPECT_EQ(other.wait(), 0);
    for (const int fd : {ready[0], ready[1], over[0], over[1]}) close(fd);
}

// No home: on nobody's list, and any server may pick it.
TEST_F(RegisterArgs, HomelessWorkerIsPickedByItsTid) {
    Group g;
    std::atomic<bool> ran{false};
    Worker w([&](Worker&) { ran = true; }, {});
    EVENTUALLY(w.held());
    EXPECT_EQ(g.collect(), 0) << "told to a server that is not its home";
    EXPECT_EQ(g.run(w), 0);
    g.run_to_exit(w);
    EXPECT_TRUE(ran);
}

TEST_F(RegisterArgs, UnregisterWhatIsNotRegistered) {
    Mapping m;
    EXPECT_EQ(raw::unreg(m.task()), -EINVAL);
    EXPECT_EQ(raw::unreg(nullptr), -EINVAL);
    ASSERT_EQ(raw::reg(m.task(0), UMCG_REG_SERVER), 0);
    const umcg_task before = *m.task(0);
    for (const unsigned long a : {0UL, 1UL, 0xffff888000000000UL, 0x8000000000000000UL})
        EXPECT_EQ(raw::unreg(reinterpret_cast<void*>(a)), -EINVAL);
    EXPECT_EQ(raw::unreg(m.task(1)), -EINVAL) << "another struct of the same page";
    in_thread([&] { EXPECT_EQ(raw::unreg(m.task(0)), -EINVAL) << "another thread's"; });
    EXPECT_EQ(memcmp(&before, m.task(0), sizeof(before)), 0);
    EXPECT_EQ(raw::unreg(m.task(0)), 0);
    EXPECT_EQ(raw::unreg(m.task(0)), -EINVAL) << "twice";
}

}  // namespace
}  // namespace umcg_test
