# SPDX-License-Identifier: MIT
"""Builds the rivals of bench/runtime, bench/policies, bench/io and bench/kv into DIR, those whose Debian packages are here."""

import glob
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.realpath(__file__))
RUNTIME = os.path.join(os.path.dirname(HERE), "runtime")
POLICIES = os.path.join(os.path.dirname(HERE), "policies")
IO = os.path.join(os.path.dirname(HERE), "io")
CRATES = "/usr/share/cargo/registry"
CXX = ["c++", "-std=gnu++20", "-O2", "-g", "-Wall", "-Wextra", "-pthread", f"-I{RUNTIME}"]


def newer(target):
    """Is `target` newer than every source?"""
    if not os.path.exists(target):
        return False
    made = os.path.getmtime(target)
    return all(os.path.getmtime(os.path.join(where, name)) <= made
               for folder in (HERE, RUNTIME, POLICIES, IO) for where, _, names in os.walk(folder) for name in names
               if name.endswith((".h", ".hpp", ".cpp", ".go", ".rs", ".toml")))


def run(command, **environment):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          env={**os.environ, **environment})
    if done.returncode:
        sys.exit(f"bench: `{' '.join(command)}` failed:\n{done.stdout}")


def threads(out):
    run(CXX + [os.path.join(HERE, "threads.cpp"), "-o", out])


def boost_fiber(out):
    run(CXX + [os.path.join(HERE, "boost_fiber.cpp"), "-o", out, "-lboost_fiber", "-lboost_context"])


def go_program(folder, out):
    cache = os.path.join(os.path.dirname(out), "go-cache")
    run(["go", "build", "-o", out, os.path.join(HERE, folder, "main.go")], GO111MODULE="off", GOFLAGS="", GOCACHE=cache)


def go(out):
    go_program("go", out)


def cargo_program(folder, name, out):
    """Offline, from Debian's crates; in a copy, for cargo writes its lock file beside the sources."""
    copy = os.path.join(os.path.dirname(out), folder + "-build")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(os.path.join(HERE, folder), copy)
    os.mkdir(os.path.join(copy, ".cargo"))
    with open(os.path.join(copy, ".cargo", "config.toml"), "w") as f:
        f.write(f'[source.crates-io]\nreplace-with = "debian"\n[source.debian]\ndirectory = "{CRATES}"\n'
                '[net]\noffline = true\n')
    # its settings are those of CARGO_HOME, so it may be started from anywhere
    run(["cargo", "build", "--release", "--offline", "--manifest-path", os.path.join(copy, "Cargo.toml")],
        CARGO_HOME=os.path.join(copy, ".cargo"))
    shutil.copy2(os.path.join(copy, "target", "release", name), out)


def tokio(out):
    cargo_program("tokio", "tokio-bench", out)


def load_threads(out):
    run(CXX + [f"-I{POLICIES}", os.path.join(HERE, "load_threads.cpp"), "-o", out, "-llmdb"])


def load_go(out):
    go_program("load_go", out)


def kv_go(out):
    go_program("kv_go", out)


def echo_epoll(out):
    run(CXX + [f"-I{IO}", os.path.join(HERE, "echo_epoll.cpp"), "-o", out])


def echo_asio(out):
    run(CXX + [f"-I{IO}", os.path.join(HERE, "echo_asio.cpp"), "-o", out])


def echo_go(out):
    go_program("echo_go", out)


def echo_tokio(out):
    cargo_program("echo_tokio", "echo_tokio", out)


# name, function, its packages, a file that is there when they are
PEERS = (
    ("threads", threads, "build-essential", None),
    ("boost_fiber", boost_fiber, "libboost-fiber-dev", "/usr/lib/*/libboost_fiber.so"),
    ("go", go, "golang-go", "/usr/bin/go"),
    ("tokio", tokio, "librust-tokio-dev rustc cargo", "/usr/bin/cargo"),
)
# Those of bench/policies
LOAD_PEERS = (
    ("threads", load_threads, "build-essential liblmdb-dev", "/usr/include/lmdb.h"),
    ("go", load_go, "golang-go", "/usr/bin/go"),
)
# That of bench/kv
KV_PEERS = (
    ("go", kv_go, "golang-go liblmdb-dev", "/usr/bin/go"),
)
# Those of bench/io
ECHO_PEERS = (
    ("epoll", echo_epoll, "build-essential", None),
    ("asio", echo_asio, "libasio-dev", "/usr/include/asio.hpp"),
    ("go", echo_go, "golang-go", "/usr/bin/go"),
    ("tokio", echo_tokio, "librust-tokio-dev rustc cargo", "/usr/bin/cargo"),
)


def build(folder, peers=PEERS):
    """{name: program}, and a line for each that is missing."""
    folder = os.path.abspath(folder)
    os.makedirs(folder, exist_ok=True)
    found, missing = {}, []
    for name, make, packages, sign in peers:
        if sign and not glob.glob(sign) or name == "tokio" and not os.path.isdir(CRATES):
            missing.append(f"{name}: not installed (Debian packages: {packages})")
            continue
        out = os.path.join(folder, make.__name__)
        if not newer(out):
            print(f"bench: building {name} ...", file=sys.stderr)
            make(out)
        found[name] = out
    return found, missing
