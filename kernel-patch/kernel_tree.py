# SPDX-License-Identifier: GPL-2.0
"""Where the kernel source comes from and how the series is laid over it."""

import contextlib
import fcntl
import glob
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.realpath(__file__))
CACHE = os.environ.get("UMCG_CACHE", os.path.expanduser("~/.cache/umcg"))
SERIES = "6.12"


class Failure(Exception):
    """A sentence for the user: what failed and where to look."""


def say(text):
    print(f"kernel: {text}", file=sys.stderr, flush=True)


def sha256(path):
    """Of a file, remembered by size and time: the tarball is large."""
    stat = os.stat(path)
    stamp = [os.path.realpath(path), stat.st_size, stat.st_mtime_ns]
    note = os.path.join(CACHE, "tarball-sha256")
    try:
        with open(note) as f:
            known = json.load(f)
        if known["stamp"] == stamp:
            return known["sha256"]
    except (OSError, ValueError, KeyError):
        pass
    digest = hashlib.sha256()
    with open(path, "rb") as f:
        while block := f.read(1 << 20):
            digest.update(block)
    write_atomically(note, json.dumps({"stamp": stamp, "sha256": digest.hexdigest()}))
    return digest.hexdigest()


def write_atomically(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    fd, temp = tempfile.mkstemp(dir=os.path.dirname(path))
    with os.fdopen(fd, "w") as f:
        f.write(text)
    os.rename(temp, path)


@contextlib.contextmanager
def locked(name):
    """One builder at a time; another one waits and finds the work done."""
    os.makedirs(os.path.join(CACHE, "locks"), exist_ok=True)
    with open(os.path.join(CACHE, "locks", name), "w") as f:
        try:
            fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another run that holds {f.name}")
            fcntl.flock(f, fcntl.LOCK_EX)
        yield


def tarball():
    """The source that apt installed. The package's name has no point release: newest wins."""
    found = glob.glob(f"/usr/src/linux-source-{SERIES}*.tar.xz")
    if not found:
        raise Failure(
            f"no kernel source: /usr/src/linux-source-{SERIES}.tar.xz is missing; "
            f"./umcg setup installs it (package linux-source-{SERIES})"
        )
    return max(found, key=os.path.getmtime)


def patches():
    return sorted(glob.glob(os.path.join(HERE, "patches", "[0-9]*.patch")))


def run_logged(cmd, log, **more):
    with open(log, "ab") as f:
        f.write(f"$ {' '.join(cmd)}\n".encode())
        f.flush()
        done = subprocess.run(cmd, stdout=f, stderr=f, **more)
    if done.returncode:
        raise Failure(f"`{' '.join(cmd)}` failed, log: {log}")


def unpack(directory):
    """Pristine source into `directory`, which must not exist."""
    parent = os.path.dirname(directory)
    os.makedirs(parent, exist_ok=True)
    need, free = 3 << 30, shutil.disk_usage(parent).free
    if free < need:
        raise Failure(f"{parent} has {free >> 20} MB free; unpacking and building the kernel needs {need >> 20} MB")
    say(f"unpacking {tarball()}")
    temp = tempfile.mkdtemp(dir=parent, prefix=".unpack-")
    try:
        done = subprocess.run(
            ["tar", "-xf", tarball(), "--strip-components=1", "-C", temp], capture_output=True, text=True
        )
        if done.returncode:
            raise Failure(f"unpacking {tarball()} into {temp} failed: {done.stderr.strip()}")
        os.chmod(temp, 0o755)
        os.rename(temp, directory)
    except BaseException:
        shutil.rmtree(temp, ignore_errors=True)
        raise


def version(tree):
    with open(os.path.join(tree, "Makefile")) as f:
        head = f.read(400)
    return ".".join(re.search(rf"^{w} = (\d+)", head, re.M)[1] for w in ("VERSION", "PATCHLEVEL", "SUBLEVEL"))


def apply_strictly(tree, series):
    """No fuzz: a patch that applies only nearly may land in the wrong function."""
    for number, path in enumerate(series, 1):
        name = os.path.basename(path)
        say(f"patch {number} of {len(series)}: {name}")
        done = subprocess.run(
            ["patch", "-p1", "-F0", "-N", "-s", "--no-backup-if-mismatch", "-r", "-", "-i", path],
            cwd=tree, capture_output=True, text=True,
        )
        if done.returncode:
            raise Failure(
                f"{name} does not apply to Linux {version(tree)} ({tarball()}):\n{done.stdout}{done.stderr}"
                "rebase the series: kernel-patch/README.md says how"
            )


def source(series):
    """A source tree with `series` applied, cached by content."""
    key = hashlib.sha256(sha256(tarball()).encode())
    for path in series:
        with open(path, "rb") as f:
            key.update(os.path.basename(path).encode() + b"\0" + f.read())
    tree = os.path.join(CACHE, "src-" + key.hexdigest()[:16])
    with locked("source"):
        if not os.path.isdir(tree):
            temp = tree + ".new"
            shutil.rmtree(temp, ignore_errors=True)
            unpack(temp)
            try:
                apply_strictly(temp, series)
            except Failure:
                shutil.rmtree(temp, ignore_errors=True)
                raise
            os.rename(temp, tree)
        os.utime(tree)  # in use: not the next one to be pruned
    return tree
