"""Hostile name servers: each domain gets its outcome, and none holds up the innocent ones."""
import collections
import contextlib
import json
import threading
import time
import unittest

from harness import DEADLINE, Sandbox
from hostile.dns_wire import TRUNCATED, NameServer
from hostile.name_servers import MAIL, character, honest
from hostile.outcome import deferred

INNOCENT_DOMAINS = 200
SILENT_DOMAINS = 100
INNOCENT_SECONDS = 20.0
HOSTILE_SECONDS = 30.0
EVENTS = {"delivered": "Delivery", "deferred": "TransientFailure", "bounced": "Bounce"}

# Behind servers of their own, by [dns.route]: one refuses TCP, the other is not there.
UNREACHABLE = deferred("4.4.3", r"MX lookup failed: (timed out|no server can be reached)")


def answer(q, asked):
    label = q.name.removesuffix(".example").rsplit(".", 1)[-1]
    asked.add(label)
    if label.startswith("silent-"):
        return None
    behaviour, _ = character.get(label, (honest, None))
    return behaviour(q)


class HostileNames(unittest.TestCase):
    def start(self, box, stack):
        asked = set()
        names = stack.enter_context(NameServer(lambda q: answer(q, asked)))
        refusing = stack.enter_context(NameServer(lambda q: q.reply(flags=TRUNCATED), tcp=False))
        box.start_sink(exchangers=1)
        self.assertEqual(MAIL, "127.0.7.1")
        box.dns_port = names.port
        rules = box.directory / "shaping.toml"
        rules.write_text('["default"]\nconsecutive_connection_failures_before_delay = 1\n')
        box.configure(extra=f'[dns.route]\n"refusing.test" = ["127.0.0.1:{refusing.port}"]\n'
                            f'"nobody.test" = ["127.0.0.1:{box.http_port}"]\n'
                            f'[shaping]\nfiles = ["{rules}"]\n', retry='retry_interval = "10m"')
        box.start_sender()
        return names, asked

    def outcomes(self):
        found = {f"u@{name}.example": outcome for name, (_, outcome) in character.items()}
        found |= {f"u@silent-{i}.example": character["silence"][1] for i in range(SILENT_DOMAINS)}
        return found | {"u@refusing.test": UNREACHABLE, "u@nobody.test": UNREACHABLE}

    def innocent_delivered(self, box):
        return sum(row["state"] == "delivered" for row in box.report("news")
                   if "@good" in row["recipient"]) == 5 * INNOCENT_DOMAINS

    def settled(self, box):
        """True when all are where their character leaves them, or where nothing changes more."""
        states = {row["recipient"]: row["state"] for row in box.report("news")}
        return all(states[recipient] in (outcome.state, *EVENTS)
                   for recipient, outcome in self.outcomes().items())

    def check(self, recipient, outcome, report, events, log):
        row = report[recipient]
        self.assertEqual(row["state"], outcome.state, row)
        if outcome.state == "waiting":
            [line] = [line for line in log if recipient.partition("@")[2] in line]
            self.assertRegex(line, outcome.says)
            self.assertEqual(events[recipient], [])
            return
        if outcome.state == "delivered":
            self.assertEqual(row["code"], "250")
        else:
            self.assertEqual(row["enhanced"], outcome.enhanced, row)
            self.assertRegex(row["response"], outcome.says)
        [event] = events[recipient]
        self.assertEqual(event["type"], EVENTS[outcome.state])

    def check_bounds(self, box):
        """Times to live are clamped, exchangers and addresses are 64 at most."""
        def resolved(name):
            done = box.run("resolve", name + ".example", "--json", "--config", box.config_file,
                           check=0)
            return json.loads(done.stdout)
        for name, least, most in (("ttl-0", 25, 30), ("ttl-of-2-to-the-31", 25, 30),
                                  ("ttl-of-68-years", 86_000, 86_400)):
            with self.subTest(name):
                [expires] = [fact["expires_in"] for fact in resolved(name)["facts"]
                             if fact["type"] == "MX"]
                self.assertTrue(least <= expires <= most, expires)
        thousand = resolved("a-thousand-exchangers")["exchangers"]
        self.assertEqual(len(thousand), 64)
        self.assertEqual(thousand[0]["name"], "mx.a-thousand-exchangers.example")
        [host] = resolved("a-thousand-addresses")["exchangers"]
        self.assertEqual(len(host["addresses"]), 64)

    def test_each_beside_innocent_domains(self):
        with Sandbox() as box, contextlib.ExitStack() as stack:
            names, asked = self.start(box, stack)
            rows = [f"{recipient},Hostile" for recipient in self.outcomes()]
            rows += [f"u{n}@good{i}.example,Innocent" for i in range(INNOCENT_DOMAINS)
                     for n in range(5)]
            box.submit(box.write_job(rows=rows))
            box.sender.wait_for_line(" taken$")
            box.wait_for(lambda: self.innocent_delivered(box), "the innocent domains' mail",
                         INNOCENT_SECONDS)
            self.check_bounds(box)
            box.wait_for(lambda: self.settled(box), "verdicts", HOSTILE_SECONDS)

            began = time.monotonic()
            self.assertEqual(box.sender.stop(), 0, box.sender.text())
            self.assertLess(time.monotonic() - began, 10)
            self.assertEqual(names.errors, [])
            self.assertEqual(set(character) - asked, set())
            report = {row["recipient"]: row for row in box.report("news")}
            events = collections.defaultdict(list)
            for line in box.run("log", "--config", box.config_file,
                                check=0).stdout.decode().splitlines():
                event = json.loads(line)
                events[event["recipient"]].append(event)
            for recipient, outcome in self.outcomes().items():
                with self.subTest(recipient):
                    self.check(recipient, outcome, report, events, box.sender.lines)

    def test_stop_while_no_name_server_answers(self):
        asked = threading.Event()
        with Sandbox() as box, NameServer(lambda _: asked.set()) as names:
            box.dns_port = names.port
            box.configure(engine='drain_timeout = "2s"')
            box.start_sender()
            box.submit(box.write_job(rows=[f"u@d{i}.example,Hostile" for i in range(500)]))
            self.assertTrue(asked.wait(DEADLINE))
            began = time.monotonic()
            self.assertEqual(box.sender.stop(), 0, box.sender.text())
            self.assertLess(time.monotonic() - began, 2 + 5)
            self.assertEqual({row["state"] for row in box.report("news")}, {"waiting"})


if __name__ == "__main__":
    unittest.main()
