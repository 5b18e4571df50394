# SPDX-License-Identifier: MIT
"""The host's part of the demo: every backend that works on this machine, and plain threads, one table.

The server's memory is limited by a cgroup of its own where this user may make one; else all of the
file fits into memory, and the output says so. No setting of the machine is changed."""

import argparse
import os
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
from demo_load import arguments, check, measure, put, say, table  # noqa: E402

CGROUPS = "/sys/fs/cgroup"


def memory_cgroups():
    """Directories in which a memory cgroup might be made, and the name of its limit."""
    with open("/proc/self/cgroup") as f:
        for line in f:
            _, controllers, path = line.rstrip("\n").split(":", 2)
            if "memory" in controllers.split(","):  # version 1
                yield f"{CGROUPS}/memory{path.rstrip('/')}", "memory.limit_in_bytes"
                yield f"{CGROUPS}/memory", "memory.limit_in_bytes"
            elif not controllers:  # version 2
                yield f"{CGROUPS}{path.rstrip('/')}", "memory.max"


class Host:
    def __init__(self, directory, limit):
        self.file = os.path.join(directory, "data.mdb")
        self.group, self.why_not = None, "no memory controller"
        for parent, name in memory_cgroups():
            group = f"{parent}/umcg-demo-{os.getpid()}"
            try:
                os.mkdir(group)
            except OSError as e:
                self.why_not = f"{parent}: {e.strerror}"
                continue
            self.group = group
            try:
                put(f"{group}/{name}", str(limit))
                return
            except OSError as e:  # version 2 without the controller handed down
                self.why_not = f"{group}/{name}: {e.strerror}"
                self.remove()

    def remove(self):
        if self.group:
            os.rmdir(self.group)
            self.group = None

    def enter(self):
        if self.group:
            put(f"{self.group}/cgroup.procs", "0")

    def forget_file(self):
        # of this file alone: other pages of this machine are not ours to drop
        fd = os.open(self.file, os.O_RDONLY)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)

    def counters(self):
        return {}


def works(probe, kv, backend):
    done = subprocess.run([probe, "--backend", backend], capture_output=True, text=True)
    why = done.stdout.splitlines()[0] if done.stdout else done.stderr.strip()
    if done.returncode == 0:
        refusal = refused(kv, backend)
        if not refusal:
            return True
        why = f"{backend}: {refusal}"
    print(f"demo: without {why}", flush=True)
    return False


def refused(kv, backend):
    """What the server says if it does not start on this backend."""
    with tempfile.TemporaryDirectory() as empty:
        process = subprocess.Popen([kv, f"--dir={empty}", "--port=0", "--map-size=1mb"], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, env=dict(os.environ, UMCG_BACKEND=backend))
        started = process.stdout.readline()
        process.terminate()
        errors = process.communicate()[1]
        return None if started else errors.splitlines()[0]


def main():
    p = argparse.ArgumentParser()
    arguments(p)
    p.add_argument("--dir", required=True)
    p.add_argument("--probe", required=True, help="umcg-probe")
    p.add_argument("--backends", default="kernel,bpf,portable")
    args = p.parse_args()

    backends = [b for b in args.backends.split(",") if works(args.probe, args.kv, b)]
    where = Host(args.dir, args.memory)
    if where.group:
        say(f"the server may use {args.memory >> 20} MB, as in the guest: {where.group}")
    else:
        say(f"no memory limit ({where.why_not}): all of the file fits into memory, so hardly anything will fault")
    results = {}
    try:
        for backend in backends:
            for tasks in ("fiber", "thread"):
                results[f"{backend} {tasks}"] = measure(args, where, "umcg", tasks, backend)
        results["plain threads"] = measure(args, where, "threads")
    finally:
        where.remove()
    table(results)
    for name, result in results.items():
        check(name, result)
    faults = sum(result["major_faults"] for result in results.values())
    if not faults:
        say("nothing has faulted: the figures are about blocking in recv() alone")
    if not backends:
        sys.exit("demo: no backend works here, so only plain threads were shown; umcg-probe says why")


if __name__ == "__main__":
    main()
