// SPDX-License-Identifier: MIT
// Where the backend does not work it says why, in words that help, and the next best is chosen.
// Each case in a process of its own.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <sstream>

#include "../unit/child.hpp"
#include "../unit/filter.hpp"
#include "crew.hpp"

namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

std::string probe() {
    std::string text(umcg_backend_probe(nullptr, 0) + 1, 'x');
    umcg_backend_probe(text.data(), text.size());
    text.pop_back();
    return text;
}

bool drop_caps(const std::vector<int>& caps) {
    __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    __user_cap_data_struct data[2];
    if (syscall(SYS_capget, &header, data)) return false;
    for (const int cap : caps) data[cap / 32].effective &= ~(1U << cap % 32);
    return !syscall(SYS_capset, &header, data);
}

// In a mount namespace of its own: `what` in the place of `where`.
bool cover(const char* what, const char* where) {
    return !unshare(CLONE_NEWNS) && !mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) &&
           !mount(what, where, nullptr, MS_BIND, nullptr);
}

std::string library() {
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
        if (const auto at = line.find("/"); at != line.npos && line.find("libbpf.so") != line.npos)
            return line.substr(at);
    }
    return "";
}

class Load : public testing::Test {
  protected:
    void SetUp() override {
        unsetenv("UMCG_BACKEND");
        REQUIRE_BPF();
    }
    // AUTO falls back, the backend by name fails, and the text says why.
    static void expect_no(const testing::Matcher<std::string>& why) {
        const umcg_options by_name{.size = sizeof(by_name), .backend = UMCG_BACKEND_BPF, .reserved = 0};
        EXPECT_THAT(probe(), AllOf(HasSubstr("\nbpf: no. "), why, Not(HasSubstr("chooses: bpf"))));
        EXPECT_EQ(umcg_init(&by_name), -ENOTSUP);
        EXPECT_EQ(umcg_init(nullptr), 0);
        EXPECT_STREQ(umcg_backend_name(), "portable");
    }
};

TEST_F(Load, Works) {
    EXPECT_TRUE(in_child([] {
        EXPECT_THAT(probe(), AllOf(HasSubstr("\nbpf: yes. "), HasSubstr("chooses: bpf")));
        EXPECT_EQ(umcg_init(nullptr), 0);
        EXPECT_STREQ(umcg_backend_name(), "bpf");
        const uint32_t whole = UMCG_CAP_BLOCK_EVENTS | UMCG_CAP_PREEMPT | UMCG_CAP_BY_SIGNAL;
        EXPECT_EQ(umcg_capabilities() & whole, whole);
        EXPECT_THAT(probe(), HasSubstr("In use: bpf."));
    }));
}

TEST_F(Load, NoCapBpf) {
    EXPECT_TRUE(in_child([] {
        ASSERT_TRUE(drop_caps({CAP_BPF, CAP_SYS_ADMIN}));
        expect_no(AllOf(HasSubstr("has not got the capability CAP_BPF."), HasSubstr("setcap")));
    }));
}

TEST_F(Load, NoCapPerfmon) {
    EXPECT_TRUE(in_child([] {
        ASSERT_TRUE(drop_caps({CAP_PERFMON, CAP_SYS_ADMIN}));
        expect_no(HasSubstr("has not got the capability CAP_PERFMON."));
    }));
}

TEST_F(Load, NoCapabilities) {
    EXPECT_TRUE(in_child([] {
        ASSERT_TRUE(drop_caps({CAP_BPF, CAP_PERFMON, CAP_SYS_ADMIN}));
        expect_no(HasSubstr("capabilities CAP_BPF and CAP_PERFMON."));
    }));
}

TEST_F(Load, TheTwoCapabilitiesAreEnough) {
    EXPECT_TRUE(in_child([] {
        std::vector<int> others;
        for (int cap = 0; cap <= CAP_LAST_CAP; cap++) {
            if (cap != CAP_BPF && cap != CAP_PERFMON) others.push_back(cap);
        }
        ASSERT_TRUE(drop_caps(others));
        EXPECT_THAT(probe(), HasSubstr("\nbpf: yes. "));
    }));
}

TEST_F(Load, SeccompDeniesBpf) {
    for (const int err : {EPERM, ENOSYS}) {
        EXPECT_TRUE(in_child([err] {
            ASSERT_TRUE(answer_calls({Answer{static_cast<Call>(SYS_bpf), err}}));
            expect_no(HasSubstr("A seccomp filter denies bpf(2)"));
        }));
    }
}

