# SPDX-License-Identifier: MIT
"""./umcg bench policies: schedules, statistics, tables and plots, by arithmetic alone; and that the program serves a
schedule. No figure of a clock is judged.

Arguments: the top folder, policies-bench."""
import os
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

sys.dont_write_bytecode = True
TOP, PROGRAM = sys.argv[1:3]
sys.path[:0] = [os.path.join(TOP, "bench", "policies"), os.path.join(TOP, "bench")]
import load  # noqa: E402
import plots  # noqa: E402
import svg  # noqa: E402
import table  # noqa: E402

SECOND = 1_000_000_000


class Randomness(unittest.TestCase):
    def test_is_splitmix64(self):
        # its author's values for seed 0
        r = load.Random(0)
        self.assertEqual([r.bits() for _ in range(3)],
                         [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F])

    def test_uniform_is_below_one(self):
        r = load.Random(1)
        numbers = [r.uniform() for _ in range(20_000)]
        self.assertTrue(all(0 <= n < 1 for n in numbers))
        self.assertAlmostEqual(sum(numbers) / len(numbers), 0.5, delta=0.01)


class Arrivals(unittest.TestCase):
    def test_same_seed_same_schedule(self):
        self.assertEqual(load.bimodal(7, 0.7, SECOND), load.bimodal(7, 0.7, SECOND))
        self.assertNotEqual(load.bimodal(7, 0.7, SECOND), load.bimodal(8, 0.7, SECOND))

    def test_gaps_are_exponential(self):
        at = list(load.poisson(load.Random(2), 1000, 100_000_000))
        gaps = [b - a for a, b in zip([0] + at, at)]
        mean = sum(gaps) / len(gaps)
        variance = sum((g - mean) ** 2 for g in gaps) / len(gaps)
        self.assertAlmostEqual(mean, 1000, delta=10)
        # the mark of a Poisson process: as spread as they are long, and 1 - 1/e of them below the mean
        self.assertAlmostEqual(variance ** 0.5 / mean, 1, delta=0.02)
        self.assertAlmostEqual(sum(g < 1000 for g in gaps) / len(gaps), 0.632, delta=0.01)

    def test_in_order_and_within_the_time(self):
        s = load.bimodal(3, 0.9, SECOND)
        self.assertEqual(s, sorted(s, key=lambda r: r[0]))
        self.assertTrue(all(0 <= r[0] < SECOND for r in s))

    def test_offers_the_load(self):
        for percent in (30, 90):
            s = load.bimodal(4, percent / 100, 40 * SECOND)
            self.assertAlmostEqual(sum(r[1] for r in s) / (40 * SECOND), percent / 100, delta=0.04)
            self.assertAlmostEqual(sum(r[2] for r in s) / len(s), 0.005, delta=0.0005)

    def test_deadlines_are_between(self):
        s = load.deadlines(5, 0.5, SECOND, 1_000_000, 3_000_000, 30_000_000)
        self.assertTrue(all(3_000_000 <= r[3] < 30_000_000 for r in s))
        self.assertAlmostEqual(len(s), 500, delta=100)


class Statistics(unittest.TestCase):
    def test_percentile_is_by_nearest_rank(self):
        hundred = list(range(100, 0, -1))
        for part, value in ((1, 1), (50, 50), (99, 99), (99.1, 100), (99.9, 100), (100, 100), (0.5, 1)):
            self.assertEqual(load.percentile(hundred, part), value, part)
        self.assertEqual(load.percentile(range(1, 10_001), 99.9), 9990)
        self.assertEqual(load.percentile([7], 99.9), 7)

    def test_percentile_of_nothing(self):
        for values, part in (([], 50), ([1], 0), ([1], 101)):
            with self.assertRaises(ValueError):
                load.percentile(values, part)

    def test_slowdown(self):
        schedule = [(0, 10, 0, 0), (5, 1000, 1, 0), (9, 10, 0, 0), (10, 10, 0, 0)]
        result = [(15, 0), (3000, 1), (40, 2), (-1, 0)]
        self.assertEqual(load.slowdowns(schedule, result, 0), [1.5, 4])
        self.assertEqual(load.slowdowns(schedule, result, 1), [3])
        self.assertEqual(load.slowdowns(schedule, result, 1, 500), [6])

    def test_missed(self):
        schedule = [(0, 1, 0, 100), (0, 1, 0, 100), (0, 1, 0, 0), (0, 1, 0, 100)]
        self.assertEqual(load.missed(schedule, [(100, 0), (101, 0), (5000, 0), (-1, 0)]), (0.25, 0.25))

    def test_ideal_shares(self):
        self.assertEqual(load.ideal_shares([(100, 0), (300, 0)]), [0.25, 0.75])
        got = load.ideal_shares([(100, 1), (300, 1), (100, 2), (100, 0)], {1: (0, 200), 2: (0, 100)})
        self.assertEqual(got, [0.125, 0.375, 0.25, 0.25])
        # a group that is empty has no share; one that holds only a group has
        got = load.ideal_shares([(1, 2), (1, 0)], {1: (0, 100), 2: (1, 7), 3: (0, 900)})
        self.assertEqual([round(s, 6) for s in got], [round(100 / 101, 6), round(1 / 101, 6)])

    def test_share_error(self):
        self.assertAlmostEqual(load.share_error([0.5, 0.5], [0.25, 0.75]), 1)
        self.assertEqual(load.share_error([0.25, 0.75], [0.25, 0.75]), 0)


