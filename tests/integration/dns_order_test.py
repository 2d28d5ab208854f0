"""In which order exchangers and their addresses are tried."""
import collections
import unittest

import peers
import ways
from everywhere import Everywhere
from own_network import OwnNetwork
from peers import Scene

ZONE = "order.example"
NETWORK = OwnNetwork()
DOMAINS = 60
EQUALS = "abc"
# Three of this many are as good as never: a fair choice among three gives each about 20.
SELDOM = 3


def address(domain, exchanger, number):
    """Of an exchanger of one preference, 1 and 2; "z" is the one of the next."""
    return f"11.10.{domain}.{9 * (ord(exchanger) - ord('a')) + number}"


def records():
    lines = [f"same-{x} A 11.20.0.{ord(x)}" for x in EQUALS]
    lines += [f"same MX 10 same-{x}" for x in EQUALS]
    lines += ["gone1 A 11.9.0.1", "gone1 A 11.9.0.2", "gone2 A 11.9.0.3", "mx A 11.1.0.1",
              "gone MX 10 gone1", "gone MX 11 gone2", "gone MX 300 mx"]
    for n in range(DOMAINS):
        # The numbers' order is not that of the names, nor that of their text.
        lines += [f"d{n} MX 100 z{n}", f"z{n} A {address(n, 'z', 1)}"]
        for x in EQUALS:
            lines += [f"d{n} MX 9 {x}{n}"]
            lines += [f"{x}{n} A {address(n, x, i)}" for i in (1, 2)]
    return lines


def setUpModule():  # pylint: disable=invalid-name
    peers.setUpModule()
    NETWORK.enter()


def tearDownModule():  # pylint: disable=invalid-name
    NETWORK.leave()


class Order(unittest.TestCase):
    def check_domain(self, n, dialled):
        """Returns the exchangers of the lower number in the order in which they were tried."""
        whose = {address(n, x, i): x for x in EQUALS for i in (1, 2)}
        *first, last = dialled
        self.assertEqual(last, address(n, "z", 1), "the higher number comes last")
        self.assertEqual(sorted(first), sorted(whose), "each address of the lower number, once")
        hosts = [whose[a] for a in first]
        self.assertEqual(hosts[0::2], hosts[1::2], "all addresses of one before the next")
        return hosts[0::2]

    def test_preference_then_chance_then_addresses(self):
        open_addresses = {address(n, "z", 1) for n in range(DOMAINS)} | {"11.1.0.1"}
        with Scene(zones={ZONE: records()}) as scene, \
                Everywhere(scene.smtp_port, lambda a: a not in open_addresses) as receiver:
            ways.configure(scene)
            scene.start_sender()
            wanted = {f"user@d{n}.{ZONE}": "delivered" for n in range(DOMAINS)}
            wanted[f"user@gone.{ZONE}"] = "delivered"
            ways.submit(scene, wanted)
            ways.settle(scene, wanted)
            self.assertEqual(scene.sender.stop(), 0)

            by_domain = collections.defaultdict(list)
            for dialled in receiver.dialled:
                by_domain[dialled.rsplit(".", 1)[0]].append(dialled)
            orders = [self.check_domain(n, by_domain[f"11.10.{n}"]) for n in range(DOMAINS)]
            for place in range(len(EQUALS)):
                found = collections.Counter(order[place] for order in orders)
                self.assertTrue(all(found[x] > SELDOM for x in EQUALS), (place, found))
            self.assertEqual(receiver.of(f"user@gone.{ZONE}"), ["11.1.0.1"])
            self.assertEqual(receiver.errors, [])

    def test_chance_decides_anew_for_each_connection(self):
        rules = '["default"]\nmax_deliveries_per_connection = 1\n'
        with Scene(zones={ZONE: records()}) as scene, Everywhere(scene.smtp_port) as receiver:
            ways.configure(scene, rules=rules)
            scene.start_sender()
            wanted = {f"user{i}@same.{ZONE}": "delivered" for i in range(60)}
            ways.submit(scene, wanted)
            ways.settle(scene, wanted)
            self.assertEqual(scene.sender.stop(), 0)
            found = collections.Counter(dialled for dialled, _ in receiver.taken)
            self.assertEqual(sum(found.values()), len(wanted))
            self.assertTrue(all(found[f"11.20.0.{ord(x)}"] > SELDOM for x in EQUALS), found)


if __name__ == "__main__":
    unittest.main()
