"""Keys that sign: made by dkim-key, refused when others may read them, and what is told of mail
that no key signs."""
import os
import re
import signal
import unittest

from harness import SLUICE, Process, Sandbox


class Dkim(unittest.TestCase):
    def make_key(self, box, *options, domain="example.com", selector="s1", check=0):
        return box.run("dkim-key", "--domain", domain, "--selector", selector, "--directory",
                       box.directory, *options, check=check)

    def start_fails(self, box, *words):
        sender = Process([SLUICE, "run", "--config", str(box.config_file)])
        box.started.append(sender)
        self.assertEqual(sender.finish(), 78, sender.text())
        for word in words:
            self.assertIn(word, sender.text())

    def test_a_key_and_its_record_are_made_and_never_overwritten(self):
        with Sandbox() as box:
            for selector, options, strings in (("s1", [], 2), ("s2", ["--type", "ed25519"], 1),
                                               ("s4", ["--bits", "4096"], 3)):
                done = self.make_key(box, *options, selector=selector)
                text = done.stdout.decode()
                file = box.directory / f"example.com.{selector}.pem"
                self.assertEqual(os.stat(file).st_mode & 0o7777, 0o600)
                self.assertIn(f"{selector}._domainkey.example.com. IN TXT (\n", text)
                record = re.findall(r'^    "([^"]*)"', text, re.MULTILINE)
                self.assertEqual(len(record), strings, text)
                self.assertTrue(all(len(part) <= 255 for part in record), text)
                self.assertRegex("".join(record), r"^v=DKIM1; k=(rsa|ed25519); p=[A-Za-z0-9+/]+=*$")
                self.assertIn(f'[[dkim]]\ndomain = "example.com"\nselector = "{selector}"\n'
                              f'key = "{file}"\n', text)
                self.assertNotIn("PRIVATE", text + done.stderr.decode())
            before = file.read_bytes()
            again = self.make_key(box, selector="s4", check=73)
            self.assertIn("exists already", again.stderr.decode())
            self.assertEqual(file.read_bytes(), before)

    def test_wrong_names_and_sizes_are_refused(self):
        with Sandbox() as box:
            for options in (("--bits", "512"), ("--bits", "8192"), ("--type", "dsa")):
                self.make_key(box, *options, check=64)
            self.make_key(box, domain="no domain", check=64)
            self.make_key(box, domain="com", check=64)
            self.make_key(box, selector="../x", check=64)
            missing = box.run("dkim-key", "--domain", "example.com", "--selector", "s",
                              "--directory", box.directory / "none", check=73)
            self.assertIn("make the folder", missing.stderr.decode())
            self.assertEqual(list(box.directory.glob("*.pem")), [])

    def test_a_key_that_others_can_read_stops_the_start(self):
        with Sandbox() as box:
            self.make_key(box)
            file = box.directory / "example.com.s1.pem"
            box.configure(extra='[[dkim]]\ndomain = "example.com"\nselector = "s1"\n'
                                'key = "example.com.s1.pem"\n')
            for mode in (0o644, 0o604, 0o602, 0o660):
                file.chmod(mode)
                self.start_fails(box, str(file), f"(mode {mode:04o})", "chmod")
            file.chmod(0o600)
            file.write_text(file.read_text().replace("PRIVATE", "PUBLIC"))
            self.start_fails(box, str(file), "public key", "the private key")
            file.unlink()
            self.start_fails(box, str(file), "cannot be read: No such file")
            file.mkdir()
            self.start_fails(box, "is not a regular file")

    def test_mail_is_signed_by_the_sender_only_and_unsigned_mail_is_told_of(self):
        with Sandbox() as box:
            self.make_key(box)
            (box.directory / "example.com.s1.pem").chmod(0o640)
            box.configure(extra='[[dkim]]\ndomain = "example.com"\nselector = "s1"\n'
                                'key = "example.com.s1.pem"\nexpire = "1d"\n')
            store = box.directory / "store"
            store.mkdir()
            box.start_sink("--store", store)
            box.start_sender()
            rows = ["a@test.example,Ann"]
            box.submit(box.write_job("signed", rows), "--wait")
            (message,) = (path.read_bytes().decode() for path in (store / "new").iterdir())
            message = re.sub(r"^(X-Envelope-[^\n]*\n)+", "", message)  # the sink's
            self.assertTrue(message.startswith("DKIM-Signature: v=1; a=rsa-sha256; "), message)
            flat = re.sub(r"\s+", "", message[:message.index("\r\nDate:")])
            start, end = (int(re.search(rf";{tag}=(\d+);", flat).group(1)) for tag in "tx")
            self.assertEqual(end - start, 86_400)
            shown = box.run("show", "signed", "--row", 1, "--config", box.config_file, check=0)
            self.assertIn("without its DKIM-Signature", shown.stderr.decode())
            self.assertEqual(shown.stdout.decode(), message[message.index("\r\nDate:") + 2:])

            job = box.write_job("other", rows)
            toml = (job / "job.toml").read_text()
            (job / "job.toml").write_text(toml.replace("news@example.com", "news@example.org"))
            told = box.submit(job, "--wait").stderr.decode()
            self.assertIn("no [[dkim]] signs for example.org", told)

            job = box.write_job("mixed", ["a@test.example,example.com", "b@test.example,e.example"])
            toml = (job / "job.toml").read_text()
            (job / "job.toml").write_text('envelope_sender = "bounce@example.com"\n' +
                                          toml.replace("news@example.com", "news@{{name}}"))
            box.submit(job, "--wait", check=1)
            found = {row["recipient"]: row for row in box.report("mixed")}
            self.assertEqual(found["a@test.example"]["state"], "delivered", found)
            refused = found["b@test.example"]
            self.assertEqual(refused["state"], "bounced", refused)
            self.assertIn("no DKIM key signs", str(refused))

    def test_changed_keys_take_effect_at_the_next_start(self):
        with Sandbox() as box:
            self.make_key(box)
            box.start_sender()
            box.sender.popen.send_signal(signal.SIGHUP)
            box.sender.wait_for_line("info.* reloaded")
            self.assertNotIn("at the next start", box.sender.text())
            with box.config_file.open("a") as config:
                config.write('[[dkim]]\ndomain = "example.com"\nselector = "s1"\n'
                             'key = "example.com.s1.pem"\n')
            box.sender.popen.send_signal(signal.SIGHUP)
            box.sender.wait_for_line("at the next start")
            self.assertEqual(box.sender.stop(), 0, box.sender.text())


if __name__ == "__main__":
    unittest.main()
