"""kill -9, again and again in one run of the quickstart's job: nobody is lost, few are repeated.

Twenty times in 100,000 recipients; SLUICE_KILLS and SLUICE_ROWS say otherwise. Prints the number
of recipients that got their mail twice beside the window that the sender shows: in_flight of
`sluice status` is what is in flight, or answered and not yet synced.
"""
import json
import os
import random
import signal
import unittest

from harness import Sandbox

KILLS = int(os.environ.get("SLUICE_KILLS", "20"))


class Kill(unittest.TestCase):
    ROWS = int(os.environ.get("SLUICE_ROWS", "100000"))

    def job(self, box):
        return box.write_job(rows=[f"user{i}@d{i % 1000}.test.example,Name {i}"
                                   for i in range(self.ROWS)])

    def status(self, box):
        return json.loads(box.run("status", "news", "--json", "--config", box.config_file,
                                  check=0).stdout)

    def test_kills(self):
        dice = random.Random(20261122)
        with Sandbox() as box:
            box.start_sink("--rtt", "3ms", "--recipient-rule", "refuse:0.005", exchangers=20)
            rules = box.directory / "shaping.toml"
            # So that a poll finds it in the middle.
            rules.write_text('["default"]\nmax_message_rate = "1000/s"\n')
            box.configure(engine="max_connections = 100",
                          extra=f'[shaping]\nfiles = ["{rules}"]\n')
            box.start_sender()
            box.submit(self.job(box))
            box.sender.wait_for_line("taken")
            windows = []
            # Spread over the whole job.
            step = self.ROWS // (KILLS + 2)
            for kill in range(1, KILLS + 1):
                goal = kill * step - dice.randrange(step // 2)
                status = box.wait_for(lambda: (lambda s: s["delivered"] >= goal and s)(
                    self.status(box)), "some verdicts")
                windows.append(status["in_flight"])
                os.kill(box.sender.popen.pid, signal.SIGKILL)
                box.sender.kill()
                self.assertFalse(list((box.spool / "done").iterdir()), "killed in the middle")
                box.start_sender()
            summary = box.wait_done("news")
            self.assertEqual(summary["total"], self.ROWS)
            self.assertEqual(summary["delivered"] + summary["bounced"], self.ROWS)
            self.assertEqual(box.sender.stop(), 0)
            identities = box.stop_sink()["identities"]
            self.assertEqual(identities["distinct"], summary["delivered"], "nobody is lost")
            twice = identities["distinct"] - identities["once"]
            print(f"\n{KILLS} kills, {self.ROWS} recipients: {twice} got it more than once "
                  f"({identities['more']} more than twice); in flight or not synced just before "
                  f"the kills: {sum(windows)} in all, {max(windows)} at most")
            # What was asked a moment before a kill is not what was there at the kill: 1,600
            # messages may be in flight on 100 connections.
            self.assertLessEqual(twice, sum(windows) + KILLS * 100 * 16)
            self.assertLess(twice, self.ROWS // 2, "a bound that says something")


if __name__ == "__main__":
    unittest.main()
