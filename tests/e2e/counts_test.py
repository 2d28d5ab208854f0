"""The ten states add up, at any moment, in status, report and metrics alike."""
import json
import re
import time
import unittest

from harness import Sandbox

STATES = ("waiting", "deferred", "in_flight", "delivered", "bounced", "expired", "cancelled",
          "rejected", "suppressed", "duplicate")


class Counts(unittest.TestCase):
    ROWS = 6000
    BAD = 40
    TWICE = 60

    def job(self, box, name="news"):
        rows = [f"user{i}@d{i % 40}.test.example,Name {i}" for i in range(self.ROWS)]
        rows += [f"bad{i},Bad {i}" for i in range(self.BAD)]
        rows += rows[:self.TWICE]
        job = box.write_job(name, rows=rows)
        toml = job / "job.toml"
        toml.write_text(toml.read_text() + "dedupe = true\n")
        return job

    def status(self, box, name="news"):
        return json.loads(box.run("status", name, "--json", "--config", box.config_file,
                                  check=0).stdout)

    def report(self, box, *options):
        return box.run("report", "news", "--config", box.config_file, *options, check=0).stdout

    def metrics(self, box):
        text = box.http("/metrics")
        found = {}
        for state in STATES:
            value = re.search(rf'sluice_recipients{{job="news-[^"]*",state="{state}"}} (\d+)', text)
            found[state] = int(value.group(1)) if value else 0
        return found

    def test_at_any_moment(self):
        total = self.ROWS + self.BAD + self.TWICE
        with Sandbox() as box:
            box.start_sink("--rtt", "20ms", "--recipient-rule", "defer-once:0.1",
                           "--recipient-rule", "refuse:0.05")
            box.configure(engine="max_connections = 40",
                          extra=f'listen = "127.0.0.1:{box.http_port}"\n')
            box.start_sender()
            box.submit(self.job(box))
            box.sender.wait_for_line("taken")
            moments = 0
            seen = set()
            deadline = time.monotonic() + 120
            while time.monotonic() < deadline:
                status = self.status(box)
                self.assertEqual(sum(status[s] for s in STATES), status["total"], status)
                if status["phase"] == "done":
                    break
                if status["phase"] != "sending":
                    continue
                self.assertEqual(status["total"], total)
                measured = self.metrics(box)
                summary = json.loads(self.report(box, "--json"))
                if sum(measured.values()) == 0:
                    continue  # done in between
                moments += 1
                self.assertEqual(sum(measured.values()), total, measured)
                self.assertEqual(sum(summary[s] for s in STATES), total, summary)
                # Each was asked later than the one before: what is final only grows.
                for state in ("delivered", "bounced", "rejected", "duplicate"):
                    self.assertLessEqual(status[state], measured[state])
                    self.assertLessEqual(measured[state], summary[state])
                seen |= {s for s in STATES if summary[s] > 0}
            self.assertEqual(status["phase"], "done")
            self.assertGreater(moments, 3)
            self.assertLessEqual({"in_flight", "deferred", "delivered", "bounced", "rejected",
                                  "duplicate"}, seen)

            # At rest all of them say the same.
            done = box.wait_done("news")
            final = self.status(box)
            summary = json.loads(self.report(box, "--json"))
            for state in STATES:
                self.assertEqual(final[state], done[state], state)
                self.assertEqual(final[state], summary[state], state)
            self.assertEqual(final["attempts"], summary["attempts"])
            rows = box.report("news")
            for state in STATES:
                if state not in ("duplicate", "suppressed"):
                    self.assertEqual(len([r for r in rows if r["state"] == state]), final[state])
                    self.assertEqual(len(box.report("news", "--only", state)), final[state])

    def test_attempts_over_a_restart(self):
        with Sandbox() as box:
            box.start_sink("--recipient-rule", "defer-once:0.5")
            box.configure(retry='retry_interval = "8s"')
            box.start_sender()
            box.submit(self.job(box))
            box.sender.wait_for_line("taken")

            def attempted():
                status = self.status(box)
                return status["phase"] == "sending" and status["waiting"] + status["in_flight"] == 0

            box.wait_for(attempted, "all attempted once")
            before = self.status(box)
            box.sender.kill()
            box.start_sender()
            after = self.status(box)
            for key in (*STATES, "attempts", "maybe_delivered", "bytes"):
                self.assertEqual(after[key], before[key], key)
            done = box.wait_done("news")
            summary = json.loads(self.report(box, "--json"))
            self.assertEqual(summary["attempts"], done["attempts"])

    def test_by_domain_and_source(self):
        with Sandbox() as box:
            box.start_sink("--recipient-rule", "refuse:0.2")
            box.start_sender()
            box.submit(self.job(box), "--wait", check=1)
            final = self.status(box)

            def lines(by):
                done = box.run("status", "news", "--by", by, "--json", "--config", box.config_file,
                               check=0)
                return {line[by]: line for line in map(json.loads, done.stdout.splitlines())}
            domains = lines("domain")
            self.assertEqual(len(domains), 40 + 1)
            self.assertEqual(domains[None]["rejected"], self.BAD)
            self.assertEqual(domains["d7.test.example"]["total"], self.ROWS // 40)
            for state in ("delivered", "bounced", "rejected"):
                self.assertEqual(sum(d[state] for d in domains.values()), final[state])
            sources = lines("source")
            self.assertEqual(sources["default"]["delivered"], final["delivered"])
            self.assertEqual(sources["default"]["attempts"], self.ROWS)
            text = box.run("status", "news", "--by", "domain", "--config", box.config_file,
                           check=0).stdout.decode()
            self.assertIn("d7.test.example", text)
            box.run("status", "--by", "moon", "--config", box.config_file, check=64)


if __name__ == "__main__":
    unittest.main()
