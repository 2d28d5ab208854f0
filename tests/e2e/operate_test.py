"""pause, resume and cancel: what they say, also over a restart."""
import json
import unittest

from harness import Sandbox


class Operate(unittest.TestCase):
    def status(self, box, job):
        done = box.run("status", job, "--json", "--config", box.config_file, check=0)
        return json.loads(done.stdout)

    def slow_job(self, box, rows=400):
        box.start_sink("--rtt", "20ms", exchangers=1)
        rules = box.directory / "shaping.toml"
        rules.write_text('["default"]\nconnection_limit = 1\n')
        box.configure(extra=f'[shaping]\nfiles = ["{rules}"]\n')
        box.start_sender()
        job = box.write_job(rows=[f"user{i}@d{i % 9}.test.example,N {i}" for i in range(rows)])
        box.submit(job)
        box.wait_for(lambda: list((box.spool / "active").glob("[!.]*")), "the job taken")
        box.wait_for(lambda: self.status(box, "news")["delivered"] > 10, "first deliveries")

    def test_pause_and_resume_survive_a_restart(self):
        with Sandbox() as box:
            self.slow_job(box)
            box.run("pause", "news", "--config", box.config_file, check=0)
            box.wait_for(lambda: self.status(box, "news")["in_flight"] == 0, "a quiet job")
            before = self.status(box, "news")
            self.assertEqual(before["phase"], "paused")
            box.sender.stop()
            box.start_sender()
            again = self.status(box, "news")
            self.assertEqual(again["phase"], "paused")
            self.assertEqual(again["delivered"], before["delivered"])
            self.assertEqual(again["total"], 400)
            box.run("resume", "news", "--config", box.config_file, check=0)
            self.assertEqual(box.wait_done("news")["delivered"], 400)
            box.sender.stop()
            self.assertEqual(box.stop_sink()["identities"]["once"], 400)

    def test_cancel_is_final_and_adds_up(self):
        with Sandbox() as box:
            self.slow_job(box)
            box.run("cancel", "news", "--config", box.config_file, check=0)
            summary = box.wait_done("news")
            self.assertEqual(summary["delivered"] + summary["cancelled"], 400)
            self.assertGreater(summary["cancelled"], 0)
            states = [row["state"] for row in box.report("news")]
            self.assertEqual(states.count("cancelled"), summary["cancelled"])
            self.assertEqual(states.count("delivered"), summary["delivered"])
            box.sender.stop()
            box.start_sender()
            self.assertEqual(list((box.spool / "active").glob("[!.]*")), [])

    def test_a_paused_site_gets_nothing(self):
        with Sandbox() as box:
            box.start_sink(exchangers=1)
            box.start_sender()
            box.run("pause", "--site", "mx1.sink.example", "--config", box.config_file, check=0)
            box.submit(box.write_job(rows=["a@test.example,A"]))
            box.wait_for(lambda: list((box.spool / "active").glob("[!.]*")), "the job taken")
            box.wait_for(lambda: self.status(box, "news")["waiting"] == 1, "its row")
            box.sender.stop()
            box.start_sender()
            self.assertEqual(self.status(box, "news")["waiting"], 1)
            box.run("resume", "--site", "mx1.sink.example", "--config", box.config_file, check=0)
            self.assertEqual(box.wait_done("news")["delivered"], 1)

    def test_unknown_jobs_are_named(self):
        with Sandbox() as box:
            box.start_sink()
            box.start_sender()
            done = box.run("cancel", "nobody", "--config", box.config_file, check=66)
            self.assertIn("nobody", done.stderr.decode())


if __name__ == "__main__":
    unittest.main()
