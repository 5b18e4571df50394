# SPDX-License-Identifier: MIT
"""examples/fanout: every shard of every request is accounted for, however slow this machine is.
check_fanout.py PROGRAM"""

import re
import subprocess
import sys


def run(*options):
    return subprocess.run([sys.argv[1], *options], capture_output=True, text=True, timeout=100)


def counts(requests, shards, deadline_ms):
    done = run(f"--requests={requests}", f"--shards={shards}", f"--deadline-ms={deadline_ms}")
    assert done.returncode == 0, done
    got = re.fullmatch(r"(\d+) requests to (\d+) shards each: (\d+) answered, (\d+) failed, (\d+) late\n", done.stdout)
    assert got, done.stdout
    asked, width, answered, failed, late = map(int, got.groups())
    assert (asked, width) == (requests, shards), done.stdout
    assert answered + failed + late == requests * shards, done.stdout
    # shard 1 never answers but fails, shard 2 does neither
    assert failed <= requests and late >= requests and answered <= requests * (shards - 2), done.stdout
    return answered, failed, late


# time enough: some come, most of the time all
answered, failed, late = counts(20, 10, 300)
assert answered > 0 and failed > 0, (answered, failed, late)
# a deadline that few can meet, and more tasks than servers by far
counts(200, 100, 1)
for bad in ("--requests=0", "--shards=x", "--what"):
    done = run(bad)
    assert done.returncode == 1 and bad.split("=")[-1] in done.stderr, done
