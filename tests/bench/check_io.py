# SPDX-License-Identifier: MIT
"""The benchmark's own server and load do what they say; nothing is timed. check.py ECHO_UMCG IO_LOAD"""

import signal
import socket
import subprocess
import sys

DEADLINE = 300
SIZE = 100
ECHO, LOAD = sys.argv[1:3]


def check(variant):
    server = subprocess.Popen([ECHO, str(SIZE), *variant], stdout=subprocess.PIPE, text=True)
    try:
        port = int(server.stdout.readline().split()[1])
        # a message in pieces, two at once, and each kind of stall come back as they are
        with socket.create_connection(("127.0.0.1", port), DEADLINE) as s:
            for kind in (b"\0\0", b"\0\1", b"\2\0"):
                sent = b"".join(kind[i:i + 1] + bytes(range(1, SIZE)) for i in range(2))
                s.sendall(sent[:30])
                s.sendall(sent[30:])
                got = b""
                while len(got) < len(sent):
                    more = s.recv(len(sent) - len(got))
                    assert more, "closed"
                    got += more
                assert got == sent, kind
        for options in ([], ["--window=16", "--connections=3"], ["--rate=500"], ["--rate=500", "--share=1000", "--stall=1"],
                        ["--rate=500", "--share=1000", "--stall=2"], ["--rate=500", "--connections=1", "--window=1"],
                        *(["--rate=500", "--crowd=20", f"--crowd-kind={kind}"] for kind in (1, 2, 3))):
            done = subprocess.run([LOAD, f"--port={port}", f"--size={SIZE}", "--seconds=1", *options], stdout=subprocess.PIPE,
                                  text=True, timeout=DEADLINE)
            assert done.returncode == 0, (options, done.returncode)
            found = {k: float(v) for k, v in (line.split("\t") for line in done.stdout.splitlines())}
            assert 0 < found["answers"] <= found["all"] and 0 < found["p50"] <= found["p99"] <= found["p99.9"], (options, found)
            # with times of its own every request is answered, however late: 500 of the second, give or take 5 deviations
            assert not any(o.startswith("--rate") for o in options) or 388 <= found["answers"] <= 612, (options, found)
        for bad in (["--port=0"], ["--size=0"], ["--port=x"], ["--crowd-kind=4"], ["--nonsense"], []):
            done = subprocess.run([LOAD, *bad], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=DEADLINE)
            assert done.returncode == 2 and (bad or ["--port"])[0].split("=")[0] in done.stderr, (bad, done.stderr)
        server.send_signal(signal.SIGTERM)
        rest, _ = server.communicate(timeout=DEADLINE)
        assert server.returncode == 0 and "syscalls\t" in rest, (server.returncode, rest)
    finally:
        server.kill()
        server.wait()


for variant in ([], ["multishot"]):
    check(variant)
