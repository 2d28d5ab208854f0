"""What is known outlives its time to live while the resolver is dead; what is not there does not.

The clamp on times to live makes this the test that takes 35 seconds.
"""
import unittest

import ways
from hostile.dns_wire import A, MX
from hostile.outcome import deferred, delivered
from peers import (Knot, RESOLVER, Scene, Unbound,
                   setUpModule)  # pylint: disable=unused-import
from relay import Relay

ZONE = "short.example"
KNOWN = [f"known{n}" for n in range(5)]
RECORDS = ["mx A 127.0.7.1", "refreshed MX 10 mx-refreshed", "mx-refreshed A 127.0.7.1",
           'nothing TXT "no address"', "null MX 0 .", "silent MX 10 mx", "clock MX 10 mx",
           "ticker MX 10 mx-ticker", "mx-ticker A 127.0.7.1"] + \
    [f"{label} MX 10 mx" for label in KNOWN]
REFRESHED, MX_REFRESHED = f"refreshed.{ZONE}", f"mx-refreshed.{ZONE}"
# Of the 30 seconds that an answer lives at the least, those in which one in use is asked for again.
LAST_TENTH = 3.0
# After a first failure; a quarter of jitter.
PAUSE = 5.0


class ShortLived(Knot):
    """All of its answers, negative ones too, may be kept for a second."""

    def files(self):
        return {path: text.replace("$TTL 300", "$TTL 1").replace("86400 300", "86400 1")
                for path, text in super().files().items()}


class ShortScene(Scene):
    authority = ShortLived


def user(label):
    return f"user@{label}.{ZONE}"


class Stale(unittest.TestCase):
    def meddle(self, question):
        """No answer about one name, ever; about the other, none to what is asked ahead."""
        if question.name == f"silent.{ZONE}":
            return []
        if question.name in (REFRESHED, MX_REFRESHED) and self.hold_back:
            return []
        return None

    def source(self, scene, label):
        """Where the sender has the domain's MX records from."""
        [mx, *_] = ways.resolve(scene, f"{label}.{ZONE}")["facts"]
        return mx["source"]

    def check_refresh(self, scene, relay):
        """In the last tenth of its life an answer is asked for again while it is still used."""
        asked = {kind: len(relay.of(name, kind))
                 for name, kind in ((REFRESHED, MX), (MX_REFRESHED, A))}
        self.assertEqual(asked, {MX: 1, A: 1})
        self.hold_back = True
        ways.submit(scene, [user("refreshed")], "ahead")
        ways.settle(scene, {user("refreshed"): "delivered"}, "ahead", LAST_TENTH)
        scene.wait_for(lambda: len(relay.of(REFRESHED, MX)) > 1, "a question ahead of expiry", 1)
        scene.wait_for(lambda: len(relay.of(MX_REFRESHED, A)) > 1, "the same for its exchanger", 1)

    def test_an_outage_longer_than_answers_live(self):
        self.hold_back = False
        with ShortScene(zones={ZONE: RECORDS}) as scene, \
                Relay((RESOLVER, scene.dns_port), self.meddle) as relay:
            unbound = scene.servers[1]
            scene.start_sink(exchangers=1, zone="not-asked.example")
            ways.configure(scene, [relay.server])
            scene.start_sender()
            before = {**{user(label): "delivered" for label in KNOWN + ["refreshed"]},
                      **{user(label): "bounced" for label in ("nothing", "null")},
                      user("missing"): "deferred"}
            ways.submit(scene, [*before, user("silent")], "before")
            ways.settle(scene, before, "before")
            # Two that are known later than all others; one is looked at all the time.
            for label in ("ticker", "clock"):
                self.assertEqual(self.source(scene, label), "fresh")
            scene.wait_for(lambda: self.source(scene, "ticker") and
                           len(relay.of(f"ticker.{ZONE}", MX)) > 1, "the last tenth of all lives")
            self.check_refresh(scene, relay)
            unbound.stop()
            scene.wait_for(lambda: self.source(scene, "clock") == "stale", "a stale answer")
            again = self.check_outage(scene)
            scene.add(Unbound(scene.dns_port, unbound.authority_port))
            self.check_return(scene)

            self.assertEqual(scene.sender.stop(), 0)
            self.check_events(scene, again)
            self.check_pauses(relay)
            self.assertEqual(relay.errors, [])

    def check_outage(self, scene):
        """Mail goes to who was known; nobody bounces for what was true before."""
        again = {**{user(label): delivered() for label in KNOWN},
                 user("null"): deferred("4.4.4", "no exchanger of the last known MX records"),
                 user("nothing"): deferred("4.4.3", "MX lookup failed"),
                 user("missing"): deferred("4.4.3", "MX lookup failed")}
        ways.submit(scene, again, "again")
        ways.settle(scene, {a: outcome.state for a, outcome in again.items()}, "again")
        found = ways.resolve(scene, f"{KNOWN[0]}.{ZONE}")
        self.assertTrue(found["stale"])
        # What is said of policies is never served stale.
        self.assertEqual({f["source"] for f in found["facts"] if f["type"] != "TXT"}, {"stale"})
        return again

    def check_return(self, scene):
        """The resolver is back: the next question renews what was stale."""
        def renewed():
            found = ways.resolve(scene, f"{KNOWN[0]}.{ZONE}")
            return not found["stale"]
        scene.wait_for(renewed, "a renewed answer", 2 * PAUSE)
        wanted = {user(KNOWN[0]): "delivered"}
        ways.submit(scene, wanted, "after")
        ways.settle(scene, wanted, "after")

    def check_events(self, scene, again):
        found = ways.events(scene)
        for label in KNOWN:
            with self.subTest(label):
                marks = [event.get("dns_stale", False) for event in found[user(label)]]
                self.assertEqual(marks, [False, True, False][:len(marks)], "marked as stale")
        for address, outcome in again.items():
            with self.subTest(address):
                _, during, *_ = found[address]
                if outcome.state == "delivered":
                    self.assertEqual(during["type"], "Delivery")
                    continue
                code = during["response"]["enhanced_code"]
                self.assertEqual("{class}.{subject}.{detail}".format(**code), outcome.enhanced)
                self.assertRegex(during["response"]["content"], outcome.says)
        self.assertEqual(len(found[user(KNOWN[0])]), 3)
        [silent] = found[user("silent")]
        self.assertEqual(silent["type"], "TransientFailure")
        self.assertEqual(silent["response"]["enhanced_code"],
                         {"class": 4, "subject": 4, "detail": 3})
        self.assertRegex(silent["response"]["content"], "MX lookup failed: timed out")

    def check_pauses(self, relay):
        """During the outage nobody is asked about again before the pause is over."""
        for label in [*KNOWN, "nothing", "missing", "null", "clock"]:
            with self.subTest(label):
                times = [asked.at for asked in relay.of(f"{label}.{ZONE}", MX)]
                pauses = [b - a for a, b in zip(times, times[1:])]
                self.assertTrue(all(pause > PAUSE * 0.75 - 0.1 for pause in pauses), pauses)


if __name__ == "__main__":
    unittest.main()
