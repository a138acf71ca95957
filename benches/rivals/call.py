"""The call that every proxy gets, and its files for the load generators.

A code exchange or a refresh that keeps the contract. It must not know who is called.
"""
import dataclasses

PATH = "/consent-flow/v2/oauth/token"
CLIENT, LIMITED, THIRD = "CIDX0000000001", "CIDX0000000002", "CIDX0000000003"
STRANGER = "CIDX0000009999"
# Targets: plain upstream, mutual TLS, a bank that remembers, one that is down, one not permitted.
PLAIN, SECURED, RECORDER, DOWN, FORBIDDEN = (f"IIDX0000{n}" for n in (1, 2, 3, 4, 9))
CORRELATION = "0f8fad5b-d9cb-469f-a165-70867728950e"


@dataclasses.dataclass(frozen=True)
class Call:
    """One call: its header fields and its form."""
    headers: tuple
    body: str

    def with_header(self, name, *values):
        """The same with a field on so many lines; none takes it away."""
        rest = tuple((n, v) for n, v in self.headers if n.lower() != name.lower())
        return Call(rest + tuple((name, value) for value in values), self.body)

    def with_body(self, body):
        """The same with another form."""
        return Call(self.headers, body)

    def header_lines(self):
        """As lines, without those that belong to the connection."""
        return [f"{name}: {value}" for name, value in self.headers]

    def write(self, folder, name, close=False):
        """Writes it for wrk, h2load and oha; returns the files of its header and its body."""
        head, body = folder / f"{name}.head", folder / f"{name}.body"
        head.write_text("".join(
            line + "\n" for line in self.header_lines() + ["Connection: close"] * close))
        body.write_text(self.body)
        return head, body


def form(client=CLIENT, **others):
    """A token call's form: a code exchange, with what is given instead."""
    pairs = {"grant_type": "authorization_code", "code": "SplxlOBeZQQYbYS6WxSbIA",
             "client_id": client, "username": "anna.muster",
             "redirect_uri": "https%3A%2F%2Fclient.example%2Fcb", **others}
    return "&".join(f"{name}={value}" for name, value in pairs.items() if value is not None)


def good(client=CLIENT, target=PLAIN):
    """A code exchange that keeps the contract."""
    return Call((
        ("X-Correlation-ID", CORRELATION), ("X-CorAPI-Client-ID", client),
        ("X-CorAPI-Target-ID", target), ("X-PSU-IP-Address", "198.51.100.7"),
        ("User-Agent", "bench/1.0"), ("Accept", "application/json"),
        ("Content-Type", "application/x-www-form-urlencoded"),
    ), form(client))


def sized(size):
    """A refresh whose form has about this many bytes; the bank answers with as many."""
    short = form(grant_type="refresh_token", code=None, refresh_token="")
    token = "r" * (size - len(short))
    return good().with_body(form(grant_type="refresh_token", code=None, refresh_token=token))


def answer(size):
    """A bank's answer of about this many bytes."""
    token = "t" * max(43, size - 180)
    return ('{"access_token":"%s","token_type":"bearer","expires_in":86400,'
            '"refresh_token":"tGzv3JOkF0XG5Qx2TlKWIA0123456789abcdefghijklmnop","scope":"ais"}'
            % token)
