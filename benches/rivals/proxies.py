"""The proxies: how each is configured from its template, started, and where it listens.

Each gets the same clients, banks, certificates and limits. It must not know what is measured.
"""
import dataclasses
import functools
import hashlib
import os
import pathlib
import re
import ssl

import call
import tools

CONFIGS = pathlib.Path(__file__).with_name("configs")
FAST, SLOW = 1_000_000, 1
# How many connections to one bank each proxy may keep idle.
IDLE = 256
# nginx looks through all its upstream blocks at each call: beyond so many, Lua finds the peer.
BLOCKS_MAX = 100


@dataclasses.dataclass(frozen=True)
class Bank:
    """A target: its id, whether its upstream speaks TLS, and the upstream's port."""
    target: str
    secured: bool
    port: int
    permitted: bool = True


@functools.cache
def read(template):
    """A template's text."""
    return (CONFIGS / template).read_text()


def filled(text, values):
    """A text with its @NAMES@ filled in; all of them have to be known."""
    return re.sub("@([A-Z][A-Z_0-9]+)@", lambda found: str(values[found[1]]), text)


class Proxy:
    """What all have: ports, a folder's files, a process."""
    name = title = ""
    needs = ()

    def __init__(self, world, banks, suffix=""):
        self.world, self.banks, self.id = world, banks, self.name + suffix
        self.folder = world.folder / self.id
        self.folder.mkdir()
        self.log = self.folder / "access.log"
        self.ports = {scene: world.port() for scene in ("plain", "tls", "mtls", "admin")}
        self.stdout = None

    def text(self, template, **values):
        """A template with its @NAMES@ filled in."""
        values = {**{f"{name.upper()}_PORT": port for name, port in self.ports.items()},
                  "CERTS": self.world.certs, "FOLDER": self.folder, "LOG": self.log,
                  "CLIENTS_CA": self.world.certs / "clients-ca.pem", **values}
        return filled(read(template), values)

    def filled(self, template, **values):
        """The same, written to the folder."""
        path = self.folder / template
        path.write_text(self.text(template, **values))
        return path

    def table(self, name, lines):
        """A file of lines; returns its path."""
        path = self.folder / name
        path.write_text("".join(f"{line}\n" for line in lines))
        return path

    def start(self):
        """Starts it on the proxies' core and waits until it listens."""
        self.child = self.world.start(self.id, self.command(), self.world.proxy_cores, self.stdout)
        for scene in ("plain", "tls", "mtls"):
            self.world.wait_for(self.id, self.ports[scene], 90)

    @property
    def pid(self):
        """Its process; children count too where it is measured."""
        return self.child.pid

    def permits(self):
        """The pairs of client and target that may call."""
        return [(client, bank.target) for client in clients() for bank in self.banks
                if bank.permitted]

    def fingerprint(self, client, algorithm):
        """A client certificate's digest, in lower-case hexadecimal."""
        pem = (self.world.certs / f"{client}.pem").read_text()
        return hashlib.new(algorithm, ssl.PEM_cert_to_DER_cert(pem[pem.index("-----BEGIN"):])
                           ).hexdigest()


def clients():
    """Every client and its calls a second."""
    return {call.CLIENT: FAST, call.LIMITED: SLOW, call.THIRD: FAST}


