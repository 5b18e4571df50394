// SPDX-License-Identifier: MIT
//
// Which files the loader refuses, and that it says why.
#include <elf.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>

#include "workload.hpp"

namespace {

namespace fs = std::filesystem;

class File : public testing::Test {
  protected:
    void SetUp() override {
        char name[] = "/tmp/umcg-plugin-XXXXXX";
        ASSERT_NE(mkdtemp(name), nullptr);
        dir_ = name;
        fs::copy_file(plugin("none"), path());
        chmod(path().c_str(), 0644);
    }
    void TearDown() override { fs::remove_all(dir_); }
    std::string path() const { return (dir_ / "p.so").string(); }
    std::string refusal(const std::string& file) {
        umcg::runtime rt(two_servers("fifo"));
        try {
            rt.set_policy(file);
        } catch (const std::invalid_argument& e) {
            EXPECT_NE(std::string(e.what()).find(file), std::string::npos) << e.what();
            return e.what();
        }
        return "accepted";
    }
    fs::path dir_;
};

TEST_F(File, Good) { EXPECT_EQ(refusal(path()), "accepted"); }
TEST_F(File, EverybodyWrites) {
    chmod(path().c_str(), 0646);
    EXPECT_NE(refusal(path()).find("everybody may write it (mode 0646"), std::string::npos);
}
TEST_F(File, GroupWrites) {
    chmod(path().c_str(), 0664);
    EXPECT_NE(refusal(path()).find("its group may write it"), std::string::npos);
}
TEST_F(File, OtherOwner) {
    if (geteuid() != 0) GTEST_SKIP() << "only root can give a file away";
    ASSERT_EQ(chown(path().c_str(), 12345, 12345), 0);
    EXPECT_NE(refusal(path()).find("it belongs to user 12345"), std::string::npos);
}
TEST_F(File, SymbolicLink) {
    fs::create_symlink(path(), dir_ / "link.so");
    EXPECT_NE(refusal((dir_ / "link.so").string()).find("symbolic link"), std::string::npos);
}
TEST_F(File, NotThere) {
    EXPECT_NE(refusal((dir_ / "none.so").string()).find("No such file"), std::string::npos);
}
TEST_F(File, Folder) { EXPECT_NE(refusal(dir_.string()).find("not a regular file"), std::string::npos); }
TEST_F(File, NoElf) {
    std::ofstream(path(), std::ios::trunc) << "hello";
    EXPECT_NE(refusal(path()).find("not an ELF file"), std::string::npos);
}
// Behind the last part that is mapped there are sections for debuggers, which nobody needs.
uintmax_t end_of_mapped(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    Elf64_Ehdr elf = {};
    file.read(reinterpret_cast<char*>(&elf), sizeof(elf));
    file.seekg(static_cast<std::streamoff>(elf.e_phoff));
    uintmax_t end = 0;
    for (int i = 0; i < elf.e_phnum; i++) {
        Elf64_Phdr part = {};
        file.read(reinterpret_cast<char*>(&part), sizeof(part));
        if (part.p_type == PT_LOAD) end = std::max<uintmax_t>(end, part.p_offset + part.p_filesz);
    }
    return end;
}
TEST_F(File, TruncatedAtEveryPage) {
    const auto size = fs::file_size(path()), needed = end_of_mapped(path());
    ASSERT_GT(needed, 4096U);
    ASSERT_LE(needed, size);
    fs::resize_file(path(), needed);
    EXPECT_EQ(refusal(path()).find("truncated"), std::string::npos);
    for (auto n = needed - 1; n > 4096; n = n > 4096 ? n - 4096 : 0) {
        fs::resize_file(path(), n);
        EXPECT_NE(refusal(path()).find("refused"), std::string::npos) << n << " of " << needed;
    }
}
// What the head of the file says is not so.
TEST_F(File, DamagedHead) {
    const struct {
        const char* says;
        std::function<void(Elf64_Ehdr&)> damage;
    } cases[] = {
        {"not a shared object for x86-64", [](Elf64_Ehdr& h) { h.e_ident[EI_CLASS] = ELFCLASS32; }},
        {"not a shared object for x86-64", [](Elf64_Ehdr& h) { h.e_machine = EM_AARCH64; }},
        {"not a shared object for x86-64", [](Elf64_Ehdr& h) { h.e_type = ET_EXEC; }},
        {"program headers are damaged", [](Elf64_Ehdr& h) { h.e_phentsize = sizeof(Elf32_Phdr); }},
        {"truncated", [](Elf64_Ehdr& h) { h.e_phoff = fs::file_size("/proc/self/exe") << 20; }},
        {"truncated", [](Elf64_Ehdr& h) { h.e_phoff = UINT64_MAX - 7; }},
        {"truncated", [](Elf64_Ehdr& h) { h.e_phnum = PN_XNUM; }},
    };
    std::fstream file(path(), std::ios::binary | std::ios::in | std::ios::out);
    Elf64_Ehdr good = {};
    ASSERT_TRUE(file.read(reinterpret_cast<char*>(&good), sizeof(good)));
    for (const auto& c : cases) {
        Elf64_Ehdr bad = good;
        c.damage(bad);
        file.seekp(0);
        ASSERT_TRUE(file.write(reinterpret_cast<const char*>(&bad), sizeof(bad)).flush());
        EXPECT_NE(refusal(path()).find(c.says), std::string::npos) << c.says;
    }
}
TEST_F(File, NoSymbol) {
    EXPECT_NE(refusal(plugin("no_symbol")).find("does not export umcg_policy_plugin"), std::string::npos);
}
TEST_F(File, NoTable) {
    EXPECT_NE(refusal(plugin("null_table")).find("umcg_policy_plugin() returned NULL"), std::string::npos);
}
TEST_F(File, WrongMajorNamesBoth) {
    const std::string why = refusal(plugin("wrong_major"));
    EXPECT_NE(why.find("version 2.1"), std::string::npos) << why;
    EXPECT_NE(why.find("has 1.1"), std::string::npos) << why;
}
TEST_F(File, ShortTable) {
    EXPECT_NE(refusal(plugin("short_table")).find("40 bytes"), std::string::npos);
}
TEST_F(File, NewerMinor) { EXPECT_EQ(refusal(plugin("newer_minor")), "accepted"); }

}  // namespace
