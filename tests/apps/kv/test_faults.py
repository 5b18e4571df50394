# SPDX-License-Identifier: MIT
"""Clients that misbehave, limits that are reached, and the end of the server in two ways."""

import os
import random
import resource
import signal
import socket
import threading
import time

from harness import Error, Skip, check, encode, equal, test


@test
def clients_that_disappear(context):
    """In every state: idle, half a request, half a reply, reply never read. Others are served."""
    server = context.start("--sync=none")
    with server.client() as good:
        good.call("SET", "big", b"x" * (4 << 20))
        for i in range(60):
            c = server.client()
            state = i % 6
            if state == 1:
                c.send(b"*2\r\n$3\r\nGET\r\n$3\r\nbi")
            elif state == 2:
                c.send(encode("GET", "big"))  # more than the socket's buffers take
            elif state == 3:
                c.send(encode("GET", "big") * 4)
                c.socket.recv(10)
            elif state == 4:
                c.send(encode("SET", "half", b"y" * 100000)[:-50000])
            elif state == 5:
                c.send(encode("INCR", "n") * 1000)
            c.reset() if i % 2 else c.socket.close()
            equal(good.call("PING"), b"PONG", "client", i)
        server.wait_for_clients(1)
        equal(good.call("EXISTS", "half"), 0)


@test
def half_closed_clients(context):
    """Who says that nothing more will come still gets all replies."""
    with context.start().client() as c:
        c.send(encode("SET", "a", "b") + encode("GET", "a") * 500 + b"*2\r\n$3\r\nGET")
        c.socket.shutdown(socket.SHUT_WR)
        equal(c.reply(), b"OK")
        for _ in range(500):
            equal(c.reply(), b"b")
        check(c.at_end(), "not closed after the last reply")


@test
def a_client_that_never_reads(context):
    """It costs its worker and a bounded buffer, nobody else."""
    server = context.start("--memory=64mb")
    with server.client() as good, server.client() as bad:
        good.call("SET", "big", b"x" * (1 << 20))
        before = server.memory_kb()
        bad.socket.settimeout(1)
        try:
            while True:
                bad.send(encode("GET", "big") * 100)
        except (TimeoutError, socket.timeout):
            pass
        for _ in range(200):
            equal(good.call("PING"), b"PONG")
        check(server.memory_kb() - before < 32 * 1024, "grew by", server.memory_kb() - before, "kB")


@test
def the_memory_limit(context):
    """Clients that announce much share one budget; beyond it an error, not the machine's memory."""
    server = context.start("--memory=16mb", "--max-value=12mb")
    with server.client() as good:
        equal(good.call("SET", "v", b"v" * (6 << 20)), b"OK")
        hogs = []
        errors = 0
        for _ in range(8):
            c = server.client()
            hogs.append(c)
            try:
                c.send(b"*3\r\n$3\r\nSET\r\n$1\r\nh\r\n$%d\r\n" % (10 << 20) + b"h" * (5 << 20))
            except OSError:
                errors += 1  # refused before all of it was sent
        with server.client() as late:
            reply = late.call("GET", "v")
            check(reply == b"v" * (6 << 20) or
                  reply == Error("OOM command not allowed when used memory > 'maxmemory'."), reply)
        for c in hogs:
            try:
                c.socket.settimeout(0.2)
                errors += isinstance(c.reply(), Error)
            except (TimeoutError, socket.timeout):
                pass
            except OSError:
                errors += 1
        check(errors >= 4, "only", errors, "of 8 hogs were refused")
        check(server.memory_kb() < 100 * 1024, server.memory_kb(), "kB")
        for c in hogs:
            c.socket.close()
        server.wait_for_clients(1)
        equal(good.call("GET", "v"), b"v" * (6 << 20))
        equal(good.call("MGET", *["v"] * 4),
              Error("OOM command not allowed when used memory > 'maxmemory'."))
        equal(good.call("PING"), b"PONG")
    with server.client() as c:
        c.send(b"*3\r\n$3\r\nSET\r\n$1\r\nh\r\n$%d\r\n" % (13 << 20))
        equal(c.reply(), Error("ERR Protocol error: invalid bulk length"))


@test
def too_many_clients(context):
    server = context.start("--max-clients=4")
    clients = [server.client() for _ in range(4)]
    for c in clients:
        equal(c.call("PING"), b"PONG")
    with server.client() as c:
        equal(c.reply(), Error("ERR max number of clients reached"))
        check(c.at_end())
    clients[0].call("QUIT")
    clients[0].socket.close()
    # its place is free when its task has ended; one that is never given away ends at the deadline
    served = False
    while not served:
        with server.client() as c:
            try:
                served = c.call("PING") == b"PONG"
            except (OSError, EOFError):
                pass


