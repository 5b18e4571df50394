# SPDX-License-Identifier: MIT
"""The cases of bench/io, and its tables. A figure is the median of the rounds; a ratio is the median of the rounds' ratios,
each of two figures that were measured seconds apart."""

import dataclasses
from statistics import median

SERVERS = ("umcg", "epoll", "asio", "go", "tokio")
VARIANTS = ("umcg-multishot",)  # measured if they are asked for
BASE = "epoll"
STALL_RATE, STALL_SHARE = 2000, 100  # requests per second; of 10,000 so many stall
WINDOW = 16


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    size: int
    connections: int
    window: int = 1
    rate: int = 0
    share: int = 0
    stall: int = 1
    crowd: int = 0
    crowd_kind: int = 1


ECHO = [Case(f"echo.{size}.{n}", size, n) for size in (64, 512) for n in (1, 64, 1000, 5000)]
STREAM = [Case(f"stream.64.{n}", 64, n, WINDOW) for n in (1, 64, 1000)]
STALL = [Case("stall.none", 64, 64, rate=STALL_RATE), Case("stall.burn", 64, 64, rate=STALL_RATE, share=STALL_SHARE),
         Case("stall.block", 64, 64, rate=STALL_RATE, share=STALL_SHARE, stall=2)]
# beside as many clients as stall.none has
CROWD = [Case(name, 64, 64, rate=STALL_RATE, crowd=n, crowd_kind=kind) for name, n, kind in
         (("crowd.idle", 10000, 1), ("crowd.slow", 500, 2), ("crowd.deaf", 200, 3))]
CASES = ECHO + STREAM + STALL + CROWD
CROWD_WORDS = {"crowd.idle": "10,000 are idle", "crowd.slow": "500 send a byte every 100 ms", "crowd.deaf": "200 send and never read"}
STALL_WORDS = {"stall.none": "none stalls", "stall.burn": "1 % use the CPU for 1 ms", "stall.block": "1 % sleep 1 ms in a system call"}


class Figures:
    def __init__(self, values):
        self.values = values
        self.servers = [s for s in SERVERS + VARIANTS if any(k[0] == s for k in values)]

    def median(self, server, case, metric):
        found = self.values.get((server, case, metric))
        return median(found.values()) if found else None

    def ratio(self, server, case, metric, base_server=BASE, base_case=None):
        mine = self.values.get((server, case, metric), {})
        base = self.values.get((base_server, base_case or case, metric), {})
        pairs = [mine[r] / base[r] for r in mine if base.get(r)]
        return median(pairs) if pairs else None


def cell(value, form="{:,.0f}", scale=1.0):
    return "-" if value is None else form.format(value / scale)


def section(f, title, cases, rows):
    """One table: a line for each case and row; rows: (words, function of server and case)."""
    lines = []
    for case, words in cases:
        for what, figure in rows:
            cells = [figure(s, case) for s in f.servers]
            if any(c != "-" for c in cells):
                lines.append(f"| {words} | {what} | " + " | ".join(cells) + " |")
    if not lines:
        return []
    return [title, "", "| load | figure | " + " | ".join(f.servers) + " |", "|---|---|" + "--:|" * len(f.servers), *lines, ""]


def with_ratio(f, metric, scale, form):
    def figure(server, case):
        value = f.median(server, case, metric)
        ratio = f.ratio(server, case, metric) if server != BASE else None
        return cell(value, form, scale) + (f" ({ratio:.2f})" if ratio is not None else "")
    return figure


def markdown(values, comments):
    f = Figures(values)
    echo_rows = (("requests per second", with_ratio(f, "rps", 1, "{:,.0f}")),
                 ("CPU of the server per request, ns", with_ratio(f, "cpu_ns", 1, "{:,.0f}")),
                 ("p50, us", with_ratio(f, "p50", 1000, "{:,.0f}")), ("p99, us", with_ratio(f, "p99", 1000, "{:,.0f}")),
                 ("p99.9, us", with_ratio(f, "p99.9", 1000, "{:,.0f}")),
                 ("system calls per request", lambda s, c: cell(f.median(s, c, "syscalls"), "{:.2f}")))
    latency_rows = tuple((f"{p}, us", lambda s, c, p=p: cell(f.median(s, c, p), scale=1000)) for p in ("p50", "p99", "p99.9"))
    stall_rows = (*latency_rows, ("p99.9, ratio to no stalls", lambda s, c: "-" if c == "stall.none" else
                                  cell(f.ratio(s, c, "p99.9", s, "stall.none"), "{:.2f}")))
    crowd_rows = (*latency_rows, *((f"{p}, ratio to no such clients", lambda s, c, p=p: cell(f.ratio(s, c, p, s, "stall.none"), "{:.2f}"))
                                   for p in ("p99", "p99.9")))
    out = [f"{c}  " for c in comments] + [""]
    out += section(f, "**Ping-pong**: each connection sends when it was answered. In brackets: ratio to the epoll loop.",
                   [(c.name, f"{c.size} B, {c.connections:,} connections") for c in ECHO], echo_rows)
    out += section(f, f"**Streaming**: each connection has {WINDOW} requests under way.",
                   [(c.name, f"{c.size} B, {c.connections:,} connections") for c in STREAM], echo_rows)
    out += section(f, f"**Stalls**: {STALL_RATE:,} requests per second at random times over 64 connections, latency from the time at "
                   "which each was to be sent; of the requests that do not stall.",
                   [(c.name, STALL_WORDS[c.name]) for c in STALL], stall_rows)
    out += section(f, "**Others**: the same load as where none stalls, beside clients that are of no use.",
                   [(c.name, CROWD_WORDS[c.name]) for c in CROWD], crowd_rows)
    return "\n".join(out).rstrip("\n") + "\n"
