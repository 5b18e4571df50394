# SPDX-License-Identifier: MIT
"""The plots of ./umcg bench policies."""

import os

import svg
from table import NAMES, SHORT_AIM, figure, of_part

SLOWDOWNS = (("simulator", "Short requests in the simulator: 99.5 % of 10 us, 0.5 % of 5 ms"),
             ("cpu", "Short requests on the runtime, in Go and on threads: 99.5 % of 10 us, 0.5 % of 5 ms of CPU"),
             ("cpu10", "The same, all ten times as long: 99.5 % of 100 us, 0.5 % of 50 ms of CPU"),
             ("scan", "Short requests beside scans of LMDB from the disk"))


def line(values, part, who, metric, prefix=""):
    """[(load, figure)]"""
    points = []
    for case in of_part(values, part, 1):
        if case.startswith(prefix) and case[len(prefix):].isdigit():
            y = figure(values, part, case, who, metric)
            if y is not None:
                points.append((float(case[len(prefix):]), y))
    return sorted(points)


def slowdowns(values, part, title):
    panels = []
    for p in ("p50", "p99", "p99.9"):
        series = {NAMES.get(who, who): line(values, part, who, f"short_{p}") for who in of_part(values, part, 2)}
        panels.append(svg.Panel(p, {name: points for name, points in series.items() if points},
                                aim=SHORT_AIM if p == "p99.9" else None))
    return svg.chart(title, panels, "offered load, %", "slowdown")


def missed(values):
    panels = []
    for where, title in (("simulator", "in the simulator"), ("runtime", "on the runtime")):
        series = {who: line(values, "deadlines", who, "late", where + " ") for who in of_part(values, "deadlines", 2)}
        if any(series.values()):
            panels.append(svg.Panel(title, series, logarithmic=False))
    return svg.chart("Deadlines missed: requests of 1 ms, due after 3 to 30 ms", panels, "offered load, %", "missed, % of all")


def write(values, folder):
    """{title: file} of what there is to draw; a plot of which nothing is left is removed."""
    os.makedirs(folder, exist_ok=True)
    written = {}
    charts = [(part, title, lambda part=part, title=title: slowdowns(values, part, title)) for part, title in SLOWDOWNS]
    for part, title, make in charts + [("deadlines", "Missed deadlines", lambda: missed(values))]:
        path = os.path.join(folder, f"policies-{part}.svg")
        try:
            drawn = make()
        except ValueError:  # nothing to draw
            if os.path.exists(path):
                os.remove(path)
            continue
        with open(path, "w") as f:
            f.write(drawn)
        written[title] = path
    return written
