# SPDX-License-Identifier: MIT
"""The demo's load and its table, the same in the guest and on the host."""

import contextlib
import os
import re
import subprocess
import sys


def say(text):
    print(f"demo: {text}", flush=True)


def run(*command, **more):
    done = subprocess.run(command, capture_output=True, text=True, **more)
    if done.returncode:
        sys.exit(f"demo: `{' '.join(command)}` failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def put(path, text):
    with open(path, "w") as f:
        f.write(text)


@contextlib.contextmanager
def server(args, where, engine, tasks, backend):
    """`where` knows the machine: forget_file() empties the page cache of the data, enter() is run in the
    new process before it becomes the server."""
    where.forget_file()
    env = dict(os.environ, UMCG_BACKEND=backend) if backend else None
    process = subprocess.Popen(
        ["taskset", "-c", args.cpus, args.kv, f"--dir={args.dir}", "--port=0", f"--engine={engine}",
         f"--tasks={tasks}", f"--servers={args.servers}", "--pin", "--sync=none"],
        stdout=subprocess.PIPE, text=True, preexec_fn=where.enter, env=env)
    try:
        line = process.stdout.readline()
        if "ready on" not in line:
            sys.exit(f"demo: the server with --engine={engine} did not start")
        yield re.search(r":(\d+),", line)[1]
        process.terminate()
        if process.wait(30):
            sys.exit(f"demo: the server with --engine={engine} ended with {process.returncode}")
    finally:
        process.kill()
        process.wait()


def info(port):
    lines = run("redis-cli", "-p", port, "INFO").splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


def benchmark(args, port, requests):
    """Random GETs; requests per second and latencies in ms."""
    out = run("taskset", "-c", args.client_cpus, "redis-benchmark", "-p", port, "-t", "get",
              "-c", str(args.clients), "-n", str(requests), "-r", str(args.keys),
              "--precision", "3").replace("\r", "\n")
    result = {"rps": float(re.search(r"throughput summary: ([\d.]+)", out)[1])}
    steps = [(float(p), float(ms)) for p, ms in re.findall(r"([\d.]+)% <= ([\d.]+) milli", out)]
    for name, percent in (("p50", 50), ("p99", 99), ("p99.9", 99.9)):
        result[name] = next(ms for p, ms in steps if p >= percent)
    return result


def measure(args, where, engine, tasks="fiber", backend=None):
    """One engine under the load. where.counters() are the kernel's own counts, if it has any."""
    with server(args, where, engine, tasks, backend) as port:
        how = f" --tasks={tasks}" if engine == "umcg" else ""
        say(f"--engine={engine}{how}{f' on the {backend} backend' if backend else ''}: warming up, "
            f"then {args.requests} random GETs from {args.clients} clients")
        benchmark(args, port, args.requests // 5)
        before, counted = info(port), where.counters()
        result = benchmark(args, port, args.requests)
        after, now = info(port), where.counters()
        for name in ("blocks", "blocks_page_fault", "major_faults", "user_spans", "overlaps",
                     "wrong_state", "server_wakeups", "hand_overs"):
            result[name] = int(after[name]) - int(before[name])
        result["most"] = int(after["most_running_per_server"])
        result["keys"] = int(after["db0"].split(",")[0].split("=")[1])
        result["capabilities"] = after["capabilities"].split()
        for name in now:
            result["kernel_" + name] = now[name] - counted[name]
        return result


def table(results):
    columns = list(results)
    print(f"\n{'':44}" + "".join(f"{name:>16}" for name in columns))

    def row(label, key, form="{:,.0f}"):
        cells = [form.format(results[c][key]) if results[c].get(key) is not None else "-"
                 for c in columns]
        print(f"{label:44}" + "".join(f"{cell:>16}" for cell in cells))

    row("GETs per second", "rps")
    for percent in ("p50", "p99", "p99.9"):
        row(f"latency {percent}, ms", percent, "{:.2f}")
    row("pages read from disk (major faults)", "major_faults")
    if any("kernel_blocks" in result for result in results.values()):
        row("blocks that the kernel reported", "kernel_blocks")
        row("  of these page faults", "kernel_faults")
    row("blocks that the tasks themselves saw", "blocks")
    row("  inside an LMDB read", "blocks_page_fault")
    row("times that a server's thread had to run", "server_wakeups")
    row("looks for a second worker in user space", "user_spans")
    row("  second worker of a server found", "overlaps")
    row("  most workers of a server at once", "most")
    print(flush=True)


def arguments(parser):
    parser.add_argument("--kv", required=True)
    parser.add_argument("--keys", type=int, required=True)
    parser.add_argument("--requests", type=int, required=True)
    parser.add_argument("--clients", type=int, required=True)
    parser.add_argument("--servers", type=int, required=True)
    parser.add_argument("--cpus", required=True, help="of the server")
    parser.add_argument("--client-cpus", required=True)
    parser.add_argument("--memory", type=int, required=True, help="of the server, bytes")


def check(name, result):
    """What the backend promises is looked at, not only shown."""
    if "ONE_RUNNING" in result["capabilities"] and (
            result["overlaps"] or result["wrong_state"] or result["most"] != 1):
        sys.exit(f"demo: {name}: two workers of one server ran at once: "
                 f"{result['overlaps']} overlaps, {result['wrong_state']} wrong states")
