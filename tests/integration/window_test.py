"""Blind flights of 16 messages into Postfix and Exim: each answer lands at its own recipient.

Two jobs with different envelope senders go to one receiver at the same time, a tenth of their
recipients is refused; once undisturbed, and once with connections cut at random octets. What the
receiver stored is compared with what Sluice says. 2,000 messages, or 20,000 with SLUICE_LONG=1.
"""
import email
import email.policy
import json
import os
import unittest

from cutting import Cutter
from hostile import account
from peers import Scene, setUpModule  # pylint: disable=unused-import
from receivers import Exim, Postfix

LONG = os.environ.get("SLUICE_LONG") == "1"
JOBS = ("one", "two")
ROWS = 10_000 if LONG else 1_000  # of a job
FIRST = 200  # undisturbed before the others, so that the probe is not cut
CONNECTIONS = 4
CUTTER = "127.0.0.8"
OCTETS = 100_000  # through a connection until it is cut, on average
SEED = 7
PATIENCE = 1800.0 if LONG else 240.0
TEXT = "Hello {{email}} of row {{row}}\n{{filler}}\n.\nThis is for {{email}}\n"


def filler(i):
    return "x" * (37 * i % 900)


def text_of(recipient, row):
    return f"Hello {recipient} of row {row}\n{filler(row)}\n.\nThis is for {recipient}\n"


class Window(unittest.TestCase):
    def prepare(self, scene):
        (scene.directory / "rules").write_text(
            f'["default"]\nconnection_limit = {CONNECTIONS}\nmax_in_flight = 16\n')
        scene.configure(extra=f'[shaping]\nfiles = ["{scene.directory}/rules"]\n')
        scene.start_sender()

    def recipients(self, receiver, count, later):
        kinds = {3: "no", 7: "later"} if later else {3: "no"}
        return [f"{kinds.get(i % 10 if i % 10 == 3 else i % 50, 'user')}-{i}@{receiver.domain(i)}"
                for i in range(1, count + 1)]

    def write(self, scene, job, recipients):
        rows = [f"{recipient},{filler(i)}" for i, recipient in enumerate(recipients, 1)]
        return scene.write_job(job, rows=rows, header="email,filler", text=TEXT, subject="For you",
                               extra=account.extra_of(job))

    def depths(self, scene, receiver):
        done = scene.run("resolve", receiver.domain(1), "--config", scene.config_file, "--json",
                         check=0)
        return [note["in_flight"] for note in json.loads(done.stdout)["depths"]]

    def taken(self, mails):
        return [account.Taken(trace_of(mail, "Return-Path").strip("<>"),
                              trace_of(mail, "X-Original-To", "Envelope-To"), mail.content)
                for mail in mails]

    def check_contents(self, mails, recipients):
        """Each has the text of its own row; who it is for, account.foreign() has seen."""
        for mail in mails:
            recipient = trace_of(mail, "X-Original-To", "Envelope-To")
            message = email.message_from_bytes(mail.content, policy=email.policy.default)
            self.assertEqual(message.get_content(),
                             text_of(recipient, recipients.index(recipient) + 1))

    def send(self, receiver, scene, recipients, disturb=lambda: None):
        """Returns the reports, the events and how deep flights were at the end."""
        self.prepare(scene)
        first = self.recipients(receiver, FIRST, later=False)
        scene.submit(self.write(scene, "first", first), "--wait", check=1)
        [depth] = self.depths(scene, receiver)
        self.assertRegex(depth, "of 16 in flight, blind: passed the probe")
        disturb()
        for job in JOBS:
            scene.submit(self.write(scene, job, recipients))
        for job in JOBS:
            done = scene.spool / "done"
            scene.wait_for(lambda job=job, done=done: list(done.glob(f"{job}-*/summary.json")),
                           f"{job} in done/", PATIENCE)
        [depth] = self.depths(scene, receiver)
        self.assertEqual(scene.sender.stop(), 0, scene.sender.text())
        reports = {job: scene.report(job) for job in ("first", *JOBS)}
        done = scene.run("log", "--config", scene.config_file, check=0)
        events = [json.loads(line) for line in done.stdout.decode().splitlines()]
        return reports, events, depth

    def check(self, scene, recipients, reports, events):
        [server] = scene.receivers
        self.assertEqual({job: len(rows) for job, rows in reports.items()},
                         {"first": FIRST, **dict.fromkeys(JOBS, len(recipients))})
        accepted = sum(event["type"] == "Delivery" for event in events)
        mails = server.stored(accepted)
        self.assertEqual(account.faults(reports, events, self.taken(mails)), [])
        self.check_contents([mail for mail in mails if b"X-Own: first " not in mail.content],
                            recipients)
        for row in (row for rows in reports.values() for row in rows):
            if row["state"] == "bounced":
                self.assertEqual(row["code"], str(server.refusal[0]), row)
                self.assertIn(server.refusal[2], row["response"])
        return mails

    def undisturbed(self, receiver):
        with Scene(receiver) as scene:
            recipients = self.recipients(receiver, ROWS, later=True)
            reports, events, depth = self.send(receiver, scene, recipients)
            mails = self.check(scene, recipients, reports, events)
            self.assertRegex(depth, "^16 of 16 in flight, blind: passed the probe")
            self.assertNotIn("broke in flight", depth)
            again = {row["recipient"] for rows in reports.values() for row in rows
                     if row["attempts"] != "1"}
            self.assertEqual({who.partition("-")[0] for who in again}, {"later"})
            self.assertEqual(sum(event["type"] == "Delivery" for event in events), len(mails),
                             "each message exactly once")
            # A connection is replaced after nine refusals; nothing else ends one in such a hurry.
            sessions = len({event["session_id"] for event in events})
            refused = sum(event["type"] != "Delivery" for event in events)
            self.assertLessEqual(sessions, refused // 9 + 4 * CONNECTIONS)

    def cut(self, receiver):
        class Behind(receiver):
            @classmethod
            def zone(cls):
                return [line.replace(f"mx A {cls.address}", f"mx A {CUTTER}")
                        for line in super().zone()]

        with Scene(Behind) as scene:
            cutter = scene.add(Cutter(CUTTER, (receiver.address, scene.smtp_port), OCTETS, SEED))
            recipients = self.recipients(receiver, ROWS, later=False)
            reports, events, depth = self.send(receiver, scene, recipients, cutter.begin)
            self.assertGreater(cutter.cuts, 100 if LONG else 10)
            self.check(scene, recipients, reports, events)
            self.assertRegex(depth, "in flight, blind: passed the probe.*broke in flight")

    def test_postfix(self):
        self.undisturbed(Postfix)

    def test_exim(self):
        self.undisturbed(Exim)

    def test_postfix_cut_at_random(self):
        self.cut(Postfix)

    def test_exim_cut_at_random(self):
        self.cut(Exim)


def trace_of(mail, *names):
    """The value of the first trace header that has one of these names."""
    for line in mail.trace:
        name, _, value = line.decode().partition(":")
        if name.lower() in map(str.lower, names):
            return value.strip()
    raise AssertionError(f"none of {names} in {mail.trace}")


if __name__ == "__main__":
    unittest.main()
