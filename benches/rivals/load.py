"""The load generators: wrk and h2load as fast as they can, oha at a fixed rate.

Each call here is one round; a round with one wrong answer is void. oha's figures are corrected for
coordinated omission: its schedule does not wait for answers, and a call's latency is taken from
when the schedule released it, not from when a connection was free to send it. What oha itself
oversleeps is not held against the proxy.
"""
import csv
import dataclasses
import io
import os
import pathlib
import re
import signal
import subprocess

import call
import tools
import world as worlds

HOST = "127.0.0.1"
# Connections, or streams over HTTP/2: H2_CONNECTIONS times H2_STREAMS.
CONNECTIONS, H2_CONNECTIONS, H2_STREAMS = 32, 8, 4
# Which part of the calls was answered sooner: p50, p99, p99.9.
PARTS = (0.5, 0.99, 0.999)


class Void(Exception):
    """Why a round does not count."""


@dataclasses.dataclass
class Round:
    """What a round at saturation found, in seconds and bytes where nothing else is said."""
    done: int
    seconds: float
    user_us: float
    system_us: float
    # Part of a core that the proxy had, 0 to 1 for a proxy of one thread.
    busy: float
    resident: int
    # Part of the proxy's core that others had meanwhile.
    others: float
    # Which round it was.
    number: int = 0

    @property
    def cpu_us(self):
        """CPU time of the proxy for one request, in microseconds."""
        return self.user_us + self.system_us

    @property
    def rate(self):
        """Requests a second."""
        return self.done / self.seconds


