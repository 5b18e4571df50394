# SPDX-License-Identifier: MIT
"""The table of bench/backends: each figure of a backend beside its rival's.

A figure is the median of the rounds. A ratio is the median of the rounds' ratios, each of two figures
that were measured seconds apart by the same process."""

from statistics import median

BACKENDS = ("kernel", "bpf", "portable")
PLAIN = "a plain thread"
FUTEX = "futex hand-over"
MANAGER = "a thread that tells a manager by futex, then blocks"


def rows():
    """(section, what, the backend's figure, rival, the rival's figure)"""
    section = "**Block to server**: from before the blocking call to the server's return from umcg_wait(), ns"
    for metric, words in (("to_server", "p50"), ("to_server_p99", "p99")):
        yield section, f"seen by the backend, {words}", f"latency.server {metric}", MANAGER, f"latency.manager {metric}"
        yield section, f"announced, {words}", f"latency.announced {metric}", MANAGER, f"latency.manager {metric}"
    section = "**Unblock to running**: from before the waker's call to the worker's next user instruction, ns"
    for metric, words in (("to_running", "p50"), ("to_running_p99", "p99")):
        for how, text in (("server", "through the server"), ("announced", "through the server, announced"),
                          ("direct", "QUIET + DIRECT_RESUME"), ("direct_announced", "QUIET + DIRECT_RESUME, announced")):
            yield section, f"{text}, {words}", f"latency.{how} {metric}", PLAIN, f"latency.plain {metric}"
    section = "**Hand-over**, ns each"
    yield section, "worker to worker", "switch.worker_to_worker ticks", FUTEX, "block.futex.two.plain ticks"
    yield section, "server to worker, worker to server", "switch.server_worker ticks", FUTEX, "block.futex.two.plain ticks"
    section = "**Whoever knows nothing of UMCG**, a process of the backend present, ns"
    for what, words in (("pipe", "processes, pipe ping-pong, per switch"), ("futex", "processes, futex ping-pong, per switch"),
                        ("yield", "processes, sched_yield, per switch"), ("getppid", "getppid"), ("fork_exit", "fork, exit and wait")):
        yield section, words, f"other.{what}.beside_umcg ticks", "none present", f"other.{what}.alone ticks"
    section = "**An idle process**: context switches per second of all its threads"
    yield section, "8 workers blocked, 2 servers", "idle.blocked per_second", None, None
    yield section, "the same, QUIET + DIRECT_RESUME", "idle.blocked_quiet per_second", None, None


def number(value):
    return f"{value:,.0f}"


def ratio(mine, rival):
    pairs = [mine[r] / rival[r] for r in mine if rival.get(r)]
    return f"{median(pairs):.2f}" if pairs else "-"


def markdown(values, comments):
    """Rows and columns without figures are left out."""
    backends = [b for b in BACKENDS if any(k[0] == b for k in values)]
    out = ["| what | " + " | ".join(backends) + " | against | its figure | ratios |",
           "|---|" + "--:|" * len(backends) + "---|--:|--:|"]
    seen = None
    for section, what, key, rival, rival_key in rows():
        mine = [values.get((b, key)) for b in backends]
        rivals = [values.get((b, rival_key), {}) for b in backends]
        # the rival knows nothing of the backend: its figure is the median over all of them
        others = [v for figures in rivals for v in figures.values()]
        if not any(mine) or (rival and not others):
            continue
        if section != seen:
            out.append(f"| {section} |" + " |" * (len(backends) + 3))
            seen = section
        figures = " | ".join(number(median(m.values())) if m else "-" for m in mine)
        ratios = ", ".join(ratio(m, r) if m else "-" for m, r in zip(mine, rivals)) if rival else ""
        out.append(f"| {what} | {figures} | {rival or ''} | {number(median(others)) if rival else ''} | {ratios} |")
    return "\n".join([f"{c}  " for c in comments] + [""] + out) + "\n"
