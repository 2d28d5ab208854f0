"""A small job beside a large one to the same site is done within a second of what its limits allow.

The proof is in what the receiver took from the drop of the small job to its last message: with a
rate shared by two jobs as many messages of the one as of the other, and a second's worth besides.
"""
import time
import unittest

import sink_log
from harness import Sandbox

SMALL, LARGE = 100, 200_000


class Fair(unittest.TestCase):
    def drop_both(self, box, domains=1, send=""):
        """Returns what the receiver took from the drop of the small job to its last message, and
        how long that was. `send`: more of the small one's job.toml."""
        log = box.directory / "log"
        large = box.write_job("large", rows=(f"l{i}@d{i % domains}.test.example,N"
                                             for i in range(LARGE)))
        small = box.write_job("small", rows=[f"s{i}@d{i % domains}.test.example,N"
                                             for i in range(SMALL)])
        with open(small / "job.toml", "a", encoding="ascii") as file:
            file.write(send)
        box.drop(large)
        # Its list is being read from then on.
        box.wait_for(lambda: list((box.spool / "active").glob("large-*")), "the large job")
        dropped = time.monotonic()
        box.drop(small)
        self.assertEqual(box.wait_done("small")["delivered"], SMALL)
        taken = sink_log.messages(sink_log.read(log))
        last = max(message.time for message in taken if message.who.startswith("s"))
        between = [m for m in taken if dropped <= m.time <= last]
        self.assertEqual(sum(m.who.startswith("s") for m in between), SMALL)
        self.assertLess(sum(m.who.startswith("l") for m in taken), LARGE, "the large job is over")
        return between, last - dropped

    def start(self, box, rules, *sink_options):
        (box.directory / "rules.toml").write_text('["default"]\n' + rules)
        box.start_sink("--log", str(box.directory / "log"), *sink_options, exchangers=1)
        box.configure(extra=f'[shaping]\nfiles = ["{box.directory}/rules.toml"]\n')
        box.start_sender()

    def check_rate(self, domains):
        rate = 50
        with Sandbox() as box:
            self.start(box, f'max_message_rate = "{rate}/s"\n')
            between, _ = self.drop_both(box, domains)
            self.assertLessEqual(len(between), 2 * SMALL + rate)

    def test_beside_a_large_job_within_a_rate(self):
        self.check_rate(domains=1)

    def test_the_same_over_many_domains_of_the_site(self):
        self.check_rate(domains=50)

    def test_beside_a_large_job_over_two_connections(self):
        with Sandbox() as box:
            # One message a round trip: about a hundred a second over both.
            self.start(box, "connection_limit = 2\nenable_chunking = false\n", "--rtt", "20ms")
            between, seconds = self.drop_both(box)
            self.assertLessEqual(len(between), 2 * SMALL + len(between) / seconds)

    def test_a_job_of_higher_priority_goes_first(self):
        rate = 50
        with Sandbox() as box:
            self.start(box, f'max_message_rate = "{rate}/s"\n')
            between, _ = self.drop_both(box, send="[send]\npriority = 1\n")
            self.assertLessEqual(len(between), SMALL + rate)


if __name__ == "__main__":
    unittest.main()