@test
def out_of_descriptors(context):
    """accept() fails with EMFILE: those who are there are served, those who wait get their turn, and
    the server does not spin meanwhile."""
    server = context.start("--max-clients=1000",
                           limit=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)))
    # The server has lowered --max-clients to fit; use up what it kept for itself from outside.
    with server.client() as c:
        most = int(c.call("CONFIG", "GET", "maxclients")[1])
    check(0 < most < 64, "--max-clients is still", most)
    check("descriptors" in server.stderr(), "no word about it:", server.stderr())
    own = len(os.listdir(f"/proc/{server.process.pid}/fd"))  # a backend may have some
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (own + 10, 64))
    clients = []
    for _ in range(most - 4):
        clients.append(server.client())
        clients[-1].send(encode("PING"))
    equal(clients[0].reply(), b"PONG")
    # Not its CPU time: on a busy machine a spinner gets little. But it always wants some.
    runnable = 0
    for _ in range(50):
        with open(f"/proc/{server.process.pid}/stat") as f:
            runnable += f.read().rsplit(")", 1)[1].split()[0] == "R"
        time.sleep(0.01)
    check(runnable < 25, "it spins: found runnable", runnable, "times of 50")
    equal(clients[0].call("PING"), b"PONG")
    for c in clients[:20]:
        c.socket.close()
    for c in clients[20:]:
        equal(c.reply(), b"PONG", "a client that waited in the backlog")


@test
def a_full_database(context):
    """Every write of a batch that cannot be committed gets the error; what was there stays."""
    full = Error("ERR the database is full, restart with a larger --map-size")
    directory = context.directory()
    server = context.start("--map-size=4mb", dir=directory)
    with server.client() as c:
        equal(c.call("SET", "kept", "1"), b"OK")
        count = 0
        while (reply := c.call("SET", f"v{count}", b"x" * 12000)) == b"OK":
            count += 1
        equal(reply, full)
        check(count > 100, "full after", count, "values of 12 kB")
        # One batch: it fits into what the server reads at once.
        c.send(encode("INCR", "kept") + encode("SET", "more", b"x" * 12000) + encode("GET", "kept"))
        equal([c.reply() for _ in range(3)], [full, full, b"1"])
        for i in range(count):
            equal(c.call("EXISTS", f"v{i}"), 1)
    equal(server.terminate(), 0, "exit code")
    with context.start("--map-size=8mb", dir=directory).client() as c:
        equal(c.call("GET", "kept"), b"1")
        equal(c.call("SET", "more", b"x" * 12000), b"OK")
        equal(c.call("DBSIZE"), count + 2)


@test
def acknowledged_writes_survive_sigkill(context):
    """Kill it under load, again and again: what was acknowledged is there, nothing is torn."""
    seed = int.from_bytes(os.urandom(4), "big")
    rng = random.Random(seed)
    for mode in ("none", "meta", "full"):
        directory = context.directory()
        acknowledged = {}  # key: last value that the server has said OK to
        sent = {}
        for life in range(3):
            server = context.start(f"--sync={mode}", dir=directory)
            with server.client() as c:
                for key, value in acknowledged.items():
                    got = c.call("GET", key)
                    # What was sent last may have been committed without our hearing of it.
                    check(got is not None and int(got[:10]) in range(value, sent[key] + 1),
                          f"seed {seed}, --sync={mode}, life {life}: {key} is {got and got[:10]},",
                          f"acknowledged was {value}, sent was {sent[key]}")
                    equal(got[10:], padding(int(got[:10])), "torn value of", key, "seed", seed)
            threads = [threading.Thread(target=write, args=[server, f"w{i}", acknowledged, sent])
                       for i in range(4)]
            for t in threads:
                t.start()
            time.sleep(rng.uniform(0.1, 0.8))
            while life == 2 and len(acknowledged) < 4:  # on a slow machine that is too soon
                time.sleep(0.01)
            server.process.send_signal(signal.SIGKILL)
            server.process.wait()
            for t in threads:
                t.join()
        check(len(acknowledged) == 4, "nothing was written in time:", acknowledged)


def padding(number):
    return bytes([number % 251]) * (number % 3 * 3000)


def write(server, key, acknowledged, sent):
    """Until the server is gone: ever larger numbers, 1 to 8 writes at once."""
    number = sent.get(key, 0)
    try:
        with server.client() as c:
            while True:
                first, number = number + 1, number + 1 + number % 8
                sent[key] = number
                c.send(b"".join(encode("SET", key, b"%010d" % n + padding(n))
                                for n in range(first, number + 1)))
                for n in range(first, number + 1):
                    equal(c.reply(), b"OK")
                    acknowledged[key] = n
    except (OSError, EOFError):
        pass


@test
def sigterm(context):
    """Idle, busy and stuck clients: the server ends in time, with 0, and all is on the disk."""
    directory = context.directory()
    server = context.start(dir=directory)
    idle, stuck = server.client(), server.client()
    equal(idle.call("SET", "a", "1"), b"OK")
    equal(idle.call("SET", "big", b"x" * (8 << 20)), b"OK")
    stuck.send(encode("GET", "big"))  # and never reads it
    acknowledged, sent = {}, {}
    busy = threading.Thread(target=write, args=[server, "w", acknowledged, sent])
    busy.start()
    while not acknowledged:
        time.sleep(0.01)
    equal(server.terminate(), 0, "exit code")
    check(idle.at_end(), "no orderly end for an idle client")
    busy.join()
    equal(server.stderr(), "", "it complained:")
    with context.start(dir=directory).client() as c:
        equal(c.call("GET", "a"), b"1")
        check(int(c.call("GET", "w")[:10]) >= acknowledged["w"], "an acknowledged write is lost")


