"""The proxies: how each is configured from its template, started, and where it listens.

Each gets the same clients, banks, certificates and limits. It must not know what is measured.
"""
import dataclasses
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

    def filled(self, template, **values):
        """A template with its @NAMES@ filled in, written to the folder."""
        values = {**{f"{name.upper()}_PORT": port for name, port in self.ports.items()},
                  "CERTS": self.world.certs, "FOLDER": self.folder, "LOG": self.log,
                  "CLIENTS_CA": self.world.certs / "clients-ca.pem", **values}
        text = (CONFIGS / template).read_text()
        text = re.sub("@([A-Z_0-9]+)@", lambda found: str(values.get(found[1], found[0])), text)
        path = self.folder / template
        path.write_text(text)
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
        descriptors = "\n".join(
            f"              - {{ entries: [{{ key: client, value: {client} }}], token_bucket: "
            f"{{ max_tokens: {rate}, tokens_per_fill: {rate}, fill_interval: 1s }} }}"
            for client, rate in clients().items())
        routes = "\n".join(
            f"                      {bank.target}: {{ action: {{ name: r, typed_config: "
            '{ "@type": type.googleapis.com/envoy.config.route.v3.Route, match: { prefix: "/" }, '
            f"route: {{ cluster: b{number}, prefix_rewrite: /oauth/token, timeout: 8s }} }} }} }}"
            # The path is checked before, so the prefix to replace is all of it.
            .replace('prefix: "/"', f"prefix: {call.PATH}")
            for number, bank in enumerate(self.banks))
        listeners = []
        for name in ("plain", "tls", "mtls"):
            listeners.append(self.filled(
                "envoy-listener.yaml", NAME=name, PORT=self.ports[name], CONTRACT=contract,
                DESCRIPTORS=descriptors, ROUTES=routes, TRANSPORT=self.transport(name)).read_text())
        clusters = "\n".join(self.cluster(number, bank) for number, bank in enumerate(self.banks))
        config = self.filled("envoy.yaml", LISTENERS="".join(listeners), CLUSTERS=clusters)
        return [tools.find("envoy"), "-c", config, "--concurrency", "1", "--disable-hot-restart",
                "-l", "error", "--file-flush-interval-msec", "1000"]

    def transport(self, name):
        if name == "plain":
            return ""
        certs = self.world.certs
        asks = (f"require_client_certificate: true, " if name == "mtls" else "")
        ca = (f", validation_context: {{ trusted_ca: {{ filename: {certs}/clients-ca.pem }} }}"
              if name == "mtls" else "")
        return ('      transport_socket: { name: envoy.transport_sockets.tls, typed_config: { "@type":'
                " type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext, "
                f"{asks}common_tls_context: {{ alpn_protocols: [h2, http/1.1], tls_params: "
                "{ tls_minimum_protocol_version: TLSv1_3, ecdh_curves: [X25519, P-256] }, "
                f"tls_certificates: [{{ certificate_chain: {{ filename: {certs}/edge.pem }}, "
                f"private_key: {{ filename: {certs}/edge.key }} }}]{ca} }} }} }}\n")

    def cluster(self, number, bank):
        certs = self.world.certs
        tls = ("" if not bank.secured else
               ', transport_socket: { name: envoy.transport_sockets.tls, typed_config: { "@type": '
               "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext, "
               "sni: localhost, common_tls_context: { tls_params: { tls_maximum_protocol_version: "
               "TLSv1_3 }, tls_certificates: [{ certificate_chain: { filename: "
               f"{certs}/hub.pem }}, private_key: {{ filename: {certs}/hub.key }} }}], "
               f"validation_context: {{ trusted_ca: {{ filename: {certs}/banks-ca.pem }} }} }} }} }}")
        wide = "{ max_connections: 100000, max_pending_requests: 100000, max_requests: 100000 }"
        return (f"  - {{ name: b{number}, type: STATIC, connect_timeout: 1s, load_assignment: "
                f"{{ cluster_name: b{number}, endpoints: [{{ lb_endpoints: [{{ endpoint: {{ address: "
                "{ socket_address: { address: 127.0.0.1, port_value: "
                f"{bank.port} }} }} }} }}] }}] }}, circuit_breakers: {{ thresholds: [{wide}] }}{tls} }}")

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
        text = (CONFIGS / "bank.cfg").read_text()
        values = {"BANK_PORT": self.port, "BANK_TLS_PORT": self.tls_port, **answers,
                  "BANK_PEM": world.certs / "alpine.both", "HUB_CA": world.certs / "hub-ca.pem"}
        for name, value in values.items():
            text = text.replace(f"@{name}@", str(value))
        (world.folder / "bank.cfg").write_text(text)

    def start(self):
        """Starts it beside the load."""
        self.world.start("bank", [tools.find("haproxy"), "-db", "-f", self.world.folder / "bank.cfg"],
                         self.world.load_cores)
        self.world.wait_for("bank", self.port)
