"""Each row of the way from a domain to addresses, against knot and unbound.

The test has a network of its own in which every address leads to one receiver: of each delivery it
is known at which address it was taken, and an address that may not be used is seen to be unused.
"""
import unittest

import peers
import ways
from everywhere import Everywhere
from hostile.dns_wire import REFUSED
from hostile.outcome import bounced, deferred, delivered
from own_network import OwnNetwork
from peers import RESOLVER, Scene
from relay import Relay

OWN4, OWN6 = "11.0.0.1", "2a0e::1"   # the sender's
MAIL4, MAIL6 = "11.1.0.1", "2a0e::25"
OTHER4 = "11.2.0.1"
ZONE = "table.example"
NETWORK = OwnNetwork(OWN4, OWN6)

NO_ADDRESS = "no exchanger has an address"
UNUSABLE = "no exchanger has an address that may be used"
MX_FAILED = "MX lookup failed"
ADDRESS_FAILED = "address lookup failed"
ONCE = "the domain does not exist; asked again before it is believed"
OURSELVES = "this host itself"

SPECIAL = {
    "loopback": "127.0.0.1", "private-10": "10.1.2.3", "private-172": "172.31.0.1",
    "private-192": "192.168.0.1", "link-local": "169.254.1.1", "shared": "100.64.0.1",
    "multicast": "224.0.0.1", "unspecified": "0.0.0.0", "broadcast": "255.255.255.255",
    "documentation-1": "192.0.2.1", "documentation-2": "198.51.100.1",
    "documentation-3": "203.0.113.1", "benchmarking": "198.18.0.1", "reserved": "240.0.0.1",
    "loopback6": "::1", "unspecified6": "::", "unique-local6": "fd00::1", "link-local6": "fe80::1",
    "multicast6": "ff02::1", "documentation6": "2001:db8::1",
    "mapped-private": "::ffff:10.0.0.1", "mapped-loopback": "::ffff:127.0.0.1",
    "compatible-private": "::10.0.0.1",
    "nat64-private": "64:ff9b::10.0.0.1", "nat64-loopback": "64:ff9b::127.0.0.1",
    "nat64-local": "64:ff9b:1::11.1.0.1",
    "six-to-four-private": "2002:a00:1::1", "six-to-four-link-local": "2002:a9fe:101::1",
}
# Of these the receiver can be reached at all, once they are allowed.
REACHABLE = ["loopback", "private-10", "private-172", "private-192", "link-local", "shared",
             "documentation-1", "documentation-2", "documentation-3", "benchmarking", "reserved",
             "loopback6", "unique-local6", "documentation6", "nat64-private", "nat64-local",
             "six-to-four-private"]


def address_record(name, address):
    return f"{name} {'AAAA' if ':' in address else 'A'} {address}"


RECORDS = [
    f"mx A {MAIL4}", f"other A {OTHER4}", 'text TXT "no address"',
    # an alias, of an alias, and so on
    "alias1 CNAME alias2", "alias2 CNAME alias3", "alias3 CNAME real", "real MX 10 mx",
    "alias-to-host CNAME other", "alias-to-nothing CNAME missing",
    "loop1 CNAME loop2", "loop2 CNAME loop1",
    "behind MX 10 hop1", "hop1 CNAME hop2", "hop2 CNAME other",
    "behind-loop MX 10 loop1",
    # no MX records
    f"implicit A {OTHER4}", f"implicit6 AAAA {MAIL6}", 'nothing TXT "no address"',
    # MX records without an address
    "all-missing MX 10 missing1", "all-missing MX 20 missing2", f"all-missing A {OTHER4}",
    "all-empty MX 10 text", f"all-empty A {OTHER4}",
    "missing-and-empty MX 10 missing1", "missing-and-empty MX 10 text",
    "one-fails MX 10 missing1", "one-fails MX 20 mx.unserved.", f"one-fails A {OTHER4}",
    "first-fails MX 10 mx.unserved.", "first-fails MX 20 mx",
    "null MX 0 .", f"null A {OTHER4}", "null-beside MX 0 .", "null-beside MX 10 mx",
    # this host
    f"own A {OWN4}", f"own6 AAAA {OWN6}", "own-first MX 10 own", "own-first MX 20 mx",
    "own-second MX 10 mx", "own-second MX 20 own", "own-second MX 30 other",
    "own-by6 MX 10 own6",
    # addresses
    f"mixed A {SPECIAL['loopback']}", f"mixed A {OTHER4}",
    "first-unusable MX 10 loopback", "first-unusable MX 20 mx",
    "nat64-public AAAA 64:ff9b::11.1.0.1",
] + [address_record(name, address) for name, address in SPECIAL.items()]

