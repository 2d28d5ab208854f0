"""[smtp] address_family, with receivers of both families."""
import unittest

import peers
import ways
from everywhere import Everywhere
from own_network import OwnNetwork
from peers import Scene

OWN4, OWN6 = "11.0.0.1", "2a0e::1"
ZONE = "family.example"
NETWORK = OwnNetwork(OWN4, OWN6)

RECORDS = [
    "both A 11.1.0.1", "both AAAA 2a0e:1::1",
    "only4 A 11.2.0.1", "only6 AAAA 2a0e:2::1",
    # One of the two greets 421.
    "not4 A 11.3.0.1", "not4 AAAA 2a0e:3::1", "not6 A 11.4.0.1", "not6 AAAA 2a0e:4::1",
    # All but the addresses of its second exchanger greet 421.
    "four MX 10 four1", "four MX 20 four2", "four2 A 11.6.0.1", "four2 AAAA 2a0e:6::1",
    "four1 A 11.5.0.1", "four1 A 11.5.0.2", "four1 AAAA 2a0e:5::1", "four1 AAAA 2a0e:5::2",
]
CLOSED = {"11.3.0.1", "2a0e:4::1", "11.5.0.1", "11.5.0.2", "2a0e:5::1", "2a0e:5::2"}
LABELS = ["both", "only4", "only6", "not4", "not6", "four"]
# family -> label -> the family at which mail is taken, 0: not at all
TAKEN = {
    "ipv4": {"both": 4, "only4": 4, "only6": 0, "not4": 0, "not6": 4, "four": 4},
    "ipv6": {"both": 6, "only4": 0, "only6": 6, "not4": 6, "not6": 0, "four": 6},
    "prefer-ipv4": {"both": 4, "only4": 4, "only6": 6, "not4": 6, "not6": 4, "four": 4},
    "prefer-ipv6": {"both": 6, "only4": 4, "only6": 6, "not4": 6, "not6": 4, "four": 6},
    # Which of them comes first is nowhere promised.
    "any": {"both": None, "only4": 4, "only6": 6, "not4": 6, "not6": 4, "four": None},
}


def setUpModule():  # pylint: disable=invalid-name
    peers.setUpModule()
    NETWORK.enter()


def tearDownModule():  # pylint: disable=invalid-name
    NETWORK.leave()


def family_of(address):
    return 6 if ":" in address else 4


def user(label, job):
    return f"{job}@{label}.{ZONE}"


class Families(unittest.TestCase):
    def dialled(self, receiver, start4, start6):
        """The families of what was dialled of one exchanger, in order."""
        return [family_of(a) for a in receiver.dialled if a.startswith((start4, start6))]

    def check_order(self, receiver, family):
        four1 = self.dialled(receiver, "11.5.", "2a0e:5:")
        if family in ("ipv4", "ipv6"):
            only = int(family[-1])
            self.assertEqual({family_of(a) for a in receiver.dialled}, {only})
            self.assertEqual(four1, [only, only])
            return
        self.assertEqual(sorted(four1), [4, 4, 6, 6], "all addresses before the next exchanger")
        if family == "any":
            self.assertNotEqual(four1[0], four1[1], "interleaved")
            self.assertNotEqual(four1[2], four1[3], "interleaved")
            return
        preferred = int(family[-1])
        self.assertEqual(four1[0], preferred)
        self.assertEqual(self.dialled(receiver, "11.1.", "2a0e:1:"), [preferred])
        closed = {4: ("11.3.", "2a0e:3:"), 6: ("11.4.", "2a0e:4:")}[preferred]
        self.assertEqual(self.dialled(receiver, *closed), [preferred, 10 - preferred])

    def check(self, scene, family, taken, sources=(OWN4, OWN6)):
        with Everywhere(scene.smtp_port, CLOSED.__contains__) as receiver:
            ways.configure(scene, sources=sources, smtp=f'address_family = "{family}"',
                           networks=[])
            scene.start_sender()
            job = f"{family}-from-{len(sources)}"
            states = {4: "delivered", 6: "delivered", None: "delivered"}
            wanted = {user(label, job): states.get(taken[label], "deferred") for label in LABELS}
            for label in ("not4", "not6"):  # the site as a whole is left alone: it burns no attempt
                if taken[label] == 0:
                    wanted[user(label, job)] = "waiting"
            ways.submit(scene, wanted, job)
            ways.settle(scene, wanted, job)
            if set(wanted.values()) != {"delivered"}:
                scene.run("cancel", job, "--config", scene.config_file, check=0)
            self.assertEqual(scene.sender.stop(), 0)
            for label in LABELS:
                families = [family_of(a) for a in receiver.of(user(label, job))]
                if taken[label] is None:
                    self.assertEqual(len(families), 1, label)
                else:
                    self.assertEqual(families, [taken[label]] if taken[label] else [], label)
            self.assertEqual(receiver.errors, [])
            return receiver

    def test_each_setting(self):
        with Scene(zones={ZONE: RECORDS}) as scene:
            for family, taken in TAKEN.items():
                with self.subTest(family):
                    try:
                        self.check_order(self.check(scene, family, taken), family)
                    finally:
                        scene.sender.stop()

    def test_ipv6_only_where_a_source_names_an_address_of_it(self):
        with Scene(zones={ZONE: RECORDS}) as scene:
            for sources in ([], [OWN4]):
                with self.subTest(sources):
                    receiver = self.check(scene, "any", TAKEN["ipv4"], sources)
                    self.assertEqual({family_of(a) for a in receiver.dialled}, {4})


if __name__ == "__main__":
    unittest.main()
