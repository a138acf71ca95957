"""Whether a proxy does the contract: good and bad calls, each with the answer it has to have.

Run before anything is timed. The count of what a proxy lacks stands beside its figures. It must not
know how a proxy is configured.
"""
import http.client
import http.server
import re
import socket
import ssl
import threading

import call

# A UUID or, as nginx has it, its digits alone.
FRESH = re.compile(r"^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$")


class Recorder:
    """A bank that remembers what it was sent. Its answer has fields that no client may see."""

    def __init__(self, port):
        recorder = self
        self.seen, self.path = None, None

        class Answer(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                recorder.seen, recorder.path = self.headers, self.path
                body = call.answer(190).encode()
                self.send_response(200)
                for name, value in (("Content-Type", "application/json"), ("Set-Cookie", "a=b"),
                                    ("X-CorAPI-Source", "BANK"), ("X-Internal", "secret"),
                                    ("X-Correlation-ID", "the-banks-own"),
                                    ("Content-Length", str(len(body)))):
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Answer)
        # A proxy may reset an idle connection when it leaves; that is nobody's business here.
        self.server.handle_error = lambda *_: None
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        """Stops listening."""
        self.server.shutdown()
        self.server.server_close()


def send(port, sent, context=None, method="POST", path=call.PATH, framing=None):
    """One call on a connection of its own: status, header, body."""
    body = sent.body.encode()
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *sent.header_lines(),
             framing or f"Content-Length: {len(body)}", "Connection: close", "", ""]
    with socket.create_connection(("127.0.0.1", port), 5) as plain:
        stream = context.wrap_socket(plain, server_hostname="localhost") if context else plain
        stream.sendall("\r\n".join(lines).encode() + body)
        answer = http.client.HTTPResponse(stream, method=method)
        answer.begin()
        return answer.status, answer.headers, answer.read()


def cases():
    """Name, call, status, `error`; further words for `send`."""
    good = call.good()
    refresh = call.form(grant_type="refresh_token", code=None, refresh_token="tGzv3JOkF0XG5Qx2TlK")
    cid, client, target = "X-Correlation-ID", "X-CorAPI-Client-ID", "X-CorAPI-Target-ID"
    bad = (400, "invalid_request")
    yield "a code exchange", good, 200, None, {}
    yield "a refresh", good.with_body(refresh), 200, None, {}
    yield "a field's name in lower case", good.with_header("accept", "*/*"), 200, None, {}
    yield "a body of 16 KiB", call.sized(16384), 200, None, {}
    yield "another path", good, 404, "invalid_request", {"path": call.PATH + "/x"}
    yield "another method", good.with_body(""), 405, "invalid_request", {"method": "GET"}
    yield "no correlation id", good.with_header(cid), *bad, {}
    yield "two correlation ids", good.with_header(cid, "a", "b"), *bad, {}
    yield "a correlation id of 65", good.with_header(cid, "a" * 65), *bad, {}
    yield "a correlation id of two words", good.with_header(cid, "a b"), *bad, {}
    yield "a query", good, *bad, {"path": call.PATH + "?a=b"}
    yield "no client id", good.with_header(client), *bad, {}
    yield "a malformed client id", good.with_header(client, "a/b"), *bad, {}
    yield "an unknown client", good.with_header(client, call.STRANGER), 401, "invalid_client", {}
    yield "no user agent", good.with_header("User-Agent"), *bad, {}
    yield "an address that is none", good.with_header("X-PSU-IP-Address", "300.1.1.1"), *bad, {}
    yield "an unknown target", good.with_header(target, "IIDX77777"), *bad, {}
    yield "two targets", good.with_header(target, call.PLAIN, call.PLAIN), *bad, {}
    yield ("a target that is not permitted", good.with_header(target, call.FORBIDDEN), 403,
           "unauthorized_client", {})
    yield "an Authorization", good.with_header("Authorization", "Basic YTpi"), 401, \
        "invalid_client", {}
    yield "an Accept without JSON", good.with_header("Accept", "text/html"), 406, None, {}
    yield "a JSON body", good.with_header("Content-Type", "application/json"), 415, None, {}
    yield "a coded body", good.with_header("Content-Encoding", "gzip"), 415, None, {}
    yield "a chunked body", good.with_body("0\r\n\r\n"), 411, None, \
        {"framing": "Transfer-Encoding: chunked"}
    yield "a body of 70,000", call.sized(70000), 413, "invalid_request", {}
    yield "a form without a grant", good.with_body(call.form(grant_type=None)), *bad, {}
    yield ("another grant", good.with_body(call.form(grant_type="password")), 400,
           "unsupported_grant_type", {})
    yield "no code", good.with_body(call.form(code=None)), *bad, {}
    yield "a code of 4097", good.with_body(call.form(code="c" * 4097)), *bad, {}
    yield "a parameter twice", good.with_body(call.form() + "&code=x"), *bad, {}
    yield "a parameter twice, in two spellings", \
        good.with_body(call.form() + "&%63ode=x"), *bad, {}
    yield "another's client_id in the form", \
        good.with_body(call.form(call.THIRD)), 401, "invalid_client", {}
    yield "no username", good.with_body(call.form(username=None)), *bad, {}
    yield "a username of 64 letters", good.with_body(call.form(username="%C3%A4" * 64)), 200, \
        None, {}
    yield "a username of 65 letters", good.with_body(call.form(username="a" * 65)), *bad, {}
    yield "a bank that is down", good.with_header(target, call.DOWN), 502, "server_error", {}


