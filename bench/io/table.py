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


ECHO = [Case(f"echo.{size}.{n}", size, n) for size in (64, 512) for n in (1, 64, 1000, 5000)]
STREAM = [Case(f"stream.64.{n}", 64, n, WINDOW) for n in (1, 64, 1000)]
STALL = [Case("stall.none", 64, 64, rate=STALL_RATE), Case("stall.burn", 64, 64, rate=STALL_RATE, share=STALL_SHARE),
         Case("stall.block", 64, 64, rate=STALL_RATE, share=STALL_SHARE, stall=2)]
CASES = ECHO + STREAM + STALL
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
    stall_rows = (("p50, us", lambda s, c: cell(f.median(s, c, "p50"), scale=1000)),
                  ("p99, us", lambda s, c: cell(f.median(s, c, "p99"), scale=1000)),
                  ("p99.9, us", lambda s, c: cell(f.median(s, c, "p99.9"), scale=1000)),
                  ("p99.9, ratio to no stalls", lambda s, c: "-" if c == "stall.none" else
                   cell(f.ratio(s, c, "p99.9", s, "stall.none"), "{:.2f}")))
    out = [f"{c}  " for c in comments] + [""]
    out += section(f, "**Ping-pong**: each connection sends when it was answered. In brackets: ratio to the epoll loop.",
                   [(c.name, f"{c.size} B, {c.connections:,} connections") for c in ECHO], echo_rows)
    out += section(f, f"**Streaming**: each connection has {WINDOW} requests under way.",
                   [(c.name, f"{c.size} B, {c.connections:,} connections") for c in STREAM], echo_rows)
    out += section(f, f"**Stalls**: {STALL_RATE:,} requests per second at random times over 64 connections, latency from the time at "
                   "which each was to be sent; of the requests that do not stall.",
                   [(c.name, STALL_WORDS[c.name]) for c in STALL], stall_rows)
    return "\n".join(out).rstrip("\n") + "\n"
