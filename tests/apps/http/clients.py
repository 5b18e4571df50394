# SPDX-License-Identifier: MIT
"""examples/http under the programs that people measure and attack servers with: wrk, h2load in its HTTP/1 mode,
slowhttptest. clients.py PROGRAM; one RESULT line for each client and way of the server's I/O."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import urllib.request

DEADLINE = 300
PACKAGES = {"wrk": "wrk", "h2load": "nghttp2-client", "slowhttptest": "slowhttptest"}
SLOW = {"headers": "-H", "body": "-B", "ranges": "-R", "reader": "-X"}


class Server:
    def __init__(self, program, root, *options):
        self.process = subprocess.Popen([program, f"--root={root}", "--port=0", "--servers=2", "--log=0", *options],
                                        stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        assert "ready on" in line, line
        self.url = "http://127.0.0.1:" + line.split(",")[0].rsplit(":", 1)[1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def get(self, path):
        with urllib.request.urlopen(self.url + path, timeout=DEADLINE) as answer:
            return answer.read()

    def status(self):
        return json.loads(self.get("/status"))

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(DEADLINE) == 0, self.process.returncode


def run(*command):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=DEADLINE)
    print(f"$ {' '.join(command)}\n{done.stdout}", flush=True)
    assert done.returncode == 0, f"{command[0]} ended with {done.returncode}"
    return re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)


def wrk(server):
    before = server.status()["requests"]
    said = run("wrk", "-t1", "-c64", "-d3s", f"--timeout={DEADLINE}s", server.url + "/")
    answered = int(re.search(r"(\d+) requests in", said)[1])
    assert answered > 0 and "Non-2xx" not in said and "Socket errors" not in said, said
    # those in flight at the end were answered as well, and wrk counted them no more
    assert server.status()["requests"] >= before + answered, server.status()


def h2load(server):
    for path, size, total, clients, pipelined in (("/", 6, 20000, 50, 4), ("/", 6, 2000, 1000, 1), ("/big.bin", 3_000_000, 40, 4, 1)):
        said = run("h2load", "--h1", f"-n{total}", f"-c{clients}", f"-m{pipelined}", server.url + path)
        assert f"{total} succeeded, 0 failed, 0 errored, 0 timeout" in said, said
        assert f"{total} 2xx, 0 3xx, 0 4xx, 0 5xx" in said, said
        assert f"({total * size}) data" in said, said


def slow(server, kind):
    """A hundred slow clients: all others are served meanwhile, and they are sent away."""
    fed, over = [], threading.Event()

    def others():
        while not over.is_set() or not fed:
            try:
                fed.append(server.get("/"))
            except OSError as e:
                fed.append(str(e))

    # it ends as soon as all of them are gone; readers never are: what is left of an answer is the kernel's to deliver
    seconds = 8 if kind == "reader" else DEADLINE // 2
    thread = threading.Thread(target=others)
    thread.start()
    try:
        said = run("slowhttptest", SLOW[kind], "-c100", "-r100", "-i1", f"-l{seconds}", f"-p{DEADLINE}", "-u",
                   server.url + ("/big.bin" if kind == "reader" else "/"))
    finally:
        over.set()
        thread.join()
    assert "service available:   NO" not in said, said
    assert set(fed) == {b"hello\n"}, fed
    if kind != "reader":
        assert "No open connections left" in said, said
    # only who asks is still there
    wait_until(lambda: server.status()["clients"] == 1)


def wait_until(condition):
    for _ in range(DEADLINE * 10):
        if condition():
            return
        threading.Event().wait(0.1)
    raise AssertionError("it did not come")


def judge(name, tool, check, *arguments):
    if tool and not shutil.which(tool):
        print(f"RESULT {name} skip {tool} is missing (package {PACKAGES[tool]})", flush=True)
        return True
    try:
        check(*arguments)
    except (AssertionError, subprocess.TimeoutExpired, OSError) as e:
        print(f"RESULT {name} fail {str(e).splitlines()[0] if str(e) else type(e).__name__}", flush=True)
        return False
    print(f"RESULT {name} pass", flush=True)
    return True


def main():
    root = tempfile.mkdtemp()
    good = True
    try:
        for name, data in (("index.html", b"hello\n"), ("big.bin", os.urandom(3_000_000))):
            with open(os.path.join(root, name), "wb") as f:
                f.write(data)
        for way in ("io-uring", "blocking"):
            option = f"--io-uring={int(way == 'io-uring')}"
            with Server(sys.argv[1], root, option, "--max-clients=1100") as server:
                good &= judge(f"{way}:wrk", "wrk", wrk, server)
                good &= judge(f"{way}:h2load", "h2load", h2load, server)
                good &= judge(f"{way}:sigterm", None, server.stop)
            with Server(sys.argv[1], root, option, "--request-seconds=2", "--idle-seconds=2") as server:
                for kind in SLOW:
                    good &= judge(f"{way}:slowhttptest-{kind}", "slowhttptest", slow, server, kind)
                good &= judge(f"{way}:sigterm-after-slow-clients", None, server.stop)
    finally:
        shutil.rmtree(root)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
