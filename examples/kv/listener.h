// SPDX-License-Identifier: MIT
//
// Accepts clients on a plain thread, starts a worker for each, and ends them all on SIGTERM.
#ifndef EXAMPLES_KV_LISTENER_H_
#define EXAMPLES_KV_LISTENER_H_

#include <atomic>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "shared.h"
#include "status.h"

namespace kv {

class UniqueFd {
  public:
    explicit UniqueFd(int fd = -1) : fd_(fd) {}
    UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    UniqueFd& operator=(UniqueFd&& other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    ~UniqueFd();
    int get() const { return fd_; }

  private:
    int fd_;
};

class Listener {
  public:
    explicit Listener(Shared* shared) : shared_(*shared) {}

    // Bind and listen; sets shared->port.
    Status Listen();
    // Accept until a byte, or a signal, can be read from `stop_fd`.
    void Run(int stop_fd);
    // Ask every client's worker to finish; after `grace_seconds` stop waiting for the clients that
    // take no reply. Returns when the engine has finished.
    void Shutdown(int grace_seconds);

  private:
    class Client;

    void Accept(UniqueFd fd);
    void Reject(int fd, std::string_view why);
    // Forgotten before it is closed: the number may be somebody else's then.
    void Forget(int fd);
    void ShutdownAll(int how);

    Shared& shared_;
    UniqueFd listen_fd_;
    std::atomic<bool> stopping_ = false;
    std::mutex mu_;
    std::unordered_set<int> clients_;  // under mu_
};

}  // namespace kv

#endif  // EXAMPLES_KV_LISTENER_H_
