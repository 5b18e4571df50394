# SPDX-License-Identifier: MIT
"""Programs that were written for Redis, and Redis itself as the oracle."""

import os
import random
import socket
import subprocess
import sys
import time

from harness import Client, Skip, check, encode, equal, find, shorten, test


@test
def redis_cli(context):
    cli = find("redis-cli")
    server = context.start()

    def call(*args, **more):
        return subprocess.run([cli, "-p", str(server.port), *args], check=True, timeout=200,
                              capture_output=True, **more).stdout

    equal(call("SET", "greeting", "hello"), b"OK\n")
    equal(call("GET", "greeting"), b"hello\n")
    check(b"wrong number of arguments" in call("GET"))
    equal(sorted(call("--scan").split()), [b"greeting"])
    data = b"".join(encode("SET", f"bulk:{i}", "v" * (i % 300)) for i in range(5000))
    out = call("--pipe", input=data)
    check(b"errors: 0, replies: 5000" in out, out)
    equal(call("DBSIZE"), b"5001\n")
    # What an interactive session asks for at its start.
    check(b"Get the value of a key" in call("COMMAND", "DOCS"))


def benchmark(server, kinds, *options):
    """All requests are answered, none by an error. No figure is looked at."""
    done = subprocess.run([find("redis-benchmark"), "-p", str(server.port), "--csv", "-r", "500", *options,
                           "-t", kinds], timeout=250, capture_output=True)
    out = done.stdout.decode()
    equal(done.returncode, 0, out, done.stderr)
    for name in kinds.upper().replace("PING", "PING_INLINE,PING_MBULK").split(","):
        check(f'"{name}' in out, name, "is missing in", out)
    check("rror" not in out + done.stderr.decode(), out, done.stderr)


@test
def redis_benchmark(context):
    server = context.start()
    for clients in ("1", "50"):
        benchmark(server, "ping,set,get,incr", "-c", clients, "-n", "500")
        benchmark(server, "ping,set,get,incr", "-c", clients, "-n", "5000", "-P", "50")
    server.wait_for_clients(0)


@test
def redis_benchmark_1000_clients(context):
    server = context.start("--max-clients=1100")
    for more in ([], ["-P", "16"]):
        benchmark(server, "set,get", "-c", "1000", "-n", "5000", *more)
    server.wait_for_clients(0)


@test
def python_redis(context):
    server = context.start()
    script = f"""
import redis
r = redis.Redis(port={server.port})
assert r.ping() and r.set('a', 1) and r.incr('a') == 2 and r.get('a') == b'2'
with r.pipeline(transaction=False) as p:
    for i in range(100): p.set(f'p{{i}}', i)
    assert p.execute() == [True] * 100
assert len(list(r.scan_iter('p*'))) == 100
assert r.mget('p1', 'none', 'p2') == [b'1', None, b'2']
assert r.delete('p1', 'p2') == 2 and r.dbsize() == 99
assert r.info()['engine'] == '{context.engine}'
"""
    for python in (sys.executable, "/usr/bin/python3"):
        done = subprocess.run([python, "-c", script], capture_output=True, timeout=200)
        if b"No module named 'redis'" not in done.stderr:
            return equal(done.returncode, 0, done.stderr.decode())
    raise Skip("python3-redis is not installed")


