"""Real answers that are long, extreme, or tampered with on their way from unbound."""
import struct
import unittest

import peers
import ways
from everywhere import Everywhere
from hostile import dns_wire as dns
from hostile.outcome import deferred, delivered
from own_network import OwnNetwork
from peers import RESOLVER, Scene
from relay import Relay

ZONE = "hostile.example"
NETWORK = OwnNetwork()
MAIL, FORGED = "11.1.0.1", "11.66.0.1"
EXCHANGERS_MAX = 64
# What takes half a message of 64 KiB, as unbound writes it; what knot can say, but unbound has to
# truncate over TCP as well; and what unbound does not get an answer about.
MANY, BEYOND, TOO_MANY = 1000, 2500, 10_000
HONEST = ["plain", "wrong-id", "wrong-name", "wrong-kind", "ttl-2-to-the-31", "another-name",
          "pointer-loop", "truncated"]

RECORDS = [f"mx A {MAIL}", "ttl-0 0 MX 10 mx0", f"mx0 0 A {MAIL}"] + \
    [f"{label} MX 10 mx" for label in HONEST] + \
    [f"{label} MX {1 + n} {name}{n}" for label, count, name in
     (("long", 60, "a-rather-long-name-for-an-exchanger-number-"), ("many", MANY, "m"),
      ("beyond", BEYOND, "m"), ("too-many", TOO_MANY, "m")) for n in range(count)] + \
    [f"a-rather-long-name-for-an-exchanger-number-0 A {MAIL}", f"m0 A {MAIL}"] + \
    [f"m{MANY - 1} A {FORGED}"] + \
    [f"late MX {1 + n} missing{n}" for n in range(EXCHANGERS_MAX + 5)] + ["late MX 1000 mx"]


def setUpModule():  # pylint: disable=invalid-name
    peers.setUpModule()
    NETWORK.enter()


def tearDownModule():  # pylint: disable=invalid-name
    NETWORK.leave()


def forged(question):
    """As the forger would have it: the right question, his exchanger, and its address beside it."""
    host = dns.name("mx.forged.example")
    return question.reply(dns.exchanger(host), dns.address(host, FORGED))


def with_ttl(packet, ttl):
    """Of all records that stand behind the question."""
    octets = bytearray(packet)
    _, _, _, *counts = struct.unpack("!HHHHHH", packet[:12])
    at = 12 + len(dns.Question(packet, False).octets)
    for _ in range(sum(counts)):
        while 0 < octets[at] < 0xC0:
            at += 1 + octets[at]
        at += 2 if octets[at] else 1
        if struct.unpack("!H", octets[at:at + 2])[0] != 41:  # OPT has flags there
            octets[at + 4:at + 8] = struct.pack("!I", ttl)
        at += 10 + struct.unpack("!H", octets[at + 8:at + 10])[0]
    return bytes(octets)


def tamper(question, packet):
    label = question.name.removesuffix("." + ZONE)
    if question.kind != dns.MX:
        return [packet]
    forgery = forged(question)
    other = dns.name(f"other.{ZONE}") + struct.pack("!HH", dns.MX, 1)
    if label == "wrong-id":
        return [struct.pack("!H", struct.unpack("!H", question.id)[0] ^ n) + forgery[2:]
                for n in (1, 2, 256)] + [packet]
    if label == "wrong-name":
        forgery = question.reply(dns.exchanger(dns.name("mx.forged.example")), question=other)
        return [forgery, packet]
    if label == "wrong-kind":
        kind = question.octets[:-4] + struct.pack("!HH", dns.A, 1)
        return [question.reply(dns.address(dns.ASKED, FORGED), question=kind), packet]
    if label == "another-name":
        owner = dns.name(f"other.{ZONE}")
        return [question.reply(dns.exchanger(dns.name("mx.forged.example"), owner=owner))]
    if label == "pointer-loop":
        at = 12 + len(question.octets) + 12 + 2
        return [question.reply(dns.exchanger(dns.pointer(at + 2) + dns.pointer(at)))]
    if label == "truncated" and not question.over_tcp:
        return [question.reply(flags=dns.TRUNCATED)]
    return [with_ttl(packet, 1 << 31)] if label == "ttl-2-to-the-31" else [packet]


