// SPDX-License-Identifier: MIT
// What may be registered, as the kernel is asked on new kernels and on old ones.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/utsname.h>

#include <cerrno>

#include "lab.hpp"

// emul/internal.h is C
extern "C" int emul_check_mapping(uintptr_t addr);

#include "../unit/child.hpp"
#include "../unit/filter.hpp"

namespace {

constexpr size_t kHugePage = 2 << 20;

struct Mapping {
    void* at;
    size_t size;
    Mapping(size_t bytes, int flags, int fd = -1)
        : at(mmap(nullptr, bytes, PROT_READ | PROT_WRITE, flags, fd, 0)), size(bytes) {}
    ~Mapping() {
        if (at != MAP_FAILED) munmap(at, size);
    }
    Mapping(const Mapping&) = delete;
    Mapping& operator=(const Mapping&) = delete;
    int check(size_t offset = 0) const {
        return emul_check_mapping(reinterpret_cast<uintptr_t>(at) + offset);
    }
};

void expect_verdicts() {
    const int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    ASSERT_GE(fd, 0);
    Mapping shared(4096, MAP_SHARED | MAP_ANONYMOUS);
    Mapping anonymous(3 * 4096, MAP_PRIVATE | MAP_ANONYMOUS), file(4096, MAP_PRIVATE, fd);
    close(fd);
    EXPECT_EQ(shared.check(), -EOPNOTSUPP);
    EXPECT_EQ(anonymous.check(), 0);
    EXPECT_EQ(anonymous.check(3 * 4096 - 64), 0);
    EXPECT_EQ(file.check(), 0);
    int local = 0;
    EXPECT_EQ(emul_check_mapping(reinterpret_cast<uintptr_t>(&local)), 0) << "a stack";
}

void expect_large_pages_refused() {
    Mapping large(kHugePage, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_NORESERVE);
    ASSERT_NE(large.at, MAP_FAILED) << errno;
    EXPECT_EQ(large.check(), -EOPNOTSUPP);
    EXPECT_EQ(large.check(kHugePage - 64), -EOPNOTSUPP);
}

// As Linux before 6.11 does.
bool refuse_queries() {
    return answer_calls({{static_cast<Call>(SYS_ioctl), ENOTTY}});
}

// Without a reservation the mapping itself needs no page.
bool have_large_pages() {
    return Mapping(kHugePage, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_NORESERVE).at != MAP_FAILED;
}

// Does this kernel answer by address? Linux 6.11 does.
bool answers() {
    utsname name = {};
    uname(&name);
    unsigned major = 0, minor = 0;
    return sscanf(name.release, "%u.%u", &major, &minor) == 2 && (major > 6 || (major == 6 && minor >= 11));
}

TEST(Memory, AskedByAddress) {
    if (!answers()) GTEST_SKIP() << "no PROCMAP_QUERY before Linux 6.11";
    EXPECT_TRUE(in_child([] {
        // no file can be read
        ASSERT_TRUE(answer_calls({{static_cast<Call>(SYS_read), EIO}}));
        expect_verdicts();
    }));
}

TEST(Memory, ReadFromMaps) {
    EXPECT_TRUE(in_child([] {
        ASSERT_TRUE(refuse_queries());
        expect_verdicts();
    }));
}

TEST(Memory, LargePages) {
    if (!have_large_pages()) GTEST_SKIP() << "no MAP_HUGETLB here: errno " << errno;
    expect_large_pages_refused();
    EXPECT_TRUE(in_child([] {
        ASSERT_TRUE(refuse_queries());
        expect_large_pages_refused();
    }));
}

}  // namespace
