# SPDX-License-Identifier: MIT
"""What is said on the wire, however it is cut into pieces."""

import os
import random
import threading

from harness import Error, check, encode, equal, test


@test
def commands(context):
    server = context.start()
    with server.client() as c:
        equal(c.call("PING"), b"PONG")
        equal(c.call("PING", "hello"), b"hello")
        equal(c.call("ECHO", "x"), b"x")
        equal(c.call("GET", "nothing"), None)
        equal(c.call("SET", "a", "1"), b"OK")
        equal(c.call("get", "a"), b"1")
        equal(c.call("INCR", "a"), 2)
        equal(c.call("MGET", "a", "b", "a"), [b"2", None, b"2"])
        equal(c.call("EXISTS", "a", "a", "b"), 2)
        equal(c.call("DBSIZE"), 1)
        equal(c.call("DEL", "a", "a", "b"), 1)
        equal(c.call("DBSIZE"), 0)
        equal(c.call("SET", "", "empty key"), b"OK")
        equal(c.call("GET", ""), b"empty key")
        equal(c.call("SET", "binary\0\r\n", bytes(range(256))), b"OK")
        equal(c.call("GET", "binary\0\r\n"), bytes(range(256)))
        equal(c.call("QUIT"), b"OK")
        check(c.at_end(), "QUIT did not end the connection")


@test
def set_options(context):
    with context.start().client() as c:
        equal(c.call("SET", "k", "1", "XX"), None)
        equal(c.call("SET", "k", "1", "NX"), b"OK")
        equal(c.call("SET", "k", "2", "NX"), None)
        equal(c.call("SET", "k", "3", "XX", "GET"), b"1")
        equal(c.call("SET", "k", "4", "GET", "NX"), b"3")
        equal(c.call("SET", "new", "1", "GET"), None)
        equal(c.call("MGET", "k", "new"), [b"3", b"1"])
        for refused in (["EX", "10"], ["KEEPTTL"], ["NX", "XX"], ["nonsense"]):
            equal(c.call("SET", "k", "5", *refused), Error("ERR syntax error"), refused)
        equal(c.call("GET", "k"), b"3")


@test
def errors(context):
    """Refused with Redis' words, and the connection goes on."""
    with context.start().client() as c:
        for args, text in [
            (["NOPE", "a", "b"], "unknown command 'NOPE', with args beginning with: 'a' 'b' "),
            (["GET"], "wrong number of arguments for 'get' command"),
            (["GET", "a", "b"], "wrong number of arguments for 'get' command"),
            (["CONFIG", "SET", "a", "b"], "unknown subcommand 'SET'. Try CONFIG HELP."),
            (["SCAN", "x"], "invalid cursor"),
            (["SCAN", "0", "COUNT", "0"], "syntax error"),
            (["SCAN", "0", "MATCH"], "syntax error"),
            (["GET", "k" * 504], "key has 504 bytes, more than 503"),
            (["MGET", "a", "k" * 1000], "key has 1000 bytes, more than 503"),
        ]:
            equal(c.call(*args), Error("ERR " + text), args)
        equal(c.call("SET", "k" * 503, "longest"), b"OK")
        equal(c.call("GET", "k" * 503), b"longest")
        equal(c.call("SET", "word", "abc"), b"OK")
        equal(c.call("INCR", "word"), Error("ERR value is not an integer or out of range"))
        equal(c.call("SET", "top", str(2**63 - 1)), b"OK")
        equal(c.call("INCR", "top"), Error("ERR increment or decrement would overflow"))
        equal(c.call("GET", "top"), str(2**63 - 1).encode())