def user(label):
    return f"user@{label}.{ZONE}"


class Hostile(unittest.TestCase):
    def check_bounds(self, scene):
        for label in ("ttl-0", "ttl-2-to-the-31"):
            with self.subTest(label):
                lives = ways.resolve(scene, f"{label}.{ZONE}")["expires_in"]
                self.assertTrue(20 <= lives <= 30, lives)
        with self.subTest("the best exchangers, not the first in the packet"):
            found = ways.resolve(scene, f"many.{ZONE}", "--trace")
            self.assertEqual([e["name"] for e in found["exchangers"]], [f"m0.{ZONE}"])
            self.assertEqual({u["exchanger"] for u in found["unusable"]},
                             {f"m{n}.{ZONE}" for n in range(1, EXCHANGERS_MAX)})

    def test_each(self):
        with Scene(zones={ZONE: RECORDS}) as scene, Everywhere(scene.smtp_port) as receiver, \
                Relay((RESOLVER, scene.dns_port), behind=tamper) as relay:
            ways.configure(scene, [relay.server])
            scene.start_sender()
            failed = {"another-name": r"MX lookup failed",
                      "pointer-loop": r"MX lookup failed: malformed answer",
                      "beyond": r"MX lookup failed: the answer was truncated",
                      "too-many": r"MX lookup failed: the server answered SERVFAIL"}
            labels = [*HONEST, "ttl-0", "long", "many", "beyond", "too-many"]
            outcomes = {user(label): delivered() for label in labels if label not in failed}
            outcomes |= {user(label): deferred("4.4.3", says) for label, says in failed.items()}
            ways.submit(scene, outcomes)
            ways.settle(scene, {user(label): outcomes[user(label)].state for label in labels})
            self.check_bounds(scene)
            ways.check(self, scene, outcomes)

            self.assertEqual(set(receiver.dialled), {MAIL})
            self.assertEqual(relay.errors + receiver.errors, [])
            over_tcp = {"long", "many", "beyond", "truncated"}
            for label in over_tcp:
                with self.subTest(label):
                    how = [a.how for a in relay.of(f"{label}.{ZONE}", dns.MX)]
                    self.assertEqual(how[:2], ["udp", "tcp"])
            self.assertEqual({a.name.removesuffix("." + ZONE) for a in relay.asked
                              if a.how == "tcp"}, over_tcp)
            self.assertFalse([a for a in relay.asked if a.name.startswith(f"m{MANY - 1}.")])

    def test_no_bounce_rests_on_exchangers_that_were_not_asked_for(self):
        """Of more than are looked at, the one that has an address is the last of the packet."""
        def make(question, packet):
            if question.name != f"plain.{ZONE}" or question.kind != dns.MX:
                return [packet]
            if not question.over_tcp:
                return [question.reply(flags=dns.TRUNCATED)]
            zone = dns.pointer(12 + len(dns.name("plain")) - 1)
            hosts = [(f"missing{n}", 20) for n in range(1100)] + [("mx", 10)]
            return [question.reply(*[dns.exchanger(dns.name(label)[:-1] + zone, number)
                                     for label, number in hosts])]

        with Scene(zones={ZONE: RECORDS}) as scene, Everywhere(scene.smtp_port), \
                Relay((RESOLVER, scene.dns_port), behind=make) as relay:
            ways.configure(scene, [relay.server])
            scene.start_sender()
            addresses = [user("plain"), user("late")]
            ways.submit(scene, addresses)
            scene.wait_for(lambda: "waiting" not in ways.states(scene).values(), "outcomes")
            for address, state in ways.states(scene).items():
                with self.subTest(address):
                    self.assertIn(state, ("delivered", "deferred"), ways.report_of(scene, address))
            self.assertEqual(relay.errors, [])


if __name__ == "__main__":
    unittest.main()
