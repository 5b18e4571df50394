# SPDX-License-Identifier: MIT
"""examples/http: files, JSON, pipelining, clients that misbehave, limits, and the end.
check_http.py PROGRAM"""

import contextlib
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile

import crowd

DEADLINE = 120
TOP = tempfile.mkdtemp()
ROOT = os.path.join(TOP, "root")
BIG = os.urandom(3_000_000)


@contextlib.contextmanager
def server(*options, limit=None):
    with open(os.path.join(TOP, "log"), "w+") as log:
        process = subprocess.Popen([sys.argv[1], f"--root={ROOT}", "--port=0", "--servers=2", *options],
                                   stdout=subprocess.PIPE, stderr=log, text=True, preexec_fn=limit)
        try:
            line = process.stdout.readline()
            assert "ready on" in line, line
            process.port = int(line.split(",")[0].rsplit(":", 1)[1])
            yield process
            process.send_signal(signal.SIGTERM)
            assert process.wait(DEADLINE) == 0, process.returncode
            log.seek(0)
            process.log = log.read()
        finally:
            process.kill()
            process.wait()


def connect(process, data=b""):
    s = socket.create_connection(("127.0.0.1", process.port), DEADLINE)
    s.sendall(data)
    return s


def to_end(s):
    data = b""
    while more := s.recv(65536):
        data += more
    return data


def get(path, *headers, version="1.1"):
    return "\r\n".join([f"GET {path} HTTP/{version}", "Host: x", *headers, "", ""]).encode()


def ask(process, data):
    """One request that ends the connection: status and body."""
    with connect(process, data) as s:
        head, _, body = to_end(s).partition(b"\r\n\r\n")
    return int(head.split()[1]), body


def close(path):
    return get(path, "Connection: close")


os.mkdir(ROOT)
os.mkdir(os.path.join(ROOT, "sub"))
for name, data in (("../secret", b"secret"), ("index.html", b"<p>hello"), ("big.bin", BIG), ("sub/a b.txt", b"blank")):
    with open(os.path.join(ROOT, name), "wb") as f:
        f.write(data)
os.symlink("../secret", os.path.join(ROOT, "out"))
os.symlink("index.html", os.path.join(ROOT, "in"))
os.mkfifo(os.path.join(ROOT, "fifo"))

for way in ("--io-uring=1", "--io-uring=0"):
    with server(way) as process:
        # a part of it is not in memory, where there is a disk
        with open(os.path.join(ROOT, "big.bin"), "rb") as f:
            os.fsync(f.fileno())
            os.posix_fadvise(f.fileno(), 1000000, 0, os.POSIX_FADV_DONTNEED)
        for path, status, body in (("/", 200, b"<p>hello"), ("/in", 200, b"<p>hello"), ("/big.bin", 200, BIG),
                                   ("/sub/a%20b.txt?q", 200, b"blank"), ("/sub", 301, None), ("/none", 404, None),
                                   ("/out", 403, None), ("/fifo", 403, None), ("/../secret", 400, None),
                                   ("/%2e%2e/secret", 400, None), ("/sub/", 404, None)):
            got = ask(process, close(path))
            assert got[0] == status and body in (None, got[1]), (path, got[0])
            assert b"secret" not in got[1]
        # a hundred at once, and in pieces of a byte; the last one ends the connection
        with connect(process, get("/") * 100 + close("/in")) as s:
            assert to_end(s).count(b"<p>hello") == 101
        with connect(process) as s:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in get("/") + close("/"):
                s.sendall(bytes([byte]))
            assert to_end(s).count(b"<p>hello") == 2
        assert ask(process, get("/", version="1.0"))[0] == 200
        body = b"POST /count HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        assert ask(process, body + b"4\r\na b\n\r\n0\r\n\r\n") == (200, b'{"bytes":4,"lines":1,"words":2}\n')
        # too much, and garbage
        assert ask(process, get("/" + "a" * 9000))[0] == 414
        assert ask(process, get("/", "A: " + "a" * 20000))[0] == 431
        assert ask(process, b"POST /count HTTP/1.1\r\nHost: x\r\nContent-Length: 67108864\r\n\r\n")[0] == 413
        assert ask(process, b"\x16\x03\x01\r\n\r\n")[0] == 400
        # gone in the middle of a request, and of an answer
        connect(process, b"GET / HT").close()
        gone = connect(process, get("/big.bin"))
        gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        gone.close()
        gone = connect(process, get("/big.bin"))
        assert gone.recv(5000)
        gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        gone.close()
        # half closed: all answers, then the end
        half = connect(process, get("/") * 3 + b"GET / HT")
        half.shutdown(socket.SHUT_WR)
        assert to_end(half).count(b"<p>hello") == 3
        done = subprocess.run(["curl", "-s", "-d", "x y", f"http://127.0.0.1:{process.port}/count"], capture_output=True)
        assert done.stdout == b'{"bytes":3,"lines":0,"words":2}\n', done
        idle = connect(process, get("/"))
        assert idle.recv(1) == b"H"
    assert to_end(idle).endswith(b"hello"), "no orderly end"
    assert 'target="/big.bin" status=200 bytes=3000000' in process.log, process.log

with server("--request-seconds=1", "--idle-seconds=1") as process:
    assert ask(process, b"GET / HTTP/1.1\r\nHo")[0] == 408, "a slow head is waited for"
    assert ask(process, b"POST /count HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n1")[0] == 408
    assert to_end(connect(process)) == b"", "an idle client is kept"
    # it asks for 150 MB and takes nothing: it is left, the others are served
    greedy = connect(process, get("/big.bin") * 50)
    assert ask(process, close("/"))[0] == 200
    while '"clients":1,' not in ask(process, close("/status"))[1].decode():
        pass
    try:
        assert len(to_end(greedy)) < 50 * len(BIG)
    except ConnectionResetError:
        pass

with server("--max-clients=1") as process:
    first = connect(process, get("/"))
    assert first.recv(1) == b"H"
    assert connect(process).recv(12) == b"HTTP/1.1 503"
    first.close()

def whole(s, _):
    data = b""
    while not data.endswith(b"<p>hello"):
        more = s.recv(65536)
        assert more, data
        data += more


# idle ones are memory, and little of it
why_not = crowd.impossible()
if not why_not:
    with server("--io-uring=1", "--log=0", "--idle-seconds=10000", f"--max-clients={crowd.COUNT + 10}") as process:
        idle = crowd.come(process, connect, lambda s, _: s.sendall(get("/")), whole, 40)
    for s in idle:
        assert s.recv(1) == b"", "no orderly end"
        s.close()
else:
    print("ten thousand clients: not tried:", why_not)

# out of descriptors: who is there is served, who waits gets his turn
with server(limit=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))) as process:
    clients = [connect(process, get("/status")) for _ in range(60)]
    assert clients[0].recv(12) == b"HTTP/1.1 200"
    clients[0].close()
    for s in clients[1:]:
        assert s.recv(12) == b"HTTP/1.1 200"
        s.close()

done = subprocess.run([sys.argv[1], "--help"], capture_output=True, text=True, timeout=DEADLINE)
assert done.returncode == 0 and "--root=DIRECTORY" in done.stdout, done
for bad in ("--port=99999", "--what", "--root=/does/not/exist"):
    done = subprocess.run([sys.argv[1], f"--root={ROOT}", bad], capture_output=True, text=True, timeout=DEADLINE)
    assert done.returncode == 1 and bad.split("=")[-1] in done.stderr, done
subprocess.run(["rm", "-r", TOP], check=True)