@test
def garbage(context):
    """Protocol errors are answered, then the connection ends; the server goes on."""
    server = context.start()
    for data, text in [
        (b"*x\r\n", "invalid multibulk length"),
        (b"*1048577\r\n", "invalid multibulk length"),
        (b"*1\r\nx\r\n", "expected '$', got 'x'"),
        (b"*1\r\n$-1\r\n", "invalid bulk length"),
        (b"*1\r\n$999999999999\r\n", "invalid bulk length"),
        (b"x" * 70000, "too big inline request"),
        (b"*" + b"1" * 70000, "too big mbulk count string"),
        (b'get "open\r\n', "unbalanced quotes in request"),
    ]:
        with server.client() as c:
            c.send(data)
            equal(c.reply(), Error("ERR Protocol error: " + text), data[:20])
            check(c.at_end(), "still open after", data[:20])
    seed = int.from_bytes(os.urandom(4), "big")
    rng = random.Random(seed)
    for _ in range(200):
        with server.client() as c:
            try:
                c.send(rng.randbytes(rng.randrange(1, 2000)))
            except OSError:
                pass
    check(server.alive(), "the server died of garbage, seed", seed)
    server.wait_for_clients(0)


@test
def inline_commands(context):
    with context.start().client() as c:
        c.send(b"\r\n   \r\nSET  a \"b\\x20c\\n\"\r\nGET a\nECHO 'it\\'s'\r\n")
        equal([c.reply() for _ in range(3)], [b"OK", b"b c\n", b"it's"])
        c.send(b"*0\r\n*-1\r\nPING\r\n")
        equal(c.reply(), b"PONG")


@test
def one_byte_at_a_time(context):
    with context.start().client() as c:
        for byte in encode("SET", "slow", "value") + encode("GET", "slow") + b"PING\r\n":
            c.send(bytes([byte]))
        equal([c.reply() for _ in range(3)], [b"OK", b"value", b"PONG"])


@test
def pipelines(context):
    """Ten thousand requests in one go: as many replies, in order, writes seen by later reads."""
    with context.start().client() as c:
        count = 10000
        c.socket.settimeout(200)
        data = b"".join(encode("INCR", f"n{i % 7}") + encode("GET", f"n{i % 7}")
                        for i in range(count // 2))
        sender = threading.Thread(target=c.send, args=[data])
        sender.start()
        for i in range(count // 2):
            equal(c.reply(), i // 7 + 1, i)
            equal(c.reply(), str(i // 7 + 1).encode(), i)
        sender.join()


@test
def big_values(context):
    server = context.start("--memory=256mb", "--max-value=64mb")
    with server.client() as c:
        for size in (0, 1, 4095, 4096, 65536, 1 << 20, (32 << 20) + 3):
            value = random.Random(size).randbytes(size)
            equal(c.call("SET", f"v{size}", value), b"OK", size)
            check(c.call("GET", f"v{size}") == value, size, "bytes came back different")
        equal(c.call("DEL", "v33554435"), 1)
    server.wait_for_clients(0)
    equal(server.info()["client_buffers"], "0", "buffers of clients that left:")


@test
def scan(context):
    """Every key that is there all the time is returned; a restart does not matter to a cursor."""
    directory = context.directory()
    server = context.start(dir=directory)
    keys = {f"key:{i}".encode() for i in range(3000)}
    with server.client() as c:
        c.send(b"".join(encode("SET", k, "x") for k in keys))
        for _ in keys:
            equal(c.reply(), b"OK")
        seen, cursor, calls = set(), b"0", 0
        while True:
            cursor, some = c.call("SCAN", cursor, "COUNT", 100)
            seen.update(some)
            calls += 1
            # Others come and go meanwhile.
            c.call("SET", f"other:{calls}", "y")
            c.call("DEL", f"other:{calls - 2}")
            if cursor == b"0":
                break
            if calls == 10:
                c.socket.close()
                equal(server.terminate(), 0, "exit code")
                server = context.start(dir=directory)
                c.__init__(server.port)
        check(keys <= seen, len(keys - seen), "keys were not returned")
        check(calls > 20, "COUNT is not kept to:", calls, "calls")
        found, cursor = set(), None
        while cursor != b"0":
            cursor, some = c.call("SCAN", cursor or "0", "MATCH", "key:12?", "COUNT", 100000)
            found.update(some)
        equal(found, {f"key:12{i}".encode() for i in range(10)})
