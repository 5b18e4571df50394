# SPDX-License-Identifier: MIT
"""Ten thousand clients of one server, for the checks of the examples."""

import ctypes
import errno
import platform
import resource

COUNT, SPARE = 10000, 200


def impossible():
    """What they lack here; None: nothing, and this process and those that it starts may have as many descriptors."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall(425, 0, None)  # io_uring_setup, which refuses these arguments
    if ctypes.get_errno() in (errno.ENOSYS, errno.EPERM) or int(platform.release().split(".")[0]) < 6:
        return "without io_uring each would take a thread"
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < COUNT + SPARE:
        return f"only {hard} descriptors allowed"
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft if soft == resource.RLIM_INFINITY else max(soft, COUNT + SPARE), hard))
    return None


def resident_kb(process):
    with open(f"/proc/{process.pid}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS:"))


def come(process, connect, ask, answer, most_kb):
    """All are connected at once and asked at once; each has its answer, and the server needs little for each. While they are
    idle others are served. Returns them."""
    with connect(process) as first:
        ask(first, 0)
        answer(first, 0)
    before = resident_kb(process)
    clients = [connect(process) for _ in range(COUNT)]
    for i, s in enumerate(clients):
        ask(s, i)
    for i, s in enumerate(clients):
        answer(s, i)
    each = (resident_kb(process) - before) / COUNT
    assert each < most_kb, f"{each} kB for each client"
    for i in range(100):
        with connect(process) as s:
            ask(s, i)
            answer(s, i)
    return clients
