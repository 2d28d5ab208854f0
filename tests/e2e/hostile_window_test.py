"""Receivers that do wrong with CHUNKING, and those that take few recipients at once.

Two jobs with different envelope senders go to all of them at the same time, and a third whose
message is the same for all; the tests look at what each receiver took and at what was said of it.
"""
import collections
import contextlib
import json
import re
import unittest

import harness
from hostile import account, chunking
from hostile.wire import Receiver

JOBS = ("one", "two")
ROWS = 150  # of a job to a domain: together more than the hundred that must be answered in step
SHARED_ROWS = 25
CONNECTIONS = 2
# What a list may bring to make a command of it: on lines of its own, first on a line, and where a
# long header is folded.
NOTE = ("x\r\nMAIL FROM:<evil@example.org>\r\nRCPT TO:<victim@example.org>\r\nDATA\r\n"
        "From: evil@example.org\r\n\r\nevil\r\n.\r\nRSET\r\nMAIL FROM:<evil@example.org>\r\n")
LINE = "MAIL FROM:<evil@example.org> RCPT TO:<victim@example.org> BDAT 0 LAST DATA QUIT " * 4
TEXT = "{{{note}}}\n{{{line}}}\n{{line}}\nHello {{email}}\n"
HTML = "{{{note}}}\n{{{line}}}\n{{line}}\n<p>Hello {{email}}</p>\n"
SHARED = (b"From: Example News <news@example.com>\r\nTo: everybody@example.com\r\n"
          b"Subject: The same for all\r\n\r\nHello all\r\n")

# Domain -> session, rules of its site.
TRUSTED = 'blind_chunking = "trusted"'
RECEIVERS = {
    "honest": (chunking.Session, ""),
    "keeps-mail": (chunking.KeepsMail, ""),
    "keeps-mail-trusted": (chunking.KeepsMail, TRUSTED),
    "reads-refused": (chunking.ReadsRefused, ""),
    "reads-refused-trusted": (chunking.ReadsRefused, TRUSTED),
    "twice": (chunking.AnswersTwice, ""),
    "twice-now-and-then": (chunking.AnswersTwiceNowAndThen, ""),
    "twice-seldom": (chunking.AnswersTwiceSeldom, ""),
    "twice-trusted": (chunking.AnswersTwiceNowAndThen, TRUSTED),
    "terse": (chunking.Terse, ""),
    "terse-twice": (chunking.TerseTwice, ""),
    "terse-twice-now-and-then": (chunking.TerseTwiceNowAndThen, ""),
    "terse-twice-seldom": (chunking.TerseTwiceSeldom, ""),
    "terse-twice-trusted": (chunking.TerseTwiceNowAndThen, TRUSTED),
    "refuses-chunks": (chunking.RefusesChunks, ""),
    "swallows-chunks": (chunking.SwallowsChunks, ""),
    "closes": (chunking.ClosesAfterRefused, ""),
    "closes-trusted": (chunking.ClosesAfterRefused, TRUSTED),
    "two-recipients": (chunking.TwoRecipients, ""),
    "says-two-recipients": (chunking.SaysTwoRecipients, ""),
}
SHARED_TO = ("honest", "two-recipients", "says-two-recipients")


def recipients_of(name):
    """A tenth is refused; of some receivers another tenth for what its content is."""
    foul = "foul" if "twice" in name or "closes" in name else "user"
    return [f"{ {3: 'no', 7: foul}.get(i % 10, 'user') }-{i}@{name}.example" for i in range(ROWS)]


def quoted(text):
    return '"' + text.replace('"', '""') + '"'


