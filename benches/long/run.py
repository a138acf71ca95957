#!/usr/bin/env python3
"""The long runs: many idle connections, a million calls, a million names that nobody knows.

Each ends by itself, says what it measured, and ends with 1 where a promise is broken. It needs
openssl, a release build of corgate, and nothing else; all is on loopback.

    run.py idle [--connections N]     memory of an idle TLS connection; limits hold; others served
    run.py soak [--calls N]           memory stays flat over N calls, each answered with its own id
    run.py names [--calls N]          memory stays flat over N client ids, targets and paths
"""
import argparse
import atexit
import os
import pathlib
import resource
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

TOP = pathlib.Path(__file__).resolve().parents[2]
CLIENT = "CIDX0000000001"
BANK = "IIDX00001"
# Promises, in bytes.
IDLE_MAX = 64 * 1024
IDLE_WISH = 20 * 1024
GROWTH_MAX = 8 * 1024 * 1024
PIPELINE = 32
FORM = f"grant_type=refresh_token&refresh_token=sim-static&client_id={CLIENT}&username=anna"


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class World:
    """A gateway and a bank, each in a process of its own."""

    def __init__(self, binary, limits, workers):
        self.temporary = tempfile.TemporaryDirectory(prefix="corgate-long-")
        self.folder = pathlib.Path(self.temporary.name)
        subprocess.run([TOP / "certs" / "make.sh", self.folder], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.port, self.admin, bank = free_port(), free_port(), free_port()
        fingerprint = (self.folder / f"{CLIENT}.sha256").read_text().split()[0]
        fingerprint = fingerprint if fingerprint.startswith("sha256:") else f"sha256:{fingerprint}"
        (self.folder / "routes.toml").write_text(f"""
[gateway]
listen = "127.0.0.1:{self.port}"
admin = "127.0.0.1:{self.admin}"
workers = {workers}
[gateway.tls]
cert = "edge.pem"
key = "edge.key"
client_ca = "clients-ca.pem"
[gateway.limits]
{limits}
[gateway.access_log]
path = "access.log"
[[api]]
contract = "blink-fi"
[[client]]
id = "{CLIENT}"
certificates = ["{fingerprint}"]
targets = ["*"]
[[target]]
id = "{BANK}"
upstream = "http://127.0.0.1:{bank}"
insecure_plain_upstream = true
allow_private_addresses = true
concurrency = 1000
""")
        self.processes = []
        # However the run ends, nothing is left behind.
        atexit.register(self.stop)
        self.start(binary, "sim", "blink", "--plain", "--listen", f"127.0.0.1:{bank}")
        wait_for(bank)
        self.gateway = self.start(binary, "run", "--config", "routes.toml")
        wait_for(self.admin)
        self.context = ssl.create_default_context(cafile=self.folder / "hub-ca.pem")
        pair = self.folder / f"{CLIENT}.pem", self.folder / f"{CLIENT}.key"
        self.context.load_cert_chain(*pair)
        self.context_h2 = ssl.create_default_context(cafile=self.folder / "hub-ca.pem")
        self.context_h2.load_cert_chain(*pair)
        self.context_h2.set_alpn_protocols(["h2"])

    def start(self, binary, *words):
        errors = open(self.folder / f"{words[0]}.err", "w")
        one = subprocess.Popen([binary, *words], cwd=self.folder, stdout=subprocess.DEVNULL,
                               stderr=errors)
        self.processes.append(one)
        return one

    def connect(self):
        # A handshake that a limit turned away is tried again; a limit is no failure here.
        plain = socket.create_connection(("127.0.0.1", self.port))
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self.context.wrap_socket(plain, server_hostname="localhost")

    def connect_h2(self):
        """A connection that speaks HTTP/2, its settings exchanged."""
        plain = socket.create_connection(("127.0.0.1", self.port))
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stream = self.context_h2.wrap_socket(plain, server_hostname="localhost")
        stream.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
        stream.recv(4096)
        stream.sendall(bytes([0, 0, 0, 4, 1, 0, 0, 0, 0]))
        return stream

    def resident(self):
        status = pathlib.Path(f"/proc/{self.gateway.pid}/status").read_text()
        return next(int(line.split()[1]) * 1024 for line in status.splitlines()
                    if line.startswith("VmRSS:"))

    def cpu(self):
        """Processor seconds of the gateway so far."""
        stat = pathlib.Path(f"/proc/{self.gateway.pid}/stat").read_text()
        fields = stat.rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def metric(self, name):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/metrics") as answer:
            lines = answer.read().decode().splitlines()
        return sum(int(line.rsplit(" ", 1)[1]) for line in lines
                   if line.split("{")[0].split(" ")[0] == name)

    def series(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/metrics") as answer:
            return len(answer.read().decode().splitlines())

    def stop(self):
        """The gateway's exit code; the simulated bank dies of its signal."""
        for process in reversed(self.processes):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait(timeout=60)
        self.temporary.cleanup()
        return self.gateway.returncode


def wait_for(port):
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
            return
        except OSError:
            time.sleep(0.05)
    sys.exit(f"nothing listens on port {port}")


def request(correlation, client=CLIENT, target=BANK, path="/oauth/token"):
    return (f"POST {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: long/1\r\n"
            f"X-Correlation-ID: {correlation}\r\nX-CorAPI-Client-ID: {client}\r\n"
            f"X-CorAPI-Target-ID: {target}\r\n"
            f"Content-Type: application/x-www-form-urlencoded\r\n"
            f"Content-Length: {len(FORM)}\r\n\r\n{FORM}").encode()


class Reader:
    """Reads whole answers off a connection."""

    def __init__(self, stream):
        self.stream, self.left = stream, b""

    def answer(self):
        """Status and correlation id."""
        while (at := self.left.find(b"\r\n\r\n")) < 0:
            self.more()
        head, length, correlation = self.left[:at].decode().split("\r\n"), 0, None
        for line in head[1:]:
            name, value = line.split(": ", 1)
            if name.lower() == "content-length":
                length = int(value)
            elif name.lower() == "x-correlation-id":
                correlation = value
        while len(self.left) < at + 4 + length:
            self.more()
        self.left = self.left[at + 4 + length:]
        return int(head[0].split(" ")[1]), correlation

    def more(self):
        got = self.stream.recv(65536)
        if not got:
            raise ConnectionError("the connection ended before the answer")
        self.left += got


def mebibytes(count):
    return f"{count / 1024 / 1024:.1f} MiB"


def idle(binary, count):
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    limit = count + 100
    world = World(binary, f"connections_max = {limit}\nconnections_per_address_max = {limit}\n"
                  f"connections_per_certificate_max = {limit}\n"
                  'idle_timeout = "30m"\nhandshakes_max = 10000', 2)
    broken, held = [], []
    # What is made once is made before: handshakes, calls, threads.
    for _ in range(200):
        call(world, "warm")
    before = world.resident()
    for kind in ("after the handshake", "of HTTP/2", "after an answer"):
        started, served = time.monotonic(), kind == "after an answer"
        while len(held) < count:
            stream = world.connect_h2() if kind == "of HTTP/2" else world.connect()
            if served:
                stream.sendall(request(f"idle-{len(held)}"))
                if Reader(stream).answer()[0] != 200:
                    broken.append("an answer was not 200")
            held.append(stream)
        took = time.monotonic() - started
        # What is idle for a while gives its buffers back.
        time.sleep(7)
        each = (world.resident() - before) / count
        print(f"idle: {count} TLS connections, {kind}: {each / 1024:.1f} KiB each "
              f"(at most {IDLE_MAX // 1024}, wished {IDLE_WISH // 1024}), "
              f"{mebibytes(world.resident())} in all, {count / took:.0f} handshakes a second")
        if each > IDLE_MAX:
            broken.append(f"{each:.0f} bytes for a connection")
        slowest = max(call(world, f"beside-{number}") for number in range(100))
        print(f"idle: 100 new clients beside them, the slowest in {slowest * 1000:.0f} ms")
        if slowest > 1:
            broken.append("a new client waited")
        if not served:
            for stream in held:
                stream.close()
            held.clear()
            wait_until(lambda: world.metric("corgate_connections_open") == 0)
            time.sleep(2)
            print(f"idle: all closed again: {mebibytes(world.resident())}, before: "
                  f"{mebibytes(before)}")
    # The limit holds: who comes then is served, and who was idle longest makes room, which counts.
    while world.metric("corgate_connections_open") < limit:
        held.append(world.connect())
    made_room = world.metric("corgate_connections_cut_total")
    call(world, "beyond-the-limit")
    if world.metric("corgate_connections_cut_total") <= made_room:
        broken.append("nobody made room at the limit")
    if world.metric("corgate_connections_open") > limit:
        broken.append("there are more connections than the limit allows")
    for stream in held:
        stream.close()
    return world, broken


def call(world, correlation):
    """One call on a connection of its own; how long it took."""
    started = time.monotonic()
    with world.connect() as stream:
        stream.sendall(request(correlation))
        status, echoed = Reader(stream).answer()
    if (status, echoed) != (200, correlation):
        raise AssertionError(f"{status} {echoed}")
    return time.monotonic() - started


def wait_until(holds):
    end = time.monotonic() + 60
    while not holds():
        if time.monotonic() > end:
            raise AssertionError("it never came")
        time.sleep(0.1)


def pour(world, count, make, wanted):
    """Makes `count` calls on a few connections, pipelined; the faults that were seen."""
    broken, streams = [], 4

    def one(number):
        reader = Reader(world.connect())
        for first in range(number * PIPELINE, count, streams * PIPELINE):
            numbers = range(first, min(first + PIPELINE, count))
            reader.stream.sendall(b"".join(make(number) for number in numbers))
            for one in numbers:
                status, correlation = reader.answer()
                if status not in wanted or correlation != f"long-{one}":
                    broken.append(f"call {one}: {status} with {correlation}")
                    return
        reader.stream.close()

    def guarded(number):
        try:
            one(number)
        except OSError as error:
            broken.append(str(error))

    threads = [threading.Thread(target=guarded, args=(number,)) for number in range(streams)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return broken


def flat(binary, count, name, make, wanted):
    """Memory after a tenth of the calls is what it is after all of them."""
    world = World(binary, 'connection_age_max = "24h"', 2)
    warm = max(count // 10, 1)
    broken = pour(world, warm, make, wanted)
    after_warm, series, started = world.resident(), world.series(), time.monotonic()
    cpu = world.cpu()
    broken += pour(world, count - warm, make, wanted)
    took = time.monotonic() - started
    grown = world.resident() - after_warm
    print(f"{name}: {count} calls, {(count - warm) / took:.0f} a second, "
          f"{(world.cpu() - cpu) / (count - warm) * 1e6:.1f} us of CPU each; "
          f"after the first {warm}: "
          f"{mebibytes(after_warm)}; growth over the rest: {grown / 1024:.0f} KiB "
          f"(at most {GROWTH_MAX // 1024})")
    if grown > GROWTH_MAX:
        broken.append(f"memory grew by {grown} bytes")
    if world.series() > series:
        broken.append("there are new series in /metrics")
    time.sleep(1)
    written = world.metric("corgate_access_lines_total")
    answered = world.metric("corgate_answers_total")
    print(f"{name}: {answered} answers counted, {written} access lines, "
          f"{world.metric('corgate_access_lines_dropped_total')} dropped")
    if answered != count or (world.folder / "access.log").read_bytes().count(b"\n") != count:
        broken.append("not one answer and one line for each call")
    return world, broken


def soak(binary, count):
    return flat(binary, count, "soak", lambda number: request(f"long-{number}"), {200})


def names(binary, count):
    def make(number):
        correlation = f"long-{number}"
        match number % 3:
            case 0:
                return request(correlation, client=f"NOBODY{number}")
            case 1:
                return request(correlation, target=f"NOWHERE{number}")
            case _:
                return request(correlation, path=f"/no/such/path/{number}")
    # A path that no contract has is refused before the correlation id is looked for elsewhere.
    return flat(binary, count, "names", make, {400, 401, 404})


def main():
    layout = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("run", choices=["idle", "soak", "names"])
    parser.add_argument("--connections", type=int, default=15_000)
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--binary", default=TOP / "target" / "release" / "corgate")
    args = parser.parse_args()
    if not pathlib.Path(args.binary).exists():
        sys.exit(f"{args.binary} is not there: cargo build --release")
    runs = {"idle": lambda: idle(args.binary, args.connections),
            "soak": lambda: soak(args.binary, args.calls),
            "names": lambda: names(args.binary, args.calls)}
    world, broken = runs[args.run]()
    if world.stop() != 0:
        broken.append("a process did not end well")
    print(f"{args.run}: " + ("good" if not broken else "; ".join(broken[:5])))
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