VALUES = {("cpu", "70", "fifo", "short_p99.9"): {1: 500.0, 2: 3000.0}, ("cpu", "70", "fifo", "short_p50"): {1: 5.0, 2: 4.0},
          ("cpu", "70", "fifo", "late_us"): {1: 1.0, 2: 9.0}, ("cpu", "70", "fifo", "others"): {1: 4.0, 2: 60.0},
          ("cpu", "70", "two_level", "short_p99.9"): {1: 99.0, 2: 5.0}, ("cpu", "70", "two_level", "short_p50"): {1: 5.0, 2: 1.0},
          ("cpu", "70", "two_level", "others"): {1: 50.0, 2: 2.0}, ("simulator", "50", "fifo", "short_p99.9"): {1: 1.0, 2: 3.0, 3: 9.0}}


class Tables(unittest.TestCase):
    def test_of_a_load_the_quietest_round(self):
        self.assertEqual(table.figure(VALUES, "cpu", "70", "fifo", "short_p99.9"), 500)
        self.assertEqual(table.figure(VALUES, "cpu", "70", "two_level", "short_p99.9"), 5)

    def test_else_the_median(self):
        self.assertEqual(table.figure(VALUES, "simulator", "50", "fifo", "short_p99.9"), 3)
        self.assertIsNone(table.figure(VALUES, "simulator", "50", "go", "short_p99.9"))

    def test_verdicts(self):
        text = table.markdown(VALUES, ["a machine"])
        self.assertIn("fifo 500; `two_level` 5.0 (met)", text)
        worse = {**VALUES, ("cpu", "70", "two_level", "short_p99.9"): {2: 10.0}}
        self.assertIn("`two_level` 10.0 (**missed**)", table.markdown(worse, []))
        self.assertNotIn("by itself", text)
        alone = {**VALUES, ("cpu", "70", "alone", "short_p99.9"): {1: 300.0}}
        self.assertIn("the machine by itself, a thread that spins for the short ones: 300", table.markdown(alone, []))
        calls = {("call", "fifo", "compiled", "cpu_ns"): {1: 5.0}, ("call", "fifo", "table", "cpu_ns"): {1: 14.9}}
        self.assertIn("**missed**, met", table.markdown(calls, []))


    def test_shares_and_deadlines(self):
        values = {("shares", "a", "simulator", "error"): {1: 0.001}, ("shares", "a", "runtime", "error"): {1: 0.5, 2: 0.25},
                  ("shares", "a", "runtime", "others"): {1: 70.0, 2: 30.0},
                  ("deadlines", "simulator 90", "deadline:cost=1ms", "late"): {1: 0.0},
                  ("deadlines", "simulator 90", "deadline:cost=1ms", "refused"): {1: 5.0},
                  ("deadlines", "runtime 90", "deadline:cost=1ms", "late"): {1: 1.5},
                  ("deadlines", "runtime 90", "deadline:cost=1ms", "others"): {1: 3.0}}
        text = table.markdown(values, [])
        self.assertIn("| a | 0.1 | 25.0 | - | 30 %, **disturbed** |", text)
        self.assertIn("| simulator, load 90 % | 0.0 (5.0) |  |", text)
        self.assertIn("| runtime, load 90 % | 1.5 | 3 % |", text)

    def test_what_others_disturbed_is_left_out(self):
        noisy = {**VALUES, ("cpu", "70", "two_level", "others"): {1: 50.0, 2: 21.0}}
        self.assertIsNone(table.figure(noisy, "cpu", "70", "two_level", "short_p99.9"))
        text = table.markdown(noisy, [])
        self.assertNotIn("two_level", text)
        self.assertIn("Left out: 1 of 2 loads", text)
        self.assertIn("(21 to 21 % in the quietest)", text)
        self.assertNotIn("Left out", table.markdown(VALUES, []))
        both = {**noisy, ("cpu", "70", "fifo", "others"): {1: 90.0, 2: 99.0}}
        self.assertIn("nothing to show yet", table.markdown(both, []))
        with tempfile.TemporaryDirectory() as folder:
            self.assertEqual(len(plots.write(VALUES, folder)), 2)
            self.assertEqual(len(plots.write(both, folder)), 1)
            self.assertEqual(os.listdir(folder), ["policies-simulator.svg"])


