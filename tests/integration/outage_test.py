"""The resolver is dead for the middle third of a job: who is known gets mail, who is not waits.

2,000 domains behind knot and unbound, half of them known from an earlier job; 20,000 recipients.
The job's rate makes it last, and a relay before unbound makes that slow, so that most of the
domains that are not known have not been answered for when it dies.
"""
import collections
import json
import unittest

import ways
from hostile.dns_wire import MX
from peers import RESOLVER, Scene, Unbound, setUpModule  # pylint: disable=unused-import
from relay import Relay

DOMAINS = 2000
ROWS = 20000
EXCHANGERS = 3
THIRD = ROWS // 3
RATE = 4000  # recipients a second
# So many of the unknown domains are answered for before the outage; the others get no answer then.
EARLY = 300
# What a failure is kept for at the least: the first pause less a quarter of jitter.
PAUSE = 5.0 * 0.75


def zone():
    lines = [f"mx{n} A 127.0.7.{n}" for n in range(1, EXCHANGERS + 1)]
    return lines + [f"d{n} MX 10 mx{1 + n % EXCHANGERS}" for n in range(DOMAINS)]


def address(number, domain):
    return f"user{number}@d{domain}.many.example"


def number_of(name):
    """Of a domain; None for an exchanger."""
    label = name.rpartition("@")[2].split(".", maxsplit=1)[0]
    return int(label[1:]) if label.startswith("d") else None


class Outage(unittest.TestCase):
    def instead(self, question):
        """Unbound is slow with most of the unknown domains: it has not got to them yet."""
        number = number_of(question.name)
        if self.slow and number is not None and number >= DOMAINS // 2 + EARLY:
            return []
        return None

    def test_the_resolver_is_dead_for_the_middle_third(self):
        self.slow = True
        with Scene(zones={"many.example": zone()}) as scene, \
                Relay((RESOLVER, scene.dns_port), self.instead) as relay:
            scene.start_sink(exchangers=EXCHANGERS, zone="not-asked.example")
            ways.configure(scene, [relay.server])
            text = scene.config_file.read_text()
            scene.config_file.write_text(text.replace('retry_interval = "10m"',
                                                      'retry_interval = "1s"'))
            scene.start_sender()
            known = [f"{address(0, n)},Name" for n in range(DOMAINS // 2)]
            scene.submit(scene.write_job("first", rows=known), "--wait")

            rows = [f"{address(1 + i, i % DOMAINS)},Name {i}" for i in range(ROWS)]
            scene.submit(scene.write_job("news", rows=rows,
                                         extra=f'[send]\nrate = "{RATE}/s"\n'))
            scene.wait_for(lambda: self.delivered(scene) >= THIRD, "the first third")
            killed = self.kill(scene)
            self.slow = False
            self.check_middle(scene, killed)
            scene.add(Unbound(scene.dns_port, scene.servers[1].authority_port))

            done = scene.wait_done("news")
            self.assertEqual(done["delivered"], ROWS)
            self.assertEqual(done["bounced"] + done["expired"], 0)
            self.assertEqual(done["attempts"], ROWS, "no row was attempted for nothing")
            self.assertEqual(scene.sender.stop(), 0)
            self.assertEqual(scene.stop_sink()["identities"]["once"], ROWS + DOMAINS // 2)
            self.check_pauses(relay)
            self.assertEqual(relay.errors, [])

    def kill(self, scene):
        """Returns how many had been delivered then, of all."""
        scene.servers[1].stop()
        return self.delivered(scene)

    def check_middle(self, scene, killed):
        """While it is dead all known domains get their mail, and only they; the others wait."""
        known = ROWS // 2 + EARLY * (ROWS // DOMAINS)
        self.assertLess(killed, known, "mail was left for the outage")
        scene.wait_for(lambda: self.delivered(scene) == known, "mail for all known domains")
        scene.wait_for(lambda: self.status(scene)["deferred"] == ROWS - known, "others deferred")
        states = collections.Counter((number_of(row["recipient"]) < DOMAINS // 2 + EARLY,
                                      row["state"]) for row in scene.report("news"))
        self.assertEqual(states, {(True, "delivered"): known, (False, "deferred"): ROWS - known})

    def check_pauses(self, relay):
        """Nobody is asked about again before the pause after a failure is over."""
        times = collections.defaultdict(dict)
        for asked in relay.asked:
            if asked.kind == MX:  # a question that is tried again keeps its id
                times[asked.name].setdefault(asked.id, asked.at)
        self.assertEqual(len(times), DOMAINS)
        pauses = {}
        for name, at in times.items():
            moments = sorted(at.values())
            if number_of(name) < DOMAINS // 2 + EARLY:
                self.assertEqual(len(moments), 1, name)
            else:
                self.assertGreater(len(moments), 1, name)
            pauses |= {(name, i): b - a for i, (a, b) in enumerate(zip(moments, moments[1:]))}
        self.assertGreater(min(pauses.values()), PAUSE)

    def delivered(self, scene):
        status = self.status(scene)
        return status["delivered"] if status else 0

    def status(self, scene):
        done = scene.run("status", "news", "--json", "--config", scene.config_file)
        return json.loads(done.stdout) if done.returncode == 0 else None


if __name__ == "__main__":
    unittest.main()
