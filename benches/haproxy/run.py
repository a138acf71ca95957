#!/usr/bin/env python3
"""CPU per request of corgate beside HAProxy, both with the whole bLink token contract.

Proxies run on one core; load (wrk) and the shared upstream on another. Rounds are interleaved and
medians are taken; a round with any answer other than 200 voids the run. What counts is the ratio.
Needs haproxy, wrk, openssl and a release build of corgate. Everything is on loopback, ends by
itself, and takes about ROUNDS x SECONDS x 4.
"""
import argparse
import json
import os
import pathlib
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
TICKS = os.sysconf("SC_CLK_TCK")
PORTS = {"bank": 18080, "haproxy_plain": 18081, "haproxy_tls": 18443,
         "corgate_plain": 18082, "corgate_tls": 18444, "admin": 18090}


def cpu_seconds(pid):
    """User and system time of a process, all its threads together."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) / TICKS, int(fields[12]) / TICKS


def wait_for(port, seconds=10):
    import socket
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
            return
        except OSError:
            time.sleep(0.05)
    sys.exit(f"nothing listens on port {port}")


def start(core, command, env, log):
    full = {**os.environ, **env}
    return subprocess.Popen(["taskset", "-c", str(core), *command], env=full,
                            stdout=open(log, "w"), stderr=open(f"{log}.err", "w"))


def certificates(folder):
    """One self-signed P-256 certificate for both proxies."""
    cert, key, pem = folder / "edge.pem", folder / "edge.key", folder / "both.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                    "-nodes", "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
                   check=True, stderr=subprocess.DEVNULL)
    pem.write_text(cert.read_text() + key.read_text())
    return cert, key, pem


def corgate_table(folder, cert, key):
    table = folder / "routes.toml"
    table.write_text(f"""
[gateway]
listen = "127.0.0.1:{PORTS['corgate_tls']}"
insecure_plain_listen = "127.0.0.1:{PORTS['corgate_plain']}"
admin = "127.0.0.1:{PORTS['admin']}"
workers = 1
insecure_header_identity = true
[gateway.tls]
cert = "{cert}"
key = "{key}"
client_ca = "{cert}"
client_auth = "optional"
[gateway.access_log]
path = "{folder}/corgate-access.log"
[[api]]
contract = "blink-fi"
base_path = "/consent-flow/v2"
[[client]]
id = "CIDX0000000001"
targets = ["*"]
limit = {{ rate = "1000000/s", burst = 1000000 }}
target_limit = {{ rate = "1000000/s", burst = 1000000 }}
[[target]]
id = "IIDX00001"
dialect = "blink"
upstream = "http://127.0.0.1:{PORTS['bank']}"
insecure_plain_upstream = true
allow_private_addresses = true
concurrency = 1000
idle_connections_max = 256
limit = {{ rate = "1000000/s", burst = 1000000 }}
""")
    return table


def load(core, url, seconds, connections):
    """One round of wrk; returns requests done, or ends the run when an answer was not a 200."""
    out = subprocess.run(["taskset", "-c", str(core), "wrk", "-t1", f"-c{connections}",
                          f"-d{seconds}s", "--latency", "-s", str(HERE / "token.lua"), url],
                         check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in out or "Socket errors" in out:
        sys.exit(f"a round had errors:\n{out}")
    done = int(re.search(r"(\d+) requests in", out).group(1))
    return done, re.search(r"99%\s+(\S+)", out).group(1)


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--seconds", type=int, default=4)
    options.add_argument("--connections", type=int, default=32)
    options.add_argument("--corgate", default="target/release/corgate")
    options.add_argument("--json", help="write all rounds to this file")
    args = options.parse_args()
    missing = [tool for tool in ("haproxy", "wrk", "openssl", "taskset") if not shutil.which(tool)]
    if missing:
        sys.exit("missing: " + ", ".join(missing) + " (Debian: apt-get install haproxy wrk openssl util-linux)")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="corgate-bench-"))
    cert, key, pem = certificates(folder)
    (folder / "clients.lst").write_text("CIDX0000000001\n")
    (folder / "targets.map").write_text("IIDX00001 bank\n")
    env = {"BANK_PORT": str(PORTS["bank"]), "PLAIN_PORT": str(PORTS["haproxy_plain"]),
           "TLS_PORT": str(PORTS["haproxy_tls"]), "PEM": str(pem),
           "CLIENTS": str(folder / "clients.lst"), "TARGETS": str(folder / "targets.map")}
    table = corgate_table(folder, cert, key)
    children = {
        "bank": start(1, ["haproxy", "-f", str(HERE / "bank.cfg")], env, folder / "bank.log"),
        "haproxy": start(0, ["haproxy", "-f", str(HERE / "haproxy.cfg")], env, folder / "haproxy.log"),
        "corgate": start(0, [args.corgate, "run", "--config", str(table)], env, folder / "corgate.log"),
    }
    rounds = {}
    try:
        for name in PORTS:
            wait_for(PORTS[name])
        for number in range(args.rounds + 1):
            for scene in ("plain", "tls"):
                for proxy in ("haproxy", "corgate") if number % 2 else ("corgate", "haproxy"):
                    scheme = "https" if scene == "tls" else "http"
                    url = f"{scheme}://127.0.0.1:{PORTS[f'{proxy}_{scene}']}"
                    before = cpu_seconds(children[proxy].pid)
                    done, p99 = load(1, url, args.seconds, args.connections)
                    after = cpu_seconds(children[proxy].pid)
                    user, system = (1e6 * (b - a) / done for a, b in zip(before, after))
                    if number:  # the first round warms up
                        rounds.setdefault((scene, proxy), []).append((user + system, user, system, done, p99))
    finally:
        for child in children.values():
            child.send_signal(signal.SIGTERM)
        for child in children.values():
            child.wait(10)
    report(rounds, args)


def report(rounds, args):
    print(f"{args.rounds} interleaved rounds of {args.seconds} s, {args.connections} connections, medians")
    print(f"{'scene':<7}{'proxy':<10}{'us/request':>11}{'user':>8}{'system':>8}{'requests/s':>12}")
    for (scene, proxy), rows in sorted(rounds.items()):
        middle = [statistics.median(row[i] for row in rows) for i in range(4)]
        print(f"{scene:<7}{proxy:<10}{middle[0]:>11.1f}{middle[1]:>8.1f}{middle[2]:>8.1f}{middle[3] / args.seconds:>12.0f}")
    for scene in ("plain", "tls"):
        pairs = zip(rounds[(scene, "corgate")], rounds[(scene, "haproxy")])
        ratios = sorted(ours[0] / theirs[0] for ours, theirs in pairs)
        print(f"{scene}: corgate / HAProxy = {statistics.median(ratios):.2f} (rounds: {', '.join(f'{r:.2f}' for r in ratios)})")
    if args.json:
        rows = {f"{scene}/{proxy}": rows for (scene, proxy), rows in rounds.items()}
        pathlib.Path(args.json).write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
