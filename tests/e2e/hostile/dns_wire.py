"""DNS as octets, and a name server whose answers are whatever a character likes to send."""
import contextlib
import socket
import socketserver
import struct
import threading

A, CNAME, SOA, MX = 1, 5, 6, 15
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = range(6)
RESPONSE = 0x8180  # recursion desired and available
TRUNCATED = 0x0200
UDP_OCTETS = 1232


def name(text):
    """The octets of a name; labels are text or, in a tuple or list, octets."""
    labels = text if isinstance(text, (tuple, list)) else [t.encode() for t in text.split(".") if t]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def pointer(offset):
    return struct.pack("!H", 0xC000 | offset)


# The question's name, which stands behind every header.
ASKED = pointer(12)


def record(owner, kind, data, ttl=300):
    return owner + struct.pack("!HHIH", kind, 1, ttl, len(data)) + data


def address(owner, text, ttl=300):
    return record(owner, A, socket.inet_aton(text), ttl)


def exchanger(host, preference=10, owner=ASKED, ttl=300):
    return record(owner, MX, struct.pack("!H", preference) + host, ttl)


def authority(zone):
    return record(name(zone), SOA, name("ns." + zone) + name("root." + zone) +
                  struct.pack("!IIIII", 1, 3600, 600, 86400, 60))


class Question:
    """What was asked, and how; reply() makes an honest frame for dishonest records."""

    def __init__(self, packet, over_tcp):
        self.id = packet[:2]
        self.over_tcp = over_tcp
        labels, at = [], 12
        while packet[at]:
            labels.append(packet[at + 1:at + 1 + packet[at]].lower())
            at += 1 + packet[at]
        self.name = ".".join(label.decode("latin-1") for label in labels)
        self.kind = struct.unpack("!H", packet[at + 1:at + 3])[0]
        self.octets = packet[12:at + 5]

    def reply(self, *answers, rcode=NOERROR, flags=0, soa=None, count=None, question=None):
        """`count`: how many answers the header claims; `soa`: the zone of a negative answer."""
        behind = [authority(soa)] if soa else []
        return (self.id + struct.pack("!HHHHH", RESPONSE | flags | rcode, 1,
                                      len(answers) if count is None else count, len(behind), 0) +
                (self.octets if question is None else question) + b"".join([*answers, *behind]))


class NameServer(contextlib.AbstractContextManager):
    """UDP and TCP on one port. answer(question) gives a packet, several, or None for silence."""

    def __init__(self, answer, address_text="127.0.0.1", tcp=True):
        self.answer = answer
        self.tcp = None
        self.stopping = False
        self.errors = []
        while True:
            self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            self.udp.bind((address_text, 0))
            self.port = self.udp.getsockname()[1]
            if not tcp:
                break
            with contextlib.suppress(OSError):  # the port may be taken in TCP
                self.tcp = self._tcp_server(address_text)
                break
            self.udp.close()
        self.serving = threading.Thread(target=self._serve_udp, daemon=True)
        self.serving.start()

    def _packets(self, octets, over_tcp):
        try:
            found = self.answer(Question(octets, over_tcp))
        except Exception as error:  # a character that fails must not pass for a silent one
            self.errors.append(error)
            raise
        return found if isinstance(found, list) else [] if found is None else [found]

    def _serve_udp(self):
        while True:
            octets, peer = self.udp.recvfrom(65535)
            if self.stopping:
                return
            for packet in self._packets(octets, False):
                if len(packet) > UDP_OCTETS:  # ask again over TCP
                    question = Question(octets, False)
                    packet = question.reply(flags=TRUNCATED)
                self.udp.sendto(packet, peer)

    def _tcp_server(self, address_text):
        outer = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                with contextlib.suppress(OSError):
                    while len(length := self.rfile.read(2)) == 2:
                        octets = self.rfile.read(struct.unpack("!H", length)[0])
                        for packet in outer._packets(octets, True):
                            self.wfile.write(struct.pack("!H", len(packet)) + packet)
                            self.wfile.flush()

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = False
            daemon_threads = True

        server = Server((address_text, self.port), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server

    def __exit__(self, *_):
        self.stopping = True
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
            waker.sendto(b"", self.udp.getsockname())
        self.serving.join()
        self.udp.close()
        if self.tcp:
            self.tcp.shutdown()
            self.tcp.server_close()
