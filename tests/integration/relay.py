"""Stands between Sluice and its resolver: counts what is asked, and meddles where it is told to."""
import collections
import contextlib
import select
import socket
import socketserver
import struct
import threading
import time

from hostile.dns_wire import SERVFAIL, Question

RELAY = "127.0.0.7"
SECONDS = 30.0

# at: by the monotonic clock; kind: of record, a number; how: "udp" or "tcp"; id: tried again, a
# question keeps it.
Asked = collections.namedtuple("Asked", "at name kind how id")


class Relay(contextlib.AbstractContextManager):
    """UDP and TCP on one port.

    instead(question): None, and the resolver is asked; or packets, and it is not ([]: silence).
    behind(question, packet): the packets that go out in place of the resolver's one.
    Both run on the relay's threads. A resolver that is not there is told of by SERVFAIL.
    """

    def __init__(self, resolver, instead=lambda question: None,
                 behind=lambda question, packet: [packet], address=RELAY):
        self.resolver, self.address = resolver, address
        self.instead, self.behind = instead, behind
        self.asked = []
        self.errors = []
        self.stopping = False
        self.waiting = collections.defaultdict(collections.deque)
        while True:
            self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            self.udp.bind((address, 0))
            self.port = self.udp.getsockname()[1]
            with contextlib.suppress(OSError):  # the port may be taken in TCP
                self.tcp = self._tcp_server()
                break
            self.udp.close()
        self.upstream = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.upstream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.upstream.connect(resolver)
        # One that select() called ready may have told its error to somebody else meanwhile.
        self.udp.setblocking(False)
        self.upstream.setblocking(False)
        self.wake, self.waker = socket.socketpair()
        self.serving = threading.Thread(target=self._serve_udp, daemon=True)
        self.serving.start()

    @property
    def server(self):
        """As the configuration names it."""
        return f"{self.address}:{self.port}"

    def of(self, name, kind=None, how=None):
        """What was asked about a name; None: any."""
        return [a for a in list(self.asked) if a.name == name
                and (kind is None or a.kind == kind) and (how is None or a.how == how)]

    def __exit__(self, *_):
        self.stopping = True
        self.waker.send(b"x")
        self.serving.join()
        self.tcp.shutdown()
        self.tcp.server_close()
        for used in (self.udp, self.upstream, self.wake, self.waker):
            used.close()

    def _take(self, octets, how):
        question = Question(octets, how == "tcp")
        self.asked.append(Asked(time.monotonic(), question.name, question.kind, how,
                                question.id))
        return question

    def _serve_udp(self):
        sockets = [self.udp, self.upstream, self.wake]
        while not self.stopping:
            for ready in select.select(sockets, [], [])[0]:
                try:
                    if ready is self.udp:
                        self._from_client(*self.udp.recvfrom(65535))
                    elif ready is self.upstream:
                        self._from_resolver(self.upstream.recv(65535))
                except BlockingIOError:
                    pass
                except OSError:  # the resolver is not there: everybody who waits hears of it
                    self._resolver_is_gone()
                except Exception as error:  # what is wrong here must not pass for a lost packet
                    self.errors.append(error)

    def _from_client(self, octets, peer):
        question = self._take(octets, "udp")
        packets = self.instead(question)
        if packets is None:
            self.waiting[question.id + question.octets].append((question, peer))
            self.upstream.send(octets)
            return
        for packet in packets:
            self.udp.sendto(packet, peer)

    def _from_resolver(self, octets):
        answer = Question(octets, False)
        waiting = self.waiting.get(answer.id + answer.octets)
        if not waiting:
            return
        question, peer = waiting.popleft()
        if not waiting:
            del self.waiting[answer.id + answer.octets]
        for packet in self.behind(question, octets):
            self.udp.sendto(packet, peer)

    def _resolver_is_gone(self):
        for waiting in self.waiting.values():
            for question, peer in waiting:
                self.udp.sendto(question.reply(rcode=SERVFAIL), peer)
        self.waiting.clear()

    def _tcp_server(self):
        relay = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                with contextlib.suppress(OSError):
                    while octets := framed(self.rfile):
                        for packet in relay._over_tcp(octets):
                            self.wfile.write(struct.pack("!H", len(packet)) + packet)
                            self.wfile.flush()

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = False
            daemon_threads = True

        server = Server((self.address, self.port), Handler)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return server

    def _over_tcp(self, octets):
        question = self._take(octets, "tcp")
        packets = self.instead(question)
        if packets is not None:
            return packets
        with socket.create_connection(self.resolver, SECONDS) as upstream, \
                upstream.makefile("rb") as answers:
            upstream.sendall(struct.pack("!H", len(octets)) + octets)
            packet = framed(answers)
        return self.behind(question, packet) if packet else []


def framed(stream):
    """The next message of a TCP connection; None at its end."""
    length = stream.read(2)
    return stream.read(struct.unpack("!H", length)[0]) if len(length) == 2 else None
