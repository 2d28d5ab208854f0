"""kill -9, SIGTERM and a second daemon: nothing is lost, little is repeated."""
import os
import signal
import unittest

from harness import Process, Sandbox, SLUICE


class Restart(unittest.TestCase):
    ROWS = 20000

    def job(self, box):
        return box.write_job(rows=[f"user{i}@d{i % 200}.test.example,Name {i}"
                                   for i in range(self.ROWS)])

    def test_kill_in_the_middle_loses_nobody(self):
        with Sandbox() as box:
            box.start_sink("--rtt", "2ms")
            rules = box.directory / "shaping.toml"
            # So that no kill comes after the end.
            rules.write_text('["default"]\nmax_message_rate = "8000/s"\n')
            box.configure(extra=f'[shaping]\nfiles = ["{rules}"]\n')
            box.start_sender()
            box.submit(self.job(box))
            for _ in range(3):
                journal = box.spool / "journal"
                size = sum(f.stat().st_size for f in journal.iterdir())
                box.wait_for(lambda: sum(f.stat().st_size for f in journal.iterdir()) > size + 40000
                             or list((box.spool / "done").iterdir()), "some verdicts")
                os.kill(box.sender.popen.pid, signal.SIGKILL)
                box.sender.finish()
                box.start_sender()
            summary = box.wait_done("news")
            self.assertEqual(summary["delivered"], self.ROWS)
            self.assertEqual(summary["total"], self.ROWS)
            self.assertEqual(box.sender.stop(), 0)
            identities = box.stop_sink()["identities"]
            self.assertEqual(identities["distinct"], self.ROWS)

    def test_a_drain_repeats_nobody(self):
        with Sandbox() as box:
            box.start_sink("--rtt", "2ms")
            box.start_sender()
            box.submit(self.job(box))
            box.sender.wait_for_line("taken")
            box.wait_for(lambda: sum(f.stat().st_size for f in (box.spool / "journal").iterdir())
                         > 20000, "some verdicts")
            self.assertEqual(box.sender.stop(), 0, box.sender.text())
            box.start_sender()
            self.assertEqual(box.wait_done("news")["delivered"], self.ROWS)
            box.sender.stop()
            self.assertEqual(box.stop_sink()["identities"]["once"], self.ROWS)

    def test_a_second_daemon_on_the_spool_is_refused(self):
        with Sandbox() as box:
            box.start_sink()
            box.start_sender()
            second = Process([SLUICE, "run", "--config", str(box.config_file)])
            box.started.append(second)
            self.assertEqual(second.finish(), 75)
            self.assertIn("another sluice runs on the spool", second.text())


if __name__ == "__main__":
    unittest.main()
