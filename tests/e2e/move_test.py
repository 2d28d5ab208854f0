"""A spool in the middle of a job is moved to another directory, and goes on there with another
number of shards: nobody is lost, nobody gets the mail twice."""
import json
import unittest

from harness import Sandbox


class Move(unittest.TestCase):
    ROWS = 6000

    def configure(self, box, shards, rate):
        """The sandbox configures one shard."""
        rules = box.directory / "shaping.toml"
        rules.write_text(f'["default"]\nmax_message_rate = "{rate}/s"\n')
        # Relative to the configuration file, wherever the program is started.
        box.configure(extra='[shaping]\nfiles = ["shaping.toml"]\n')
        text = box.config_file.read_text()
        box.config_file.write_text(text.replace("shards = 1", f"shards = {shards}"))

    def delivered(self, box):
        return json.loads(box.run("status", "news", "--json", "--config", box.config_file,
                                  check=0).stdout)["delivered"]

    def test_elsewhere_with_other_shards(self):
        with Sandbox() as box:
            box.start_sink("--rtt", "2ms", "--recipient-rule", "defer-once:0.05")
            steps = [(2, "first"), (3, "second/place"), (1, "third")]
            for number, (shards, place) in enumerate(steps):
                before = box.spool
                box.spool = box.directory / place
                box.spool.parent.mkdir(exist_ok=True)
                if number > 0:
                    before.rename(box.spool)
                self.configure(box, shards, 2000 if number < 2 else 100_000)
                box.start_sender()
                if number == 0:
                    box.submit(box.write_job(rows=[f"user{i}@d{i % 300}.test.example,Name {i}"
                                                   for i in range(self.ROWS)]))
                    box.sender.wait_for_line("taken")
                if number < 2:
                    goal = self.ROWS * (number + 1) // 4
                    box.wait_for(lambda: self.delivered(box) >= goal, "some verdicts")
                    self.assertFalse(list((box.spool / "done").iterdir()), "in the middle")
                    series = {path.name[:3] for path in (box.spool / "journal").glob("*.jnl")}
                    self.assertEqual(len(series), shards)
                else:
                    summary = box.wait_done("news")
                self.assertEqual(box.sender.stop(), 0, box.sender.text())
            self.assertEqual(summary["total"], self.ROWS)
            self.assertEqual(summary["delivered"], self.ROWS)
            identities = box.stop_sink()["identities"]
            self.assertEqual((identities["distinct"], identities["once"]), (self.ROWS, self.ROWS))


if __name__ == "__main__":
    unittest.main()
