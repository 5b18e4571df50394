// SPDX-License-Identifier: MIT
#include "policy_instance.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <system_error>

#include "../policies/deadline/deadline.hpp"
#include "../policies/fair/fair.hpp"
#include "../policies/fifo/fifo.hpp"
#include "../policies/round_robin/round_robin.hpp"
#include "../policies/two_level/two_level.hpp"
#include "../policies/work_stealing/work_stealing.hpp"

namespace umcg::detail {

namespace {

constexpr const umcg_policy_ops* built_in[] = {
    &policy_table<policies::work_stealing>,
    &policy_table<policies::fifo>,
    &policy_table<policies::round_robin>,
    &policy_table<policies::fair>,
    &policy_table<policies::deadline>,
    &policy_table<policies::two_level>,
};

constexpr uint32_t max_data = 1 << 26, max_server_data = 1 << 20;
constexpr uint32_t known_flags = UMCG_POLICY_WANTS_TIME | UMCG_POLICY_WANTS_FAULTS;

std::string version(unsigned major, unsigned minor) {
    return std::to_string(major) + "." + std::to_string(minor);
}

size_t lines(size_t size) { return (size + 63) / 64 * 64; }

}  // namespace

std::span<const umcg_policy_ops* const> built_in_policies() noexcept { return built_in; }

const umcg_policy_ops* find_policy(const std::string& name) noexcept {
    for (const umcg_policy_ops* ops : built_in)
        if (name == ops->name) return ops;
    return nullptr;
}

policy_spec parse_policy_spec(const std::string& spec) {
    const size_t colon = spec.find(':');
    policy_spec s;
    s.name = spec.substr(0, colon);
    if (colon != std::string::npos) s.options = spec.substr(colon + 1);
    s.is_file = s.name.find('/') != std::string::npos;
    if (s.is_file) return s;
    if (find_policy(s.name)) return s;
    std::string known;
    for (const umcg_policy_ops* ops : built_in) known += std::string(known.empty() ? "" : ", ") + ops->name;
    throw std::invalid_argument("umcg: no policy '" + s.name + "'; there are " + known +
                                ", and plugins by their file (with a slash in its name)");
}

void policy_instance::check(const umcg_policy_ops& table) {
    const std::string who = file.empty() ? "umcg: policy" : "umcg: plugin '" + file + "' refused:";
    const auto refuse = [&](const std::string& why) { throw std::invalid_argument(who + " " + why); };
    if (table.major != UMCG_POLICY_MAJOR)
        refuse("it is of version " + version(table.major, table.minor) +
               " of the policy interface, this runtime has " +
               version(UMCG_POLICY_MAJOR, UMCG_POLICY_MINOR));
    if (table.size < UMCG_POLICY_OPS_SIZE_1_0)
        refuse("its table has " + std::to_string(table.size) + " bytes, version 1.0 has " +
               std::to_string(UMCG_POLICY_OPS_SIZE_1_0));
    // a newer one has functions that we do not know, and do not call
    memcpy(&ops, &table, std::min<size_t>(table.size, sizeof(ops)));
    if (ops.flags & ~known_flags) {
        char flags[16];
        snprintf(flags, sizeof(flags), "0x%x", ops.flags & ~known_flags);
        refuse(std::string("it sets flags that this runtime does not know: ") + flags);
    }
    const size_t length = ops.name ? strnlen(ops.name, 32) : 0;
    if (length < 1 || length > 31 ||
        strspn(ops.name, "abcdefghijklmnopqrstuvwxyz0123456789_-") != length)
        refuse("its name is not 1 to 31 of a-z, 0-9, _ and -");
    name = ops.name;
    for (const auto& [what, missing] : {std::pair{"enqueue", !ops.enqueue},
                                        {"dequeue", !ops.dequeue},
                                        {"pick", !ops.pick}})
        if (missing) refuse("it has no " + std::string(what) + "()");
    for (const auto& [what, size, most] : {std::tuple{"data_size", ops.data_size, max_data},
                                           {"server_size", ops.server_size, max_server_data},
                                           {"task_size", ops.task_size, UMCG_POLICY_TASK_ROOM}})
        if (size > most)
            refuse(std::string(what) + " is " + std::to_string(size) + ", at most " + std::to_string(most));
}

void policy_instance::place_memory() {
    p.server_stride = lines(ops.server_size);
    const size_t size = lines(ops.data_size) + p.n_servers * p.server_stride;
    memory_ = std::make_unique<char[]>(size + 63);
    char* at = memory_.get() + (64 - reinterpret_cast<uintptr_t>(memory_.get()) % 64) % 64;
    p.data = at;
    p.servers = reinterpret_cast<unsigned char*>(at) + lines(ops.data_size);
}

std::unique_ptr<policy_instance> policy_instance::make(const umcg_policy_ops& table,
                                                       const std::string& opts,
                                                       const policy_place& place,
                                                       const std::string& from) {
    std::unique_ptr<policy_instance> self(new policy_instance);
    self->file = from;
    self->options = opts;
    self->owner_ = place.owner;
    self->check(table);
    umcg_policy& p = self->p;
    p.size = sizeof(p);
    p.n_servers = place.n_servers;
    p.host = place.host;
    p.options = self->options.c_str();
    p.domain = place.domain;
    p.slice_ns = place.slice_ns;
    p.internal[0] = reinterpret_cast<uint64_t>(self.get());
    self->place_memory();
    return self;
}

std::unique_ptr<policy_instance> policy_instance::make(const policy_spec& spec,
                                                       const policy_place& place) {
    if (!spec.is_file) return make(*find_policy(spec.name), spec.options, place);
    void* library = nullptr;
    const umcg_policy_ops* table = load_policy(spec.name, library);
    try {
        auto self = make(*table, spec.options, place, spec.name);
        self->library_ = library;
        return self;
    } catch (...) {
        dlclose(library);
        throw;
    }
}

bool policy_instance::watched() const noexcept {
    return is_plugin() || (name != policies::work_stealing::name && name != policies::fifo::name);
}

int policy_instance::begin() noexcept {
    in_init = true;
    int err = 0;
    if (ops.init) {
        err = ops.init(&p);
    } else if (!options.empty()) {
        err = -EINVAL;
        snprintf(said, sizeof(said), "it has no options");
    }
    in_init = false;
    if (err) return err > 0 ? -err : err;
    begun_ = true;
    if (ops.server_online)
        for (unsigned i = 0; i < p.n_servers; i++) ops.server_online(&p, i);
    return 0;
}

void policy_instance::end(const umcg_policy_exit& info) noexcept {
    if (!begun_) return;
    begun_ = false;
    if (ops.server_offline)
        for (unsigned i = 0; i < p.n_servers; i++) ops.server_offline(&p, i);
    if (ops.exit) ops.exit(&p, &info);
}

void policy_instance::give_up() noexcept {
    begun_ = false;
    library_ = nullptr;
}

policy_instance::~policy_instance() {
    umcg_policy_exit info = {};
    info.size = sizeof(info);
    info.reason = UMCG_POLICY_EXIT_STOP;
    info.message = "the runtime ends";
    end(info);
    if (library_) dlclose(library_);
}

}  // namespace umcg::detail
