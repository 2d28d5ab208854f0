"""Addresses and links that name a recipient: VERP in the envelope, {{token}} and one-click
unsubscribe in the message, and `sluice token`, which reads them."""
import email
import email.policy
import json
import os
import re
import unittest

from harness import SLUICE, Process, Sandbox

VERP = re.compile(r"^bounce\+([a-z2-7]{32})@example\.com$")
ROWS = 20


class Tokens(unittest.TestCase):
    def start(self, box, *options):
        (box.directory / "store").mkdir()
        box.start_sink("--store", box.directory / "store", *options)
        box.configure()
        box.start_sender()

    def job(self, box, extra="", rows=ROWS, toml="verp = true\n", name="news"):
        people = [f"user{i}@d{i % 5}.test.example,N {i}" for i in range(rows)]
        job = box.write_job(name, rows=people, extra=extra,
                            text="Hello {{name}}, leave with {{token}}\n")
        file = job / "job.toml"
        file.write_text(f'envelope_sender = "bounce@example.com"\n{toml}' + file.read_text())
        return job

    def events(self, box, count):
        """That many attempts, once they are told."""
        def look():
            done = box.run("log", "--json", "--config", box.config_file, check=0)
            found = [json.loads(line) for line in done.stdout.splitlines()]
            return len(found) >= count and found
        found = box.wait_for(look, f"{count} events")
        self.assertEqual(len(found), count)
        return found

    def token(self, box, text, check=0):
        return box.run("token", text, "--json", "--config", box.config_file, check=check)

    def messages(self, box):
        """By recipient."""
        found = {}
        for path in (box.directory / "store" / "new").iterdir():
            message = email.message_from_bytes(path.read_bytes(), policy=email.policy.compat32)
            found[message["To"]] = message
        return found

    def test_a_recipient_is_named_and_can_be_found_again(self):
        unsubscribe = ('[unsubscribe]\nurl = "https://example.com/u/{{token}}?who={{email}}"\n'
                       'mailto = "leave@example.com"\n')
        with Sandbox() as box:
            self.start(box)
            box.submit(self.job(box, unsubscribe), "--wait")
            senders = {event["recipient"]: event["sender"] for event in self.events(box, ROWS)}
            self.assertEqual(len(senders), ROWS)
            self.assertEqual(len(set(senders.values())), ROWS)
            messages = self.messages(box)
            self.assertEqual(set(messages), set(senders))
            job = next(box.spool.glob("done/news-*")).name
            for i in range(ROWS):
                who = f"user{i}@d{i % 5}.test.example"
                bounce = VERP.match(senders[who]).group(1)
                message = messages[who]
                token = re.search(r"leave with ([a-z2-7]{32})",
                                  message.get_payload(decode=True).decode()).group(1)
                self.assertEqual(
                    re.sub(r"\s+", "", message["List-Unsubscribe"]),
                    f"<https://example.com/u/{token}?who=user{i}%40d{i % 5}.test.example>,"
                    f"<mailto:leave@example.com?subject={token}>")
                self.assertEqual(message["List-Unsubscribe-Post"], "List-Unsubscribe=One-Click")
                # Another key, other octets.
                self.assertNotEqual(bounce[-14:], token[-14:])
                for text, kind in ((senders[who], "bounce"), (bounce.upper(), "bounce"),
                                   (token, "unsubscribe")):
                    told = json.loads(self.token(box, text).stdout)
                    self.assertEqual(told, {"kind": kind, "job": job, "row": i + 1,
                                            "recipient": who})
            for line in next(iter(messages.values())).as_string().splitlines():
                self.assertLessEqual(len(line), 998)
            # What is shown later is what was sent.
            shown = box.run("show", "news", "--row", "3", "--config", box.config_file, check=0)
            self.assertIn(f"from <{senders['user2@d2.test.example']}>", shown.stderr.decode())
            self.assertEqual(email.message_from_bytes(shown.stdout)["List-Unsubscribe"].split(),
                             messages["user2@d2.test.example"]["List-Unsubscribe"].split())
            words = box.run("token", token, "--config", box.config_file, check=0).stdout.decode()
            self.assertIn("unsubscribe", words)
            self.assertIn(who, words)
            # No key stands anywhere but in its file, which is its owner's.
            keys = []
            for name in ("verp.key", "unsubscribe.key"):
                file = box.spool / name
                self.assertEqual(os.stat(file).st_mode & 0o7777, 0o600)
                keys.append(file.read_text().strip())
            self.assertNotEqual(*keys)
            for key in keys:
                self.assertNotIn(key, box.sender.text())

    def test_a_dry_run_has_no_keys(self):
        with Sandbox() as box:
            box.configure()
            done = box.run("submit", self.job(box, rows=1), "--dry-run", "--config",
                           box.config_file, check=0)
            self.assertIn("bounce+" + "x" * 32 + "@example.com", done.stderr.decode())
            self.assertIn("tokens are shown as x", done.stderr.decode())

    def test_a_forged_token_is_told(self):
        with Sandbox() as box:
            self.start(box)
            box.submit(self.job(box, rows=1), "--wait")
            sender = self.events(box, 1)[0]["sender"]
            token = VERP.match(sender).group(1)
            changed = token[:-1] + ("a" if token[-1] != "a" else "b")
            done = self.token(box, changed, check=65)
            self.assertIn("not genuine", done.stderr.decode())
            done = self.token(box, "b" * 32, check=65)
            self.assertIn("no job", done.stderr.decode())
            for text in ("", "short", sender.replace("+", "-"), "x" * 32 + "@example.com"):
                if text == sender.replace("+", "-"):
                    self.assertEqual(json.loads(self.token(box, text).stdout)["row"], 1)
                else:
                    self.token(box, text, check=65)

    def test_every_attempt_has_the_same_sender_also_after_a_restart(self):
        with Sandbox() as box:
            self.start(box, "--recipient-rule", "defer-once:1")
            box.configure(retry='retry_interval = "3s"')
            box.submit(self.job(box, rows=3))
            self.events(box, 3)
            box.sender.stop()
            box.start_sender()
            box.wait_done("news")
            senders = {}
            for event in self.events(box, 6):
                senders.setdefault(event["recipient"], []).append(event["sender"])
            for who, seen in senders.items():
                self.assertEqual(len(seen), 2, who)
                self.assertEqual(len(set(seen)), 1, who)
                self.assertRegex(seen[0], VERP)

    def test_another_delimiter_and_keys_of_ones_own(self):
        with Sandbox() as box:
            (box.directory / "store").mkdir()
            box.start_sink("--store", box.directory / "store")
            key = box.directory / "own.key"
            key.write_text("ab" * 32 + "\n")
            key.chmod(0o600)
            box.configure(extra=f'[verp]\ndelimiter = "-"\nkey = "{key}"\n'
                                f'[unsubscribe]\nkey = "{key}"\n')
            box.start_sender()
            box.submit(self.job(box, rows=1), "--wait")
            self.assertRegex(self.events(box, 1)[0]["sender"],
                             r"^bounce-[a-z2-7]{32}@example\.com$")
            self.assertFalse(list(box.spool.glob("*.key")))

    def test_keys_that_are_no_keys_stop_the_start(self):
        with Sandbox() as box:
            key = box.directory / "own.key"
            for octets, mode, words in ((None, 0, "openssl rand -hex 32"),
                                        ("ab" * 31, 0o600, "64 hexadecimal digits"),
                                        ("ab" * 32, 0o604, "open to everybody")):
                if octets is not None:
                    key.write_text(octets)
                    key.chmod(mode)
                box.configure(extra=f'[verp]\nkey = "{key}"\n')
                sender = Process([SLUICE, "run", "--config", str(box.config_file)])
                box.started.append(sender)
                self.assertEqual(sender.finish(), 78, sender.text())
                self.assertIn(words, sender.text())
                self.assertIn(str(key), sender.text())

    def test_what_cannot_be_is_refused_at_submit(self):
        cases = (
            ('envelope_sender = "a-very-long-local-part-of-bounces@example.com"\nverp = true\n', "",
             "64"),
            ("", '[unsubscribe]\nurl = "http://example.com/{{token}}"\n', "https://"),
            ("", '[unsubscribe]\nurl = "https://example.com/u"\n', "{{token}}"),
            ("", '[unsubscribe]\nurl = "https://example.com/<{{token}}>"\n', "unsubscribe"),
            ("", '[unsubscribe]\nmailto = "not an address"\n', "mailto"),
            ("", "[unsubscribe]\n", "url"),
            ("", '[unsubscribe]\nurl = "https://example.com/{{token}}"\n[headers]\n'
             'List-Unsubscribe = "<https://example.com/x>"\n', "List-Unsubscribe"),
        )
        with Sandbox() as box:
            self.start(box)
            for number, (toml, extra, words) in enumerate(cases):
                job = box.write_job(f"case{number}", rows=["a@d1.test.example,A"], extra=extra)
                file = job / "job.toml"
                file.write_text(toml + file.read_text())
                done = box.run("submit", job, "--config", box.config_file)
                self.assertEqual(done.returncode, 65, done.stderr)
                self.assertIn(words, done.stderr.decode())


if __name__ == "__main__":
    unittest.main()
