"""Hostile lists: quotes that never close, the same row over and over, a domain a row."""
import csv
import pathlib
import re
import unittest

from harness import Sandbox


class HostileLists(unittest.TestCase):
    def rejected(self, box, job):
        [path] = (box.spool / "done").glob(f"{job}-*/rejected.csv")
        with open(path, newline="", encoding="utf-8") as file:
            return [(int(row["line"]), row["reason"]) for row in csv.DictReader(file)]

    def test_quotes_that_never_close(self):
        with Sandbox() as box:
            box.start_sink()
            box.start_sender()
            # Behind the first one lies more than a row may have. Of the last three lines the
            # second's quote closes the first's, which costs both; behind the third is the end.
            good = [f"u{i}@d{i % 50}.test.example,{'x' * 200}" for i in range(4000)]
            rows = good[:100] + ['open@test.example,"never'] + good[100:]
            rows += ['"open@test.example,also'] * 3
            box.submit(box.write_job(rows=rows), "--wait", check=1)
            summary = box.wait_done("news")
            self.assertEqual(summary["delivered"], len(good))
            self.assertEqual(summary["rejected"], 3)
            rejected = self.rejected(box, "news")
            self.assertEqual([line for line, _ in rejected], [102, 4003, 4005])
            for _, reason in rejected:
                self.assertRegex(reason, "quote")
            self.assertEqual(box.sender.stop(), 0, box.sender.text())
            self.assertEqual(box.stop_sink()["identities"]["distinct"], len(good))

    def test_the_same_row_over_and_over(self):
        with Sandbox() as box:
            box.start_sink()
            box.start_sender()
            rows = ["Ann@test.example,Ann"] * 5000 + ["Ann@TEST.example,Ann", "bob@test.example,B"]
            twice = box.write_job("twice", rows=["cy@test.example,Cy"] * 3)
            box.submit(twice, "--wait")
            self.assertEqual(box.wait_done("twice")["delivered"], 3)
            once = box.write_job("once", rows=rows)
            toml = once / "job.toml"
            toml.write_text(toml.read_text() + "dedupe = true\n")
            box.submit(once, "--wait")
            summary = box.wait_done("once")
            self.assertEqual((summary["delivered"], summary["duplicate"]), (2, 5000))
            self.assertEqual(box.sender.stop(), 0, box.sender.text())
            self.assertEqual(box.stop_sink()["identities"]["distinct"], 3)

    def test_a_domain_a_row(self):
        domains = 100_000
        with Sandbox() as box:
            box.start_sink(exchangers=5)
            box.start_sender()
            rows = [f"u@d{i}.test.example,Name" for i in range(domains)]
            box.submit(box.write_job(rows=rows))
            # A small job that comes behind it is not held up by it.
            box.submit(box.write_job("small", rows=["ann@test.example,Ann"]), "--wait")
            self.assertEqual(box.wait_done("small")["delivered"], 1)
            self.assertFalse(list((box.spool / "done").glob("news-*")), "the large one is not done")
            self.assertEqual(box.wait_done("news")["delivered"], domains)
            status = pathlib.Path(f"/proc/{box.sender.popen.pid}/status").read_text()
            peak_kib = int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1))
            self.assertLess(peak_kib, 512 << 10)
            self.assertEqual(box.sender.stop(), 0, box.sender.text())
            self.assertEqual(box.stop_sink()["identities"]["distinct"], domains + 1)


if __name__ == "__main__":
    unittest.main()