def check(proxy, recorder):
    """Every case at a proxy: how many there are, and what it lacks in words."""
    lacks, count = [], 0
    plain = proxy.ports["plain"]
    for name, sent, status, error, extra in cases():
        count += 1
        wrong = fault_of(plain, sent, status, error, extra)
        if wrong:
            lacks.append(f"{name}: {wrong}")
    for name, holds in (("a limit", over_limit(plain)), ("what a bank gets", None),
                        ("what a client gets", None), ("mutual TLS", certified(proxy)),
                        ("mutual TLS with a bank", secured(plain)), ("an access line", None)):
        count += 1
        if holds is None:
            holds = {"what a bank gets": bank_gets, "what a client gets": client_gets,
                     "an access line": access_line}[name](proxy, recorder)
        if holds:
            lacks.append(f"{name}: {holds}")
    return count, lacks


def fault_of(port, sent, status, error, extra):
    """What is wrong with one answer, or nothing."""
    try:
        got, head, body = send(port, sent, **extra)
    except (OSError, http.client.HTTPException) as broken:
        return f"{status} wanted, no answer ({type(broken).__name__})"
    if got != status:
        return f"{status} wanted, {got} came"
    ids = head.get_all("X-Correlation-ID") or []
    given = [value for name, value in sent.headers if name == "X-Correlation-ID"]
    if len(ids) != 1:
        return f"{len(ids)} correlation ids"
    # A head whose framing is refused is not believed: its id may be a fresh one.
    if given == [call.CORRELATION] and ids != given and status != 411:
        return "another correlation id"
    if ids != [call.CORRELATION] and not FRESH.match(ids[0]):
        return f"the correlation id is not fresh: {ids[0]}"
    if head.get("X-CorAPI-Source") != ("PROVIDER" if status == 200 else "PLATFORM"):
        return f"source {head.get('X-CorAPI-Source')}"
    if error and f'"error":"{error}"' not in body.decode(errors="replace").replace(" ", ""):
        return f"no `{error}` in the body"
    return None


def over_limit(port):
    """A client with one call a second: its calls are refused with 429."""
    sent = call.good(client=call.LIMITED)
    answers = [send(port, sent) for _ in range(20)]
    over = [head for status, head, _ in answers if status == 429]
    if len(over) < 15:
        return f"{len(over)} of 20 calls were refused"
    if any(head.get("Retry-After") is None for head in over):
        return "no Retry-After"
    return any(head.get("X-Correlation-ID") != call.CORRELATION for head in over) \
        and "no correlation id"


def bank_gets(proxy, recorder):
    """Only what is named travels, to the bank's own path."""
    sent = call.good(target=call.RECORDER)
    for name, value in (("Cookie", "a=b"), ("X-Forwarded-For", "1.2.3.4"), ("Client-Cert", "x"),
                        ("Forwarded", "for=1.2.3.4"), ("X-CorAPI-Source", "x"), ("X-Odd", "y")):
        sent = sent.with_header(name, value)
    recorder.seen = None
    status, _, _ = send(proxy.ports["plain"], sent)
    if status != 200 or recorder.seen is None:
        return f"{status} came"
    strange = [name for name in ("Cookie", "X-Forwarded-For", "Client-Cert", "Forwarded",
                                 "X-CorAPI-Source", "X-Odd") if name in recorder.seen]
    if strange:
        return "the bank gets " + ", ".join(strange)
    if recorder.seen.get("X-Correlation-ID") != call.CORRELATION:
        return "another correlation id"
    return recorder.path != "/oauth/token" and f"path {recorder.path}"


def client_gets(proxy, _recorder):
    """The bank's own marks are replaced, and what is not named stays behind."""
    status, head, _ = send(proxy.ports["plain"], call.good(target=call.RECORDER))
    if status != 200 or head.get_all("X-CorAPI-Source") != ["PROVIDER"] \
            or head.get_all("X-Correlation-ID") != [call.CORRELATION]:
        return "the bank's own marks"
    strange = [name for name in ("Set-Cookie", "X-Internal") if name in head]
    return strange and "the client gets " + ", ".join(strange)


def certified(proxy):
    """The certificate says who calls; a header that says otherwise is refused."""
    certs = proxy.world.certs
    context = ssl.create_default_context(cafile=certs / "hub-ca.pem")
    context.load_cert_chain(certs / f"{call.CLIENT}.pem", certs / f"{call.CLIENT}.key")
    own, _, _ = send(proxy.ports["mtls"], call.good(), context)
    other, _, _ = send(proxy.ports["mtls"], call.good(client=call.THIRD), context)
    return (own, other) != (200, 401) and f"200 and 401 wanted, {own} and {other} came"


def secured(port):
    """A bank that asks for the hub's certificate."""
    status, _, _ = send(port, call.good(target=call.SECURED))
    return status != 200 and f"200 wanted, {status} came"


def access_line(proxy, _recorder):
    """The call stands in the log file, within two seconds."""
    mark = f"logged-{proxy.id}"
    send(proxy.ports["plain"], call.good().with_header("X-Correlation-ID", mark))
    pause = threading.Event()
    for _ in range(40):
        if mark in proxy.log.read_text(errors="replace"):
            return None
        pause.wait(0.1)
    return "no line"
