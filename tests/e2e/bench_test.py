"""`sluice bench`: figures that agree with each other, what it says to mistakes, what it leaves."""
import json
import os
import pathlib
import select
import signal
import subprocess
import tempfile
import unittest

from harness import DEADLINE, SLUICE

# Not built with a sanitizer.
ALLOCATION_COUNTER = pathlib.Path(SLUICE).resolve().parent / "libsluice_bench_alloc.so"


class Bench(unittest.TestCase):
    def setUp(self):
        self.scratch = tempfile.TemporaryDirectory(prefix="sluice-bench-test-")
        self.addCleanup(self.scratch.cleanup)

    def bench(self, *arguments, check=0):
        if "--spool" not in arguments:
            arguments = ("--spool", self.scratch.name, *arguments)
        done = subprocess.run([SLUICE, "bench", *arguments], capture_output=True, timeout=DEADLINE)
        self.assertEqual(done.returncode, check, done.stdout.decode() + done.stderr.decode())
        self.assertEqual(os.listdir(self.scratch.name), [], "its temporary spool is left behind")
        return done

    def lines(self, *arguments):
        return [json.loads(line) for line in self.bench("--json", *arguments).stdout.splitlines()]

    def test_figures(self):
        lines = self.lines("--messages", "1500", "--mode", "data", "--mode", "blind", "--runs", "2",
                           "--connections", "4", "--per-connection", "100", "--domains", "30",
                           "--zipf", "1")
        self.assertEqual([line["mode"] for line in lines], ["data", "blind"])
        for line in lines:
            self.assertEqual(line["options"]["messages"], 1500)
            self.assertEqual(len(line["runs"]), 2)
            for run in line["runs"]:
                self.assertGreater(run["messages_per_second"], 0)
                self.assertLess(run["sender_cpu_us"], 1e5)
                self.assertGreater(run["sender_cpu_us"], 1)
                self.assertGreater(run["sink_cpu_us"], 0.1)
                self.assertGreaterEqual(run["connections"], 15, "a hundred messages on each")
                self.assertLessEqual(run["connections_peak"], 4)
                self.assertGreater(run["journal_bytes"], 5)
                self.assertGreater(run["syncs_per_thousand"], 0)
                self.assertGreater(run["sender_memory_bytes"], 1 << 20)
                self.assertLessEqual(run["answered_p50_ms"], run["answered_p99_ms"])
            rates = sorted(run["messages_per_second"] for run in line["runs"])
            self.assertAlmostEqual(line["median"]["messages_per_second"], sum(rates) / 2, delta=0.1)
            if ALLOCATION_COUNTER.exists():
                self.assertGreater(line["median"]["allocations"], 0.1)
                self.assertLess(line["median"]["allocations"], 1000)
            else:
                self.assertNotIn("allocations", line["median"])
            self.assertIn(line["machine"]["kernel"], os.uname().release)

    def test_size_is_met(self):
        for size, octets in ("2KiB", 2048), ("64KiB", 65536):
            run = self.lines("--messages", "200", "--size", size, "--no-allocations")[0]["median"]
            self.assertAlmostEqual(run["content_bytes"] / octets, 1, delta=0.03)
            self.assertNotIn("allocations", run)

    def test_rtt_is_waited_for(self):
        run = self.lines("--messages", "8", "--rtt", "30ms", "--connections", "2", "--mode",
                         "lockstep", "--no-allocations")[0]["median"]
        # MAIL, RCPT, DATA and the dot, each a round trip: 120 ms at least.
        self.assertGreater(run["answered_p50_ms"], 115)
        self.assertLess(run["messages_per_second"], 2 / 0.12 * 1.5)

    def test_table(self):
        text = self.bench("--messages", "300", "--no-allocations", "--exchangers", "3",
                          "--cores", "none").stdout.decode()
        for words in ("300 messages of about 10,240 octets to 1,000 domains behind 3 exchangers",
                      "sender and sink are not pinned", "earned", "messages/s at the sink",
                      "sender's CPU, us a message", "connections opened"):
            self.assertIn(words, text)

    def test_mistakes_are_named(self):
        for arguments, code, words in (
                (("--mode", "bilnd"), 64, 'did you mean "blind"?'),
                (("--messages", "0"), 64, "--messages is 0"),
                (("--size", "10"), 64, "--size is 10"),
                (("--cores", "1"), 64, "SENDER,SINK"),
                (("--rtt", "30"), 64, "100ms"),
                (("--spool", "/nonexistent"), 66, "/nonexistent")):
            with self.subTest(arguments=arguments):
                done = self.bench(*arguments, check=code)
                self.assertIn(words, done.stderr.decode())
                self.assertEqual(done.stdout, b"")

    def test_one_core_is_shared(self):
        core = min(os.sched_getaffinity(0))
        done = subprocess.run([SLUICE, "bench", "--spool", self.scratch.name, "--messages",
                               "100", "--no-allocations"], capture_output=True, timeout=DEADLINE,
                              preexec_fn=lambda: os.sched_setaffinity(0, {core}))
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        self.assertIn("one core only", done.stdout.decode())

    def test_an_interrupt_leaves_nothing(self):
        bench = subprocess.Popen([SLUICE, "bench", "--spool", self.scratch.name, "--messages",
                                  "500", "--rtt", "30s", "--connections", "1"],
                                 stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            self.wait_for_taken_job()
            bench.send_signal(signal.SIGINT)
            errors = bench.communicate(timeout=DEADLINE)[1]
        finally:
            bench.kill()
            bench.wait()
        self.assertEqual(bench.returncode, 75, errors.decode())
        self.assertIn("stopped by a signal", errors.decode())
        self.assertEqual(os.listdir(self.scratch.name), [])

    def wait_for_taken_job(self):
        end = os.times().elapsed + DEADLINE
        while os.times().elapsed < end:
            select.select([], [], [], 0.02)
            for name in os.listdir(self.scratch.name):
                active = os.path.join(self.scratch.name, name, "spool", "active")
                if os.path.isdir(active) and os.listdir(active):
                    return
        self.fail("the job was never taken")


if __name__ == "__main__":
    unittest.main()