class HostileWindow(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.books = {name: chunking.Book() for name in RECEIVERS}
        cls.errors = []
        with harness.Sandbox() as box, contextlib.ExitStack() as stack:
            listening = cls.listen(box, stack)
            box.start_sender()
            for job in JOBS:
                rows = [f"{recipient},{quoted(NOTE)},{quoted(LINE)}" for name in RECEIVERS
                        for recipient in recipients_of(name)]
                box.submit(box.write_job(job, rows=rows, header="email,note,line", text=TEXT,
                                         html=HTML, subject="For you",
                                         extra=account.extra_of(job) + 'X-Line = "{{line}}"\n'))
            box.submit(cls.shared_job(box))
            for job in (*JOBS, "shared"):
                box.wait_done(job)
            cls.depths = {name: cls.depths_of(box, name) for name in RECEIVERS}
            cls.exit_code, cls.said = box.sender.stop(), box.sender.text()
            cls.reports = cls.by_domain({job: box.report(job) for job in (*JOBS, "shared")})
            done = box.run("log", "--config", box.config_file, check=0)
            cls.events = [json.loads(line) for line in done.stdout.decode().splitlines()]
            cls.errors += [error for receiver in listening for error in receiver.errors]

    @classmethod
    def listen(cls, box, stack):
        zones, listening, rules = [], [], f'["default"]\nconnection_limit = {CONNECTIONS}\n'
        for number, (name, (session, rule)) in enumerate(RECEIVERS.items(), 1):
            address = f"127.0.9.{number}"
            zones += [f"{name}.example MX 10 mx.{name}.example", f"mx.{name}.example A {address}"]
            rules += f'["{name}.example"]\n{rule}\n' if rule else ""

            def behave(wire, session=session, book=cls.books[name]):
                session(wire, book).serve()
            listening.append(stack.enter_context(Receiver(behave, address, box.smtp_port)))
        (box.directory / "zones").write_text("\n".join(zones) + "\n")
        (box.directory / "rules").write_text(rules)
        box.start_sink("--zone-file", str(box.directory / "zones"), exchangers=1, zone=None)
        box.configure(extra=f'[shaping]\nfiles = ["{box.directory}/rules"]\n')
        return listening

    @staticmethod
    def shared_job(box):
        job = box.write_job("shared", eml=SHARED, rows=[
            f"user-{i}@{name}.example,x" for name in SHARED_TO for i in range(SHARED_ROWS)])
        text = (job / "job.toml").read_text()
        (job / "job.toml").write_text(re.sub("(?m)^subject = .*\n", "", text))
        return job

    @staticmethod
    def depths_of(box, name):
        done = box.run("resolve", f"{name}.example", "--config", box.config_file, "--json", check=0)
        return [note["in_flight"] for note in json.loads(done.stdout)["depths"]]

    @staticmethod
    def by_domain(reports):
        found = {name: collections.defaultdict(list) for name in RECEIVERS}
        for job, rows in reports.items():
            for row in rows:
                found[row["recipient"].partition("@")[2].removesuffix(".example")][job].append(row)
        return found

    def taken(self, name, shared=False):
        """What a receiver took of the personalised jobs, or of the shared one."""
        return [one for one in self.books[name].taken if (b"everybody@" in one.content) == shared]

    def check(self, name):
        reports = {job: self.reports[name][job] for job in JOBS}
        self.assertEqual([len(rows) for rows in reports.values()], [ROWS] * len(JOBS))
        events = [event for event in self.events if event["queue"] == f"{name}.example"]
        self.assertEqual(account.faults(reports, events, self.taken(name)), [])
        strange = [line for line in self.books[name].obeyed
                   if re.search(rb"evil|victim", line, re.IGNORECASE)]
        self.assertEqual(strange, [], "commands out of the list")
        [depth] = self.depths[name]
        return depth

    def ways(self, name):
        return {how for how, _ in self.books[name].transactions}

    def test_the_receivers_and_the_sender_ran_to_their_ends(self):
        self.assertEqual(self.errors, [])
        self.assertEqual(self.exit_code, 0, self.said)

    def test_an_honest_one_earns_blind_flights(self):
        self.assertRegex(self.check("honest"), "of 16 in flight, blind: passed the probe")
        self.assertEqual(self.ways("honest"), {"BDAT"})
        # More than the probes of all connections: chunks of refused recipients.
        self.assertGreater(self.books["honest"].refused_chunks, CONNECTIONS)
        self.assertLessEqual(self.books["honest"].connections, 10)

    def test_one_with_the_same_words_for_all_gets_data(self):
        self.assertRegex(self.check("terse"), "by DATA: it says the same to every command")
        self.assertEqual(self.ways("terse"), {"BDAT", "DATA"})

    def test_one_that_keeps_mail_open_after_a_refused_chunk(self):
        for name, how in (("keeps-mail", "passed the probe"), ("keeps-mail-trusted", "trusted by")):
            with self.subTest(name):
                self.assertRegex(self.check(name), f"of 16 in flight, blind: {how}")
                self.assertGreater(self.books[name].refused_chunks, CONNECTIONS)
                self.assertEqual(self.books[name].nested_mails, 0)

    def test_one_that_reads_a_refused_chunk_as_commands_is_not_sent_blind(self):
        self.assertRegex(self.check("reads-refused"),
                         "one round trip a message: .*failed the probe")
        # Its probes; no chunk of a message was sent before its recipient was accepted.
        self.assertIn(self.books["reads-refused"].refused_chunks, range(1, CONNECTIONS + 1))

    def test_one_that_reads_a_refused_chunk_as_commands_finds_none_of_the_list(self):
        self.check("reads-refused-trusted")
        self.assertGreater(self.books["reads-refused-trusted"].refused_chunks, 0)
        # It was found out early; what all the others' chunks would have done to it:
        chunks = {one.content for name in RECEIVERS for one in self.taken(name)}
        self.assertGreaterEqual(len(chunks), len(JOBS) * ROWS)
        for chunk in chunks:
            self.assertEqual(chunking.obeyed_of(chunk), [], chunk.decode())

    def test_such_a_receiver_obeys_what_is_not_encoded(self):
        self.assertEqual(chunking.obeyed_of(NOTE.encode())[:3], NOTE.encode().splitlines(True)[1:4])
        self.assertEqual(chunking.obeyed_of(b" " + LINE.encode() + b"\r\n"),
                         [b" " + LINE.encode() + b"\r\n"])

    def test_one_that_answers_twice(self):
        for name in filter(lambda name: "twice" in name, RECEIVERS):
            with self.subTest(name):
                self.assertRegex(self.check(name), "by DATA: ")
                self.assertEqual(self.ways(name), {"BDAT", "DATA"})

    def test_one_that_answers_twice_when_flights_are_blind(self):
        self.assertGreater(self.books["twice-seldom"].refused_chunks, CONNECTIONS)

    def test_one_that_offers_chunking_and_does_not_know_it(self):
        for name in ("refuses-chunks", "swallows-chunks"):
            with self.subTest(name):
                self.check(name)
                self.assertEqual(self.ways(name), {"DATA"})

    def test_one_that_closes_after_each_refused_chunk(self):
        for name in ("closes", "closes-trusted"):
            with self.subTest(name):
                self.check(name)
                self.assertGreater(self.books[name].refused_chunks, 0)

    def test_recipients_of_one_message_share_a_transaction(self):
        for name, most in (("honest", SHARED_ROWS), ("two-recipients", 2),
                           ("says-two-recipients", 2)):
            with self.subTest(name):
                rows = self.reports[name]["shared"]
                self.assertEqual([(row["state"], row["attempts"]) for row in rows],
                                 [("delivered", "1")] * SHARED_ROWS)
                self.assertEqual(sorted(one.recipient for one in self.taken(name, shared=True)),
                                 sorted(row["recipient"] for row in rows))
                sizes = collections.Counter(count for _, count in self.books[name].transactions)
                self.assertLessEqual(max(sizes), most)
                self.assertGreater(max(sizes), 1)
                self.check(name)

    def test_the_account_finds_what_it_is_to_find(self):
        wrong = account.Taken("one@bounces.example", "ann@x.example",
                              b"X-Own: two ann@x.example\r\n\r\n")
        self.assertEqual(len(account.foreign([wrong])), 1)
        twice = [account.Taken("one@bounces.example", "ann@x.example",
                               b"X-Own: one ann@x.example\r\n\r\n")] * 2
        row = {"recipient": "ann@x.example", "state": "delivered", "response": ""}
        self.assertEqual(account.faults({"one": [row]}, [], twice[:1]), [])
        self.assertEqual(len(account.faults({"one": [row]}, [], twice)), 1)
        self.assertEqual(len(account.faults({"one": [row]}, [], [])), 1)
        self.assertEqual(len(account.faults({}, [], twice[:1])), 1)


if __name__ == "__main__":
    unittest.main()
