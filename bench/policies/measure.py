# SPDX-License-Identifier: MIT
"""The runs of ./umcg bench policies. Each yields lines: part, round, case, who, metric, figure."""

import os
import subprocess
import sys
import tempfile
import time

import load

PARTS = ("call", "yield", "simulator", "cpu", "cpu10", "scan", "shares", "deadlines")
DEADLINE = 600  # of one program: to see that one hangs
SECOND = 1_000_000_000
QUIET = 5  # per cent of the two CPUs that others may use before we wait or measure again, with --patience

POLICIES = ("fifo", "work_stealing", "round_robin", "two_level", "fair", "deadline")
# slices are named, so that the figures do not change their meaning when a default does
TWO_LEVEL = ("two_level:slice=100us", "two_level:slice=20us")
SIMULATED = ("fifo", "work_stealing") + TWO_LEVEL
SIMULATED_LOADS = (30, 50, 60, 70, 80, 90)
SIMULATED_SECONDS = 5
SERVED = {"cpu": SIMULATED + ("two_level:slice=100us,least=100us", "two_level:slice=100us,least=400us,long_slice=400us"),
          "cpu10": ("fifo", "work_stealing", "two_level:slice=300us,long_slice=5ms", "two_level:slice=1ms,long_slice=5ms"),
          "scan": ("fifo", "work_stealing", "two_level:slice=20us")}
ALONE = "alone"  # short requests, nothing else, and a thread that spins
LOADS, QUICK_LOADS = (30, 50, 70, 90), (50, 70)
PERCENTILES = (50, 99, 99.9)

# name, policy, {group: (parent, weight)}, tasks (weight, group)
SHARES = (
    ("weights 100, 200, 300", "fair:slice=1ms", {}, ((100, 0), (200, 0), (300, 0))),
    ("weights 50, 100, 1000", "fair:slice=1ms", {}, ((50, 0), (100, 0), (1000, 0))),
    ("groups 200, 100 and a task of 100", "fair:slice=1ms,groups=1/0:200+2/0:100", {1: (0, 200), 2: (0, 100)},
     ((100, 1), (300, 1), (100, 2), (100, 0))),
    ("groups within groups", "fair:slice=1ms,groups=1/0:300+2/0:100+3/1:100+4/1:200",
     {1: (0, 300), 2: (0, 100), 3: (1, 100), 4: (1, 200)}, ((100, 3), (100, 4), (300, 4), (100, 2))),
)
SHARE_SECONDS, SIMULATED_SHARE_SECONDS = 2, 20

# requests of 1 ms, due 3 to 30 ms after they come
DUE_NS, DUE_LEAST, DUE_MOST = 1_000_000, 3_000_000, 30_000_000
DUE = ("fifo", "deadline", "deadline:cost=1ms")
DUE_SIMULATED_LOADS = (50, 60, 70, 80, 90, 100, 110)
DUE_LOADS, DUE_QUICK_LOADS = (70, 90, 110), (90,)


class Machine:
    """What others used while a program of ours ran."""

    CPUS = sorted(os.sched_getaffinity(0))[:2]

    @classmethod
    def busy(cls):
        """Seconds of the two CPUs that somebody used, or that the machine below took away; and of idling."""
        used = idle = 0
        with open("/proc/stat") as f:
            for line in f:
                name, *ticks = line.split()
                if name in [f"cpu{n}" for n in cls.CPUS]:
                    t = [int(x) for x in ticks]
                    used += sum(t[:3]) + sum(t[5:8])
                    idle += t[3] + t[4]
        hz = os.sysconf("SC_CLK_TCK")
        return used / hz, idle / hz

    def __enter__(self):
        self.before, self.mine = self.busy(), os.times()
        return self

    def __exit__(self, *_):
        (used, idle), mine = self.busy(), os.times()
        used, idle = used - self.before[0], idle - self.before[1]
        own = sum(getattr(mine, n) - getattr(self.mine, n)
                  for n in ("user", "system", "children_user", "children_system"))
        self.others = max(0.0, 100 * (used - own) / ((used + idle) or 1))


def run(command, **environment):
    """Its figures: {name: [figure]}."""
    try:
        done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=DEADLINE)
    except subprocess.TimeoutExpired:
        sys.exit(f"bench policies: `{' '.join(command)}` did not end within {DEADLINE} s")
    if done.returncode:
        sys.exit(f"bench policies: `{' '.join(command)}`: exit code {done.returncode}\n{done.stderr}")
    figures = {}
    for line in done.stdout.splitlines():
        name, value = line.split("\t")
        figures.setdefault(name, []).append(float(value))
    return figures


