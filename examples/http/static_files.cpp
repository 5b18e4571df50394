// SPDX-License-Identifier: MIT
#include "static_files.hpp"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace http {

namespace {

// The kernel refuses every way out: "..", absolute links, links of /proc.
int open_beneath(int root, const char* path) {
    open_how how = {};
    // a named pipe is not waited for
    how.flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
    for (;;) {
        const auto fd = static_cast<int>(syscall(SYS_openat2, root, path, &how, sizeof(how)));
        // EAGAIN: something was renamed meanwhile
        if (fd >= 0 || (errno != EINTR && errno != EAGAIN)) return fd;
    }
}

}  // namespace

descriptor::~descriptor() {
    if (fd_ >= 0) close(fd_);
}

bool file::in_memory(uint64_t at, size_t length) const {
    char last;
    const iovec one = {&last, 1};
    return preadv2(fd.get(), &one, 1, static_cast<off_t>(at + length - 1), RWF_NOWAIT) == 1;
}

static_files::static_files(const std::string& root)
    : root_(::open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)) {
    if (root_.get() < 0) throw std::system_error(errno, std::generic_category(), "--root=" + root);
    const descriptor itself(open_beneath(root_.get(), "."));
    if (itself.get() < 0)
        throw std::system_error(errno, std::generic_category(), "openat2() of --root=" + root);
}

int static_files::open(const std::string& path, file* result) const {
    const bool directory = path.empty() || path.ends_with('/');
    descriptor fd(open_beneath(root_.get(), (directory ? path + "index.html" : path).c_str()));
    if (fd.get() < 0) return errno;
    struct stat about;
    if (fstat(fd.get(), &about)) return errno;
    if (S_ISDIR(about.st_mode)) return directory ? ENOENT : EISDIR;
    if (!S_ISREG(about.st_mode)) return EACCES;
    // reads wait for the disk
    if (fcntl(fd.get(), F_SETFL, 0)) return errno;
    result->fd = std::move(fd);
    result->size = static_cast<uint64_t>(about.st_size);
    result->modified = about.st_mtime;
    return 0;
}

}  // namespace http