class Corgate(Proxy):
    """corgate with everything on."""
    name, title = "corgate", "corgate"
    binary = tools.TOP / "target" / "release" / "corgate"

    def command(self):
        self.ports["mtls"] = self.ports["tls"]
        targets = ", ".join(f'"{bank.target}"' for bank in self.banks if bank.permitted)
        entries = []
        for client, rate in clients().items():
            mark = (self.world.certs / f"{client}.sha256").read_text().strip()
            entries.append(f'[[client]]\nid = "{client}"\ncertificates = ["{mark}"]\n'
                           f'targets = [{targets}]\n'
                           f'limit = {{ rate = "{rate}/s", burst = {rate} }}\n'
                           f'target_limit = {{ rate = "{FAST}/s", burst = {FAST} }}\n')
        banks = []
        certs = self.world.certs
        for bank in self.banks:
            scheme = "https" if bank.secured else "http"
            banks.append(f'[[target]]\nid = "{bank.target}"\n'
                         f'upstream = "{scheme}://127.0.0.1:{bank.port}"\n'
                         'allow_private_addresses = true\n'
                         f'insecure_plain_upstream = {str(not bank.secured).lower()}')
            if bank.secured:
                banks.append(f'tls = {{ ca = "{certs}/banks-ca.pem", cert = "{certs}/hub.pem", '
                             f'key = "{certs}/hub.key", server_name = "localhost" }}')
        config = self.filled("corgate.toml", CLIENTS="\n".join(entries), TARGETS="\n".join(banks),
                             LIMITS="")
        return [self.binary, "run", "--config", config]

    @classmethod
    def version(cls):
        return tools.version("corgate", cls.binary)


class HAProxy(Proxy):
    """HAProxy with its own rules."""
    name, title, needs = "haproxy", "HAProxy", ("haproxy",)

    def command(self):
        # Its log is written to standard output.
        self.stdout = self.log
        backends, targets = [], []
        certs = self.world.certs
        for number, bank in enumerate(self.banks):
            tls = (f" ssl verify required ca-file {certs}/banks-ca.pem crt {certs}/hub.both "
                   "sni str(localhost) verifyhost localhost" if bank.secured else "")
            backends.append(f"backend b{number}\n    server bank 127.0.0.1:{bank.port}"
                            f" pool-max-conn {IDLE}{tls}")
            targets.append(f"{bank.target} b{number}")
        config = self.filled(
            "haproxy.cfg", BACKENDS="\n".join(backends), EDGE_PEM=certs / "edge.both",
            CLIENTS=self.table("clients.lst", clients()),
            LIMITS=self.table("limits.map", (f"{c} {rate}" for c, rate in clients().items())),
            FINGERPRINTS=self.table("fingerprints.map", (
                f"{self.fingerprint(c, 'sha256').upper()} {c}" for c in clients())),
            TARGETS=self.table("targets.map", targets),
            PERMITS=self.table("permits.lst", (f"{c}/{t}" for c, t in self.permits())))
        return [tools.find("haproxy"), "-db", "-f", config]

    @classmethod
    def version(cls):
        return tools.version("haproxy")


class Nginx(Proxy):
    """nginx with Lua."""
    name, title, needs = "nginx", "nginx + Lua", ("nginx", "nginx-lua")

    def command(self):
        self.filled("nginx-calls.conf")
        self.filled("nginx_contract.lua")
        upstreams, targets = [], []
        for number, bank in enumerate(self.banks):
            if len(self.banks) > BLOCKS_MAX:
                continue
            scheme = "https" if bank.secured else "http"
            upstreams.append(f"    upstream b{number} {{ server 127.0.0.1:{bank.port}; "
                             f"keepalive {IDLE}; keepalive_requests 1000000000; }}")
            targets.append(f"{bank.target} {scheme}://b{number};")
        peers = ""
        if len(self.banks) > BLOCKS_MAX:
            upstreams = ["    upstream banks { server 0.0.0.1; balancer_by_lua_block "
                         f"{{ contract.balance() }} keepalive {IDLE}; "
                         "keepalive_requests 1000000000; }"]
            targets = [f"{bank.target} http://banks;" for bank in self.banks]
            peers = "".join(f'["{bank.target}"]={bank.port},' for bank in self.banks)
        self.table("nginx-targets.map", targets)
        for name, wanted in (("fast", FAST), ("slow", SLOW)):
            self.table(f"nginx-{name}.map", (f"{c} {c};" for c, rate in clients().items()
                                             if rate == wanted))
        self.table("nginx-fingerprints.map", (
            f"{self.fingerprint(c, 'sha1')} {c};" for c in clients()))
        permits = "".join(f'["{c}/{t}"]=true,\n' for c, t in self.permits())
        known = "".join(f"{c}=true," for c in clients())
        self.table("contract_tables.lua", [
            f"return {{ clients = {{{known}}}, permits = {{{permits}}}, "
            f"ports = {{{peers}}} }}"])
        user = "user root;\n" if os.geteuid() == 0 else ""
        config = self.filled("nginx.conf", UPSTREAMS="\n".join(upstreams), USER=user,
                             MODULES=pathlib.Path(tools.find("nginx-lua")).parent)
        return [tools.find("nginx"), "-e", self.folder / "nginx-error.log", "-c", config]

    @classmethod
    def version(cls):
        return tools.version("nginx")


