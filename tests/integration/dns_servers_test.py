"""Several name servers, some of them bad; servers of their own for a suffix; questions shared.

Each server is a relay in front of unbound, which knows what it was asked.
"""
import contextlib
import itertools
import unittest

import ways
from hostile.dns_wire import A, MX, REFUSED, SERVFAIL
from hostile.outcome import deferred, delivered
from peers import Knot, RESOLVER, Scene, free_port, setUpModule  # pylint: disable=unused-import
from relay import Relay

ZONE = "served.example"
DOMAINS = 20
ROUTED, DEEPER = "routed.example", "deep.routed.example"
SHARING, SHARED = 500, "mx.shared.example"
# A question is tried once or a few times on a server that is not known to be bad; one that failed
# twenty questions in a row is left alone but for probes.
PROBES = 3


def records():
    return ["mx A 127.0.7.1", "*.later MX 10 mx"] + \
        [f"{part}{n} MX 10 mx" for part in "ab" for n in range(DOMAINS)]


class SecondKnot(Knot):
    """Another authority."""

    def __init__(self, port, zones):
        super().__init__(port, zones)
        self.address = "127.0.0.10"


class Servers(unittest.TestCase):
    @contextlib.contextmanager
    def scene(self, *instead):
        """With a sink, and a relay for each way of behaving."""
        with Scene(zones={ZONE: records()}) as scene, contextlib.ExitStack() as stack:
            scene.start_sink(exchangers=1, zone="not-asked.example")
            relays = [stack.enter_context(Relay((RESOLVER, scene.dns_port), each))
                      for each in instead]
            yield scene, relays
            for relay in relays:
                self.assertEqual(relay.errors, [])

    def send(self, scene, part, seconds=ways.SECONDS):
        wanted = {f"user@{part}{n}.{ZONE}": "delivered" for n in range(DOMAINS)}
        ways.submit(scene, wanted, f"job-{part}")
        ways.settle(scene, wanted, f"job-{part}", seconds)

    def test_first_refuses_connections(self):
        with self.scene(lambda q: None) as (scene, [good]):
            ways.configure(scene, [f"127.0.0.9:{free_port()}", good.server])
            scene.start_sender()
            self.send(scene, "a")

    def test_first_answers_servfail(self):
        for code in (SERVFAIL, REFUSED):
            with self.subTest(code), self.scene(lambda q, c=code: [q.reply(rcode=c)],
                                                lambda q: None) as (scene, [bad, good]):
                ways.configure(scene, [bad.server, good.server])
                scene.start_sender()
                self.send(scene, "a", 8)
                self.assertNotEqual(good.asked, [])

    def test_first_is_silent_then_rested_then_used_again(self):
        silent = [True]
        with self.scene(lambda q: [] if silent[0] else None, lambda q: None) as (scene, relays):
            bad, good = relays
            ways.configure(scene, [bad.server, good.server])
            scene.start_sender()
            self.send(scene, "a")
            asked = len(bad.asked)
            self.assertGreater(asked, 0)
            self.send(scene, "b")
            probes = len(bad.asked) - asked
            with self.subTest("a server that failed is rested"):
                self.assertLessEqual(probes, PROBES)
            with self.subTest("all questions of the second job went to the other"):
                self.assertEqual({a.name for a in good.asked if a.name[0] == "b"},
                                 {f"b{n}.{ZONE}" for n in range(DOMAINS)})
            asked = len(bad.asked)
            silent[0] = False
            names = itertools.count()

            def used_again():
                ways.resolve(scene, f"d{next(names)}.later.{ZONE}")
                return len(bad.asked) > asked
            with self.subTest("and probed, and used again"):
                scene.wait_for(used_again, "a question to the first server")

    def test_servers_of_a_suffix(self):
        """Their failure is the failure of the names below the suffix alone."""
        def refuse(question):
            return [question.reply(rcode=REFUSED)]
        with self.scene(lambda q: None, refuse) as (scene, [general, deeper]):
            second = scene.add(SecondKnot(free_port(), {ROUTED: ["@ MX 10 mx", "d MX 10 mx",
                                                                 "mx A 127.0.7.1"]}))
            with Relay((second.address, second.port)) as routed:
                ways.configure(scene, [general.server], routes=[(ROUTED, routed.server),
                                                                (DEEPER, deeper.server)])
                scene.start_sender()
                wanted = {f"user@{ROUTED}": "delivered", f"user@d.{ROUTED}": "delivered",
                          f"user@not{ROUTED}": "deferred", f"user@d.{DEEPER}": "deferred"}
                ways.submit(scene, wanted, "first")
                ways.settle(scene, wanted, "first")
                self.assertEqual({a.name for a in routed.asked},
                                 {ROUTED, f"d.{ROUTED}", f"mx.{ROUTED}",
                                  f"_mta-sts.{ROUTED}", f"_mta-sts.d.{ROUTED}"})
                self.assertEqual({a.name for a in general.asked},
                                 {f"not{ROUTED}", f"_mta-sts.not{ROUTED}"})
                self.assertEqual({a.name for a in deeper.asked},
                                 {f"d.{DEEPER}", f"_mta-sts.d.{DEEPER}"})

                second.stop()
                outcomes = {f"user@a{n}.{ZONE}": delivered() for n in range(DOMAINS)}
                outcomes[f"user@other.{ROUTED}"] = deferred("4.4.3", "MX lookup failed")
                ways.submit(scene, outcomes)
                ways.check(self, scene, outcomes)

    def test_one_question_whoever_asks(self):
        """The exchanger's address is held back until the last of its domains has been asked for."""
        held = []

        def behind(question, packet):
            if question.name == SHARED:
                held.append(packet)
            if len({a.name for a in relay.asked if a.kind == MX}) < SHARING:
                return [] if question.name == SHARED else [packet]
            packets = [*held, packet] if question.name != SHARED else list(held)
            held.clear()
            return packets

        zones = {"shared.example": ["mx A 127.0.7.1"] +
                 [f"d{n} MX 10 mx" for n in range(SHARING)]}
        with Scene(zones=zones) as scene, \
                Relay((RESOLVER, scene.dns_port), behind=behind) as relay:
            scene.start_sink(exchangers=1, zone="not-asked.example")
            ways.configure(scene, [relay.server])
            scene.start_sender()
            wanted = {f"user{i}@d{n}.shared.example": "delivered"
                      for n in range(SHARING) for i in range(2)}
            ways.submit(scene, wanted)
            ways.settle(scene, wanted)
            self.assertEqual(relay.errors, [])
            self.assertEqual(len({a.id for a in relay.of(SHARED, A)}), 1)
            asked = {(a.name, a.id) for a in relay.asked if a.kind == MX}
            self.assertEqual(len(asked), SHARING, "each domain once")


if __name__ == "__main__":
    unittest.main()
