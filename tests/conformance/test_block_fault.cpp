// SPDX-License-Identifier: MIT
// Block sources that are no system call's own: page faults in user code and
// inside a call, and a mutex of the kernel's held by somebody who sleeps.
#include "blocks.hpp"
#include "uffd.hpp"

namespace umcg_test {
namespace {

class BlockFault : public Conformance {
  protected:
    void SetUp() override {
        Conformance::SetUp();
        if (IsSkipped()) return;
        REQUIRE_CAP(UMCG_CAP_FAULT_EVENTS);
        REQUIRE_CAP(UMCG_CAP_BLOCK_EVENTS);
        REQUIRE_CAP(UMCG_CAP_HOLD);
    }
};

TEST_F(BlockFault, Userfaultfd) {
    MissingPages m(1);
    REQUIRE_USERFAULTFD(m);
    volatile char* p = m.page();
    expect_one_block([&] { EXPECT_EQ(*p, 0); }, [&] { EXPECT_TRUE(m.fill(m.page())); });
}

TEST_F(BlockFault, CopyFromUserInsideACall) {
    MissingPages m(1);
    REQUIRE_USERFAULTFD(m);
    Pipe p;
    expect_one_block([&] { EXPECT_EQ(write(p.fd[1], m.page(), 8), 8); },
                     [&] { EXPECT_TRUE(m.fill(m.page())); });
    char c[8];
    EXPECT_EQ(read(p.fd[0], c, 8), 8);
}

TEST_F(BlockFault, CopyToUserInsideACall) {
    MissingPages m(1);
    REQUIRE_USERFAULTFD(m);
    Pipe p;
    p.put();
    expect_one_block([&] { EXPECT_EQ(read(p.fd[0], m.page(), 1), 1); },
                     [&] { EXPECT_TRUE(m.fill(m.page())); });
}

// The fault comes after the call has already slept: one excursion, one block.
TEST_F(BlockFault, SleepThenFaultIsOneBlock) {
    MissingPages m(1);
    REQUIRE_USERFAULTFD(m);
    Pipe p;
    expect_one_block([&] { EXPECT_EQ(read(p.fd[0], m.page(), 1), 1); },
                     [&] {
                         p.put();
                         EXPECT_EQ(m.fault(), uint64_t(m.page()));
                         EXPECT_TRUE(m.fill(m.page()));
                     });
}

// pipe->mutex is held by a plain thread whose write() sleeps in a page fault.
TEST_F(BlockFault, KernelMutex) {
    MissingPages m(1);
    REQUIRE_USERFAULTFD(m);
    Pipe p;
    std::thread holder([&] { EXPECT_EQ(write(p.fd[1], m.page(), 1), 1); });
    ASSERT_EQ(m.fault(), uint64_t(m.page()));
    expect_one_block([&] { p.get(); }, [&] { EXPECT_TRUE(m.fill(m.page())); });
    holder.join();
}

}  // namespace
}  // namespace umcg_test
