"""SIGHUP: new rules at once; a broken file changes nothing and says why."""
import signal
import unittest

from harness import Sandbox


class Reload(unittest.TestCase):
    def test_rules_change_and_a_broken_file_does_not(self):
        with Sandbox() as box:
            box.start_sink("--rtt", "10ms", exchangers=1)
            rules = box.directory / "shaping.toml"
            rules.write_text('["default"]\nmax_message_rate = "2/min"\n')
            box.configure(extra=f'[shaping]\nfiles = ["{rules}"]\n')
            box.start_sender()
            box.submit(box.write_job(rows=[f"u{i}@test.example,N" for i in range(50)]))
            box.sender.wait_for_line("taken")

            rules.write_text('["default"]\nmax_mesage_rate = "1000/s"\n')
            box.sender.popen.send_signal(signal.SIGHUP)
            line = box.sender.wait_for_line("not reloaded")
            self.assertIn("max_message_rate", line)

            rules.write_text('["default"]\nmax_message_rate = "1000/s"\n')
            box.sender.popen.send_signal(signal.SIGHUP)
            box.sender.wait_for_line("info.* reloaded")
            self.assertEqual(box.wait_done("news")["delivered"], 50)

            text = box.config_file.read_text()
            box.config_file.write_text(text.replace("shards = 1", "shards = 2"))
            box.sender.popen.send_signal(signal.SIGHUP)
            box.sender.wait_for_line("at the next start")
            self.assertEqual(box.sender.stop(), 0, box.sender.text())


if __name__ == "__main__":
    unittest.main()
