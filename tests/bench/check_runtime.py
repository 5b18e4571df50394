# SPDX-License-Identifier: MIT
"""Every program of bench/runtime that C++ alone builds comes to its end in every case, and to its place in the table;
no figure is judged. check_runtime.py RUN BUILD"""

import subprocess
import sys
import tempfile

RUN, BUILD = sys.argv[1:3]
# Not timer_fire, which needs a machine that keeps up, nor faults, which needs userfaultfd(2)
SIZES = {"switch": 100, "yield": 100, "spawn_join": 100, "channel": 100, "mutex": 80, "mutex_2": 80, "timer": 5, "timer_insert": 100,
         "skynet": 100, "fib": 5, "parked": 20, "syscalls": 1, "cold": 2, "cold_plain": 2}
# What has no figure, by a word of the row
NONE = {"threads": ("switch between", "set and taken", "skynet", "fib(", "by plain pread"), "Boost.Fiber": ("set and taken", "by plain pread")}


def run(*options):
    return subprocess.run([RUN, "--build", BUILD, "--rounds", "1", "--rival", "threads", "--rival", "boost_fiber", *options],
                          capture_output=True, text=True)


with tempfile.TemporaryDirectory() as folder:
    done = run("--raw", f"{folder}/figures", *(f"{case}={n}" for case, n in SIZES.items()))
assert done.returncode == 0, done.stderr
head, _, *rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in done.stdout.splitlines() if line.startswith("|")]
programs = head[1:-1]
assert "portable" in programs and "threads" in programs, head
seen = 0
for what, *cells in rows:
    if what.startswith("**"):
        continue
    # "the same, CPU time" belongs to the row before
    row = row if what.startswith("the same, ") else what
    seen += 1
    for program, cell in zip(programs, cells):
        none = any(word in row for word in NONE.get(program, ()))
        assert (cell == "-") == none, (what, program, cell)
# skynet, fib, parked and cold have two each
assert seen == len(SIZES) + 4, (seen, done.stdout)
assert "of other sizes than the rows say: switch=100 " in done.stdout, done.stdout
for bad, word in (("nonsense", "no case"), ("fib=0", "at least 1"), ("fib=x", "at least 1")):
    done = run(bad)
    assert done.returncode == 2 and word in done.stderr, (bad, done.stderr)
done = run("--write-docs", "fib=5")
assert done.returncode == 2 and "usual sizes" in done.stderr, done.stderr
