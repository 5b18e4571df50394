// SPDX-License-Identifier: MIT
#include "io_waits.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>

#include <cerrno>

namespace {

int tcp(int flags = 0) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
    if (fd < 0) abort();
    return fd;
}

using of_pair = std::function<ssize_t(int fd, const umcg::limit&)>;

// Nothing is there to be read.
class empty : public waiting {
  public:
    explicit empty(of_pair call, short expected = 1) : call_(std::move(call)), expected_(expected) {}
    ssize_t call(const umcg::limit& until) override { return call_(p_.fd[0], until); }
    void let() override {
        if (::send(p_.fd[1], "x", 1, 0) != 1) abort();
    }
    bool good(ssize_t result) const override { return result == expected_; }

  private:
    pair p_;
    of_pair call_;
    short expected_;
};

// There is no room to write.
class full : public waiting {
  public:
    explicit full(of_pair call) : call_(std::move(call)) {
        while (::send(p_.fd[0], block_, sizeof(block_), MSG_DONTWAIT) > 0) {
        }
        // a byte may fit where a block did not
        while (::send(p_.fd[0], block_, 1, MSG_DONTWAIT) > 0) {
        }
    }
    ssize_t call(const umcg::limit& until) override { return call_(p_.fd[0], until); }
    void let() override {
        while (::recv(p_.fd[1], block_, sizeof(block_), MSG_DONTWAIT) > 0) {
        }
    }

  private:
    pair p_;
    char block_[4096] = {};
    of_pair call_;
};

class nobody_connects : public waiting {
  public:
    ~nobody_connects() override {
        if (client_ >= 0) close(client_);
    }
    ssize_t call(const umcg::limit& until) override {
        const int fd = io::accept(listener_.fd(), nullptr, nullptr, SOCK_CLOEXEC, until);
        if (fd >= 0) close(fd);
        return fd >= 0 ? 1 : fd;
    }
    void let() override { client_ = listener_.connected(); }

  private:
    listening listener_{1};
    int client_ = -1;
};

// The listener's queue is full: the kernel drops what comes, and the client tries again, the first
// time after a second.
class nobody_accepts : public waiting {
  public:
    nobody_accepts() {
        for (int& fd : before_) fd = listener_.connected();
        // the queue holds one more than was asked for: 0
        pollfd first = {before_[0], POLLOUT, 0};
        if (poll(&first, 1, -1) != 1) abort();
    }
    ~nobody_accepts() override {
        for (int fd : before_) close(fd);
        for (int fd : accepted_) close(fd);
    }
    ssize_t call(const umcg::limit& until) override {
        const int fd = tcp();
        const int err = io::connect(fd, listener_.address(), sizeof(sockaddr_in), until);
        close(fd);
        return err ? err : 1;
    }
    void let() override {
        for (int i = 0; i < 2; i++) accepted_.push_back(accept(listener_.fd(), nullptr, nullptr));
    }

  private:
    listening listener_{0};
    int before_[2];
    std::vector<int> accepted_;
};

struct one_byte {
    char byte = 'x';
    iovec vector = {&byte, 1};
    msghdr message = {};
    one_byte() {
        message.msg_iov = &vector;
        message.msg_iovlen = 1;
    }
};

template <class Waiting>
wait_kind kind_of(const char* name, const char* operation, of_pair call) {
    return {name, operation, [call] { return std::make_unique<Waiting>(call); }};
}

}  // namespace

listening::listening(int backlog) : fd_(tcp()) {
    address_.sin_family = AF_INET;
    address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address_);
    if (bind(fd_, address(), size) || listen(fd_, backlog) ||
        getsockname(fd_, reinterpret_cast<sockaddr*>(&address_), &size))
        abort();
}

listening::~listening() {
    close(fd_);
}

int listening::connected() const {
    const int fd = tcp(SOCK_NONBLOCK);
    if (connect(fd, address(), sizeof(address_)) && errno != EINPROGRESS) abort();
    if (fcntl(fd, F_SETFL, 0)) abort();
    return fd;
}

const std::vector<wait_kind>& wait_kinds() {
    using umcg::limit;
    static const std::vector<wait_kind> all = {
        kind_of<empty>("read", "read", [](int fd, const limit& until) {
            one_byte b;
            return io::read(fd, &b.byte, 1, until);
        }),
        kind_of<empty>("readv", "readv", [](int fd, const limit& until) {
            one_byte b;
            return io::readv(fd, &b.vector, 1, until);
        }),
        kind_of<empty>("recv", "recv", [](int fd, const limit& until) {
            one_byte b;
            return io::recv(fd, &b.byte, 1, 0, until);
        }),
        kind_of<empty>("recvmsg", "recvmsg", [](int fd, const limit& until) {
            one_byte b;
            return io::recvmsg(fd, &b.message, 0, until);
        }),
        {"poll", "poll",
         [] {
             return std::make_unique<empty>(
                 [](int fd, const limit& until) { return io::poll(fd, POLLIN, until); }, POLLIN);
         }},
        kind_of<full>("write", "write", [](int fd, const limit& until) {
            one_byte b;
            return io::write(fd, &b.byte, 1, until);
        }),
        kind_of<full>("writev", "writev", [](int fd, const limit& until) {
            one_byte b;
            return io::writev(fd, &b.vector, 1, until);
        }),
        kind_of<full>("send", "send", [](int fd, const limit& until) {
            one_byte b;
            return io::send(fd, &b.byte, 1, 0, until);
        }),
        kind_of<full>("sendmsg", "sendmsg", [](int fd, const limit& until) {
            one_byte b;
            return io::sendmsg(fd, &b.message, 0, until);
        }),
        kind_of<full>("sendfile", "poll", [](int fd, const limit& until) {
            const temporary_file file;
            if (::write(file.fd, "x", 1) != 1) abort();
            return io::sendfile(fd, file.fd, 0, 1, until);
        }),
        {"accept", "accept", [] { return std::make_unique<nobody_connects>(); }},
        {"connect", "connect", [] { return std::make_unique<nobody_accepts>(); }},
    };
    return all;
}