@test
def many_clients(context):
    """Two hundred at once, each served in order, all gone afterwards; then as many again."""
    server = context.start()
    for _ in range(2):
        clients = [server.client() for _ in range(200)]
        for turn in range(5):
            for i, c in enumerate(clients):
                c.send(encode("SET", f"c{i}", turn) + encode("GET", f"c{i}") + encode("INCR", "all"))
            for c in clients:
                equal(c.reply(), b"OK")
                equal(c.reply(), str(turn).encode())
                check(isinstance(c.reply(), int))
        for c in clients:
            c.socket.close()
        server.wait_for_clients(0)
    with server.client() as c:
        equal(c.call("GET", "all"), b"2000")


@test
def ten_thousand_clients(context):
    """Connected all at once, each served, for little memory; gone without a trace."""
    count, spare = 10000, 200
    if not context.waits_in_a_ring():
        raise Skip("without io_uring each would take a thread")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count + spare:
        raise Skip(f"only {hard} descriptors allowed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count + spare), hard))
    server = context.start(f"--max-clients={count + 10}")
    with server.client() as c:
        equal(c.call("INCR", "n"), 1)
        before = server.memory_kb()
        clients = [server.client() for _ in range(count)]
        for i, other in enumerate(clients):
            other.send(encode("INCR", "n") + encode("ECHO", i))
        for i, other in enumerate(clients):
            check(isinstance(other.reply(), int))
            equal(other.reply(), str(i).encode())
        equal(c.call("GET", "n"), b"%d" % (count + 1))
        each = (server.memory_kb() - before) / count
        check(each < 80, each, "kB for each client")
        for other in clients:
            other.socket.close()
        server.wait_for_clients(1)


@test
def idle_clients_are_left(context):
    """--timeout: who says nothing is disconnected, who talks is not."""
    server = context.start("--timeout=1")
    with server.client() as idle, server.client() as busy:
        ended = threading.Event()
        watcher = threading.Thread(target=lambda: (idle.socket.recv(1), ended.set()))
        watcher.start()
        last = time.monotonic()
        while not ended.is_set():
            began = last
            try:
                equal(busy.call("PING"), b"PONG")
            except (OSError, EOFError):
                # a machine that stood still for a second has kept it silent, too
                check(time.monotonic() - began >= 1, "disconnected, and it did talk")
                busy.socket.close()
                busy = server.client()
            last = time.monotonic()
            time.sleep(0.1)
        watcher.join()


def load(server, clients, seconds):
    """Pipelined GETs from so many clients at once."""
    stop = time.monotonic() + seconds

    def one():
        with server.client() as c:
            while time.monotonic() < stop:
                c.send(encode("GET", "x") * 20)
                for _ in range(20):
                    c.reply()

    threads = [threading.Thread(target=one) for _ in range(clients)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()


@test
def never_two_workers_of_a_server(context):
    """With UMCG no two workers of one server are in user space at once. With plain threads and two CPUs
    the same check finds some: it can see."""
    if context.engine == "threads":
        if len(os.sched_getaffinity(0)) < 2:
            raise Skip("one CPU: two threads are hardly ever inside at once")
        server = context.start("--servers=1")
        while int(server.info()["overlaps"]) == 0:  # a blind check ends at the deadline
            load(server, 16, 1)
        return check(int(server.info()["most_running_per_server"]) > 1)
    server = context.start()
    if "ONE_RUNNING" not in server.info()["capabilities"].split():
        raise Skip(f"the {server.info()['backend']} backend does not promise it (UMCG_CAP_ONE_RUNNING)")
    load(server, 16, 3)
    while int(server.info()["user_spans"]) <= 1000:  # a slow machine
        load(server, 16, 3)
    info = server.info()
    check(int(info["user_spans"]) > 1000, "hardly anything was checked:", info["user_spans"])
    equal(info["overlaps"], "0", "overlaps")
    equal(info["wrong_state"], "0", "wrong_state")
    equal(info["most_running_per_server"], "1", "most_running_per_server")
    check(int(info["blocks_receive"]) + int(info["io_ops"]) > 0, "no wait was counted")


@test
def waiting_clients_need_no_threads(context):
    """With io_uring: three hundred idle clients, a few threads. Without, a thread each."""
    server = context.start()
    clients = [server.client() for _ in range(300)]
    for c in clients:
        equal(c.call("PING"), b"PONG")
    with open(f"/proc/{server.process.pid}/status") as f:
        threads = next(int(line.split()[1]) for line in f if line.startswith("Threads"))
    ops = int(server.info()["io_ops"])
    if context.waits_in_a_ring():
        check(threads < 150, threads, "threads")
        check(ops >= 600, "only", ops, "operations through io_uring")
    else:
        check(threads > 300, "only", threads, "threads")
        equal(ops, 0, "io_uring, and it was not asked for")
    for c in clients:
        c.socket.close()
    server.wait_for_clients(0)
