"""Hostile receivers: each gets its outcome and its line in the record; none holds anybody up."""
import collections
import contextlib
import json
import pathlib
import re
import time
import unittest

from harness import Sandbox
from hostile.receivers import HOLDS, LARGE, TIMEOUTS, character, receive_buffer_of
from hostile.wire import Receiver

INNOCENT = 2000
INNOCENT_SECONDS = 20.0
HOSTILE_SECONDS = 30.0
DRAIN_SECONDS = 3.0
ROWS = 3
EVENTS = {"delivered": "Delivery", "deferred": "TransientFailure", "bounced": "Bounce"}
# 60 times in the text: more than the buffers of both sides.
FILLER = "filler " * 20_000


def recipients_of(name):
    return [f"u{i}@{name}.example" for i in range(1 if name in LARGE else ROWS)]


class Hostile(unittest.TestCase):
    def start(self, box, stack):
        self.receivers = {}
        zones = ["good.example MX 10 mx.good.example", "mx.good.example A 127.0.7.1"]
        for number, (name, (behaviour, _)) in enumerate(character.items(), 1):
            address = f"127.0.9.{number}"
            zones += [f"{name}.example MX 10 mx.{name}.example", f"mx.{name}.example A {address}"]
            self.receivers[name] = stack.enter_context(
                Receiver(behaviour, address, box.smtp_port, receive_buffer_of(name)))
        zones += ["refuses.example MX 10 mx.refuses.example", "mx.refuses.example A 127.0.9.250",
                  "nowhere.example NULLMX", "broken.example SERVFAIL"]
        zone_file = box.directory / "zones"
        zone_file.write_text("\n".join(zones) + "\n")
        box.start_sink("--zone-file", str(zone_file), exchangers=1, zone=None)
        rules = box.directory / "shaping.toml"
        rules.write_text('["default"]\nconsecutive_connection_failures_before_delay = 1\n' +
                         "".join(f'{key} = "{value}"\n' for key, value in TIMEOUTS.items()))
        box.configure(engine=f'drain_timeout = "{DRAIN_SECONDS:.0f}s"',
                      extra=f'[shaping]\nfiles = ["{rules}"]\n', retry='retry_interval = "10m"')
        box.start_sender()

    def submit(self, box):
        rows = [f"u{i}@good.example,Innocent," for i in range(INNOCENT)]
        for name in character:
            # The hostile ones first: the innocent has them all before it.
            filler = FILLER if name in LARGE else ""
            rows[:0] = [f"{recipient},Hostile,{filler}" for recipient in recipients_of(name)]
        rows[:0] = [f"u0@{name}.example,Nobody," for name in ("refuses", "nowhere", "broken")]
        box.submit(box.write_job(rows=rows, header="email,name,filler",
                                 text="Hello {{name}}\n" + "{{{filler}}}\n" * 60))

    def innocent_delivered(self, box):
        done = box.run("status", "news", "--config", box.config_file, "--by", "domain", "--json",
                       check=0)
        counts = {one["domain"]: one for one in map(json.loads, done.stdout.splitlines())}
        return counts.get("good.example", {}).get("delivered") == INNOCENT

    def settled(self, box):
        """True when all are where their character leaves them, or where nothing changes more."""
        states = {row["recipient"]: row["state"] for row in box.report("news")}
        for name, (_, outcome) in character.items():
            right = "in_flight" if name in HOLDS else outcome.state
            for recipient in recipients_of(name):
                if states[recipient] not in (right, *EVENTS):
                    return False
        return True

    def wait_for_log(self, box):
        """The line of every site that takes no mail; check() says which one has none."""
        end = time.monotonic() + HOSTILE_SECONDS
        for name, (_, outcome) in character.items():
            if outcome.state == "waiting":
                with contextlib.suppress(AssertionError):
                    box.sender.wait_for_line(f"site mx.{name}.example cannot be reached",
                                             max(0.1, end - time.monotonic()))

    @staticmethod
    def breaks_off(said):
        return any(" breaks off, its mail waits: " in line for line in said)

    def check(self, name, outcome, report, events, log):
        self.assertEqual(self.receivers[name].errors, [])
        self.assertGreater(self.receivers[name].connections, 0)
        said = [line for line in log if f"site mx.{name}.example " in line]
        # A site that takes no mail has one line in the log, else each recipient one in the record;
        # one that breaks off each time has both.
        self.assertEqual(len(said), 1 if outcome.state == "waiting" or self.breaks_off(said) else 0,
                         said)
        for line in said:
            self.assertRegex(line, "warning .* its mail waits: .*" + outcome.says)
        for recipient in recipients_of(name):
            row = report[recipient]
            self.assertEqual(row["state"], outcome.state, row)
            if outcome.state == "waiting":
                self.assertEqual((row["attempts"], row["response"]), ("0", ""))
                self.assertEqual(events[recipient], [])
                continue
            self.assertEqual(row["attempts"], "1")
            self.assertRegex(row["response"], outcome.says)
            self.assertEqual(row["exchanger"], f"mx.{name}.example")
            [event] = events[recipient]
            self.assertEqual(event["type"], EVENTS[outcome.state])
            self.assertEqual(event["response"]["command"], outcome.command)
            self.assertEqual(event.get("maybe_delivered", False), outcome.maybe)
            self.assertEqual(str(event["response"]["code"]), row["code"] or "0")
            if outcome.state != "delivered":
                self.assertEqual(row["enhanced"], outcome.enhanced)

    def test_each_beside_an_innocent_site(self):
        with Sandbox() as box, contextlib.ExitStack() as stack:
            self.start(box, stack)
            self.submit(box)
            box.sender.wait_for_line(" taken$")
            box.wait_for(lambda: self.innocent_delivered(box), "the innocent site's mail",
                         INNOCENT_SECONDS)
            self.wait_for_log(box)
            box.wait_for(lambda: self.settled(box), "verdicts", HOSTILE_SECONDS)

            status = pathlib.Path(f"/proc/{box.sender.popen.pid}/status").read_text()
            self.assertLess(int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1)), 256 << 10)
            began = time.monotonic()
            self.assertEqual(box.sender.stop(), 0, box.sender.text())
            self.assertLess(time.monotonic() - began, DRAIN_SECONDS + 5)
            self.assertNotIn(" error ", box.sender.text())
            report = {row["recipient"]: row for row in box.report("news")}
            events = collections.defaultdict(list)
            for line in box.run("log", "--config", box.config_file,
                                check=0).stdout.decode().splitlines():
                event = json.loads(line)
                events[event["recipient"]].append(event)
            for name, (_, outcome) in character.items():
                with self.subTest(name):
                    self.check(name, outcome, report, events, box.sender.lines)
            self.assertEqual({row["state"] for recipient, row in report.items()
                              if recipient.endswith("@good.example")}, {"delivered"})
            self.assertEqual(report["u0@refuses.example"]["state"], "waiting")
            self.assertRegex(box.sender.text(), r"site mx\.refuses\.example .*connection refused")
            self.assertEqual(report["u0@nowhere.example"]["enhanced"], "5.1.10")
            self.assertEqual(report["u0@broken.example"]["enhanced"], "4.4.3")
            ledger = box.stop_sink()
            self.assertEqual(ledger["identities"]["distinct"], INNOCENT)


if __name__ == "__main__":
    unittest.main()
