# SPDX-License-Identifier: MIT
"""Schedules of open-loop loads, and what is said of their results. No clock, no randomness but the seed's.

A schedule is a list of requests (at, service, class, deadline), in ns; `deadline` counts from `at`, 0: none.
Every program and the simulator are given the same one."""

import math

SHORT, LONG = 0, 1
SHORT_NS, LONG_NS, LONG_OF_1000 = 10_000, 5_000_000, 5
MASK = (1 << 64) - 1


class Random:
    """splitmix64: the same numbers with every Python."""

    def __init__(self, seed):
        self.state = seed & MASK

    def bits(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return z ^ (z >> 31)

    def uniform(self):
        """In [0, 1)."""
        return (self.bits() >> 11) / (1 << 53)

    def exponential(self, mean):
        return -mean * math.log(1 - self.uniform())


def poisson(random, mean_gap, duration):
    """Times in [0, duration) of a Poisson process."""
    at = random.exponential(mean_gap)
    while at < duration:
        yield int(at)
        at += random.exponential(mean_gap)


def bimodal(seed, load, duration, short=SHORT_NS, long=LONG_NS, rare=LONG_OF_1000):
    """Of 1000 requests `rare` are long; together they need `load` of one CPU."""
    random = Random(seed)
    mean = (short * (1000 - rare) + long * rare) / 1000
    return [(at, long, LONG, 0) if random.bits() % 1000 < rare else (at, short, SHORT, 0)
            for at in poisson(random, mean / load, duration)]


def deadlines(seed, load, duration, service, least, most):
    """All need `service`, until a deadline between `least` and `most` after they come."""
    random = Random(seed)
    return [(at, service, SHORT, least + int(random.uniform() * (most - least)))
            for at in poisson(random, service / load, duration)]


def write(path, schedule):
    """For the programs."""
    with open(path, "w") as f:
        f.writelines(f"{at} {service} {klass} {deadline}\n" for at, service, klass, deadline in schedule)


def write_for_simulator(path, schedule):
    """For umcg-policy simulate arrivals=; without deadline it must have none."""
    with open(path, "w") as f:
        f.writelines(f"{at / 1000:.3f} {service / 1000:.3f} {klass}" + (f" {deadline / 1000:.3f}\n" if deadline else "\n")
                     for at, service, klass, deadline in schedule)


def read_result(path, n):
    """[(latency, lateness)] in ns; a latency of -1: refused."""
    with open(path) as f:
        result = [tuple(map(int, line.split())) for line in f]
    if len(result) != n or any(len(r) != 2 for r in result):
        raise ValueError(f"{path}: {len(result)} results of {n} requests")
    return result


def percentile(values, part):
    """By nearest rank: the least value that at least `part` per cent of them do not exceed."""
    if not values:
        raise ValueError("a percentile of nothing")
    if not 0 < part <= 100:
        raise ValueError(f"percentile {part}")
    # in thousandths of a per cent: 99.9 is not a binary fraction
    rank = -(-len(values) * round(part * 1000) // 100_000)
    return sorted(values)[rank - 1]


def slowdowns(schedule, result, klass, service=None):
    """Latency by service time, of those of a class that were taken. `service`: instead of the schedule's."""
    return [latency / (service or r[1]) for r, (latency, _) in zip(schedule, result) if r[2] == klass and latency >= 0]


def missed(schedule, result):
    """Parts of all: late, and refused."""
    late = sum(latency > r[3] for r, (latency, _) in zip(schedule, result) if r[3])
    refused = sum(latency < 0 for latency, _ in result)
    return late / len(schedule), refused / len(schedule)


def ideal_shares(tasks, groups=()):
    """What each of `tasks` (weight, group) has a right to, if all always want the CPU. `groups`: {id: (parent, weight)};
    group 0 is the root."""
    groups = dict(groups)
    populated = {g for _, g in tasks}
    for g in list(populated):
        while g:
            g = groups[g][0]
            populated.add(g)
    totals = {}
    for weight, g in tasks:
        totals[g] = totals.get(g, 0) + weight
    for g, (parent, weight) in groups.items():
        if g in populated:
            totals[parent] = totals.get(parent, 0) + weight

    def of_group(g):
        if not g:
            return 1
        parent, weight = groups[g]
        return of_group(parent) * weight / totals[parent]

    return [of_group(g) * weight / totals[g] for weight, g in tasks]


def share_error(got, ideal):
    """The largest, relative to what was due: 0.1 is a tenth too much or too little."""
    return max(abs(g / i - 1) for g, i in zip(got, ideal))
