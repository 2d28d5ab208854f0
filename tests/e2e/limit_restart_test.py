"""A limit holds over a restart, by SIGTERM or SIGKILL: the receiver sees no second burst."""
import signal
import unittest

import sink_log
from harness import Sandbox

RATE, BURST = 50, 300
# A message is counted when it arrives, the permit was taken when it left.
ON_THE_WAY = 10


class LimitOverRestart(unittest.TestCase):
    def check(self, how):
        with Sandbox() as box:
            log = box.directory / "log"
            rules = box.directory / "rules.toml"
            rules.write_text(f'["default"]\nmax_message_rate = "{RATE}/s,max_burst={BURST}"\n')
            box.start_sink("--log", str(log), exchangers=1)
            box.configure(extra=f'[shaping]\nfiles = ["{rules}"]\n')
            box.start_sender()
            box.submit(box.write_job(rows=[f"u{i}@d{i % 9}.test.example,N" for i in range(5000)]))

            def arrived(count):
                moments = sink_log.times(sink_log.read(log))
                return moments if len(moments) >= count else None
            box.wait_for(lambda: arrived(BURST + RATE), "the burst and a second's worth")
            box.sender.stop(how)
            before = len(arrived(0))
            box.start_sender()
            moments = box.wait_for(lambda: arrived(before + 2 * RATE), "mail after the restart")
            shown = sink_log.burst_needed(moments, RATE)
            self.assertLessEqual(shown, BURST + ON_THE_WAY)
            self.assertGreater(shown, 0.8 * BURST, "the burst was never used up")

    def test_by_sigterm(self):
        self.check(signal.SIGTERM)

    def test_by_sigkill(self):
        self.check(signal.SIGKILL)


if __name__ == "__main__":
    unittest.main()
