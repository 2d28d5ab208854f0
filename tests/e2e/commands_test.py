"""The commands that read spool and template: show, dry runs, resolve, spool-cat, record-cat."""
import json
import random
import re
import unittest

from harness import Sandbox

EML = (b"From: News <news@example.com>\nSubject: Hi {{name}}\nX-Own: 1\n\n"
       b"Dear {{name}},\n.dot\n..two\n.\nlast without end")


def stored(box):
    """Recipient -> octets as the receiver got them."""
    found = {}
    for path in (box.directory / "mail" / "new").iterdir():
        sender, recipient, content = path.read_bytes().split(b"\r\n", 2)
        assert sender.startswith(b"X-Envelope-From:"), sender
        address = re.fullmatch(rb"X-Envelope-To: <(.*)>", recipient).group(1).decode()
        assert address not in found, address
        found[address] = content
    return found


def without_what_differs(octets):
    """Without Date, Message-ID and boundary."""
    boundary = re.search(rb'boundary="?([^"\s;]+)', octets)
    if boundary:
        octets = octets.replace(boundary.group(1), b"BOUNDARY")
    return re.sub(rb"(?mi)^(Date|Message-ID):.*(\r\n[ \t].*)*\r\n", b"", octets)


def objects(done):
    return [json.loads(line) for line in done.stdout.decode().splitlines()]


