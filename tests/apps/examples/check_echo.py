# SPDX-License-Identifier: MIT
"""examples/echo: many clients at once, clients that misbehave, limits, and the end.
check_echo.py PROGRAM"""

import contextlib
import os
import random
import resource
import selectors
import signal
import socket
import subprocess
import sys

import crowd

DEADLINE = 120


@contextlib.contextmanager
def server(*options, limit=None, good=True):
    process = subprocess.Popen([sys.argv[1], "--port=0", "--servers=2", *options], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, preexec_fn=limit)
    try:
        line = process.stdout.readline()
        assert "ready on" in line, (line, process.stderr.read())
        process.port = int(line.split(",")[0].rsplit(":", 1)[1])
        yield process
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE) == 0, process.returncode
        process.errors = process.stderr.read()
    finally:
        process.kill()
        process.wait()


def connect(process):
    s = socket.create_connection(("127.0.0.1", process.port), DEADLINE)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def exactly(s, n):
    data = b""
    while len(data) < n:
        more = s.recv(n - len(data))
        assert more, "the server has closed"
        data += more
    return data


def many(process, clients, rounds):
    """All at once, each its own bytes, in pieces of any size."""
    rng = random.Random(1)
    selector = selectors.DefaultSelector()
    state = {}
    for i in range(clients):
        s = connect(process)
        s.setblocking(False)
        state[s] = [rng.randbytes(rng.randrange(1, 6000)), 0, 0, rounds]
        selector.register(s, selectors.EVENT_READ | selectors.EVENT_WRITE)
    while state:
        events = selector.select(DEADLINE)
        assert events, f"{len(state)} clients wait in vain"
        for key, mask in events:
            s = key.fileobj
            data, sent, got, left = state[s]
            if mask & selectors.EVENT_WRITE:
                sent += s.send(data[sent:])
                if sent == len(data):
                    selector.modify(s, selectors.EVENT_READ)
            if mask & selectors.EVENT_READ:
                part = s.recv(65536)
                assert part and part == data[got:got + len(part)], "other bytes came back"
                got += len(part)
            if got == len(data):
                sent, got, left = 0, 0, left - 1
                if left == 0:
                    selector.unregister(s)
                    s.close()
                    del state[s]
                    continue
                selector.modify(s, selectors.EVENT_READ | selectors.EVENT_WRITE)
            state[s] = [data, sent, got, left]


for way in ("--io-uring=1", "--io-uring=0"):
    with server(way) as process:
        many(process, 300, 5)
        # half closed, reset, silent: none of them disturbs the others
        a, b, c = connect(process), connect(process), connect(process)
        a.sendall(b"x" * 1000)
        a.shutdown(socket.SHUT_WR)
        b.sendall(b"y" * 10)
        b.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        b.close()
        exactly(a, 1000)
        many(process, 20, 2)
        # takes nothing, until the server's buffers are full: it is left when the server ends
        d = connect(process)
        d.settimeout(0.5)
        with contextlib.suppress(TimeoutError):
            while True:
                d.sendall(b"z" * 100000)
        # c is still there at the end, and has said something last
        c.sendall(b"last")
        assert exactly(c, 4) == b"last"
    assert c.recv(1) == b"", "no orderly end"
    if way == "--io-uring=1":
        print(process.errors.strip())

with server("--max-clients=3") as process:
    some = [connect(process) for _ in range(3)]
    for s in some:
        s.sendall(b"1")
        exactly(s, 1)
    more = connect(process)
    assert more.recv(1) == b"", "a fourth client is served"
    some.pop().close()
    served = False
    while not served:  # until the server has heard of it
        with connect(process) as s, contextlib.suppress(OSError):
            s.sendall(b"2")
            served = s.recv(1) == b"2"

with server("--idle-seconds=1") as process:
    s = connect(process)
    assert s.recv(1) == b"", "an idle client is kept"

# out of descriptors: who is there is served, who waits gets his turn
with server(limit=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))) as process:
    clients = [connect(process) for _ in range(60)]
    for s in clients:
        s.sendall(b"z")
    assert exactly(clients[0], 1) == b"z"
    clients[0].sendall(b"z")
    for s in clients:
        assert exactly(s, 1) == b"z"
        s.close()

# idle ones are memory, and little of it; all are let go at the end
why_not = crowd.impossible()
if not why_not:
    with server("--io-uring=1", "--idle-seconds=10000", f"--max-clients={crowd.COUNT + 10}") as process:
        idle = crowd.come(process, connect, lambda s, i: s.sendall(b"%05d" % i),
                          lambda s, i: exactly(s, 5) == b"%05d" % i or sys.exit("another's answer"), 40)
    for s in idle:
        assert s.recv(1) == b"", "no orderly end"
        s.close()
else:
    print("ten thousand clients: not tried:", why_not)

done = subprocess.run([sys.argv[1], "--help"], capture_output=True, text=True, timeout=DEADLINE)
assert done.returncode == 0 and "--max-clients=N" in done.stdout, done
for bad in ("--port=99999", "--what", "--bind=192.0.2.1"):
    done = subprocess.run([sys.argv[1], bad], capture_output=True, text=True, timeout=DEADLINE)
    assert done.returncode == 1 and bad.split("=")[-1] in done.stderr, done
