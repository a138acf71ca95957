#!/usr/bin/env python3
"""corgate by size: what a call costs, and what it keeps in memory, as its table and its crowd grow.

Curves by targets, by clients, by connections, plain and over TLS. Prints tables; writes JSON and an
SVG. Everything is on loopback, and nothing is left running. `make bench-scale` runs it; see README.
"""
import argparse
import hashlib
import http.client
import json
import pathlib
import re
import shutil
import statistics
import sys
import time

import call
import chart
import load
import machine
import proxies
import report
import scenes
import tools
import world as worlds

HERE = pathlib.Path(__file__).resolve().parent
README = tools.TOP / "README.md"
# Calls a second where connections are counted: most of them are idle, as clients' are.
STEADY = 2000
# How long all connections may take to stand, and the longest round of wrk, in seconds.
STAND_SECONDS = 40
# So many targets are called, evenly from the table: a target's first call has to connect.
CALLED = 100
LIMITS = """[gateway.limits]
connections_max = 12000
connections_per_address_max = 12000
connections_per_certificate_max = 12000
handshakes_max = 10000
handshake_timeout = "30s"
"""


class Sized(proxies.Corgate):
    """corgate with so many clients and targets."""

    def __init__(self, world, port, name, clients, targets):
        self.name = name
        super().__init__(world, [])
        self.bank_port, self.clients, self.targets = port, clients, targets

    def command(self):
        self.ports["mtls"] = self.ports["tls"]
        entries = [
            f'[[client]]\nid = "{client}"\n'
            f'certificates = ["sha256:{hashlib.sha256(client.encode()).hexdigest()}"]\n'
            f'targets = ["*"]\nlimit = {{ rate = "1000000/s" }}\n'
            f'target_limit = {{ rate = "1000000/s" }}\n' for client in self.clients]
        banks = [
            f'[[target]]\nid = "{target}"\nupstream = "http://127.0.0.1:{self.bank_port}"\n'
            "insecure_plain_upstream = true\nallow_private_addresses = true\n"
            "concurrency = 9000\n" for target in self.targets]
        config = self.filled("corgate.toml", CLIENTS="\n".join(entries), LIMITS=LIMITS,
                             TARGETS="\n".join(banks))
        return [self.binary, "run", "--config", config]

    def metric(self, name):
        """The sum of a metric's rows; 0 if it has none yet."""
        admin = http.client.HTTPConnection("127.0.0.1", self.ports["admin"], timeout=5)
        admin.request("GET", "/metrics")
        text = admin.getresponse().read().decode()
        admin.close()
        rows = re.findall(rf"^{name}(?:\{{[^}}]*\}})? ([0-9.e+]+)$", text, re.M)
        if f"# TYPE {name.removesuffix('_total')} " not in text:
            raise RuntimeError(f"no metric {name}")
        return sum(map(float, rows))


class Point:
    """One size of one curve: its corgate and its rounds."""

    def __init__(self, count, proxy, scene, connections, pause):
        self.count, self.proxy, self.scene = count, proxy, scene
        self.connections, self.pause, self.rounds = connections, pause, []
        # Why its last round does not count.
        self.void = ""

    def start(self):
        """Starts corgate; how long it took until it listens."""
        began = time.monotonic()
        self.proxy.start()
        self.start_seconds = time.monotonic() - began

    def take(self, loader, seconds):
        """A round: CPU and calls while all connections stand, from corgate's own counters."""
        found = []
        # Time for the connections to be made, in ms, before the first of them calls.
        first_after = self.connections if self.scene.listener == "tls" else self.connections / 5

        handshakes = self.proxy.metric("corgate_handshakes_total")

        def meanwhile():
            standing = self.until_standing(handshakes)
            # Until each connection has called at least once, and has what memory it takes.
            time.sleep(1 + 2 * (self.pause or 0) / 1000 + first_after / 1000)
            before = self.sample()
            time.sleep(seconds)
            after = self.sample()
            done, user, system = (b - a for a, b in zip(before, after))
            done = max(done, 1)
            found.append((1e6 * user / done, 1e6 * system / done,
                          worlds.resident_bytes(self.proxy.pid), done / seconds, standing))
        loader.wrk(self.scene, self.proxy, self.longest(seconds), self.connections,
                   self.pause, first_after, meanwhile)
        if found[0][4] < self.connections:
            raise load.Void(f"{found[0][4]:.0f} of {self.connections} connections stood")
        if self.pause and found[0][3] < 0.8 * STEADY:
            raise load.Void(f"{STEADY}/s were due, {found[0][3]:.0f}/s came")
        self.rounds.append(found[0])
        return found[0]

    def until_standing(self, handshakes):
        """Waits until all connections are open, their handshakes done; how many are."""
        end = time.monotonic() + STAND_SECONDS
        while True:
            standing = self.proxy.metric("corgate_connections_open")
            if self.scene.listener == "tls":
                done = self.proxy.metric("corgate_handshakes_total") - handshakes
                standing = min(standing, done)
            if standing >= self.connections or time.monotonic() > end:
                return standing
            time.sleep(0.2)

    def longest(self, seconds):
        """The longest that a round of wrk may take; it is ended sooner."""
        return STAND_SECONDS + seconds + 5 + int(3 * (self.pause or 0) / 1000)

    def sample(self):
        """Answers so far, and CPU so far."""
        return (self.proxy.metric("corgate_answers_total"), *worlds.cpu_seconds(self.proxy.pid))

    def result(self):
        """Its medians, as plain data."""
        user, system, resident, rate, _ = map(statistics.median, zip(*self.rounds))
        return {"count": self.count, "cpu_us": user + system, "user_us": user, "rate": rate,
                "resident": resident, "start_seconds": self.start_seconds}


