// SPDX-License-Identifier: MIT
// What libumcg says when the kernel backend cannot work. Each case in a child:
// this process must not have used libumcg before, or it would have its backend.
#include "deny.hpp"
#include "memory.hpp"

namespace umcg_test {
namespace {

class Backend : public Guest {};

int init_kernel() {
    umcg_options options = {};
    options.size = sizeof(options);
    options.backend = UMCG_BACKEND_KERNEL;
    return umcg_init(&options);
}

std::string probe_text() {
    std::string text(umcg_backend_probe(nullptr, 0) + 1, '\0');
    umcg_backend_probe(text.data(), text.size());
    return text;
}

void expect_no_kernel_backend(const char* why) {
    EXPECT_EQ(init_kernel(), -ENOTSUP) << why;
    EXPECT_EQ(umcg_backend_name(), nullptr);
    const std::string text = probe_text();
    EXPECT_NE(text.find("kernel"), std::string::npos) << text;
    EXPECT_NE(text.find(why), std::string::npos) << text;
}

TEST_F(Backend, SaysThatTheCallsAreDenied) {
    in_child([] {
        deny_calls(EPERM);
        expect_no_kernel_backend("seccomp");
    });
}

TEST_F(Backend, SaysThatTheCallsAreMissing) {
    in_child([] {
        deny_calls(ENOSYS);
        expect_no_kernel_backend("patch");
    });
}

TEST_F(Backend, NamesTheSwitch) {
    constexpr char kSysctl[] = "/proc/sys/kernel/umcg_disabled";
    ASSERT_TRUE(spew(kSysctl, "2"));
    in_child([] { expect_no_kernel_backend("umcg_disabled"); });
    ASSERT_TRUE(spew(kSysctl, "0"));
}

// The one test that is for kernels without the patch too.
TEST(Unpatched, BackendSaysThatThePatchIsMissing) {
    if (kernel_has_umcg()) GTEST_SKIP() << "this kernel has the patch";
    in_child([] {
        expect_no_kernel_backend("patch");
        umcg_task* t = umcg_task_alloc();
        ASSERT_NE(t, nullptr);
        EXPECT_EQ(init_kernel(), -ENOTSUP);
        umcg_task_free(t);
    });
}

}  // namespace
}  // namespace umcg_test
