# SPDX-License-Identifier: MIT
"""The guest's part of the demo: one engine after the other on the same disk, the same load, one table."""

import argparse
import os
import sys

sys.dont_write_bytecode = True
from demo_load import arguments, check, measure, put, run, say, table  # noqa: E402

TRACING = "/sys/kernel/tracing"
CGROUPS = "/sys/fs/cgroup"
DIR = "/mnt/kv"
# the table's columns: --engine, --tasks
ENGINES = {"fibers": ("umcg", "fiber"), "thread tasks": ("umcg", "thread"), "plain threads": ("threads", "fiber")}


class Disk:
    """The image on a real (that is, virtual) disk, so that a page that is not in memory is waited for."""

    def __init__(self, image):
        run("dd", f"if={image}", "of=/dev/vda", "bs=1M", "conv=sparse")
        os.makedirs(DIR, exist_ok=True)
        run("mount", "-t", "ext4", "-o", "noatime", "/dev/vda", DIR)


class Counters:
    """Events that the kernel's tracepoints have seen. A tracing instance per counter: what is counted is
    what went into its ring buffer, read or not."""

    EVENTS = {"blocks": ("umcg_block", ""), "faults": ("umcg_block", "nr == -1"),
              "dispatches": ("umcg_switch", "")}

    def __init__(self):
        self.there = os.path.isdir(f"{TRACING}/events/umcg")
        if not self.there:
            return
        for name, (event, condition) in self.EVENTS.items():
            os.makedirs(f"{TRACING}/instances/{name}", exist_ok=True)
            put(f"{TRACING}/instances/{name}/buffer_size_kb", "16")
            if condition:
                put(f"{TRACING}/instances/{name}/events/umcg/{event}/filter", condition)
            put(f"{TRACING}/instances/{name}/events/umcg/{event}/enable", "1")

    def read(self):
        counts = {}
        for name in self.EVENTS if self.there else ():
            path = f"{TRACING}/instances/{name}/per_cpu"
            counts[name] = 0
            for cpu in os.listdir(path):
                with open(f"{path}/{cpu}/stats") as f:
                    counts[name] += sum(int(line.split(":")[1]) for line in f
                                        if line.startswith(("entries:", "overrun:", "dropped")))
        return counts


class Guest:
    """The machine is ours alone: its disk, its page cache, its only memory cgroup."""

    def __init__(self, limit):
        # memory for the server and its pages of the file, not for the client
        put(f"{CGROUPS}/cgroup.subtree_control", "+memory")
        self.group = f"{CGROUPS}/kv"
        os.makedirs(self.group, exist_ok=True)
        put(f"{self.group}/memory.max", str(limit))
        self.tracepoints = Counters()

    def enter(self):
        put(f"{self.group}/cgroup.procs", "0")

    def forget_file(self):
        put("/proc/sys/vm/drop_caches", "3")

    def counters(self):
        return self.tracepoints.read()


def main():
    p = argparse.ArgumentParser()
    arguments(p)
    p.add_argument("--image", required=True)
    p.add_argument("--engines", default=",".join(ENGINES))
    args = p.parse_args()
    args.dir = DIR

    say("writing the data set to the guest's disk")
    Disk(args.image)
    where = Guest(args.memory)
    results = {}
    for name in args.engines.split(","):
        engine, tasks = ENGINES[name]
        results[name] = measure(args, where, engine, tasks)
    table(results)
    for name, result in results.items():
        check(name, result)
        if ENGINES[name][0] == "umcg" and not result["kernel_faults"]:
            sys.exit(f"demo: {name}: no page fault blocked, so nothing was shown")


if __name__ == "__main__":
    main()
