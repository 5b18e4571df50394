# SPDX-License-Identifier: MIT
"""Tests of examples/kv: suite.py --kv PROGRAM --engine umcg|threads [--tasks fiber|thread] [--plain-calls] [--servers N] [TEST...]

Runs wherever the engine does; prints one line `RESULT name pass|fail|skip [reason]` per test."""

import argparse
import sys

import harness
import test_clients  # noqa: F401
import test_faults  # noqa: F401
import test_protocol  # noqa: F401


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--kv", required=True)
    p.add_argument("--engine", choices=["umcg", "threads"], required=True)
    p.add_argument("--tasks", choices=["fiber", "thread"], default="fiber", help="of --engine umcg")
    p.add_argument("--plain-calls", action="store_true", help="fibers without io_uring")
    p.add_argument("--servers", type=int, default=2)
    p.add_argument("tests", nargs="*")
    args = p.parse_args()
    unknown = set(args.tests) - {t.__name__ for t in harness.TESTS}
    if unknown:
        p.error(f"no such test: {', '.join(sorted(unknown))}")
    context = harness.Context(args.kv, args.engine, args.servers, args.tasks, ["--io-uring=0"] if args.plain_calls else [])
    try:
        context.start()
    except AssertionError as e:
        # a backend that libumcg has here, and the runtime refuses
        if "the runtime does not run on backend" not in str(e):
            raise
        print(str(e).splitlines()[-2])
        sys.exit(77)
    finally:
        context.end()
    failed = harness.run_all(context, args.tests)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
