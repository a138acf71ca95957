"""The scenes: what is asked of every proxy, one row each.

A scene names a listener, a call, a load generator and what every answer has to be. It must not know
how figures are taken.
"""
import dataclasses

import call

ROUTES = 10_000
# So many of the routes are called. Each bank has connections of its own, and a call to a bank that
# has none would measure the connecting.
ROUTES_CALLED = 100


@dataclasses.dataclass(frozen=True)
class Scene:
    """One row of the table."""
    key: str
    title: str
    sent: call.Call
    listener: str = "plain"
    generator: str = "wrk"
    # Every answer is a 2xx, or every answer is a refusal with this status.
    status: int = 200
    # A connection for each call, with a full handshake or a resumed one.
    handshake: str = ""
    # Latency is also taken, at a fixed rate.
    open_loop: bool = False
    # The proxy has the table of 10,000 routes.
    many: bool = False
    pairs: tuple = ()

    @property
    def certified(self):
        """Whether the client shows a certificate."""
        return self.listener == "mtls"


def routes():
    """The targets of the large table."""
    return [f"RIDX{number:05}" for number in range(1, ROUTES + 1)]


def hot_routes():
    """Those that are called: evenly from the whole table, in an order that is no order."""
    names = routes()[::ROUTES // ROUTES_CALLED]
    return [names[at * 37 % len(names)] for at in range(len(names))]


def scenes():
    """Every scene, in the order of the table."""
    good = call.good()
    no_code = good.with_body(call.form(code=None))
    stranger = good.with_header("X-CorAPI-Client-ID", call.STRANGER)
    limited = call.good(client=call.LIMITED)
    pairs = tuple((call.CLIENT, target) for target in hot_routes())
    return [
        Scene("plain", "plain HTTP/1.1", good, open_loop=True),
        Scene("tls", "TLS in front", good, "tls", open_loop=True),
        Scene("mtls", "mutual TLS in front", good, "mtls", open_loop=True),
        Scene("mtls-both", "mutual TLS on both legs", call.good(target=call.SECURED), "mtls",
              open_loop=True),
        Scene("h2", "TLS and HTTP/2 in front", good, "tls", "h2load", open_loop=True),
        Scene("handshake", "a full TLS handshake for each call", good, "tls", handshake="full"),
        Scene("resumed", "a resumed TLS handshake for each call", good, "tls",
              handshake="resumed"),
        Scene("refused-400", "refused: form without a code (400)", no_code, status=400),
        Scene("refused-401", "refused: unknown client (401)", stranger, status=401),
        Scene("refused-429", "refused: over its limit (429)", limited, status=429),
        Scene("routes", f"a table of {ROUTES:,} routes", good, many=True, pairs=pairs),
        Scene("body-2k", "2 KiB there and 2 KiB back", call.sized(2048)),
        Scene("body-16k", "16 KiB there and 16 KiB back", call.sized(16384)),
    ]