# label -> outcome, and where its mail is taken
TABLE = {
    "real": (delivered(), MAIL4), "alias1": (delivered(), MAIL4),
    "alias-to-host": (delivered(), OTHER4), "behind": (delivered(), OTHER4),
    "alias-to-nothing": (deferred("4.4.4", ONCE), None),
    "loop1": (deferred("4.4.3", MX_FAILED), None),
    "behind-loop": (deferred("4.4.3", ADDRESS_FAILED), None),
    "implicit": (delivered(), OTHER4), "implicit6": (delivered(), MAIL6),
    "nothing": (bounced("5.4.4", "neither MX nor address records exist"), None),
    "all-missing": (bounced("5.4.4", NO_ADDRESS), None),
    "all-empty": (bounced("5.4.4", NO_ADDRESS), None),
    "missing-and-empty": (bounced("5.4.4", NO_ADDRESS), None),
    "one-fails": (deferred("4.4.3", ADDRESS_FAILED), None),
    "first-fails": (delivered(), MAIL4),
    "null": (bounced("5.1.10", "null MX"), None), "null-beside": (delivered(), MAIL4),
    "not-there": (deferred("4.4.4", ONCE), None),
    "own": (bounced("5.4.6", OURSELVES), None), "own-first": (bounced("5.4.6", OURSELVES), None),
    "own-by6": (bounced("5.4.6", OURSELVES), None), "own-second": (delivered(), MAIL4),
    "mixed": (delivered(), OTHER4), "first-unusable": (delivered(), MAIL4),
    "nat64-public": (delivered(), "64:ff9b::b01:1"),
    # The relay answers this itself.
    "refused": (deferred("4.4.3", "MX lookup failed: the server answered REFUSED"), None),
}


def setUpModule():  # pylint: disable=invalid-name
    peers.setUpModule()
    NETWORK.enter()


def tearDownModule():  # pylint: disable=invalid-name
    NETWORK.leave()


def user(label):
    return f"user@{label}.{ZONE}"


def meddle(question):
    return [question.reply(rcode=REFUSED)] if question.name == f"refused.{ZONE}" else None


class Table(unittest.TestCase):
    def check_places(self, receiver, places):
        for recipient, place in places.items():
            with self.subTest(recipient):
                self.assertEqual(receiver.of(recipient), [place] if place else [])
        self.assertEqual(receiver.errors, [])

    def test_each_row(self):
        with Scene(zones={ZONE: RECORDS}) as scene, Everywhere(scene.smtp_port) as receiver, \
                Relay((RESOLVER, scene.dns_port), meddle) as relay:
            ways.configure(scene, [relay.server], sources=[OWN4, OWN6], networks=[])
            scene.start_sender()
            outcomes = {user(label): outcome for label, (outcome, _) in TABLE.items()}
            outcomes |= {user(label): deferred("4.4.4", UNUSABLE) for label in SPECIAL}
            outcomes["user@does-not-exist.unserved"] = deferred("4.4.3", MX_FAILED)
            literals = ["user@[11.1.0.1]", "user@[IPv6:2a0e::25]"]
            outcomes |= dict.fromkeys(literals, bounced("5.1.2", "literals are not allowed"))
            ways.submit(scene, outcomes)
            found = ways.check(self, scene, outcomes)

            self.check_places(receiver, {user(label): place for label, (_, place) in TABLE.items()})
            used = {MAIL4, MAIL6, OTHER4, "64:ff9b::b01:1"}
            self.assertEqual(set(receiver.dialled), used, "no other address was connected to")
            [alias] = found[user("alias1")]
            self.assertEqual(alias["peer_address"], {"name": f"mx.{ZONE}", "addr": MAIL4})
            [implicit] = found[user("implicit")]
            self.assertEqual(implicit["peer_address"], {"name": f"implicit.{ZONE}", "addr": OTHER4})
            self.assertEqual(relay.errors, [])

    def test_allowed_networks_and_literals(self):
        with Scene(zones={ZONE: RECORDS}) as scene, Everywhere(scene.smtp_port) as receiver:
            networks = [SPECIAL[label] for label in REACHABLE]
            ways.configure(scene, sources=[OWN4, OWN6], networks=networks,
                           smtp="allow_address_literals = true")
            scene.start_sender()
            places = {user(label): SPECIAL[label] for label in REACHABLE}
            places |= {user("nat64-private"): "64:ff9b::a00:1",
                       user("nat64-local"): "64:ff9b:1::b01:1",
                       "user@[11.1.0.1]": MAIL4, "user@[IPv6:2a0e::25]": MAIL6,
                       "user@[10.1.2.3]": SPECIAL["private-10"]}
            outcomes = dict.fromkeys(places, delivered())
            # A neighbour of what is allowed is not.
            outcomes["user@[10.1.2.4]"] = deferred("4.4.4", "this address may not be used")
            outcomes[user("multicast")] = deferred("4.4.4", UNUSABLE)
            ways.submit(scene, outcomes)
            ways.check(self, scene, outcomes)
            self.check_places(receiver, places)

    def test_literal_of_this_host(self):
        with Scene() as scene, Everywhere(scene.smtp_port) as receiver:
            ways.configure(scene, sources=[OWN4, OWN6], smtp="allow_address_literals = true")
            scene.start_sender()
            outcomes = dict.fromkeys([f"user@[{OWN4}]", f"user@[IPv6:{OWN6}]"],
                                     bounced("5.4.6", OURSELVES))
            ways.submit(scene, outcomes)
            ways.check(self, scene, outcomes, seconds=5)
            self.assertEqual(receiver.dialled, [])


if __name__ == "__main__":
    unittest.main()