class Round:
    def __init__(self, args, rivals, number, work):
        self.args, self.rivals, self.number, self.work = args, rivals, number, work
        folder = os.path.join(args.build, "bench", "policies")
        self.ours = os.path.join(folder, "policies-bench")
        self.plugin = os.path.join(folder, "fifo_plugin.so")
        self.yields = os.path.join(args.build, "bench", "runtime", "runtime-bench")
        self.tool = os.path.join(args.build, "scheduler", "umcg-policy")
        self.data = os.path.join(folder, "scan.mdb")
        self.schedule, self.result = os.path.join(work, "schedule"), os.path.join(work, "result")

    def line(self, part, case, who, metric, value):
        return f"{part}\t{self.number}\t{case}\t{who}\t{metric}\t{value:.6g}"

    def say(self, *words):
        print(f"bench policies: round {self.number},", *words, file=sys.stderr)

    # ---- what a call costs ----

    def call(self):
        n = "5000000" if self.args.quick else "20000000"
        self.say("pick and enqueue")
        for policy in POLICIES:
            for how in ("compiled", "table"):
                yield self.line("call", policy, how, "cpu_ns", run([self.ours, how, policy, n])["cpu_ns"][0])
        yield self.line("call", "fifo", "plugin", "cpu_ns", run([self.ours, "table", self.plugin, n])["cpu_ns"][0])

    def yield_(self):
        n = "500000" if self.args.quick else "2000000"
        self.say("yield under each policy")
        for policy in POLICIES + (self.plugin,):
            who = "fifo as a plugin" if policy == self.plugin else policy
            yield self.line("yield", "yield", who, "cpu_ns", run([self.yields, "yield", n], UMCG_POLICY=policy)["cpu_ns"][0])

    # ---- short and long requests ----

    def simulate(self, policy, schedule):
        """Percentiles of slowdown per class, and what the first line says, of umcg-policy."""
        load.write_for_simulator(self.schedule, schedule)
        done = subprocess.run([self.tool, "simulate", policy, "arrivals=" + self.schedule], capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"bench policies: umcg-policy simulate {policy}: {done.stderr}")
        first, titles, *rows = done.stdout.splitlines()
        counts = {what: int(n) for n, what in (part.split(" ") for part in first.rsplit(": ", 1)[1].split(", "))}
        classes = {}
        for row in rows:
            fields = dict(zip(titles.split("\t"), row.split("\t")))
            classes[int(fields["class"])] = {p: float(fields[f"p{p:g}_slowdown"]) for p in PERCENTILES}
        return counts, classes

    def simulator(self):
        for percent in QUICK_LOADS if self.args.quick else SIMULATED_LOADS:
            self.say(f"simulator, load {percent} %")
            schedule = load.bimodal(self.number * 1000 + percent, percent / 100, SIMULATED_SECONDS * SECOND)
            for policy in SIMULATED:
                _, classes = self.simulate(policy, schedule)
                for klass, name in ((load.SHORT, "short"), (load.LONG, "long")):
                    for p in PERCENTILES:
                        yield self.line("simulator", percent, policy, f"{name}_p{p:g}", classes[klass][p])

    def quietly(self, measured):
        """What measured() returns, and how much others used meanwhile: of the quietest of as many runs as there is
        patience for."""
        best = None
        while True:
            began = time.monotonic()
            while self.args.patience > time.monotonic() - began:
                with Machine() as machine:
                    time.sleep(0.3)
                if machine.others <= QUIET:
                    break
            with Machine() as machine:
                got = measured()
            if best is None or machine.others < best[1]:
                best = got, machine.others
            if best[1] <= QUIET or self.args.patience <= 0:
                return best
            self.args.patience -= time.monotonic() - began

    def serve(self, schedule, who, mode, *rest):
        """[(latency, lateness)], and how much others used meanwhile."""
        environment, program = {}, self.rivals.get(who)
        if who == ALONE:
            program, mode, rest = self.ours, "alone", ()
        elif not program:
            program, environment = self.ours, {"UMCG_POLICY": who}

        def measured():
            if mode == "scan":
                self.evict()
            run([program, mode, self.schedule, self.result, *rest], **environment)
            return load.read_result(self.result, len(schedule))

        return self.quietly(measured)

    def served(self, part, rest=(), service=None, mode=None, times=1):
        """`times`: how much longer than usual the requests are; there are fewer of them, in a longer run."""
        seconds = self.args.seconds * (1 if times == 1 else 3)
        for percent in QUICK_LOADS if self.args.quick else LOADS:
            schedule = load.bimodal(self.number * 1000 + percent, percent / 100, int(seconds * SECOND),
                                    times * load.SHORT_NS, times * load.LONG_NS)
            load.write(self.schedule, schedule)
            for who in SERVED[part] + tuple(self.rivals) + (ALONE,):
                self.say(f"{part}, load {percent} %, {who}")
                result, others = self.serve(schedule, who, mode or part, *rest)
                for klass, name in ((load.SHORT, "short"), (load.LONG, "long")):
                    slow = load.slowdowns(schedule, result, klass, service if klass == load.LONG else None)
                    for p in PERCENTILES:
                        if slow:
                            yield self.line(part, percent, who, f"{name}_p{p:g}", load.percentile(slow, p))
                yield self.line(part, percent, who, "late_us", load.percentile([late for _, late in result], 99.9) / 1000)
                yield self.line(part, percent, who, "others", others)

    def cpu(self):
        yield from self.served("cpu")

    def cpu10(self):
        yield from self.served("cpu10", mode="cpu", times=10)

    def evict(self):
        left = run([self.ours, "evict", self.data])["in_memory"][0]
        if left > 0.01:
            sys.exit(f"bench policies: {left:.0%} of {self.data} stays in memory: on what file system is it?")

    def scan(self):
        if not os.path.exists(self.data):
            self.say("making a data set of 256 MB")
            run([self.ours, "data", self.data + ".new"])
            os.rename(self.data + ".new", self.data)
        # as many records as take about 5 ms when nothing else runs
        records = 64
        for _ in range(2):
            self.evict()
            took = min(run([self.ours, "probe", self.data, str(records)])["scan_ns"])
            alone = records, took
            records = max(8, min(1000, round(records * load.LONG_NS / took)))
        records, took = alone
        yield self.line("scan", "alone", "scan", "records", records)
        yield self.line("scan", "alone", "scan", "ms", took / 1e6)
        yield from self.served("scan", (self.data, str(records)), took)

    # ---- shares and deadlines ----

    def shares(self):
        for case, policy, groups, tasks in SHARES:
            self.say(f"shares: {case}")
            ideal = load.ideal_shares(tasks, groups)
            words = [f"{w}/{g}" for w, g in tasks]
            got = run([self.ours, "shares-simulator", policy, str(SIMULATED_SHARE_SECONDS), *words])["share"]
            yield self.line("shares", case, "simulator", "error", load.share_error(got, ideal))
            # and what one does that looks at no weights
            for who, which in (("runtime", policy), ("round_robin", "round_robin:slice=1ms")):
                got, others = self.quietly(lambda which=which: run([self.ours, "shares", which, str(SHARE_SECONDS), *words])["share"])
                yield self.line("shares", case, who, "error", load.share_error(got, ideal))
                yield self.line("shares", case, who, "others", others)

    def deadlines(self):
        for percent in DUE_QUICK_LOADS if self.args.quick else DUE_SIMULATED_LOADS:
            self.say(f"deadlines in the simulator, load {percent} %")
            schedule = load.deadlines(self.number * 1000 + percent, percent / 100, SIMULATED_SECONDS * SECOND,
                                      DUE_NS, DUE_LEAST, DUE_MOST)
            for policy in DUE:
                counts, _ = self.simulate(policy, schedule)
                yield self.line("deadlines", f"simulator {percent}", policy, "late", 100 * counts["late"] / len(schedule))
                yield self.line("deadlines", f"simulator {percent}", policy, "refused", 100 * counts["refused"] / len(schedule))
        for percent in DUE_QUICK_LOADS if self.args.quick else DUE_LOADS:
            schedule = load.deadlines(self.number * 1000 + percent, percent / 100, int(self.args.seconds * SECOND),
                                      DUE_NS, DUE_LEAST, DUE_MOST)
            load.write(self.schedule, schedule)
            for policy in DUE:
                self.say(f"deadlines, load {percent} %, {policy}")
                result, others = self.serve(schedule, policy, "cpu")
                late, refused = load.missed(schedule, result)
                yield self.line("deadlines", f"runtime {percent}", policy, "late", 100 * late)
                yield self.line("deadlines", f"runtime {percent}", policy, "refused", 100 * refused)
                yield self.line("deadlines", f"runtime {percent}", policy, "others", others)


def everything(args, rivals, rounds_before):
    ours = os.path.join(args.build, "bench", "policies", "policies-bench")
    if not os.access(ours, os.X_OK):
        sys.exit(f"bench policies: {ours} is missing; ./umcg build makes it")
    with tempfile.TemporaryDirectory() as work:
        for number in range(rounds_before + 1, rounds_before + args.rounds + 1):
            one = Round(args, rivals, number, work)
            for part in PARTS:
                if part in args.parts:
                    yield from getattr(one, "yield_" if part == "yield" else part)()
