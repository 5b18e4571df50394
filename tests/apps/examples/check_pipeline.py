# SPDX-License-Identifier: MIT
"""examples/pipeline: groups of equal files are those that a plain comparison finds.
check_pipeline.py PROGRAM"""

import collections
import os
import random
import subprocess
import sys
import tempfile


def run(*args):
    return subprocess.run([sys.argv[1], *args], capture_output=True, text=True, timeout=100)


seed = int.from_bytes(os.urandom(4), "big")
rng = random.Random(seed)
with tempfile.TemporaryDirectory(prefix="pipeline-") as top:
    index = f"{top}/index"
    os.mkdir(index)
    roots = [f"{top}/a", f"{top}/b"]
    contents = [b"", b"x", b"y", rng.randbytes(3000), rng.randbytes(70000), rng.randbytes(3 << 20)]
    contents.append(contents[-1][:-1] + b"?")
    groups = collections.defaultdict(list)
    for i in range(300):
        directory = f"{rng.choice(roots)}/{i % 7}/{i % 3}"
        os.makedirs(directory, exist_ok=True)
        which = rng.randrange(len(contents)) if i % 20 else None  # None: a content of its own
        with open(f"{directory}/{i}", "wb") as f:
            f.write(contents[which] if which is not None else b"only me %d" % i)
        groups[which if which is not None else f"own {i}"].append(f"{directory}/{i}")
    os.symlink("0", f"{roots[0]}/link")  # not followed
    want = sorted(sorted(g) for g in groups.values() if len(g) > 1)
    for turn in range(2):  # again: the index of before is replaced
        done = run(index, *roots)
        assert done.returncode == 0, (seed, done.stderr)
        got = sorted(g.split("\n") for g in done.stdout.split("\n\n") if g)
        assert got == want, f"seed {seed}: {got} is not {want}"
        assert done.stderr.startswith(f"300 files, {len(want)} groups"), done.stderr

    # what fails in one stage ends them all, with its message
    done = run(index, f"{top}/missing", *roots)
    assert done.returncode == 1 and f"{top}/missing" in done.stderr, done
    done = run(f"{top}/no-index", *roots)
    assert done.returncode == 1 and f"{top}/no-index" in done.stderr, done
    done = run(index)
    assert done.returncode == 1 and "usage" in done.stderr, done