def start_oracle(context):
    # The server is this program under another name; it comes with redis-tools, while the package
    # redis-server would start a service.
    tool = find("redis-check-rdb")
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    process = subprocess.Popen(
        ["redis-server", "--port", str(port), "--save", "", "--bind", "127.0.0.1", "--dir",
         context.directory()], executable=tool, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(600):
        try:
            oracle = Client(port)
            oracle.port = port
            return process, oracle
        except OSError:
            time.sleep(0.05)
    process.kill()
    raise AssertionError("redis-server did not start")


FIXED = [
    ["PING"], ["PING", "a"], ["PING", "a", "b"], ["ECHO"], ["ECHO", "a"], ["ECHO", "a", "b"],
    ["GET"], ["GET", "a", "b"], ["SET", "a"], ["SET", "a", "b", "foo"], ["SET", "a", "b", "NX", "XX"],
    ["SET", "a", "b", "NX", "NX"], ["SET", "a", "b", "GET", "GET"], ["SET", "a", "b", "EX"],
    ["MGET"], ["DEL"], ["EXISTS"], ["INCR"], ["INCR", "a", "b"], ["DBSIZE", "x"], ["SCAN"],
    ["SCAN", "x"], ["SCAN", "18446744073709551616"], ["SCAN", "0", "COUNT"],
    ["SCAN", "0", "COUNT", "x"], ["SCAN", "0", "COUNT", "-1"], ["SCAN", "0", "FOO", "x"],
    ["SCAN", "0", "TYPE", "hash", "COUNT", "100000"], ["CONFIG"], ["CONFIG", "GET"],
    ["CONFIG", "GET", "sav*"], ["CONFIG", "FOO"],
    ["CONFIG", "GET", "nothing-like-it"], ["COMMAND", "FOO"], ["COMMAND", "COUNT", "x"],
    ["COMMAND", "INFO", "nothing"], ["NOTHING"], ["NOTHING", "a" * 200, "b"], ["x" * 200],
    ["NOTHING", "a\r\nb"], ["INFO", "nothing"],
]
NUMBERS = ["0", "-0", "1", "-1", "+1", " 1", "1 ", "01", "", "1.5", "9223372036854775806",
           "9223372036854775807", "9223372036854775808", "-9223372036854775808",
           "-9223372036854775809", "0x10", "abc"]
RAW = [
    b"PING\n", b"\r\nPING\r\n", b"*0\r\nPING\r\n", b"*-5\r\nPING\r\n", b"*1\r\n$4\r\nPING\r\n",
    b"*1\r\n$4\r\nPINGxx*1\r\n$4\r\nPING\r\n", b"*01\r\n", b"*+1\r\n", b"* 1\r\n", b"*\r\n",
    b"*1\r\n$04\r\n", b"*1\r\n$\r\n", b"*1\r\n:1\r\n", b"*2\r\n$3\r\nGET\r\n*1\r\n", b"*1\r\n\r\n",
    b"*1\r\n$-0\r\n", b"set 'a b' c\r\nget 'a b'\r\n", b'get "a\\x20b"\r\n', b'get "a"b\r\n',
    b"get 'a\r\n", b'set e "\\n\\r\\t\\b\\a\\q\\\\\\""\r\nget e\r\n', b"\0\r\n", b"get a'b'\r\n",
    b"QUIT\r\nPING\r\n", b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$600000000\r\n",
]


@test
def same_as_redis(context):
    """The same requests to both: the same bytes back."""
    process, oracle = start_oracle(context)
    server = context.start()
    try:
        with server.client() as c, oracle:
            for args in FIXED + [[verb, *rest] for n in NUMBERS
                                 for verb, *rest in (["SET", "n", n], ["INCR", "n"], ["INCRBY", "n", "-7"],
                                                     ["INCRBY", "n", n], ["GET", "n"])]:
                equal(c.call(*args), oracle.call(*args), args)
            seed = int.from_bytes(os.urandom(4), "big")
            rng = random.Random(seed)

            def some(count):
                return [f"k{rng.randrange(30)}" for _ in range(rng.randrange(1, count))]

            choices = [
                lambda: ["SET", *some(2), str(rng.randrange(-5, 5))],
                lambda: ["SET", *some(2), "x" * rng.randrange(5000)],
                lambda: ["SET", *some(2), "y", *rng.sample(["NX", "XX", "GET"], rng.randrange(3))],
                lambda: ["GET", *some(2)], lambda: ["INCR", *some(2)], lambda: ["DEL", *some(4)],
                lambda: ["MGET", *some(6)], lambda: ["EXISTS", *some(4)], lambda: ["DBSIZE"],
            ]
            for i in range(300):
                batch = [rng.choice(choices)() for _ in range(rng.randrange(1, 12))]
                for each in (c, oracle):
                    each.send(b"".join(encode(*args) for args in batch))
                for args in batch:
                    equal(c.reply(), oracle.reply(), "seed", seed, "batch", i, args)
            for each in (c, oracle):
                found, cursor = [], b"0"
                while True:
                    cursor, keys = each.call("SCAN", cursor, "MATCH", "k[1-2]*")
                    found += keys
                    if cursor == b"0":
                        break
                each.found = sorted(set(found))
            equal(c.found, oracle.found, "SCAN, seed", seed)
        for data in RAW:
            replies = []
            for port in (server.port, oracle.port):
                with Client(port) as c:
                    c.send(data)
                    c.socket.shutdown(socket.SHUT_WR)
                    replies.append(b"")
                    try:
                        while part := c.socket.recv(65536):
                            replies[-1] += part
                    except ConnectionResetError:
                        pass
            equal(replies[0], replies[1], shorten(data))
    finally:
        process.kill()
        process.wait()
