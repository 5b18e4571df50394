# SPDX-License-Identifier: MIT
"""What the tests of examples/kv share: a server under test, a client that speaks RESP over a raw
socket, and the list of tests with their verdicts."""

import ctypes
import errno
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

TESTS = []
DEADLINE = 300  # of one test, seconds; a guest without KVM on a busy machine is slow


class Skip(Exception):
    pass


def test(function):
    """Register. A test gets the Context and fails by raising."""
    TESTS.append(function)
    return function


def check(condition, *what):
    if not condition:
        raise AssertionError(" ".join(str(w) for w in what))


def equal(got, want, *what):
    check(got == want, *what, f"got {shorten(got)}, want {shorten(want)}")


def shorten(value, most=300):
    text = repr(value)
    return text if len(text) <= most else f"{text[:most]}... ({len(text)} characters)"


class Context:
    def __init__(self, kv, engine, servers, tasks="fiber", options=()):
        self.kv, self.engine, self.servers, self.tasks, self.options = kv, engine, servers, tasks, options
        self.running, self.dirs = [], []

    def waits_in_a_ring(self):
        """Are clients to be waited for in io_uring? Skip: they would be, and this kernel has none for us."""
        if self.engine == "threads" or self.tasks == "thread" or "--io-uring=0" in self.options:
            return False
        libc = ctypes.CDLL(None, use_errno=True)
        libc.syscall(425, 0, None)  # io_uring_setup, which refuses these arguments
        if ctypes.get_errno() in (errno.ENOSYS, errno.EPERM):
            raise Skip("no io_uring here")
        return True

    def directory(self):
        self.dirs.append(tempfile.mkdtemp(prefix="kv-test-"))
        return self.dirs[-1]

    def start(self, *options, dir=None, limit=None):
        """A server of its own for one test, in `dir` or a new directory."""
        server = Server(self, dir or self.directory(), options, limit)
        self.running.append(server)
        return server

    def end(self):
        for server in self.running:
            server.kill()
        for path in self.dirs:
            shutil.rmtree(path, ignore_errors=True)
        self.running, self.dirs = [], []


class Server:
    def __init__(self, context, dir, options=(), limit=None):
        self.dir = dir
        sync = [] if any(o.startswith("--sync") for o in options) else ["--sync=none"]
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [context.kv, f"--dir={dir}", "--port=0", f"--engine={context.engine}", f"--tasks={context.tasks}",
             f"--servers={context.servers}", *context.options, *sync, *options],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.errors, preexec_fn=limit)
        line = self.process.stdout.readline().decode()
        check("ready on" in line, "the server did not start:", line, self.stderr())
        self.port = int(line.split("ready on ")[1].split(",")[0].rsplit(":", 1)[1])

    def stderr(self):
        self.errors.seek(0)
        return self.errors.read().decode(errors="replace")

    def client(self, timeout=60):
        return Client(self.port, timeout)

    def info(self):
        with self.client() as c:
            lines = c.call("INFO").decode().split("\r\n")
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def wait_for_clients(self, count, seconds=120):
        """Until so many clients besides the one that asks are connected."""
        end = time.monotonic() + seconds
        while int(self.info()["connected_clients"]) - 1 != count:
            check(time.monotonic() < end, "clients are still", self.info()["connected_clients"])
            time.sleep(0.02)

    def memory_kb(self, field="VmRSS"):
        with open(f"/proc/{self.process.pid}/status") as f:
            return next(int(line.split()[1]) for line in f if line.startswith(field))

    def alive(self):
        return self.process.poll() is None

    def kill(self):
        if self.alive():
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def terminate(self, seconds=120):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)


class Error(Exception):
    """An error reply."""

    def __eq__(self, other):
        return isinstance(other, Error) and self.args == other.args

    def __hash__(self):
        return hash(self.args)


def encode(*args):
    parts = [a if isinstance(a, bytes) else str(a).encode() for a in args]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts)


class Client:
    def __init__(self, port, timeout=60):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def more(self):
        data = self.socket.recv(1 << 20)
        if not data:
            raise EOFError("the server closed the connection")
        self.buffer += data

    def line(self):
        while b"\r\n" not in self.buffer:
            self.more()
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line

    def exactly(self, size):
        if len(self.buffer) < size:
            parts, have = [self.buffer], len(self.buffer)
            while have < size:
                data = self.socket.recv(min(1 << 20, size - have))
                if not data:
                    raise EOFError("the server closed the connection")
                parts.append(data)
                have += len(data)
            self.buffer = b"".join(parts)
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def reply(self):
        """bytes, int, None, list, or an Error as a value."""
        line = self.line()
        kind, rest = line[:1], line[1:]
        if kind == b"+":
            return rest
        if kind == b"-":
            return Error(rest.decode(errors="replace"))
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else self.exactly(int(rest) + 2)[:-2]
        if kind == b"*":
            return None if rest == b"-1" else [self.reply() for _ in range(int(rest))]
        raise AssertionError(f"no RESP reply: {shorten(line)}")

    def call(self, *args):
        self.send(encode(*args))
        return self.reply()

    def at_end(self):
        """The server has closed in an orderly way, nothing more came."""
        return self.buffer == b"" and self.socket.recv(1) == b""

    def reset(self):
        """Go with an RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()


def find(tool):
    path = shutil.which(tool)
    if not path:
        raise Skip(f"{tool} is not installed")
    return path


def run_all(context, wanted):
    """One RESULT line per test. A test that outlives its deadline ends the run."""
    failed = 0
    prefix = "thread_tasks." if context.engine == "umcg" and context.tasks == "thread" else ""
    prefix = "plain_calls." if "--io-uring=0" in context.options else prefix
    for function in TESTS:
        name = function.__name__
        if wanted and name not in wanted:
            continue
        watchdog = threading.Timer(DEADLINE, give_up, [context, name])
        watchdog.daemon = True
        watchdog.start()
        began = time.monotonic()
        verdict, reason = "pass", ""
        try:
            function(context)
            for server in context.running:
                check(server.process.poll() in (None, 0, -signal.SIGKILL),
                      "the server ended with", server.process.poll(), server.stderr())
        except Skip as e:
            verdict, reason = "skip", str(e)
        except Exception as e:
            traceback.print_exc(file=sys.stdout)
            verdict, reason = "fail", " ".join(f"{type(e).__name__}: {e}".split())[:500]
        watchdog.cancel()
        context.end()
        failed += verdict == "fail"
        print(f"RESULT {prefix}{name} {verdict} {reason}".rstrip(), flush=True)
        print(f"# {name}: {time.monotonic() - began:.1f} s", flush=True)
    return failed


def give_up(context, name):
    for server in context.running:
        print(f"# server {server.process.pid}: {server.stderr()}")
        for task in os.listdir(f"/proc/{server.process.pid}/task"):
            for file in ("wchan", "stack"):
                try:
                    with open(f"/proc/{server.process.pid}/task/{task}/{file}") as f:
                        print(f"# {task} {file}: {f.read()}")
                except OSError:
                    pass
    print(f"RESULT {name} fail no end after {DEADLINE} s", flush=True)
    for server in context.running:
        server.process.kill()
    os._exit(1)
