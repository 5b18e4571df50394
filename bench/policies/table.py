# SPDX-License-Identifier: MIT
"""The tables of ./umcg bench policies, of {(part, case, who, metric): {round: figure}}."""

from statistics import median

NAMES = {"threads": "plain threads", "go": "Go", "alone": "the short ones alone, a thread that spins"}
CALL_AIMS = (("compiled", 5), ("table", 15))
SHORT_AIM, FIFO_AIM, AIM_LOAD = 10, 100, "70"
DISTURBED = 20  # per cent of the two CPUs that others used: then a tail is theirs


def quietest(values, part, case, who):
    """The round of a load in which others used least, or None; and how much they used, in per cent."""
    others = values.get((part, case, who, "others"))
    if not others:
        return None, None
    which = min(others, key=lambda r: (others[r], r))
    return which, others[which]


def disturbed(values, part, case, who):
    others = quietest(values, part, case, who)[1]
    return others is not None and others > DISTURBED


def figure(values, part, case, who, metric):
    """Of a load: the quietest round's, if it was quiet enough; else the median of the rounds. None: not measured."""
    rounds = values.get((part, case, who, metric))
    if not rounds or part != "shares" and disturbed(values, part, case, who):
        return None
    which, _ = quietest(values, part, case, who)
    return rounds[which] if which is not None else median(rounds.values())


def percent_of_others(others):
    return "" if others is None else f"{others:.0f} %" + (", **disturbed**" if others > DISTURBED else "")


def left_out(values, part):
    """The line under a table of loads of which some were disturbed."""
    loads = [(case, who) for _, case, who, metric in values if _ == part and metric == "others"]
    some = [others for others in (quietest(values, part, *load)[1] for load in loads) if others > DISTURBED]
    if not some:
        return []
    return ["", f"Left out: {len(some)} of {len(loads)} loads, in every round of which others used more than {DISTURBED} % of the "
            f"two CPUs ({min(some):.0f} to {max(some):.0f} % in the quietest)."]


def of_part(values, part, column):
    """What stands in this column of the keys (1: case, 2: who), in the order in which it was measured."""
    return list(dict.fromkeys(key[column] for key in values if key[0] == part))


def number(v):
    return "-" if v is None else f"{v:,.0f}" if v >= 100 else f"{v:.1f}"


def row(*cells):
    return "| " + " | ".join(cells) + " |"


def head(*titles):
    return [row(*titles), "|---" + "|--:" * (len(titles) - 1) + "|"]


def calls(values):
    out = head("pick and enqueue, CPU time, ns", "compiled in", "through the table", "of a plugin", "aims: 5, 15", "yield on the runtime")
    for policy in of_part(values, "call", 1):
        got = {how: figure(values, "call", policy, how, "cpu_ns") for how in ("compiled", "table", "plugin")}
        verdicts = ["met" if got[how] < aim else "**missed**" for how, aim in CALL_AIMS if got[how] is not None]
        out.append(row(policy, *(number(got[how]) for how in got), ", ".join(verdicts),
                       number(figure(values, "yield", "yield", policy, "cpu_ns"))))
    plugin = figure(values, "yield", "yield", "fifo as a plugin", "cpu_ns")
    if plugin is not None:
        out.append(row("fifo as a plugin, contained", "", "", "", "", number(plugin)))
    return out


def slowdowns(values, part, title):
    """Per load and program: the three percentiles of the short ones, two of the long ones."""
    real = part != "simulator"
    out = head(title, *(["short p50", "p99", "p99.9", "long p50", "p99"] +
                        (["handed in late, p99.9, us", "others' CPU"] if real else [])))
    for case in of_part(values, part, 1):
        if case == "alone":
            continue
        for who in of_part(values, part, 2):
            cells = [figure(values, part, case, who, m) for m in
                     ("short_p50", "short_p99", "short_p99.9", "long_p50", "long_p99")]
            if cells[0] is None:
                continue
            more = []
            if real:
                more = [number(figure(values, part, case, who, "late_us")),
                        f"{quietest(values, part, case, who)[1]:.0f} %"]
            out.append(row(f"{case} %: {NAMES.get(who, who)}", *map(number, cells), *more))
    return (out if len(out) > 2 else [title + ": nothing to show yet."]) + verdict(values, part) + left_out(values, part)


def verdict(values, part):
    """The aim: two_level's p99.9 below 10 at 70 % load where fifo's is above 100."""
    fifo = figure(values, part, AIM_LOAD, "fifo", "short_p99.9")
    alone = figure(values, part, AIM_LOAD, "alone", "short_p99.9")
    words = []
    for who in of_part(values, part, 2):
        if who.startswith("two_level"):
            got = figure(values, part, AIM_LOAD, who, "short_p99.9")
            if got is not None:
                words.append(f"`{who}` {number(got)} ({'met' if got < SHORT_AIM else '**missed**'})")
    if not words:
        return []
    return ["", f"Aim at {AIM_LOAD} % load, short p99.9 below {SHORT_AIM} where fifo is above {FIFO_AIM}: "
            f"fifo {number(fifo)}; " + ", ".join(words) + (f"; the machine by itself, a thread that spins for the short ones: {number(alone)}." if alone else ".")]


def shares(values):
    out = head("shares: largest error, per cent of what is due", "fair, simulator", "fair, runtime", "round_robin, runtime", "others' CPU")
    for case in of_part(values, "shares", 1):
        errors = [figure(values, "shares", case, who, "error") for who in ("simulator", "runtime", "round_robin")]
        others = quietest(values, "shares", case, "runtime")[1]
        out.append(row(case, *(number(None if e is None else 100 * e) for e in errors), percent_of_others(others)))
    return out


def deadlines(values):
    whos = of_part(values, "deadlines", 2)
    loads = of_part(values, "deadlines", 1)
    out = head("missed deadlines, per cent of all (refused)", *whos, "others' CPU")
    for case in loads:
        cells = []
        for who in whos:
            late, refused = (figure(values, "deadlines", case, who, m) for m in ("late", "refused"))
            cells.append("-" if late is None else number(late) + (f" ({number(refused)})" if refused else ""))
        if set(cells) == {"-"}:
            continue
        others = max((o for o in (quietest(values, "deadlines", case, who)[1] for who in whos) if o is not None), default=None)
        out.append(row(case.replace(" ", ", load ", 1) + " %", *cells, percent_of_others(others)))
    return out + left_out(values, "deadlines")


def markdown(values, comments):
    """Tables without figures are left out."""
    parts = {key[0] for key in values}
    out = [f"{c}  " for c in comments]
    if "call" in parts:
        out += [""] + calls(values)
    if "simulator" in parts:
        out += [""] + slowdowns(values, "simulator", "slowdown in the simulator, by load")
    if "cpu" in parts:
        out += [""] + slowdowns(values, "cpu", "slowdown on this machine, long ones compute")
    if "cpu10" in parts:
        out += [""] + slowdowns(values, "cpu10", "the same, all ten times as long: 100 us, 50 ms")
    if "scan" in parts:
        ms, records = (figure(values, "scan", "alone", "scan", m) for m in ("ms", "records"))
        title = f"long ones are scans of {records:.0f} records of LMDB, {ms:.1f} ms alone" if ms else "long ones are scans"
        out += [""] + slowdowns(values, "scan", title)
    if "shares" in parts:
        out += [""] + shares(values)
    if "deadlines" in parts:
        out += [""] + deadlines(values)
    return "\n".join(out) + "\n"