class Loader:
    """Sends a scene's calls from the load's cores."""

    def __init__(self, world):
        self.world, self.files = world, {}

    def saturate(self, scene, proxy, seconds):
        """One round as fast as it goes."""
        cores = self.world.proxy_cores
        before, core_before = worlds.cpu_seconds(proxy.pid), worlds.core_seconds(cores)
        run = self.h2load if scene.generator == "h2load" else self.wrk
        done, lasted = run(scene, proxy, seconds)
        after, core_after = worlds.cpu_seconds(proxy.pid), worlds.core_seconds(cores)
        if not done:
            raise Void("no call was answered")
        user, system = (1e6 * (b - a) / done for a, b in zip(before, after))
        busy = (user + system) * done / 1e6 / lasted
        others = max(0, (core_after - core_before) / lasted - busy)
        return Round(done, lasted, user, system, busy, worlds.resident_bytes(proxy.pid), others)

    def wrk(self, scene, proxy, seconds, connections=CONNECTIONS, pause=None, first_after=0,
            meanwhile=None):
        """wrk on one thread; returns calls and seconds. With `meanwhile`, that is called while wrk
        runs, and wrk ends when it returns."""
        head, body = self.written(scene)
        env = {"CALL_HEADERS": str(head), "CALL_BODY": str(body)}
        if scene.pairs:
            env["CALL_PAIRS"] = str(self.world.folder / f"{scene.key}.pairs")
        if pause:
            env |= {"CALL_PAUSE": str(pause), "CALL_CONNECTIONS": str(connections),
                    "CALL_FIRST_AFTER": str(first_after)}
        scheme = "http" if scene.listener == "plain" else "https"
        command = [tools.find("wrk"), "-t1", f"-c{connections}", f"-d{seconds}s",
                   "--timeout", "60s" if meanwhile else "8s",
                   "-s", pathlib.Path(__file__).with_name("call.lua"),
                   f"{scheme}://{HOST}:{proxy.ports[scene.listener]}"]
        out, err = self.run(command, seconds, {**env, **self.tls(scene)}, meanwhile)
        done = int(found(r"(\d+) requests in", out))
        lasted = in_seconds(found(r"requests in ([0-9.]+[a-z]+)", out))
        if "Socket errors" in out:
            raise Void(found(r"(Socket errors:.*)", out))
        refused = int(found(r"Non-2xx or 3xx responses: (\d+)", out, "0"))
        # A client with one call a second is let through now and then.
        let_through = 3 * seconds + 3 if scene.status == 429 else 0
        if scene.status == 200 and refused:
            raise Void(f"{refused} of {done} answers were no 2xx")
        if scene.status != 200 and done - refused > let_through:
            raise Void(f"{done - refused} of {done} calls were not refused")
        if scene.handshake:
            self.prove_handshakes(scene, err, done)
        return done, lasted

    def prove_handshakes(self, scene, err, done):
        """Whether the connections were what the scene says, as OpenSSL counted them."""
        full, resumed = map(int, re.search(r"handshakes: (\d+) full, (\d+) resumed", err).groups())
        wanted = full if scene.handshake == "full" else resumed
        # The first of each connection has nothing to resume; the last may have been cut short.
        if wanted < done - 2 * CONNECTIONS or full + resumed < done - 2 * CONNECTIONS:
            raise Void(f"{done} calls, {full} full handshakes, {resumed} resumed")

    def h2load(self, scene, proxy, seconds):
        """h2load on one thread; returns calls and seconds."""
        _, body = self.written(scene)
        command = [tools.find("h2load"), "-t1", f"-c{H2_CONNECTIONS}", f"-m{H2_STREAMS}",
                   f"-D{seconds}", "-d", body, *self.fields(scene),
                   f"https://{HOST}:{proxy.ports[scene.listener]}{call.PATH}"]
        out, _ = self.run(command, seconds, self.tls(scene))
        if "Application protocol: h2" not in out:
            raise Void("no HTTP/2")
        done, good, failed, errored = (int(found(rf"(\d+) {word}", out)) for word in (
            "done", "2xx", "failed", "errored"))
        if failed or errored or good < done:
            raise Void(f"{done} calls, {good} 2xx, {failed} failed, {errored} errored")
        return done, in_seconds(found(r"finished in ([0-9.]+[a-z]+)", out))

    def steady(self, scene, proxy, rate, seconds):
        """One round at a fixed rate: p50, p99 and p99.9 in milliseconds. The first second, in which
        connections are made, does not count."""
        _, body = self.written(scene)
        certs = self.world.certs
        command = [tools.find("oha"), "--no-tui", "--output-format", "csv", "--latency-correction",
                   "-q", rate, "-n", rate * (seconds + 1), "-m", "POST", "-D", body,
                   *self.fields(scene)]
        command += (["--http2", "-c", H2_CONNECTIONS, "-p", H2_STREAMS]
                    if scene.generator == "h2load" else ["-c", CONNECTIONS])
        scheme = "http" if scene.listener == "plain" else "https"
        if scheme == "https":
            command += ["--cacert", certs / "hub-ca.pem"]
        if scene.certified:
            command += ["--cert", certs / f"{call.CLIENT}.pem",
                        "--key", certs / f"{call.CLIENT}.key"]
        command.append(f"{scheme}://{HOST}:{proxy.ports[scene.listener]}{call.PATH}")
        out, _ = self.run(command, seconds, {})
        answers = list(csv.DictReader(io.StringIO(out)))
        good = sum(answer["status"] == "200" for answer in answers)
        if good < rate * (seconds + 1):
            raise Void(f"{good} of {rate * (seconds + 1)} answers were 200")
        begun = [(float(answer["request-start"]), float(answer["request-duration"]))
                 for answer in answers]
        if begun[-1][0] > 1.1 * (seconds + 1):
            raise Void(f"{rate}/s were due, {len(begun) / begun[-1][0]:.0f}/s could be sent")
        late = sorted(1000 * lasted for start, lasted in begun if start >= 1)
        return [late[min(len(late) - 1, int(len(late) * part))] for part in PARTS]

    def run(self, command, seconds, env, meanwhile=None):
        """Runs a generator on the load's cores; what it said, and what it complained of."""
        child = subprocess.Popen(
            [str(word) for word in command], env={**os.environ, **env}, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
            preexec_fn=lambda: self.world.settle(self.world.load_cores))
        try:
            if meanwhile:
                meanwhile()
                child.send_signal(signal.SIGINT)
            out, err = child.communicate(timeout=seconds + 20)
        except BaseException as broken:
            child.kill()
            child.wait()
            if isinstance(broken, subprocess.TimeoutExpired):
                raise Void("the load generator did not end") from broken
            raise
        if child.returncode:
            raise Void((err or out).strip()[-200:])
        return out, err

    def written(self, scene):
        """The scene's call as files."""
        if scene.key not in self.files:
            self.files[scene.key] = scene.sent.write(
                self.world.folder, scene.key, close=bool(scene.handshake))
            (self.world.folder / f"{scene.key}.pairs").write_text(
                "".join(f"{client} {target}\n" for client, target in scene.pairs))
        return self.files[scene.key]

    def fields(self, scene):
        """The scene's header as arguments."""
        return [word for line in scene.sent.header_lines() for word in ("-H", line)]

    def tls(self, scene):
        """What client_tls.c reads."""
        if scene.listener == "plain":
            return {}
        env = {"LD_PRELOAD": str(self.world.folder / "client_tls.so")}
        if scene.certified:
            env["CLIENT_CERT"] = str(self.world.certs / f"{call.CLIENT}.pem")
            env["CLIENT_KEY"] = str(self.world.certs / f"{call.CLIENT}.key")
        if scene.handshake:
            env["CLIENT_RESUME"] = "1" if scene.handshake == "resumed" else "0"
        return env


def found(pattern, text, otherwise=None):
    """The first group of a pattern in what a tool said."""
    match = re.search(pattern, text)
    if match:
        return match[1]
    if otherwise is None:
        raise Void(f"the load generator did not say `{pattern}`: {text.strip()[-300:]}")
    return otherwise


def in_seconds(text):
    """wrk's and h2load's durations."""
    number, unit = re.match(r"([0-9.]+)([a-z]+)", text).groups()
    return float(number) * {"us": 1e-6, "ms": 1e-3, "s": 1, "m": 60}[unit]
