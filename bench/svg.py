# SPDX-License-Identifier: MIT
"""Line charts as SVG, written by hand: no package to install, and the same figures give the same bytes, so a
diff of a plot shows what has changed."""

from html import escape
from math import floor, log10

PANEL, HEIGHT, LEFT, TOP, BOTTOM, GAP = 250, 220, 58, 58, 42, 62
ROW = 18
# told apart by those who see few colours, too: Okabe and Ito's, with a shape each
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#888888")
SHAPES = ("circle", "square", "triangle", "diamond") * 2


def number(v):
    return f"{v:,.0f}" if v >= 10 else f"{v:g}"


def ticks(low, high, logarithmic):
    """Where the lines of an axis are; the first is <= low and the last >= high."""
    if logarithmic:
        first = floor(log10(low))
        found = [10.0 ** first]
        while found[-1] < high:
            found.append(found[-1] * 10)
        return found if len(found) > 1 else found + [found[0] * 10]
    step = 10.0 ** floor(log10(high / 4 or 1))
    for more in (2, 2.5, 2):
        if high / step > 6:
            step *= more
    found = [0.0]
    while found[-1] < high:
        found.append(found[-1] + step)
    return found


def mark(shape, x, y, colour):
    if shape == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>'
    points = {"square": ((-3, -3), (3, -3), (3, 3), (-3, 3)), "triangle": ((0, -4), (4, 3), (-4, 3)),
              "diamond": ((0, -4.5), (4.5, 0), (0, 4.5), (-4.5, 0))}[shape]
    text = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in points)
    return f'<polygon points="{text}" fill="{colour}"/>'


def text(x, y, what, anchor="middle", size=11, extra=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}"{extra}>{escape(what)}</text>'


class Panel:
    """`series`: {name: [(x, y)]}; `aim`: a value that is marked, or None."""

    def __init__(self, title, series, aim=None, logarithmic=True):
        self.title, self.series, self.aim, self.logarithmic = title, series, aim, logarithmic


def draw(panel, left, names, x_label, x_ticks, y_ticks, y_label):
    """One panel, its plot area beginning at `left`."""
    right, bottom = left + PANEL, TOP + HEIGHT

    def px(x):
        return left + PANEL * (x - x_ticks[0]) / (x_ticks[-1] - x_ticks[0])

    def py(y):
        low, high = y_ticks[0], y_ticks[-1]
        if panel.logarithmic:
            part = (log10(max(y, low)) - log10(low)) / (log10(high) - log10(low))
        else:
            part = (y - low) / (high - low)
        return bottom - HEIGHT * part

    yield text(left + PANEL / 2, TOP - 10, panel.title, size=12)
    for y in y_ticks:
        yield f'<line x1="{left}" y1="{py(y):.1f}" x2="{right}" y2="{py(y):.1f}" stroke="#ddd"/>'
        yield text(left - 6, py(y) + 4, number(y), "end")
    for x in x_ticks:
        yield f'<line x1="{px(x):.1f}" y1="{bottom}" x2="{px(x):.1f}" y2="{bottom + 4}" stroke="#444"/>'
        yield text(px(x), bottom + 16, number(x))
    yield f'<rect x="{left}" y="{TOP}" width="{PANEL}" height="{HEIGHT}" fill="none" stroke="#444"/>'
    yield text(left + PANEL / 2, bottom + 34, x_label)
    middle = TOP + HEIGHT / 2
    yield text(left - 44, middle, y_label, extra=f' transform="rotate(-90 {left - 44:.1f} {middle:.1f})"')
    if panel.aim is not None:
        y = py(panel.aim)
        yield f'<line x1="{left}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}" stroke="#888" stroke-dasharray="5 4"/>'
        yield text(right - 4, y - 4, f"aim: below {number(panel.aim)}", "end", 10)
    for i, name in enumerate(names):
        points = panel.series.get(name, ())
        if not points:
            continue
        colour = COLOURS[i % len(COLOURS)]
        path = " ".join(f"{px(x):.1f},{py(y):.1f}" for x, y in points)
        yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.6"/>'
        for x, y in points:
            yield mark(SHAPES[i % len(SHAPES)], px(x), py(y), colour)


def chart(title, panels, x_label, y_label):
    """The whole file. Panels stand side by side and share what their axes show."""
    names = list(dict.fromkeys(name for p in panels for name in p.series))
    points = [point for p in panels for line in p.series.values() for point in line]
    if not points:
        raise ValueError(f"'{title}': nothing to draw")
    aims = [p.aim for p in panels if p.aim is not None]
    y_ticks = ticks(min([y for _, y in points] + aims), max([y for _, y in points] + aims), panels[0].logarithmic)
    x_ticks = sorted({x for x, _ in points})
    if len(x_ticks) == 1:
        x_ticks.append(x_ticks[0] * 1.1)
    width = LEFT + 8 + len(panels) * (PANEL + GAP)
    height = TOP + HEIGHT + BOTTOM + ROW * len(names) + 10
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
           f'viewBox="0 0 {width} {height}" font-family="sans-serif" fill="#222">',
           '<rect width="100%" height="100%" fill="white"/>', text(LEFT, 22, title, "start", 14)]
    for i, p in enumerate(panels):
        out += draw(p, LEFT + 8 + i * (PANEL + GAP), names, x_label, x_ticks, y_ticks, y_label)
    for i, name in enumerate(names):
        y = TOP + HEIGHT + BOTTOM + ROW * i + 8
        colour = COLOURS[i % len(COLOURS)]
        out.append(f'<line x1="{LEFT}" y1="{y}" x2="{LEFT + 28}" y2="{y}" stroke="{colour}" stroke-width="1.6"/>')
        out.append(mark(SHAPES[i % len(SHAPES)], LEFT + 14, y, colour))
        out.append(text(LEFT + 38, y + 4, name, "start"))
    return "\n".join(out) + "\n</svg>\n"
