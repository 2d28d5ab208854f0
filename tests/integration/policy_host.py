"""An HTTPS server that plays the policy hosts of MTA-STS (RFC 8461): one listener for all domains.
The certificate that is shown goes by the name that the session asks for, the answer by that name
too.

    with PolicyHost("127.0.9.1") as host:
        shown = authority.issue("mta-sts.a.example")
        host.serve("a.example", Answer(shown, policy("enforce", "mx.a.example")))

It listens in the network namespace of the thread that makes it. Answers may be replaced meanwhile.
"""
import http.server
import json
import socket
import ssl
import tempfile
import threading
from typing import NamedTuple, Optional

from tls_peers import Identity

PORT = 443
PATH = "/.well-known/mta-sts.txt"
# A client that says nothing does not keep a thread for longer.
PATIENCE = 120.0


def policy(mode, *patterns, max_age=604800):
    """The text of a policy."""
    return "".join(line + "\r\n" for line in (
        "version: STSv1", f"mode: {mode}", *(f"mx: {pattern}" for pattern in patterns),
        f"max_age: {max_age}"))


class Answer(NamedTuple):
    """What a domain's policy host shows and says. `stall`: "handshake", nothing comes at all;
    "reply", the request is read; "body", half of the text comes; then nothing more. `length`:
    whether the head says how long the text is."""
    shown: Optional[Identity]
    text: str = ""
    status: int = 200
    kind: str = "text/plain"
    headers: tuple = ()
    stall: str = ""
    length: bool = True


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):  # pylint: disable=invalid-name
        """As http.server wants it to be called."""
        host, asked = self.server.host, self.connection.asked_for
        host.note("request", asked, f"{self.path} {self.headers['Host']}")
        answer = host.answer_for(asked)
        if answer.stall == "reply":
            host.closing.wait(PATIENCE)
            return
        octets = answer.text.encode()
        self.send_response(answer.status)
        size = ("Content-Length", str(len(octets))) if answer.length else ("Connection", "close")
        for name, value in (("Content-Type", answer.kind), size, *answer.headers):
            self.send_header(name, value)
        self.end_headers()
        if answer.stall == "body":
            self.wfile.write(octets[:len(octets) // 2])
            host.closing.wait(PATIENCE)
            return
        self.wfile.write(octets)

    def log_message(self, *_):  # pylint: disable=arguments-differ
        """Says nothing: what was asked for is in PolicyHost.requests()."""


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address, host):
        self.host = host
        super().__init__((address, PORT), _Handler)

    def finish_request(self, request, client_address):
        """On the connection's own thread."""
        request.settimeout(PATIENCE)
        if self.host.stalls_at_once(request):
            return
        try:
            session = self.host.context.wrap_socket(request, server_side=True)
        except (OSError, ValueError):
            return  # who does not like what is shown says so himself
        with session:
            super().finish_request(session, client_address)

    def handle_error(self, request, client_address):
        """Clients go as they like."""


class PolicyHost:
    """All policy hosts at one address."""

    def __init__(self, address):
        self.lock = threading.Lock()
        self.answers, self.contexts, self.noted = {}, {}, []
        self.closing = threading.Event()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.sni_callback = self._choose
        self.server = _Server(address, self)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()

    def serve(self, domain, answer):
        """The policy host of the domain answers so from now on."""
        with self.lock:
            self.answers["mta-sts." + domain] = answer
            if answer.shown:
                self.contexts["mta-sts." + domain] = context_of(answer.shown)

    def requests(self, domain=None):
        """What was asked for over TLS, in order: (domain, path and Host)."""
        return self._noted("request", domain)

    def connections(self, domain=None):
        """Whose policy host somebody began a session with."""
        return self._noted("session", domain)

    def close(self):
        """Ends what stalls, too. Nothing when it is closed already."""
        if self.closing.is_set():
            return
        self.closing.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # --- for the server

    def note(self, what, name, words=""):
        with self.lock:
            self.noted.append((what, name.removeprefix("mta-sts."), words))

    def answer_for(self, name):
        with self.lock:
            return self.answers[name]

    def stalls_at_once(self, request):
        """Looks at the first flight without taking it: the name stands there in clear."""
        octets = request.recv(4096, socket.MSG_PEEK)
        with self.lock:
            stalled = [name for name, answer in self.answers.items()
                       if answer.stall == "handshake" and name.encode() in octets]
        for name in stalled:
            self.note("session", name)
            self.closing.wait(PATIENCE)
        return bool(stalled)

    def _choose(self, session, name, _):
        self.note("session", name or "")
        with self.lock:
            context = self.contexts.get(name)
        if context is None:
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        session.context = context
        session.asked_for = name
        return None

    def _noted(self, what, domain):
        with self.lock:
            return [(name, words) for kind, name, words in self.noted
                    if kind == what and domain in (None, name)]


def context_of(shown):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(shown.key + shown.certificates)
        file.flush()
        context.load_cert_chain(file.name)
    return context


def kept_policies(spool):
    """What the program keeps over restarts: domain -> policy."""
    file = spool / "mta-sts.json"
    if not file.exists():
        return {}
    return {kept["domain"]: kept for kept in json.loads(file.read_text())["policies"]}
