"""A finished job's outcomes stand in one file: reports, and a journal that nobody needs."""
import json
import os
import signal
import unittest

from harness import Sandbox


def reports_of(box, job):
    """What report prints of a job, in each of its forms."""
    place = ("--config", box.config_file)
    return [box.run("report", job, *place, *form, check=0).stdout
            for form in (("--format", "csv"), ("--format", "jsonl"), (), ("--json",),
                         ("--format", "csv", "--only", "bounced", "--only", "rejected"),
                         ("--format", "jsonl", "--only", "delivered"))]


def a_list(rows):
    """Rows of every kind: delivered, bounced, rejected, duplicate; several domains."""
    out = []
    for i in range(rows):
        out.append(f"r{i}@d{i % 7}.test.example,Name {i}")
        if i % 10 == 3:
            out.append(f"no address {i},Nobody")
        if i % 10 == 5:
            out.append(f"r{i}@d{i % 7}.test.example,Again")
    return out


class Outcomes(unittest.TestCase):
    ROWS = 400

    def finished_job(self, box):
        box.start_sink("--recipient-rule", "refuse:0.2")
        box.start_sender()
        job = box.write_job(rows=a_list(self.ROWS))
        with open(job / "job.toml", "a", encoding="utf-8") as file:
            file.write("dedupe = true\n")
        box.submit(job)
        summary = box.wait_done("news")
        self.assertGreater(summary["delivered"], 0)
        self.assertGreater(summary["bounced"], 0)
        self.assertEqual(summary["rejected"], self.ROWS // 10)
        self.assertEqual(summary["duplicate"], self.ROWS // 10)
        return next((box.spool / "done").glob("news-*")), summary

    def test_reports_say_the_same_with_the_file_and_without(self):
        with Sandbox() as box:
            job, summary = self.finished_job(box)
            self.assertEqual(box.sender.stop(), 0, box.sender.text())
            outcomes = job / "outcomes"
            self.assertTrue(outcomes.exists())
            with_file = reports_of(box, "news")
            kept = outcomes.read_bytes()
            outcomes.unlink()
            self.assertEqual(reports_of(box, "news"), with_file)
            self.assertEqual(json.loads(with_file[3])["delivered"], summary["delivered"])
            # And with nothing but the file.
            outcomes.write_bytes(kept)
            for directory in (box.spool / "journal", job / "segments"):
                for path in directory.iterdir():
                    path.unlink()
            self.assertEqual(reports_of(box, "news"), with_file)

            lines = box.run("record-cat", outcomes, "--json", check=0).stdout.splitlines()
            rows = [json.loads(line) for line in lines]
            self.assertEqual([row["type"] for row in rows],
                             ["outcome"] * (len(rows) - 1) + ["totals"])
            self.assertEqual(len(rows) - 1, self.ROWS)
            self.assertEqual(sum(row.get("state") == "bounced" for row in rows),
                             summary["bounced"])
            self.assertEqual(rows[-1]["rejected"], summary["rejected"])
            words = box.run("record-cat", outcomes, check=0).stdout.decode()
            self.assertIn("row 1 r0@d0.test.example ", words)

            outcomes.write_bytes(kept[:-20])
            damaged = box.run("report", "news", "--config", box.config_file, check=74)
            self.assertIn(b"outcomes", damaged.stderr)
            self.assertEqual(box.run("record-cat", outcomes).returncode, 74)

    def test_the_journal_goes_when_its_events_are_told(self):
        with Sandbox() as box:
            self.finished_job(box)
            before = reports_of(box, "news")
            self.assertEqual(box.sender.stop(), 0, box.sender.text())
            journal = box.spool / "journal" / "000-00000001.jnl"
            self.assertTrue(journal.exists())
            box.start_sender()
            box.wait_for(lambda: not journal.exists(), "the journal file is removed")
            self.assertEqual(reports_of(box, "news"), before)
            # The next job has the next file, and nobody misses the first.
            box.submit(box.write_job("more", rows=a_list(20)))
            box.wait_done("more")
            self.assertEqual(box.sender.stop(), 0, box.sender.text())
            box.start_sender()
            self.assertEqual(reports_of(box, "news"), before)
            self.assertEqual(box.sender.stop(), 0, box.sender.text())
            self.assertNotIn("missing", box.sender.text())

    def test_an_active_job_keeps_the_journal(self):
        with Sandbox() as box:
            box.start_sink()
            box.start_sender()
            held = box.write_job("held", rows=a_list(30), extra="[send]\nrate = \"1/h\"\n")
            box.submit(held)
            active = box.spool / "active"
            box.wait_for(lambda: list(active.glob("held-*/segments/*.seg")), "its first segment")

            def delivered():
                return sum(row["state"] == "delivered" for row in box.report("held"))
            box.wait_for(lambda: delivered() == 1, "its first message")
            self.assertEqual(box.sender.stop(), 0, box.sender.text())
            box.start_sender()
            box.submit(box.write_job("news", rows=a_list(20)))
            box.wait_done("news")
            self.assertEqual(box.sender.stop(), 0, box.sender.text())
            box.start_sender()
            self.assertEqual(delivered(), 1)
            self.assertTrue((box.spool / "journal" / "000-00000001.jnl").exists())
            self.assertEqual(box.sender.stop(), 0, box.sender.text())

    def test_killed_while_it_condenses(self):
        with Sandbox() as box:
            box.start_sink()
            box.start_sender()
            rows = 60000
            box.submit(box.write_job(rows=[f"r{i}@d{i % 7}.test.example,N" for i in range(rows)]))
            active = box.spool / "active"
            killed = 0
            for _ in range(3):
                found = box.wait_for(
                    lambda: list(active.glob("news-*/.new-outcomes")) or
                    list((box.spool / "done").glob("news-*/summary.json")), "condensing")
                os.kill(box.sender.popen.pid, signal.SIGKILL)
                box.sender.finish()
                killed += found[0].name == ".new-outcomes"
                box.start_sender()
            summary = box.wait_done("news")
            self.assertEqual(summary["delivered"], rows)
            report = box.report("news")
            self.assertEqual([row["state"] for row in report], ["delivered"] * rows)
            self.assertEqual([row["row"] for row in report], [str(i + 1) for i in range(rows)])
            done = next((box.spool / "done").glob("news-*"))
            self.assertFalse((done / ".new-outcomes").exists())
            self.assertGreater(killed, 0)


if __name__ == "__main__":
    unittest.main()
