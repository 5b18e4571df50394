// SPDX-License-Identifier: MIT
//
// One policy at work: its table, its memory, and where it came from. Used by the runtime and by the
// simulator.
#ifndef UMCG_SRC_POLICY_INSTANCE_HPP
#define UMCG_SRC_POLICY_INSTANCE_HPP

#include <atomic>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <umcg/policy.h>

namespace umcg::detail {

// What a policy is to be made for.
struct policy_place {
    unsigned n_servers = 1;
    const uint32_t* domain = nullptr;  // n_servers; outlives the policy
    uint64_t slice_ns = 0;
    const umcg_policy_host* host = nullptr;
    void* owner = nullptr;  // the host's: policy_instance::owner()
};

// "NAME[:OPTIONS]" or "FILE.so[:OPTIONS]", FILE with a slash in it.
struct policy_spec {
    std::string name;
    std::string options;
    bool is_file = false;
};
// Throws std::invalid_argument: there is none of that name.
policy_spec parse_policy_spec(const std::string& spec);

class policy_instance {
  public:
    // Throws std::invalid_argument (the file is refused, or what is in it does not fit); the message
    // says why. Calls nothing of it yet.
    static std::unique_ptr<policy_instance> make(const policy_spec& spec, const policy_place& place);
    // Of this table, which outlives it. `file`: "" for one that is compiled in.
    static std::unique_ptr<policy_instance> make(const umcg_policy_ops& table,
                                                 const std::string& options,
                                                 const policy_place& place,
                                                 const std::string& file = {});
    ~policy_instance();
    policy_instance(const policy_instance&) = delete;
    policy_instance& operator=(const policy_instance&) = delete;

    // init() and server_online(). 0, or a negative errno value; `said` has what it logged.
    int begin() noexcept;
    // server_offline() and exit(), if it has begun. Once.
    void end(const umcg_policy_exit& info) noexcept;
    // It was ejected, and exit() is not to be called any more; a plugin's file stays mapped: a
    // thread may have been taken out of the middle of it.
    void give_up() noexcept;

    void* owner() const noexcept { return owner_; }
    static policy_instance& of(const umcg_policy* p) noexcept {
        return *reinterpret_cast<policy_instance*>(p->internal[0]);
    }
    bool is_plugin() const noexcept { return !file.empty(); }
    // Not one of the two that are compiled into the runtime's calls.
    bool watched() const noexcept;

    umcg_policy p = {};
    umcg_policy_ops ops = {};  // what it does not have is NULL
    std::string name, options, file;
    // The error that init() logged: the reason, if it fails.
    bool in_init = false;
    char said[200] = {};
    std::atomic<int> lines_left{100};  // that it may still log

  private:
    policy_instance() = default;
    void check(const umcg_policy_ops& table);
    void place_memory();

    void* owner_ = nullptr;
    void* library_ = nullptr;
    bool begun_ = false;
    std::unique_ptr<char[]> memory_;
};

// The built-in ones.
std::span<const umcg_policy_ops* const> built_in_policies() noexcept;
// nullptr: there is none of that name.
const umcg_policy_ops* find_policy(const std::string& name) noexcept;

// policy_loader.cpp: the table of a plugin; the handle of dlopen() in `library`. Throws
// std::invalid_argument that says why the file is refused.
const umcg_policy_ops* load_policy(const std::string& file, void*& library);

}  // namespace umcg::detail

#endif
