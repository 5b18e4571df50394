# SPDX-License-Identifier: MIT
"""The table of bench/runtime: each row of the runtime's beside its rivals'.

A figure is the median of the rounds. A ratio is the median of the rounds' ratios, each of two
figures that were measured one after the other."""

from statistics import median

BACKENDS = ("kernel", "bpf", "portable")
PEERS = ("threads", "boost_fiber", "go", "tokio")
NAMES = {"threads": "threads", "boost_fiber": "Boost.Fiber", "go": "Go", "tokio": "Tokio"}

# What, case, metric, divided by, aims: a rival and a ratio, or None and an absolute figure
ONE = "**One CPU**, CPU time per operation, ns"
TWO = "**Two CPUs**, elapsed time"
WAIT = "**Tasks that wait**"
ROWS = (
    (ONE, "switch between two contexts, no scheduler", "switch", "cpu_ns", 1, (("boost_fiber", 1.1),)),
    (ONE, "yield, two tasks", "yield", "cpu_ns", 1, (("boost_fiber", 0.4), (None, 25))),
    (ONE, "spawn and join", "spawn_join", "cpu_ns", 1, (("boost_fiber", 0.4),)),
    (ONE, "channel without buffer, there and back", "channel", "cpu_ns", 1, (("boost_fiber", 0.4), ("go", 0.4))),
    (ONE, "mutex of 8 tasks, held across a yield", "mutex", "cpu_ns", 1, ()),
    (ONE, "sleep of 1 to 2 ms, 1000 tasks", "timer", "cpu_ns", 1, ()),
    (ONE, "timer set and taken away, 10,000 others", "timer_insert", "cpu_ns", 1, ()),
    (ONE, "10,000 tasks due at once, until they end", "timer_fire", "cpu_ns", 1, ()),
    (TWO, "mutex of 8 tasks, held for an addition, ns", "mutex_2", "wall_ns", 1, ()),
    (TWO, "skynet, 1,000,000 leaves, ms", "skynet", "wall_ns", 1e6, (("go", 0.35),)),
    (TWO, "the same, CPU time, ms", "skynet", "cpu_ns", 1e6, (("go", 0.35),)),
    (TWO, "fib(24), a task per node, ms", "fib", "wall_ns", 1e6, ()),
    (TWO, "the same, CPU time, ms", "fib", "cpu_ns", 1e6, ()),
    (TWO, "64 tasks, 10 system calls of 1 ms each, ms", "syscalls", "wall_ns", 1e6, (("threads", 1.2),)),
    (TWO, "64 tasks, 10 page faults of 1 ms each, ms", "faults", "wall_ns", 1e6, (("threads", 1.2),)),
    (TWO, "64 tasks, 100 reads of 4 KiB each from a cold file, us per read", "cold", "wall_ns", 1e3, ()),
    (TWO, "the same, CPU time, us", "cold", "cpu_ns", 1e3, ()),
    (TWO, "the same by plain pread(), us per read", "cold_plain", "wall_ns", 1e3, ()),
    (WAIT, "resident bytes per task", "parked", "bytes", 1, ((None, 4608),)),
    (WAIT, "wake-ups per second, all idle", "parked", "wakeups", 1, ((None, 0),)),
)


def number(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value else "0"


def ratio(mine, rival):
    pairs = [mine[r] / rival[r] for r in mine if rival.get(r)]
    return median(pairs) if pairs else None


def verdict(values, mine, case, metric, divisor, aims):
    """Each aim, and whether this backend meets it."""
    words = []
    for rival, bound in aims:
        if rival is None:
            got, text = median(mine.values()) / divisor, f"{bound:,}"
        else:
            got, text = ratio(mine, values.get((rival, case, metric), {})), f"{bound} x {NAMES[rival]}"
        if got is not None:
            words.append(text + (" met" if got <= bound else " **missed**"))
    return ", ".join(words)


def markdown(values, comments):
    """Rows and columns without figures are left out."""
    backends = [b for b in BACKENDS if any(k[0] == b for k in values)]
    peers = [p for p in PEERS if any(k[0] == p for k in values)]
    titles = ["what"] + backends + [NAMES[p] for p in peers] + ["aims"]
    out = ["| " + " | ".join(titles) + " |", "|---" + "|--:" * (len(titles) - 2) + "|---|"]
    seen = None
    for section, what, case, metric, divisor, aims in ROWS:
        mine = [values.get((b, case, metric)) for b in backends]
        if not any(mine):
            continue
        if section != seen:
            out.append(f"| {section} |" + " |" * (len(titles) - 1))
            seen = section
        cells = [number(median(m.values()) / divisor) if m else "-" for m in mine]
        for p in peers:
            his = values.get((p, case, metric))
            ratios = [ratio(m, his) if m and his else None for m in mine]
            ratios = ", ".join("-" if r is None else f"{r:.2f}" for r in ratios)
            cells.append(f"{number(median(his.values()) / divisor)} ({ratios})" if his else "-")
        verdicts = [verdict(values, m, case, metric, divisor, aims) if m else "" for m in mine]
        if len(backends) > 1:
            verdicts = [f"{b}: {v}" for b, v in zip(backends, verdicts) if v]
        out.append(f"| {what} | " + " | ".join(cells) + f" | {'; '.join(v for v in verdicts if v)} |")
    return "\n".join([f"{c}  " for c in comments] + [""] + out) + "\n"
