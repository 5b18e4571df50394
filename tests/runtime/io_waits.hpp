// SPDX-License-Identifier: MIT
//
// Each operation of umcg::io that can wait for somebody, as a table: the call, on descriptors for
// which it waits, and what ends the wait.
#ifndef TESTS_RUNTIME_IO_WAITS_HPP
#define TESTS_RUNTIME_IO_WAITS_HPP

#include <netinet/in.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "io.hpp"

// What one call waits for. Nothing else happens to it before let().
class waiting {
  public:
    virtual ~waiting() = default;
    virtual ssize_t call(const umcg::limit& until) = 0;
    // Ends the wait; from any thread. Does not wait for the call.
    virtual void let() = 0;
    virtual bool good(ssize_t result) const { return result == 1; }
};

struct wait_kind {
    const char* name;       // of the call
    const char* operation;  // options::io_missing
    std::function<std::unique_ptr<waiting>()> make;
};

const std::vector<wait_kind>& wait_kinds();

inline std::string name_of(const wait_kind& kind) {
    return kind.name;
}

// A socket that listens on the loopback interface.
class listening {
  public:
    explicit listening(int backlog);
    ~listening();
    listening(const listening&) = delete;
    listening& operator=(const listening&) = delete;

    int fd() const { return fd_; }
    const sockaddr* address() const { return reinterpret_cast<const sockaddr*>(&address_); }
    // A new socket, a blocking one, that is connected to it or is connecting.
    int connected() const;

  private:
    int fd_;
    sockaddr_in address_ = {};
};

#endif
