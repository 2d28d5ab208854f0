"""The resolver is dead while a job is sent: who is known gets mail, who is not waits.

2,000 domains behind knot and unbound, half of them known from an earlier job; 20,000 recipients.
"""
import collections
import json
import unittest

from peers import Scene, Unbound, setUpModule  # pylint: disable=unused-import

DOMAINS = 2000
ROWS = 20000
EXCHANGERS = 3


def zone():
    lines = [f"mx{n} A 127.0.7.{n}" for n in range(1, EXCHANGERS + 1)]
    return lines + [f"d{n} MX 10 mx{1 + n % EXCHANGERS}" for n in range(DOMAINS)]


def address(number, domain):
    return f"user{number}@d{domain}.many.example"


class Outage(unittest.TestCase):
    def test_the_resolver_is_dead_for_a_while(self):
        with Scene(zones={"many.example": zone()}) as scene:
            scene.start_sink(exchangers=EXCHANGERS, zone="not-asked.example")
            unbound = scene.servers[1]
            scene.configure()
            scene.start_sender()
            known = [f"{address(0, n)},Name" for n in range(DOMAINS // 2)]
            scene.submit(scene.write_job("first", rows=known), "--wait")

            unbound.stop()
            rows = [f"{address(1 + i, i % DOMAINS)},Name {i}" for i in range(ROWS)]
            scene.submit(scene.write_job("news", rows=rows))
            scene.sender.wait_for_line("job news-.* taken")
            scene.wait_for(lambda: self.status(scene)["delivered"] == ROWS // 2,
                           "mail for all known domains, while the resolver is dead")
            scene.wait_for(lambda: self.status(scene)["deferred"] == ROWS // 2,
                           "the others deferred")
            states = collections.Counter(
                (int(row["recipient"].split("@d")[1].split(".")[0]) < DOMAINS // 2, row["state"])
                for row in scene.report("news"))
            self.assertEqual(states, {(True, "delivered"): ROWS // 2,
                                      (False, "deferred"): ROWS // 2})

            scene.add(Unbound(scene.dns_port, unbound.authority_port))
            done = scene.wait_done("news")
            self.assertEqual(done["delivered"], ROWS)
            self.assertEqual(done["bounced"] + done["expired"], 0)
            self.assertEqual(scene.sender.stop(), 0)
            # A name that failed is asked for again after 5 s, 10 s and so on; no row was attempted
            # for nothing.
            self.assertEqual(done["attempts"], ROWS)
            self.assertEqual(scene.stop_sink()["identities"]["once"], ROWS + DOMAINS // 2)

    def status(self, scene):
        return json.loads(scene.run("status", "news", "--json", "--config", scene.config_file,
                                    check=0).stdout)


if __name__ == "__main__":
    unittest.main()
