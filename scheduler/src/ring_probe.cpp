// SPDX-License-Identifier: MIT
//
// Which operations a ring can do: what the kernel says, without what the program wants to be done
// without.
#include <cerrno>
#include <stdexcept>

#include "ring.hpp"

namespace umcg::detail {

namespace {

struct named {
    const char* name;
    unsigned opcode;
};

// By the names of umcg/io.hpp's calls; pread() and pwrite() are read and write.
constexpr named operations[] = {
    {"read", IORING_OP_READ},       {"write", IORING_OP_WRITE},     {"readv", IORING_OP_READV},
    {"writev", IORING_OP_WRITEV},   {"fsync", IORING_OP_FSYNC},     {"openat", IORING_OP_OPENAT},
    {"accept", IORING_OP_ACCEPT},   {"connect", IORING_OP_CONNECT}, {"recv", IORING_OP_RECV},
    {"send", IORING_OP_SEND},       {"recvmsg", IORING_OP_RECVMSG}, {"sendmsg", IORING_OP_SENDMSG},
    {"poll", IORING_OP_POLL_ADD},   {"multishot accept", ring::multishot_accept},
    {"multishot recv", ring::multishot_receive},
};

}  // namespace

uint64_t ring_operations(const std::vector<std::string>& names) {
    uint64_t set = 0;
    for (const std::string& name : names) {
        const uint64_t before = set;
        for (const named& op : operations)
            if (name == op.name) set |= uint64_t{1} << op.opcode;
        if (set == before)
            throw std::invalid_argument("umcg: io_missing: '" + name +
                                        "' is none of umcg::io's operations, or is there twice");
    }
    return set;
}

bool ring::probe(const ring_options& how) noexcept {
    const unsigned needed = IORING_FEAT_NODROP | IORING_FEAT_SUBMIT_STABLE | IORING_FEAT_RW_CUR_POS;
    io_uring_sync_cancel_reg nothing = {};
    nothing.fd = -1;
    nothing.timeout = {0, 0};
    // ENOENT: it is understood. Without it a wait could not be ended.
    if ((ring_.features & needed) != needed ||
        io_uring_register_sync_cancel(&ring_, &nothing) != -ENOENT)
        return false;
    if (io_uring_probe* probe = io_uring_get_probe_ring(&ring_)) {
        for (unsigned op = 0; op < first_feature; op++)
            if (io_uring_opcode_supported(probe, static_cast<int>(op)))
                ops_ |= uint64_t{1} << op;
        io_uring_free_probe(probe);
    }
    // as old as the kind of cancel that we need
    ops_ |= uint64_t{1} << multishot_accept;
    if (how.buffers) buffers_ = buffer_pool::make(ring_, how.buffers, how.buffer_size);
    if (buffers_) ops_ |= uint64_t{1} << multishot_receive;
    ops_ &= ~how.without;
    return true;
}

}  // namespace umcg::detail