// The program is loaded by then; threads tell it who they are through bpf(2).
TEST_F(Load, SeccompDeniesBpfLater) {
    EXPECT_TRUE(in_child([] {
        ASSERT_EQ(umcg_init(nullptr), 0);
        ASSERT_TRUE(answer_calls({Answer{static_cast<Call>(SYS_bpf), EPERM}}));
        EXPECT_EQ(umcg_register(umcg_task_alloc(), UMCG_REG_SERVER), -EPERM);
    }));
}

TEST_F(Load, NoTypeInformation) {
    EXPECT_TRUE(in_child([] {
        if (!cover("/proc/self/fdinfo", "/sys/kernel/btf")) {
            fprintf(stderr, "no mount namespace: %s\n", strerror(errno));
            return;
        }
        expect_no(AllOf(HasSubstr("/sys/kernel/btf/vmlinux, cannot be read: No such file"),
                        HasSubstr("CONFIG_DEBUG_INFO_BTF")));
    }));
}

TEST_F(Load, NoLibbpf) {
    const std::string file = library();
    ASSERT_NE(file, "");
    // anew: this process has it open
    EXPECT_TRUE(in_child([&] {
        if (!cover("/dev/null", file.c_str())) {
            fprintf(stderr, "no mount namespace: %s\n", strerror(errno));
            return;
        }
        FILE* self = popen((std::string("UMCG_TEST_PRINT=1 ") + "/proc/" + std::to_string(getppid()) + "/exe").c_str(), "r");
        ASSERT_NE(self, nullptr);
        std::string text(4096, '\0');
        text.resize(fread(text.data(), 1, text.size(), self));
        pclose(self);
        EXPECT_THAT(text, AllOf(HasSubstr("bpf: no. libbpf.so.1 cannot be loaded"), HasSubstr("apt-get install")));
    }));
}

TEST_F(Load, FewDescriptors) {
    EXPECT_TRUE(in_child([] {
        const rlimit few{8, 8};
        ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
        const std::string text = probe();
        EXPECT_THAT(text, AllOf(HasSubstr("\nbpf: no. "), HasSubstr("Too many open files"),
                                Not(HasSubstr("log:"))));
    }));
}

// Since 5.11 maps are charged to the memory cgroup.
TEST_F(Load, MemlockDoesNotMatter) {
    EXPECT_TRUE(in_child([] {
        const rlimit none{0, 0};
        ASSERT_EQ(setrlimit(RLIMIT_MEMLOCK, &none), 0);
        ASSERT_TRUE(drop_caps({CAP_IPC_LOCK, CAP_SYS_RESOURCE}));
        EXPECT_THAT(probe(), HasSubstr("\nbpf: yes. "));
    }));
}

// The kernel refuses the program in `path`, and the verifier's words are in the file that is named.
void expect_log(const char* path, const testing::Matcher<std::string>& words) {
    std::ifstream file(path, std::ios::binary);
    const std::string image{std::istreambuf_iterator<char>(file), {}};
    ASSERT_GT(image.size(), 0U) << path;
    char text[1024];
    EXPECT_NE(peek_load(image.data(), image.size(), text, sizeof(text)), 0);
    EXPECT_THAT(text, HasSubstr("The kernel refuses the program"));
    const char* name = strstr(text, "The verifier's log: ");
    ASSERT_NE(name, nullptr) << text;
    name += strlen("The verifier's log: ");
    std::ifstream log(name);
    EXPECT_THAT(std::string(std::istreambuf_iterator<char>(log), {}), words);
    unlink(name);
}

TEST_F(Load, TheVerifiersLogIsInAFile) {
    expect_log(BAD_PROGRAM, AllOf(HasSubstr("invalid mem access"), HasSubstr("processed ")));
}

TEST_F(Load, AKernelThatLacksAHelper) { expect_log(NO_SUCH_HELPER, HasSubstr("invalid func unknown")); }

TEST_F(Load, OtherVariant) {
    EXPECT_TRUE(in_child([] {
        peek_choose_plain(true);
        EXPECT_THAT(probe(), HasSubstr("has no task work for programs"));
        ASSERT_EQ(umcg_init(nullptr), 0);
        EXPECT_FALSE(peek_task_work());
    }));
}

}  // namespace

int main(int argc, char** argv) {
    if (getenv("UMCG_TEST_PRINT")) return puts(probe().c_str()) < 0;
    testing::InitGoogleMock(&argc, argv);
    return RUN_ALL_TESTS();
}
