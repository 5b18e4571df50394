// SPDX-License-Identifier: MIT
//
// Loading a plugin: the file is opened once, what is checked is what is loaded, and every refusal
// says why. A plugin runs with the program's rights: whoever may write the file may be the program.
#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "policy_instance.hpp"

namespace umcg::detail {

namespace {

[[noreturn]] void refuse(const std::string& file, const std::string& why) {
    throw std::invalid_argument("umcg: plugin '" + file + "' refused: " + why);
}

class descriptor {
  public:
    explicit descriptor(int fd) : fd_(fd) {}
    ~descriptor() {
        if (fd_ >= 0) close(fd_);
    }
    descriptor(const descriptor&) = delete;
    descriptor& operator=(const descriptor&) = delete;
    operator int() const { return fd_; }

  private:
    int fd_;
};

void check_file(const std::string& file, int fd) {
    struct stat st;
    if (fstat(fd, &st)) refuse(file, strerrordesc_np(errno));
    if (!S_ISREG(st.st_mode)) refuse(file, "it is not a regular file");
    if (st.st_uid != 0 && st.st_uid != geteuid())
        refuse(file, "it belongs to user " + std::to_string(st.st_uid) + ", neither to root nor to user " +
                         std::to_string(geteuid()) + ", who runs this program");
    char mode[8];
    snprintf(mode, sizeof(mode), "%04o", static_cast<unsigned>(st.st_mode) & 07777);
    if (st.st_mode & S_IWOTH)
        refuse(file, std::string("everybody may write it (mode ") + mode + "; chmod o-w)");
    if (st.st_mode & S_IWGRP)
        refuse(file, std::string("its group may write it (mode ") + mode + "; chmod g-w)");
    Elf64_Ehdr head;
    const ssize_t n = pread(fd, &head, sizeof(head), 0);
    if (n != static_cast<ssize_t>(sizeof(head)) || memcmp(head.e_ident, ELFMAG, SELFMAG))
        refuse(file, "it is not an ELF file");
    if (head.e_ident[EI_CLASS] != ELFCLASS64 || head.e_machine != EM_X86_64 || head.e_type != ET_DYN)
        refuse(file, "it is not a shared object for x86-64");
    // the loader would map what is not there, and die of SIGBUS
    if (head.e_phentsize != sizeof(Elf64_Phdr)) refuse(file, "its program headers are damaged");
    for (unsigned i = 0; i < head.e_phnum; i++) {
        Elf64_Phdr part;
        const auto at = static_cast<off_t>(head.e_phoff + i * sizeof(part));
        if (pread(fd, &part, sizeof(part), at) != static_cast<ssize_t>(sizeof(part)))
            refuse(file, "it is truncated");
        if (part.p_type == PT_LOAD && (part.p_offset > static_cast<uint64_t>(st.st_size) ||
                                       part.p_filesz > static_cast<uint64_t>(st.st_size) - part.p_offset))
            refuse(file, "it is truncated");
    }
}

// The descriptor's name for the loader, never twice the same: it takes a name that it has seen for the
// library that it had then, and a C++ library may never be unloaded.
std::string name_of(int fd) {
    static std::atomic<uint32_t> loads{0};
    const uint32_t n = loads.fetch_add(1, std::memory_order_relaxed);
    std::string name = "/proc/self/fd";
    for (int bit = 0; bit < 32; bit++) name += n >> bit & 1 ? "/." : "/";
    return name + "/" + std::to_string(fd);
}

}  // namespace

const umcg_policy_ops* load_policy(const std::string& file, void*& library) {
    const descriptor fd(open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (fd < 0)
        refuse(file, errno == ELOOP ? "it is a symbolic link; name the file itself"
                                    : strerrordesc_np(errno));
    check_file(file, fd);
    const std::string self = name_of(fd);
    library = dlopen(self.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        std::string why = dlerror();
        // the loader names the descriptor
        if (const size_t at = why.find(self); at != std::string::npos) why.replace(at, self.size(), "it");
        refuse(file, why);
    }
    using entry = const umcg_policy_ops* (*)();
    const auto get = reinterpret_cast<entry>(dlsym(library, UMCG_POLICY_SYMBOL));
    const umcg_policy_ops* table = get ? get() : nullptr;
    if (!table) {
        dlclose(library);
        library = nullptr;
        refuse(file, get ? "its " UMCG_POLICY_SYMBOL "() returned NULL"
                         : "it does not export " UMCG_POLICY_SYMBOL "(): UMCG_POLICY_EXPORT() is missing");
    }
    return table;
}

}  // namespace umcg::detail
