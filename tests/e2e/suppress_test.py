"""Suppression: who stands on a list gets nothing, from the moment on at which he stands there."""
import hashlib
import json
import os
import pathlib
import signal
import stat
import time
import unittest

from harness import Sandbox


def digest(address):
    return hashlib.sha256(address.encode()).hexdigest()


class Suppress(unittest.TestCase):
    def put(self, box, name, text):
        """A list, whole at once."""
        directory = box.spool / "suppress"
        directory.mkdir(parents=True, exist_ok=True)
        hidden = directory / ("." + name)
        hidden.write_text(text)
        hidden.rename(directory / name)

    def identities(self, box):
        """Who got how many messages, after the sink's end."""
        counts = {}
        for line in (box.directory / "identities").read_text().splitlines():
            identity, count = line.rsplit(" ", 1)
            counts[identity] = int(count)
        return counts

    def start_sink(self, box, *options):
        box.start_sink("--identities", str(box.directory / "identities"), *options)

    def test_addresses_domains_and_digests_are_left_out_at_intake(self):
        rows = ["Anna@a.test.example,A", "bob@b.test.example,B", "carl@c.test.example,C",
                "dora@sub.b.test.example,D", "Emil@e.test.example,E", "eve@e.test.example,F"]
        with Sandbox() as box:
            self.start_sink(box)
            box.configure()
            self.put(box, "people.txt", "\ufeff# unsubscribed\r\n\r\nANNA@A.test.example\r\n"
                                        "not an entry\r\n@b.test.example\r\n")
            self.put(box, "digests.txt", digest("carl@c.test.example") + "\n"
                                         + digest("emil@e.test.example"))
            box.start_sender()
            self.assertIn("people.txt:4: ", box.sender.wait_for_line("neither an address"))
            box.submit(box.write_job(rows=rows))
            summary = box.wait_done("news")
            self.assertEqual((summary["total"], summary["suppressed"], summary["delivered"]),
                             (6, 4, 2))
            box.stop_sink()
            self.assertEqual(set(self.identities(box)),
                             {"dora@sub.b.test.example", "eve@e.test.example"})

    def test_a_change_while_a_job_is_sent_counts_within_ten_seconds(self):
        count = 400
        with Sandbox() as box:
            self.start_sink(box)
            rules = box.directory / "shaping.toml"
            rules.write_text('["default"]\nmax_message_rate = "15/s"\n')
            box.configure(extra=f'[shaping]\nfiles = ["{rules}"]\n')
            box.start_sender()
            box.submit(box.write_job(rows=[f"u{i}@d.test.example,N" for i in range(count)]))

            def delivered():
                done = box.run("status", "news", "--json", "--config", box.config_file)
                return json.loads(done.stdout)["delivered"] if done.returncode == 0 else 0

            box.wait_for(lambda: delivered() > 5, "some mail")
            self.put(box, "d.txt", "@d.test.example\n")
            box.sender.wait_for_line("suppression: 1 entr")
            in_force = time.monotonic()
            summary = box.wait_done("news")
            # What is not sent uses up nothing of the rate: at 15/s the rest would take long.
            self.assertLess(time.monotonic() - in_force, summary["suppressed"] / 15 / 2)
            self.assertEqual(summary["delivered"] + summary["suppressed"], count)
            self.assertGreater(summary["delivered"], 5)
            self.assertGreater(summary["suppressed"], count - 15 * 14 - 20)
            shown = box.report("news", "--only", "suppressed")
            self.assertEqual(len(shown), summary["suppressed"])
            self.assertIn("suppression list", shown[0]["response"])
            events = box.directory / "spool" / "record" / "events.000.jsonl"

            def suppressions():
                lines = events.read_text().splitlines() if events.exists() else []
                return [e for e in map(json.loads, lines) if e["type"] == "Suppression"]

            box.wait_for(lambda: len(suppressions()) == summary["suppressed"], "their events")
            self.assertEqual({e["queue"] for e in suppressions()}, {"d.test.example"})
            box.stop_sink()
            self.assertEqual(len(self.identities(box)), summary["delivered"])

    def test_lists_hold_after_a_restart_for_jobs_that_go_on(self):
        count = 300
        with Sandbox() as box:
            self.start_sink(box)
            rules = box.directory / "shaping.toml"
            rules.write_text('["default"]\nmax_message_rate = "10/s"\n')
            box.configure(extra=f'[shaping]\nfiles = ["{rules}"]\n')
            box.start_sender()
            box.submit(box.write_job(rows=[f"u{i}@d.test.example,N" for i in range(count)]))
            box.sender.wait_for_line("taken")
            journal = box.spool / "journal"
            before = sum(f.stat().st_size for f in journal.iterdir())
            box.wait_for(lambda: sum(f.stat().st_size for f in journal.iterdir()) > before,
                         "some verdicts")
            os.kill(box.sender.popen.pid, signal.SIGKILL)
            box.sender.finish()
            self.put(box, "all.txt", "".join(f"U{i}@D.test.example\n" for i in range(count)))
            box.start_sender()
            summary = box.wait_done("news")
            self.assertEqual(summary["delivered"] + summary["suppressed"], count)
            self.assertGreater(summary["suppressed"], count / 2)
            self.assertEqual(box.sender.stop(), 0)
            box.stop_sink()
            got = self.identities(box)
            # What was in flight at the kill may be neither: it is asked for again before it goes.
            self.assertLessEqual(len(got) - summary["delivered"], 64)

    def test_hard_bounces_are_remembered_once(self):
        rows = [f"u{i}@d.test.example,N" for i in range(40)]
        with Sandbox() as box:
            self.start_sink(box, "--recipient-rule", "refuse:0.5")
            box.configure(extra="[suppress]\nhard_bounces = true\n")
            box.start_sender()
            box.submit(box.write_job(name="first", rows=rows))
            first = box.wait_done("first")
            self.assertGreater(first["bounced"], 5)
            bounced = box.spool / "suppress" / "bounced.txt"
            expected = {r["recipient"] for r in box.report("first", "--only", "bounced")}
            box.wait_for(lambda: bounced.exists() and
                         len(bounced.read_text().splitlines()) >= len(expected), "bounced.txt")
            self.assertEqual(sorted(bounced.read_text().splitlines()), sorted(expected))
            box.sender.wait_for_line(f"suppression: {len(expected)} entries")
            box.submit(box.write_job(name="second", rows=rows))
            second = box.wait_done("second")
            self.assertEqual(second["suppressed"], len(expected))
            self.assertEqual(second["bounced"], 0)
            self.assertEqual(second["delivered"], first["delivered"])
            # After a restart all of the journal may be told again: no line stands there twice.
            self.assertEqual(box.sender.stop(), 0)
            followed = box.spool / "journal" / "000.followed"
            followed.unlink()
            box.start_sender()
            index = box.spool / "suppress.index"
            box.wait_for(followed.exists, "all told again")
            box.wait_for(lambda: not list(index.glob("*.bounced")), "bounces taken up")
            self.assertEqual(sorted(bounced.read_text().splitlines()), sorted(expected))
            self.assertEqual(box.sender.stop(), 0)

    def test_without_hard_bounces_none_is_remembered(self):
        with Sandbox() as box:
            self.start_sink(box, "--recipient-rule", "refuse:1")
            box.start_sender()
            box.submit(box.write_job(rows=["a@d.test.example,A"]))
            self.assertEqual(box.wait_done("news")["bounced"], 1)
            self.assertEqual(box.sender.stop(), 0)
            self.assertEqual(list((box.spool / "suppress").iterdir()), [])
            self.assertEqual(list((box.spool / "suppress.index").iterdir()), [])

    def test_the_group_may_write_lists(self):
        with Sandbox() as box:
            self.start_sink(box)
            box.start_sender()
            mode = stat.S_IMODE((box.spool / "suppress").stat().st_mode)
            self.assertEqual(mode, 0o2770)

    def test_what_cannot_be_read_stops_the_start_but_not_the_sender(self):
        with Sandbox() as box:
            self.start_sink(box)
            box.configure()
            self.put(box, "a.txt", "a@d.test.example\n")
            box.start_sender()
            target: pathlib.Path = box.spool / "suppress" / "a.txt"
            target.unlink()
            target.symlink_to(box.config_file)
            box.sender.wait_for_line("a.txt.*stays in force")
            box.submit(box.write_job(rows=["a@d.test.example,A", "b@d.test.example,B"]))
            summary = box.wait_done("news")
            self.assertEqual((summary["suppressed"], summary["delivered"]), (1, 1))
            self.assertEqual(box.sender.stop(), 0)
            done = box.run("run", "--config", box.config_file)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(b"a.txt", done.stderr + done.stdout)
            target.unlink()
            box.start_sender()
            box.submit(box.write_job(name="again", rows=["a@d.test.example,A"]))
            self.assertEqual(box.wait_done("again")["delivered"], 1)


if __name__ == "__main__":
    unittest.main()
