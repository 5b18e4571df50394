# SPDX-License-Identifier: MIT
"""What in a kernel log means that the kernel is broken. One list for everybody."""

import re

# Console lines carry "[   12.345678] "; with CONFIG_PRINTK_CALLER also "[ T12] ".
_STAMP = re.compile(r"^(<\d+>)?\[ *\d+\.\d+\](\[ *[TC]\d+\])? ?")

_SPLAT = re.compile(
    r"\bBUG:|\bWARNING:|\bOops\b|Kernel panic|general protection fault|"
    r"\bINFO: (task .* blocked|possible |rcu|suspicious|trying to register|lockdep is turned off|inconsistent)|"
    r"rcu: INFO:|detected stalls?|self-detected stall|soft lockup|hard LOCKUP|"
    r"\bKASAN\b.*\b(in|bug)\b|\bKCSAN\b.*\b(in|race)\b|\bUBSAN\b|kmemleak: unreferenced object|"
    r"kmemleak: \d+ new|Bad page (state|map)|refcount_t: |scheduling while atomic|"
    r"unregister_netdevice: waiting|double fault|list_(add|del) corruption|"
    r"Slab .*(corruption|overwritten)|Objects remaining in|\bkernel BUG at\b|"
    r"------------\[ cut here \]"
)

PANIC = "Kernel panic"
_RULE = re.compile(r"^={20,}$")


def text(line):
    """The message of a console line, without its time stamp."""
    return _STAMP.sub("", line.rstrip("\r\n"))


def _without_foreign_races(messages):
    """KCSAN reports the whole kernel's races; ours are those whose report names umcg."""
    kept, report = [], None
    for m in messages:
        if report is None and "BUG: KCSAN:" in m:
            report = [m]
        elif report is not None and (_RULE.match(m) or len(report) > 80):
            kept += report if any("umcg" in r for r in report) else []
            report = None
        elif report is not None:
            report.append(m)
        else:
            kept.append(m)
    return kept + (report or [])


def find(lines):
    """The messages that are splats, in order."""
    return [t for t in _without_foreign_races(map(text, lines)) if _SPLAT.search(t)]
