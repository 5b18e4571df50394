// SPDX-License-Identifier: MIT
// A cgroup (v2) of its own, made below the root and removed at the end.
#pragma once

#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "harness.hpp"

namespace umcg_test {

class Cgroup {
  public:
    explicit Cgroup(const std::string& name) {
        root_ = "/tmp/umcg-cgroup-" + std::to_string(getpid());
        if (mkdir(root_.c_str(), 0700) || ::mount("none", root_.c_str(), "cgroup2", 0, nullptr)) {
            error_ = std::string("cannot mount cgroup2: ") + strerror(errno);
            return;
        }
        mounted_ = true;
        path_ = root_ + "/" + name + "-" + std::to_string(getpid());
        if (mkdir(path_.c_str(), 0700)) error_ = "mkdir " + path_ + ": " + strerror(errno);
    }
    ~Cgroup() {
        if (!path_.empty()) poll_until([&] { return !rmdir(path_.c_str()) || errno == ENOENT; });
        if (mounted_) umount2(root_.c_str(), MNT_DETACH);
        rmdir(root_.c_str());
    }
    Cgroup(const Cgroup&) = delete;
    Cgroup& operator=(const Cgroup&) = delete;

    const std::string& error() const { return error_; }
    bool set(const std::string& file, const std::string& value) const {
        return spew(path_ + "/" + file, value);
    }
    bool set_root(const std::string& file, const std::string& value) const {
        return spew(root_ + "/" + file, value);
    }
    std::string get(const std::string& file) const { return slurp(path_ + "/" + file); }

  private:
    std::string root_, path_, error_;
    bool mounted_ = false;
};

}  // namespace umcg_test