def names(kind, count):
    """So many ids."""
    return [f"{kind}{number:06}" for number in range(1, count + 1)]


def points(world, port, curve, counts):
    """The points of a curve, nothing started."""
    made = []
    for count in counts:
        clients, targets = names("C", 1), names("T", 1)
        connections, pause, listener = load.CONNECTIONS, None, "plain"
        if curve == "targets":
            targets = names("T", count)
        elif curve == "clients":
            clients = names("C", count)
        else:
            connections, pause = count, 1000 * count / STEADY
            listener = "tls" if curve == "tls-connections" else "plain"
        called = targets[::max(1, len(targets) // CALLED)]
        rows = max(len(clients), len(called))
        pairs = tuple((clients[at % len(clients)], called[at % len(called)]) for at in range(rows))
        scene = scenes.Scene(f"{curve}-{count}", "", call.good(clients[0], targets[0]), listener,
                             pairs=pairs if rows > 1 else ())
        proxy = Sized(world, port, scene.key, clients, targets)
        made.append(Point(count, proxy, scene, connections, pause))
    return made


CURVES = {
    "targets": ("targets", "By targets in the table, all with an upstream of their own",
                [10, 100, 1_000, 10_000, 100_000],
                [f"{CALLED} of the targets are called, evenly from the whole table."]),
    "clients": ("clients", "By clients in the table, all of them calling in turn",
                [1, 10, 100, 1_000, 10_000], []),
    "connections": ("connections", f"By open connections, {STEADY:,} calls a second in all",
                    [10, 100, 1_000, 10_000], []),
    "tls-connections": ("connections", f"By open TLS connections, {STEADY:,} calls a second in all",
                        [10, 100, 1_000, 10_000], []),
}


def measure(args):
    """All curves; returns the result."""
    deadline = time.monotonic() + 60 * args.minutes
    result = {"machine": machine.described(), "command": machine.command("bench-scale"),
              "curves": [],
              "how": f"{args.rounds} interleaved rounds of {args.seconds} s for each point, "
                     "medians; corgate on one core with one worker, load and bank on the other; "
                     "CPU and answers are counted while the round runs."}
    with worlds.world() as world:
        shared = proxies.SharedBank(world)
        shared.start()
        loader = load.Loader(world)
        for curve in args.curves.split(","):
            unit, what, counts, notes = CURVES[curve]
            made = points(world, shared.port, curve, [n for n in counts if n <= args.most])
            for point in made:
                print(f"starting corgate for {point.count:,} {unit}", flush=True)
                point.start()
            # A crowd of connections has its time to settle in each round.
            numbers = range(1, 1 + min(2, args.rounds)) if made[0].pause else range(args.rounds + 1)
            for number in numbers:
                for point in made:
                    rounds_in_time(point, loader, args, number, curve, deadline)
            for point in made:
                world.stop(point.proxy.id)
            taken = [point.result() for point in made if point.rounds]
            notes = notes + [f"{point.count:,} {unit}: void, {point.void}." for point in made
                             if not point.rounds]
            result["curves"].append({"key": curve, "unit": unit, "what": what, "notes": notes,
                                     "points": taken})
    return result


def rounds_in_time(point, loader, args, number, curve, deadline):
    """One round of a point, if there is time; round 0 warms up."""
    seconds = args.seconds if number else 1
    if time.monotonic() + (point.longest(seconds) if point.pause else seconds + 5) > deadline:
        point.void = "time was up"
        return print(f"time is up: no round of {curve} {point.count:,}", flush=True)
    try:
        got = point.take(loader, seconds)
    except load.Void as void:
        point.void = str(void)
        return print(f"void: {curve} {point.count:,}: {void}", flush=True)
    if not number:
        point.rounds.clear()
    return print(f"round {number}/{args.rounds}  {curve:<16}{point.count:>8,}"
                 f"{got[0] + got[1]:8.1f} us/call{got[3]:9.0f}/s{got[2] / 1e6:7.0f} MB", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--curves", default=",".join(CURVES), help="only these")
    parser.add_argument("--most", type=int, default=10**6, help="no point beyond this size")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=8, help="ends after so long")
    parser.add_argument("--corgate", default=proxies.Corgate.binary, help="its release build")
    parser.add_argument("--install", action="store_true", help="install what is missing")
    parser.add_argument("--out", type=pathlib.Path, default=tools.KEEP, help="folder of the files")
    parser.add_argument("--readme", action="store_true", help="write README's tables and the chart")
    parser.add_argument("--from", dest="source", help="measure nothing: take this JSON")
    args = parser.parse_args()
    if args.source:
        result = json.loads(pathlib.Path(args.source).read_text())
    else:
        if args.install:
            tools.install(tools.REQUIRED)
        missing = [f"{name} ({remedy})" for name, remedy in tools.missing()
                   if name in tools.REQUIRED]
        if missing:
            sys.exit("missing: " + ", ".join(missing))
        proxies.Corgate.binary = pathlib.Path(args.corgate).resolve()
        result = measure(args)
    words = report.scale_markdown(result)
    print("\n" + report.plain(words))
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "scale.json").write_text(json.dumps(result, indent=1))
    (args.out / "scale.svg").write_text(chart.curves(result))
    print(f"\n{args.out}/scale.json, {args.out}/scale.svg")
    if args.readme:
        shutil.copy(args.out / "scale.svg", HERE / "scale.svg")
        picture = "![CPU time for a call, and memory, by size](benches/rivals/scale.svg)"
        report.write_between(README, "scale", f"{picture}\n\n{words}")
        print(f"{README}, {HERE}/scale.svg")


if __name__ == "__main__":
    main()