class Envoy(Proxy):
    """Envoy with Lua."""
    name, title, needs = "envoy", "Envoy + Lua", ("envoy",)

    def command(self):
        contract = self.folder / "contract.lua"
        contract.write_text("\n".join((
            lua_set("CLIENTS", clients()), lua_set("TARGETS", (b.target for b in self.banks)),
            lua_set("PERMITS", (f"{c}/{t}" for c, t in self.permits())),
            "FINGERPRINTS = {" + ",".join(f'["{self.fingerprint(c, "sha256")}"]="{c}"'
                                          for c in clients()) + "}",
            (CONFIGS / "envoy_contract.lua").read_text())))
        limits = "".join(self.text("envoy-limit.yaml", CLIENT=client, RATE=rate)
                         for client, rate in clients().items())
        # The path is checked before, so the prefix that a route replaces is all of it.
        routes = "".join(self.text("envoy-route.yaml", TARGET=bank.target, NUMBER=number,
                                   PATH=call.PATH) for number, bank in enumerate(self.banks))
        listeners = "".join(
            self.text("envoy-listener.yaml", NAME=name, PORT=self.ports[name], CONTRACT=contract,
                      DESCRIPTORS=limits, ROUTES=routes, TRANSPORT=self.transport(name))
            for name in ("plain", "tls", "mtls"))
        clusters = "".join(
            self.text("envoy-cluster.yaml", NUMBER=number, BANK_PORT=bank.port)
            + (self.text("envoy-cluster-tls.yaml") if bank.secured else "")
            for number, bank in enumerate(self.banks))
        config = self.filled("envoy.yaml", LISTENERS=listeners, CLUSTERS=clusters)
        return [tools.find("envoy"), "-c", config, "--concurrency", "1", "--disable-hot-restart",
                "-l", "error", "--file-flush-interval-msec", "1000"]

    def transport(self, listener):
        """A listener's TLS."""
        if listener == "plain":
            return ""
        certified = listener == "mtls"
        return self.text("envoy-tls.yaml", CERTIFIED=str(certified).lower()) + (
            self.text("envoy-tls-clients.yaml") if certified else "")

    @classmethod
    def version(cls):
        return tools.version("envoy")


def lua_set(name, members):
    """A Lua table whose keys are these."""
    return f"{name} = {{" + ",".join(f'["{member}"]=true' for member in members) + "}"


ALL = {proxy.name: proxy for proxy in (Corgate, HAProxy, Nginx, Envoy)}


class SharedBank:
    """The upstream that all share: HAProxy, answering by itself."""

    def __init__(self, world):
        self.world, self.port, self.tls_port = world, world.port(), world.port()
        answers = {}
        for name, size in (("ANSWER", 190), ("ANSWER_2K", 2048), ("ANSWER_16K", 16384)):
            path = world.folder / name.lower()
            path.write_text(call.answer(size))
            answers[name] = path
        values = {"BANK_PORT": self.port, "BANK_TLS_PORT": self.tls_port, **answers,
                  "BANK_PEM": world.certs / "alpine.both", "HUB_CA": world.certs / "hub-ca.pem"}
        (world.folder / "bank.cfg").write_text(filled(read("bank.cfg"), values))

    def start(self):
        """Starts it beside the load."""
        command = [tools.find("haproxy"), "-db", "-f", self.world.folder / "bank.cfg"]
        self.world.start("bank", command, self.world.load_cores)
        self.world.wait_for("bank", self.port)
