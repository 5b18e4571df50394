# SPDX-License-Identifier: MIT
"""The table of bench/backends: each figure of a backend beside its rival's.

A figure is the median of the rounds. A ratio is the median of the rounds' ratios, each of two figures
that were measured seconds apart by the same process. What ran in the guest is in instructions: its figures
stand beside those of the rivals in the guest."""

from statistics import median

BACKENDS = ("kernel", "guest", "bpf", "portable")
NAMES = {"guest": "kernel, in the guest: instructions (rival's)"}
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
    section = "**A process whose two workers yield all the time**, per second"
    yield section, "yields", "idle.switching turns_per_second", None, None
    yield section, "context switches of threads that are neither server nor worker", "idle.switching others_per_second", None, None


def number(value):
    return f"{value:,.0f}"


def ratio(mine, rival):
    pairs = [mine[r] / rival[r] for r in mine if rival.get(r)]
    return f"{median(pairs):.2f}" if pairs else "-"


def cell(backend, mine, rival):
    if not mine:
        return "-"
    there = f" ({number(median(rival.values()))})" if backend == "guest" and rival else ""
    return number(median(mine.values())) + there


def markdown(values, comments):
    """Rows and columns without figures are left out."""
    backends = [b for b in BACKENDS if any(k[0] == b for k in values)]
    out = ["| what | " + " | ".join(NAMES.get(b, b) for b in backends) + " | against | its figure | ratios |",
           "|---|" + "--:|" * len(backends) + "---|--:|--:|"]
    seen = None
    for section, what, key, rival, rival_key in rows():
        mine = {b: values[b, key] for b in backends if (b, key) in values}
        rivals = {b: values.get((b, rival_key), {}) for b in backends}
        # the rival knows nothing of the backend: its figure is the median over all of them, but for the guest's
        others = [v for b, figures in rivals.items() if b != "guest" for v in figures.values()]
        if not mine or (rival and not any(rivals.values())):
            continue
        if section != seen:
            out.append(f"| {section} |" + " |" * (len(backends) + 3))
            seen = section
        cells = [cell(b, mine.get(b), rivals[b]) for b in backends]
        ratios = ", ".join(ratio(mine[b], rivals[b]) if b in mine else "-" for b in backends) if rival else ""
        out.append(f"| {what} | {' | '.join(cells)} | {rival or ''} | {number(median(others)) if others else ''} | {ratios} |")
    return "\n".join([f"{c}  " for c in comments] + [""] + out) + "\n"
