# SPDX-License-Identifier: MIT
"""The tables of docs/benchmarks.md that benchmarks write themselves."""

import os
import sys

DOCS = os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "docs", "benchmarks.md")


def write(bench, text, path=DOCS):
    """Put `text` between the marks of ./umcg bench `bench`, in docs/benchmarks.md or another file."""
    begin, end = f"<!-- bench {bench}: begin -->\n", f"<!-- bench {bench}: end -->\n"
    with open(path) as f:
        before, found, rest = f.read().partition(begin)
    _, found_end, after = rest.partition(end)
    if not found or not found_end:
        sys.exit(f"bench {bench}: {path} has no lines {begin.strip()} and {end.strip()} to write between")
    with open(path, "w") as f:
        f.write(before + begin + text + end + after)