class Plots(unittest.TestCase):
    def test_ticks_enclose(self):
        for low, high, logarithmic in ((1, 3292, True), (0.9, 1.1, True), (10, 10, True), (0, 99.3, False), (0, 0, False)):
            t = svg.ticks(low, high, logarithmic)
            self.assertTrue(t[0] <= low and t[-1] >= high and len(t) >= 1, (low, high, t))
            self.assertLess(len(t), 12)

    def test_is_xml_and_repeats(self):
        panels = [svg.Panel("p<99>", {"a&b": [(30, 1.0), (70, 900.0)], "c": [(30, 2.0)]}, aim=10)]
        first = svg.chart("title", panels, "x", "y")
        self.assertEqual(first, svg.chart("title", panels, "x", "y"))
        root = xml.etree.ElementTree.fromstring(first)
        lines = [e for e in root if e.tag.endswith("polyline")]
        self.assertEqual([len(e.get("points").split()) for e in lines], [2, 1])
        # more is higher up, and all of it is within the panel
        (x1, y1), (x2, y2) = (map(float, p.split(",")) for p in lines[0].get("points").split())
        self.assertTrue(svg.TOP <= y2 < y1 <= svg.TOP + svg.HEIGHT and x1 < x2)

    def test_nothing_to_draw(self):
        with self.assertRaises(ValueError):
            svg.chart("title", [svg.Panel("p", {})], "x", "y")

    def test_files(self):
        with tempfile.TemporaryDirectory() as folder:
            written = plots.write(VALUES, folder)
            self.assertEqual(sorted(map(os.path.basename, written.values())), ["policies-cpu.svg", "policies-simulator.svg"])
            for path in written.values():
                xml.etree.ElementTree.parse(path)


class Program(unittest.TestCase):
    def run_it(self, *args, code=0):
        done = subprocess.run([PROGRAM, *args], capture_output=True, text=True, timeout=800)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stdout

    def test_serves_every_request(self):
        if len(os.sched_getaffinity(0)) < 2:
            self.skipTest("one CPU")
        with tempfile.TemporaryDirectory() as folder:
            schedule, result = os.path.join(folder, "schedule"), os.path.join(folder, "result")
            requests = load.bimodal(1, 0.2, SECOND // 20)
            load.write(schedule, requests)
            self.run_it("cpu", schedule, result)
            done = load.read_result(result, len(requests))
            # counted from the schedule: what was handed in late is no earlier for that
            self.assertTrue(all(latency >= late >= 0 for latency, late in done))
            with self.assertRaises(ValueError):
                load.read_result(result, len(requests) + 1)

    def test_serves_the_short_ones_alone(self):
        if len(os.sched_getaffinity(0)) < 2:
            self.skipTest("one CPU")
        with tempfile.TemporaryDirectory() as folder:
            schedule, result = os.path.join(folder, "schedule"), os.path.join(folder, "result")
            requests = load.bimodal(1, 0.2, SECOND // 20, rare=300)
            load.write(schedule, requests)
            self.run_it("alone", schedule, result)
            done = load.read_result(result, len(requests))
            for (_, _, klass, _), (latency, late) in zip(requests, done):
                self.assertTrue(latency == -1 if klass == load.LONG else latency >= late >= 0)

    def test_stops_for_each(self):
        if len(os.sched_getaffinity(0)) < 2:
            self.skipTest("one CPU")
        got = dict(line.split("\t") for line in self.run_it("stops", "200").splitlines())
        self.assertGreater(float(got["stops"]), 0.9)
        self.run_it("stops", "0", code=2)

    def test_refuses_a_bad_schedule(self):
        with tempfile.TemporaryDirectory() as folder:
            for text in ("", "1 2\n", "1 2 7 0\n", "x\n"):
                schedule = os.path.join(folder, "schedule")
                with open(schedule, "w") as f:
                    f.write(text)
                self.run_it("cpu", schedule, os.path.join(folder, "result"), code=1)

    def test_shares_in_the_simulator(self):
        out = self.run_it("shares-simulator", "fair", "5", "100/0", "300/0")
        got = [float(line.split("\t")[1]) for line in out.splitlines()]
        self.assertLess(load.share_error(got, [0.25, 0.75]), 0.02)

    def test_calls(self):
        for how in ("compiled", "table"):
            for policy in ("fifo", "work_stealing", "round_robin", "two_level", "fair", "deadline"):
                self.assertGreater(float(self.run_it(how, policy, "1000").split("\t")[1]), 0)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