class Commands(unittest.TestCase):
    def show(self, box, job, row, *options, check=0):
        return box.run("show", job, "--row", row, "--config", box.config_file, *options,
                       check=check)

    def eml_job(self, box, name, rows):
        job = box.write_job(name, rows=rows, eml=EML)
        toml = job / "job.toml"
        toml.write_text("\n".join(line for line in toml.read_text().splitlines()
                                  if not line.startswith("subject")) + "\n")
        return job

    def test_show_prints_what_was_sent(self):
        with Sandbox() as box:
            box.start_sink("--store", str(box.directory / "mail"), "--recipient-rule",
                           "defer-once:0.5", "--rtt", "300ms")
            box.start_sender()
            jobs = [box.write_job("both", rows=[f"both{i}@d{i}.test.example,Ännchen <{i}>"
                                                for i in range(1, 7)],
                                  text=".Hello {{name}}\n.\n..\n" + "long " * 50 + "\n",
                                  html="<p>{{name}} {{{name}}}</p>\n.\n", subject="Für {{name}}"),
                    self.eml_job(box, "eml", [f"eml{i}@d{i}.test.example,Änn {i}"
                                              for i in range(1, 7)])]
            for job in jobs:
                box.submit(job, "--wait")
            mail = stored(box)
            self.assertEqual(len(mail), 12)
            attempts = set()
            for job in jobs:
                attempts |= {r["attempts"] for r in box.report(job.name)}
                for row in range(1, 7):
                    shown = self.show(box, job.name, row)
                    recipient = f"{job.name}{row}@d{row}.test.example"
                    self.assertEqual(shown.stdout, mail[recipient], recipient)
                    self.assertIn(f"to <{recipient}>", shown.stderr.decode())
                    self.assertIn("delivered", shown.stderr.decode())
                    dry = box.submit(job, "--dry-run", "--row", row)
                    self.assertEqual(without_what_differs(dry.stdout),
                                     without_what_differs(shown.stdout))
                    self.assertIn(b"\r\nDate: ", b"\r\n" + dry.stdout)
            self.assertEqual(attempts, {"1", "2"})
            [document] = objects(self.show(box, "both", 2, "--json"))
            self.assertEqual(document["recipient"], "both2@d2.test.example")
            self.assertEqual(document["sender"], "news@example.com")
            self.assertEqual(document["message"].encode(), mail["both2@d2.test.example"])

    def test_show_says_why_a_row_has_no_message(self):
        with Sandbox() as box:
            box.start_sink()
            box.start_sender()
            job = box.write_job(rows=["ann@test.example,Ann", "nobody,Bob",
                                      "ann@test.example,Again"])
            toml = job / "job.toml"
            toml.write_text(toml.read_text() + "dedupe = true\n")
            box.submit(job, "--wait", check=1)
            for row, reason in ((2, "line 3 of the list"), (3, "duplicate"), (4, "no row 4")):
                done = self.show(box, "news", row, check=65)
                self.assertEqual(done.stdout, b"")
                self.assertIn(reason, done.stderr.decode())
            self.show(box, "news", 0, check=64)
            self.show(box, "nosuch", 1, check=66)

    def test_show_before_the_list_is_taken(self):
        with Sandbox() as box:
            box.start_sink()
            box.start_sender()
            job = box.write_job(rows=["ann@test.example,Ann", "bob@test.example,Bob", "bad,Bad"],
                                extra="[send]\nstart = 2099-01-01T00:00:00Z\n")
            name = box.submit(job).stdout.decode().strip()
            box.wait_for((box.spool / "active" / name).exists, "taken")
            done = self.show(box, name, 2)
            self.assertIn("waiting", done.stderr.decode())
            self.assertIn(b"\r\nSubject: For Bob\r\n", done.stdout)
            self.assertIn("list.csv:4: row 3 is rejected",
                          self.show(box, name, 3, check=65).stderr.decode())

    def test_a_dry_run_writes_nothing(self):
        with Sandbox() as box:
            box.start_sink()
            box.start_sender()
            # The event record's files come a moment after the start.
            box.wait_for(lambda: list((box.spool / "record").glob("*")), "the event record")
            # Under its own name: it is written under another, a hidden one, first.
            box.wait_for((box.spool / "journal" / "000.followed").exists, "its place")
            before = sorted(box.spool.rglob("*"))
            job = box.write_job(rows=["Ann@Test.Example,Ann", "bad,Bad"])
            done = box.submit(job, "--dry-run")
            self.assertIn(b"To: Ann@test.example\r\n", done.stdout)
            self.assertIn("from <news@example.com> to <Ann@test.example>", done.stderr.decode())
            [document] = objects(box.submit(job, "--dry-run", "--json"))
            self.assertEqual(document["domain"], "test.example")
            self.assertIn("list.csv:3: row 2 is rejected",
                          box.submit(job, "--dry-run", "--row", 2, check=65).stderr.decode())
            box.submit(job, "--dry-run", "--row", 3, check=65)
            box.submit(job, "--row", 1, check=64)
            (job / "body.txt").write_text("Hello {{nmae}}\n")
            self.assertIn("body.txt:1:", box.submit(job, "--dry-run", check=65).stderr.decode())
            self.assertEqual(sorted(box.spool.rglob("*")), before)

    def test_resolve(self):
        with Sandbox() as box:
            zone = box.directory / "zone"
            zone.write_text("plain.test A 127.0.7.1\nnull.test NULLMX\ngone.test NXDOMAIN\n"
                            "slow.test SERVFAIL\n"
                            "two.test MX 20 b.mx.test\ntwo.test MX 10 a.mx.test\n"
                            "a.mx.test A 127.0.7.1\nb.mx.test A 127.0.7.2\n"
                            "same.test MX 5 a.mx.test\nsame.test MX 5 b.mx.test\n"
                            "public.test MX 1 far.test\nfar.test A 10.0.0.1\n")
            box.start_sink("--zone-file", str(zone), zone=None)
            shaping = box.directory / "shaping.toml"
            shaping.write_text('["default"]\nconnection_limit = 8\n'
                               '["same.test"]\nmax_message_rate = "30/s"\n')
            box.configure(extra=f'[shaping]\nfiles = ["{shaping}"]\n')

            def resolve(*domains, check=0):
                return box.run("resolve", *domains, "--config", box.config_file, check=check)

            [two, plain] = objects(resolve("two.test", "x@PLAIN.test.", "--json"))
            self.assertTrue(two["usable"])
            self.assertEqual([(e["name"], e["preference"], e["addresses"])
                              for e in two["exchangers"]],
                             [("a.mx.test", 10, ["127.0.7.1"]), ("b.mx.test", 20, ["127.0.7.2"])])
            self.assertEqual(two["limits"]["connection_limit"],
                             {"value": "8", "from": f"{shaping}:2"})
            # By the site that it shares with the rule's domain.
            self.assertEqual(two["limits"]["max_message_rate"],
                             {"value": "30/s", "from": f"{shaping}:4"})
            self.assertEqual(two["limits"]["smtp_port"],
                             {"value": str(box.smtp_port), "from": "default"})
            self.assertGreater(two["expires_in"], 1)
            self.assertEqual(plain["domain"], "plain.test")
            self.assertTrue(plain["implicit_mx"])
            self.assertEqual(plain["limits"]["max_message_rate"]["value"], "none")
            text = resolve("two.test").stdout.decode()
            self.assertIn("(a|b).mx.test", text)
            self.assertIn(f"{shaping}:4", text)

            # By itself: no sluice runs.
            self.assertEqual(two["from"], "dns")
            box.start_sender()
            [running] = objects(resolve("two.test", "--json"))
            self.assertEqual(running["from"], "sender")
            self.assertEqual(running["exchangers"], two["exchangers"])
            self.assertEqual(running["limits"], two["limits"])
            [again] = objects(resolve("two.test", "--json"))
            self.assertEqual({f["source"] for f in again["facts"]}, {"cached"})
            self.assertEqual([f["type"] for f in again["facts"]], ["MX", "A", "A", "TXT"])
            traced = resolve("public.test", "--trace", check=1).stdout.decode()
            self.assertIn("not used: far.test 10.0.0.1: a private or other special address", traced)
            self.assertRegex(traced, r"far\.test +A +10\.0\.0\.1 +fresh")
            [anew] = objects(resolve("two.test", "--json", "--dns"))
            self.assertEqual(anew["from"], "dns")
            box.sender.stop()

            failures = objects(resolve("null.test", "gone.test", "slow.test", "public.test",
                                       "--json", check=1))
            self.assertEqual([f["failure"]["state"] for f in failures[:3]],
                             ["bounced", "deferred", "deferred"])
            # Believed only when it is said again some time later.
            self.assertIn("does not exist", failures[1]["failure"]["text"])
            self.assertEqual(failures[0]["failure"]["enhanced"], "5.1.10")
            self.assertFalse(failures[3]["usable"])
            self.assertIn("mail for it bounces", resolve("null.test", check=1).stdout.decode())
            resolve("no domain", check=65)
            resolve(check=64)

    def test_spool_cat_and_record_cat(self):
        with Sandbox() as box:
            box.start_sink("--recipient-rule", "refuse:0.3")
            box.start_sender()
            job = box.write_job(rows=[f"user{i}@d{i % 4}.test.example,Name {i}"
                                      for i in range(40)] + ["bad,Bad"])
            box.submit(job, "--wait", check=1)
            [done] = (box.spool / "done").glob("news-*")

            cat = objects(box.run("spool-cat", "news", "--json", "--config", box.config_file,
                                  check=0))
            meta = [o for o in cat if o["type"] == "segment"]
            rows = [o for o in cat if o["type"] == "row"]
            self.assertEqual(sum(m["rows"] for m in meta), 40)
            self.assertEqual(sum(m["rejected"] for m in meta), 1)
            self.assertEqual(sorted(r["row"] for r in rows), list(range(1, 41)))
            self.assertIn({"email": "user7@d3.test.example", "name": "Name 7"},
                          [r["values"] for r in rows])
            self.assertEqual(sum(o["rows"] for o in cat if o["type"] == "domain"), 40)
            [segment, *_] = sorted((done / "segments").iterdir())
            words = box.run("spool-cat", segment, check=0).stdout.decode()
            self.assertIn("columns email (address), name", words)
            self.assertIn('user7@d3.test.example  name="Name 7"', words)
            self.assertEqual(box.run("spool-cat", done, check=0).returncode, 0)

            box.sender.stop()
            entries = objects(box.run("record-cat", box.spool, "--json", "--job", done.name,
                                      check=0))
            verdicts = [e for e in entries if e["type"] == "verdict"]
            outcome = {(v["segment"], v["segment_row"]): v["state"] for v in verdicts}
            expected = {r["row"]: r["state"] for r in map(dict, box.report("news"))
                        if r["state"] != "rejected"}
            self.assertEqual({str(r["row"]): outcome[(r["segment"], r["segment_row"])]
                              for r in rows}, expected)
            self.assertTrue(all(v["code"] and v["response"] and v["peer"] for v in verdicts))
            words = box.run("record-cat", "--config", box.config_file, check=0).stdout.decode()
            self.assertIn(f" {done.name} 0/0 ", words)
            self.assertIn("bounced 550", words)

            [journal, *_] = sorted((box.spool / "journal").glob("*.jnl"))
            self.damage(box, "spool-cat", segment)
            self.damage(box, "record-cat", journal)
            self.assertEqual(box.run("spool-cat", journal).returncode, 74)
            self.assertEqual(box.run("record-cat", segment).returncode, 74)
            box.run("spool-cat", "nosuch", "--config", box.config_file, check=66)
            box.run("record-cat", box.directory / "nosuch", check=66)

    def damage(self, box, command, path):
        """Whatever the octets: an exit code, and the file's name where there is an error."""
        good = path.read_bytes()
        dice = random.Random(3)
        bad = box.directory / "damaged"
        for _ in range(40):
            octets = bytearray(good)
            for _ in range(dice.choice((1, 1, 8))):
                octets[dice.randrange(len(octets))] = dice.randrange(256)
            bad.write_bytes(octets[:dice.choice((len(octets), dice.randrange(len(octets))))])
            done = box.run(command, bad, "--json")
            self.assertIn(done.returncode, (0, 74), done.stderr)
            if done.returncode != 0:
                self.assertIn("damaged", done.stderr.decode())
            for line in done.stdout.decode().splitlines():
                json.loads(line)

    def test_every_command_has_help_with_an_example(self):
        with Sandbox() as box:
            names = re.findall(r"(?m)^  ([a-z-]+)  ", box.run("--help", check=0).stdout.decode()
                               .split("ubcommands:")[1])
            self.assertIn("show", names)
            for name in names:
                text = box.run(name, "--help", check=0).stdout.decode()
                self.assertRegex(text, r"(?s)Example.*sluice " + name, name)


if __name__ == "__main__":
    unittest.main()
