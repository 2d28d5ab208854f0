"""Zones that knot signs and unbound validates: good, bogus, expired and stripped signatures."""
import base64
import socket
import struct
import unittest

import ways
from hostile.dns_wire import Question, name
from hostile.outcome import deferred, delivered
from peers import (AUTHORITY, DEADLINE, Knot, RESOLVER, Scene, Unbound, free_port,
                   setUpModule)  # pylint: disable=unused-import
from relay import framed

DNSKEY, KEY_SIGNING = 48, 257
GOOD, BOGUS, EXPIRED, STRIPPED, UNSIGNED = (
    f"{label}.example" for label in ("good", "bogus", "expired", "stripped", "unsigned"))
SIGNED = (GOOD, BOGUS, EXPIRED)
RECORDS = ["@ MX 10 mx", "mx A 127.0.7.1"]
ZONES = {zone: RECORDS for zone in (BOGUS, EXPIRED, STRIPPED, UNSIGNED)}
ZONES[GOOD] = RECORDS + [f"behind-bogus MX 10 mx.{BOGUS}.", f"beside-bogus MX 10 mx.{BOGUS}.",
                         "beside-bogus MX 20 mx", f"behind-unsigned MX 10 mx.{UNSIGNED}."]


class SigningKnot(Knot):
    def files(self):
        found = super().files()
        config = found["/etc/knot/test.conf"]
        for zone in SIGNED:
            config = config.replace(f"  - domain: {zone}\n",
                                    f"  - domain: {zone}\n    dnssec-signing: on\n")
        found["/etc/knot/test.conf"] = config
        return found


def key_of(zone, port):
    """The zone's key-signing key, as the authority tells it, in presentation format."""
    with socket.create_connection((AUTHORITY, port), DEADLINE) as connection, \
            connection.makefile("rb") as answers:
        query = (struct.pack("!HHHHHH", 1, 0, 1, 0, 0, 0) + name(zone) +
                 struct.pack("!HH", DNSKEY, 1))
        connection.sendall(struct.pack("!H", len(query)) + query)
        packet = framed(answers)
    at = 12 + len(Question(packet, True).octets)
    for _ in range(struct.unpack("!H", packet[6:8])[0]):
        kind, _, _, length = struct.unpack("!HHIH", packet[at + 2:at + 12])
        data = packet[at + 12:at + 12 + length]
        flags, protocol, algorithm = struct.unpack("!HBB", data[:4])
        if kind == DNSKEY and flags == KEY_SIGNING:
            return f"{flags} {protocol} {algorithm} {base64.b64encode(data[4:]).decode()}"
        at += 12 + length
    raise AssertionError(f"{zone} has no key-signing key: {packet!r}")


class ValidatingUnbound(Unbound):
    today = ""

    def files(self):
        good = key_of(GOOD, self.authority_port)
        anchors = {GOOD: good, BOGUS: good, STRIPPED: good,
                   EXPIRED: key_of(EXPIRED, self.authority_port)}
        text = super().files()["/etc/unbound/test.conf"]
        text = text.replace('"iterator"', '"validator iterator"')
        lines = "".join(f'    trust-anchor: "{zone}. DNSKEY {key}"\n'
                        for zone, key in anchors.items())
        return {"/etc/unbound/test.conf":
                text.replace("remote-control:\n", lines + self.today + "remote-control:\n")}


class LaterUnbound(ValidatingUnbound):
    """Lives in a time in which today's signatures have expired."""
    today = '    val-override-date: "20400101000000"\n'


class SignedScene(Scene):
    authority, resolver = SigningKnot, ValidatingUnbound


class Signed(unittest.TestCase):
    def check_marks(self, scene):
        """Each fact has the mark (AD) that the resolver gave it."""
        for asked in ([], ["--dns"]):
            for zone, signed in ((GOOD, True), (UNSIGNED, False)):
                with self.subTest((zone, asked)):
                    facts = ways.resolve(scene, zone, *asked)["facts"]
                    self.assertEqual({(f["name"], f["type"]): f["ad"] for f in facts},
                                     {(zone, "MX"): signed, (f"mx.{zone}", "A"): signed,
                                      (f"_mta-sts.{zone}", "TXT"): signed})
            facts = ways.resolve(scene, f"behind-unsigned.{GOOD}", *asked)["facts"]
            self.assertEqual([f["ad"] for f in facts], [True, False, True])

    def test_signatures(self):
        with SignedScene(zones=ZONES) as scene:
            scene.start_sink(exchangers=1, zone="not-asked.example")
            later = scene.add(LaterUnbound(free_port(), scene.servers[1].authority_port))
            ways.configure(scene, routes=[(EXPIRED, f"{RESOLVER}:{later.port}")])
            scene.start_sender()
            mx_failed = deferred("4.4.3", "MX lookup failed: the server answered SERVFAIL")
            outcomes = {f"user@{GOOD}": delivered(), f"user@{UNSIGNED}": delivered(),
                        f"user@beside-bogus.{GOOD}": delivered(),
                        f"user@behind-unsigned.{GOOD}": delivered(),
                        f"user@behind-bogus.{GOOD}": deferred("4.4.3", "address lookup failed"),
                        **{f"user@{zone}": mx_failed for zone in (BOGUS, EXPIRED, STRIPPED)}}
            ways.submit(scene, outcomes)
            ways.settle(scene, {a: outcome.state for a, outcome in outcomes.items()})
            self.check_marks(scene)
            found = ways.check(self, scene, outcomes)
            [event] = found[f"user@beside-bogus.{GOOD}"]
            self.assertEqual(event["peer_address"]["name"], f"mx.{GOOD}")


if __name__ == "__main__":
    unittest.main()
