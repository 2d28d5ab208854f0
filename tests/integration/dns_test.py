"""Real name servers, knot behind unbound: each way from a domain to a receiver."""
import json
import unittest

from peers import POSTFIX, Scene, setUpModule  # pylint: disable=unused-import
from receivers import Exim, Postfix

DEAD = "127.0.0.9"       # refuses connections
INSIDE = "10.1.2.3"      # in none of the allowed networks

ZONE = [
    f"mx A {POSTFIX}", f"dead A {DEAD}",
    "first-dead MX 10 dead", "first-dead MX 20 mx",
    "aliased CNAME real", "real MX 10 mx",
    "behind MX 10 other-name", "other-name CNAME mx",
    f"several A {DEAD}", f"several A {POSTFIX}",
    "*.wild MX 10 mx",
    "apart MX 10 mx.exim.example.",
    f"implicit A {POSTFIX}",
    "null MX 0 .", f"null A {POSTFIX}",
    "nowhere MX 10 missing", f"nowhere A {POSTFIX}",
    'silent TXT "no address"',
    f"inside A {INSIDE}",
    "all-dead MX 10 dead",
]
# Domains under ways.example by what becomes of their recipient.
TO_POSTFIX = ["first-dead", "aliased", "real", "behind", "several", "a.wild", "b.wild", "implicit"]
TO_EXIM = ["apart"]
BOUNCED = {
    "null": ((5, 1, 10), "the domain takes no mail (null MX)"),
    "nowhere": ((5, 4, 4), "no exchanger has an address"),
    "silent": ((5, 4, 4), "neither MX nor address records exist"),
}
DEFERRED = {
    "nobody": ((4, 4, 4), "the domain does not exist; asked again before it is believed"),
    "inside": ((4, 4, 4), "no exchanger has an address that may be used"),
    # The resolver asks the authority for a zone that it refuses to speak of.
    "domain.unserved": ((4, 4, 3), "MX lookup failed"),
}
WAITING = ["all-dead"]


class AnyPostfix(Postfix):
    accepted = ".+"


class AnyExim(Exim):
    accepted = ".+"


def address(name):
    return f"user@{name}" if name.endswith(".unserved") else f"user@{name}.ways.example"


class Ways(unittest.TestCase):
    def test_each_domain_finds_its_way(self):
        with Scene(AnyPostfix, AnyExim, zones={"ways.example": ZONE}) as scene:
            postfix, exim = scene.receivers
            scene.configure()
            scene.start_sender()
            names = TO_POSTFIX + TO_EXIM + list(BOUNCED) + list(DEFERRED) + WAITING
            scene.submit(scene.write_job(rows=[f"{address(name)},Name" for name in names]))

            scene.sender.wait_for_line("job news-.* taken")

            def settled():
                done = scene.run("status", "news", "--json", "--config", scene.config_file)
                if done.returncode == 66:  # the job is not known yet
                    return False
                status = json.loads(done.stdout)
                return status["delivered"] == len(TO_POSTFIX + TO_EXIM) and \
                    status["bounced"] == len(BOUNCED) and status["deferred"] == len(DEFERRED)
            scene.wait_for(settled, "a state for each")
            states = {row["recipient"]: row["state"] for row in scene.report("news")}
            wanted = {**dict.fromkeys(TO_POSTFIX + TO_EXIM, "delivered"),
                      **dict.fromkeys(BOUNCED, "bounced"), **dict.fromkeys(DEFERRED, "deferred"),
                      **dict.fromkeys(WAITING, "waiting")}
            self.assertEqual(states, {address(name): state for name, state in wanted.items()})
            self.assertEqual(sorted(m.recipient() for m in postfix.stored(len(TO_POSTFIX))),
                             sorted(map(address, TO_POSTFIX)))
            self.assertEqual([m.recipient() for m in exim.stored(len(TO_EXIM))],
                             list(map(address, TO_EXIM)))
            self.assertEqual(scene.sender.stop(), 0, scene.sender.text())
            self.check_events(scene)

    def check_events(self, scene):
        done = scene.run("log", "--config", scene.config_file, check=0)
        events = {}
        for event in map(json.loads, done.stdout.decode().splitlines()):
            events.setdefault(event["recipient"], []).append(event)
        for name in TO_POSTFIX + TO_EXIM:
            self.assertEqual([e["type"] for e in events[address(name)]], ["Delivery"], name)
        self.assertEqual(events[address("first-dead")][0]["peer_address"],
                         {"name": "mx.ways.example", "addr": POSTFIX})
        self.assertEqual(events[address("implicit")][0]["peer_address"],
                         {"name": "implicit.ways.example", "addr": POSTFIX})
        for kind, outcomes in (("Bounce", BOUNCED), ("TransientFailure", DEFERRED)):
            for name, (enhanced, words) in outcomes.items():
                with self.subTest(name):
                    found = events[address(name)]
                    self.assertEqual({e["type"] for e in found}, {kind})
                    got = found[0]["response"]["enhanced_code"]
                    self.assertEqual((got["class"], got["subject"], got["detail"]), enhanced)
                    self.assertIn(words, found[0]["response"]["content"])
                    self.assertNotIn("peer_address", found[0], "nobody was connected to")
        self.assertNotIn(address("all-dead"), events, "a dead site burns no attempt")


if __name__ == "__main__":
    unittest.main()
