// SPDX-License-Identifier: MIT
// Clients beside those that are measured: they are many, and each wants something of the server without
// being of use. What they are answered nobody reads.
#ifndef BENCH_IO_CROWD_HPP
#define BENCH_IO_CROWD_HPP

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cstdint>
#include <vector>

class crowd {
  public:
    enum kind : long {
        idle = 1,  // say nothing
        slow = 2,  // send a byte every 100 ms
        deaf = 3,  // send until nothing is taken any more
    };

    explicit crowd(kind what) : what_(what) {}

    // A socket that will be one of them, before it is connected.
    void prepare(int fd) const {
        const int little = 4096, on = 1;
        if (what_ == deaf) {
            setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &little, sizeof(little));
            setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &little, sizeof(little));
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    }
    void add(int fd) {
        fcntl(fd, F_SETFL, O_NONBLOCK);
        members_.push_back(fd);
    }

    // What is due. Cheap if it is called often.
    void go_on(int64_t now) {
        if (what_ == idle || members_.empty()) return;
        const int64_t each = 100'000'000 / static_cast<int64_t>(members_.size());
        if (!due_) due_ = now;
        // wherever a message of these begins, it is one that does not stall
        static const char zeros[1 << 16] = {};
        for (; due_ <= now; due_ += each)
            send(members_[next_++ % members_.size()], zeros, what_ == slow ? 1 : sizeof(zeros), MSG_NOSIGNAL);
    }

  private:
    const kind what_;
    std::vector<int> members_;
    size_t next_ = 0;
    int64_t due_ = 0;
};

#endif
