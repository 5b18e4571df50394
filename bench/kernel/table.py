# SPDX-License-Identifier: MIT
"""The one table of bench/kernel: which figure stands against which, and what was aimed at."""

PATCHED, UNPATCHED = "bench", "unpatched"

SHAPE = {
    "alone": "alone on its server, woken by a plain thread",
    "two": "two workers, one server",
    "three": "three workers, one always runnable",
}
HOW = {
    "server": "through the server",
    "direct": "QUIET + DIRECT_RESUME",
    "successor": "QUIET + DIRECT_RESUME + successor",
    "wake": "WAKE_ON_RUNNABLE, the server kicks the hog",
}
BLOCK_AIM = {("alone", "direct"): 1.03, ("two", "successor"): 1.15, ("three", "successor"): 1.15}


def switches():
    section = "**Switches**, instructions each"
    futex, pipe, sched_yield = "block.futex.two.plain ticks", "block.pipe.two.plain ticks", "switch.sched_yield ticks"
    worker = "switch.worker_to_worker ticks"
    yield section, "worker to worker", worker, "futex hand-over", PATCHED, futex, 0.95
    yield section, "worker to worker", worker, "pipe hand-over", PATCHED, pipe, None
    yield section, "server to worker, worker to server", "switch.server_worker ticks", "futex hand-over", PATCHED, futex, None
    yield section, "yield among two, successor", "switch.yield.successor ticks", "sched_yield", PATCHED, sched_yield, None
    yield section, "yield among two, through the server", "switch.yield.server ticks", "sched_yield", PATCHED, sched_yield, None


def blocks():
    for kind in ("pipe", "futex"):
        section = f"**A block on a {kind}, its wake-up and return**, instructions per receive and send"
        for shape in SHAPE:
            for how in ("server", "direct", "successor"):
                if (shape, how) == ("alone", "successor"):
                    continue
                rival = "three" if shape == "three" else "two"
                yield (section, f"{SHAPE[shape]}: {HOW[how]}", f"block.{kind}.{shape}.{how} ticks", "plain threads",
                       PATCHED, f"block.{kind}.{rival}.plain ticks", BLOCK_AIM.get((shape, how)))
        for how in ("direct", "successor"):
            yield (section, f"{SHAPE['two']}: {HOW[how]}", f"block.{kind}.two.{how} ticks",
                   "plain threads that block each time (SCHED_BATCH)", PATCHED, f"block.{kind}.two.batch ticks", None)


def paths():
    section = "**The two paths by themselves**, instructions of latency"
    for kind in ("pipe", "futex"):
        yield (section, f"{kind}: block to server", f"path.{kind}.server to_server",
               "thread tells a manager by futex, then blocks", PATCHED, f"path.{kind}.manager to_server", None)
        for how in ("server", "direct"):
            yield (section, f"{kind}: wake-up to running, {HOW[how]}", f"path.{kind}.{how} to_running",
                   "plain thread", PATCHED, f"path.{kind}.plain to_running", None)


def hogs():
    """No loss beside a hog: the ratio may be no worse than the same ratio without one."""
    metrics = (("pair", "ns_per_trip", "ping-pong of two, ns per round trip"),
               ("alone", "ns_per_trip", "ping-pong of one with a plain thread, ns per round trip"),
               ("sleeper", "p50_ns", "1 ms sleeper, median ns late"), ("sleeper", "p99_ns", "1 ms sleeper, p99 ns late"))
    for hog, title, hows in (
            ("none", "**No hog**, to compare with", ("direct", "successor")),
            ("thread", "**Beside a CPU hog that is a plain thread**", ("server", "direct", "successor")),
            ("worker", "**Beside a CPU hog that is a worker of the same server**, 1 ms slices",
             ("server", "direct", "successor", "wake"))):
        rival_hog = "none" if hog == "none" else "thread"
        for what, metric, words in metrics:
            for how in hows:
                rival_what = "sleeper" if what == "sleeper" else "pair"
                aim = None
                if hog == "thread" and how != "server" and metric != "p99_ns":
                    aim = (f"hog.none.{what}.{how} {metric}", f"hog.none.{rival_what}.plain {metric}")
                yield (title, f"{words}: {HOW[how]}", f"hog.{hog}.{what}.{how} {metric}",
                       "plain threads, " + ("no hog" if hog == "none" else "a plain hog"),
                       PATCHED, f"hog.{rival_hog}.{rival_what}.plain {metric}", aim)


def calls():
    section = "**Calls that do not block**, instructions"
    for call in ("getppid", "read", "futex_wake"):
        key = f"syscall.{call}.plain ticks"
        yield section, f"{call}: worker", f"syscall.{call}.worker ticks", "plain thread, same kernel", PATCHED, key, 1.0
        yield section, f"{call}: plain thread", key, "the same, unpatched kernel", UNPATCHED, key, 1.0


def others():
    section = "**Whoever knows nothing of UMCG**, patched against unpatched kernel, instructions"
    for what, words in (("pipe", "processes, pipe ping-pong, per switch"), ("futex", "processes, futex ping-pong, per switch"),
                        ("yield", "processes, sched_yield, per switch"), ("fork_exit", "fork, exit and wait")):
        for where, suffix in (("alone", ""), ("beside_umcg", "; a UMCG process present")):
            yield (section, words + suffix, f"other.{what}.{where} ticks", "unpatched kernel",
                   UNPATCHED, f"other.{what}.alone ticks", 1.01)
    for case, words in (("block.pipe.two.plain", "threads, pipe ping-pong, per switch"),
                        ("block.futex.two.plain", "threads, futex ping-pong, per switch"),
                        ("switch.sched_yield", "threads, sched_yield, per switch")):
        yield section, words, f"{case} ticks", "unpatched kernel", UNPATCHED, f"{case} ticks", 1.01


def rows():
    """(section, what, its figure on the patched kernel, rival, rival's kernel, rival's figure, aim)

    The aim is a ratio, or the two figures whose ratio it is, or None."""
    for part in (switches, blocks, paths, hogs, calls, others):
        yield from part()


def number(value):
    return f"{value:,.0f}"


def markdown(values, comments):
    """The table; rows without figures are left out."""
    out = ["| what | figure | against | its figure | ratio | aim |", "|---|--:|---|--:|--:|---|"]
    seen = None
    for section, what, key, rival, rival_kernel, rival_key, aim in rows():
        mine, other = values.get((PATCHED, key)), values.get((rival_kernel, rival_key))
        if mine is None or other is None:
            continue
        if section != seen:
            out.append(f"| {section} | | | | | |")
            seen = section
        ratio = mine / other
        if isinstance(aim, tuple):
            aim = values[PATCHED, aim[0]] / values[PATCHED, aim[1]] if all((PATCHED, k) in values for k in aim) else None
        verdict = "" if aim is None else f"{aim:.2f} " + ("met" if round(ratio, 3) <= round(aim, 3) else "**missed**")
        out.append(f"| {what} | {number(mine)} | {rival} | {number(other)} | {ratio:.3f} | {verdict} |")
    return "\n".join([f"{c}  " for c in comments] + [""] + out) + "\n"
