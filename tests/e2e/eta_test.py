"""status says when a job will be done, and what holds it back: at half time it is right."""
import json
import re
import select
import socket
import time
import unittest

from harness import Sandbox

TOOK = 20.0  # seconds that the jobs are made for
TENTH = 0.10  # of the whole time: what a steady job is promised
QUARTER = 0.25  # where the retry's jitter and the turns of what is due have their part


class Eta(unittest.TestCase):
    def start(self, box, rules, *sink, exchangers=1, extra="", retry='retry_interval = "1s"'):
        box.start_sink(*sink, exchangers=exchangers)
        self.rules = box.directory / "shaping.toml"
        self.rules.write_text(rules)
        box.configure(extra=f'listen = "127.0.0.1:{box.http_port}"\n'
                            f'[shaping]\nfiles = ["{self.rules}"]\n' + extra, retry=retry)
        box.start_sender()

    def page(self, box, name="news"):
        for job in json.loads(box.http("/api/v1/jobs"))["jobs"]:
            if job["name"] == name:
                return job
        return None

    def watch(self, box, name="news"):
        """(seconds since the first delivery, the job's page), five a second until it is done."""
        seen = []
        began = None
        end = time.monotonic() + 4 * TOOK
        while time.monotonic() < end:
            page = self.page(box, name)
            now = time.monotonic()
            if page and began is None and page["delivered"] + page["deferred"] > 0:
                began = now
            if began is not None:
                seen.append((now - began, page))
            if page and page["phase"] == "done":
                return seen
            select.select([], [], [], 0.2)
        raise AssertionError(f"{name} is not done in time: {page}\n{box.sender.text()}")

    def assert_right_at_half_time(self, seen, tolerance=TENTH):
        took = seen[-1][0]
        at, page = next((at, page) for at, page in seen if at >= took / 2)
        self.assertIsNotNone(page["eta_seconds"], page)
        error = abs(at + page["eta_seconds"] - took) / took
        self.assertLessEqual(error, tolerance, f"at {at:.1f} s: {page['eta_seconds']} s to go, "
                                              f"of {took:.1f} s in all")
        self.assertRegex(page["eta"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
        print(f"half time at {at:.1f} s: ETA off by {100 * error:.1f} % of {took:.1f} s")
        return page

    def line_of(self, text):
        lines = self.rules.read_text().splitlines()
        return next(number for number, line in enumerate(lines, 1) if text in line)

    def test_a_steady_job_and_the_line_that_limits_it(self):
        rules = '["default"]\nconnection_limit = 3\n\nmax_message_rate = "20/s"\n'
        with Sandbox() as box:
            self.start(box, rules)
            rows = int(20 * TOOK)
            box.submit(box.write_job(rows=[f"u{i}@d{i % 7}.test.example,N" for i in range(rows)]))
            seen = self.watch(box)
            page = self.assert_right_at_half_time(seen)
            bottleneck = page["bottleneck"]
            self.assertEqual(bottleneck["reason"], "message_rate", page)
            self.assertEqual(bottleneck["limit"], "max_message_rate = 20/s")
            line = self.line_of("max_message_rate")
            self.assertTrue(bottleneck["origin"].endswith(f"shaping.toml:{line}"), bottleneck)
            self.assertEqual(bottleneck["site"], "mx1.sink.example")
            self.assertGreater(bottleneck["share"], 0.5)
            self.assertAlmostEqual(page["rate"], 20, delta=2)
            self.assertEqual(seen[-1][1]["bottleneck"]["reason"], "none")
            self.assertIsNone(seen[-1][1]["eta"])

    def test_one_slow_site_beside_fast_ones(self):
        # The zone's domains are spread over the exchangers; only one of them is limited.
        with Sandbox() as box:
            rules = '["slow.test.example"]\nmax_message_rate = "5/s"\n'
            self.start(box, rules, exchangers=3)
            rows = [f"s{i}@slow.test.example,N" for i in range(int(5 * TOOK))]
            rows += [f"f{i}@d{i % 40}.test.example,N" for i in range(300)]
            slow = json.loads(box.run("resolve", "slow.test.example", "--json", "--config",
                                      box.config_file, check=0).stdout.splitlines()[0])["site"]
            domains = {row.split("@")[1].split(",")[0] for row in rows[int(5 * TOOK):]}
            elsewhere = self.domains_elsewhere(box, domains, slow)
            rows = [row for row in rows
                    if "slow." in row or row.split("@")[1].split(",")[0] in elsewhere]
            self.assertGreater(len(rows), int(5 * TOOK))
            box.submit(box.write_job(rows=rows))
            page = self.assert_right_at_half_time(self.watch(box))
            self.assertEqual(page["bottleneck"]["site"], slow)
            self.assertEqual(page["bottleneck"]["reason"], "message_rate")

    def domains_elsewhere(self, box, domains, site):
        done = box.run("resolve", "--json", *sorted(domains), "--config", box.config_file, check=0)
        found = {json.loads(line)["domain"]: json.loads(line)["site"]
                 for line in done.stdout.splitlines()}
        return {domain for domain, its_site in found.items() if its_site != site}

    def test_half_of_the_rows_deferred_once(self):
        rules = '["default"]\nmax_message_rate = "20/s"\n'
        with Sandbox() as box:
            self.start(box, rules, "--recipient-rule", "defer-once:0.5",
                       retry='retry_interval = "6s"')
            rows = 200
            box.submit(box.write_job(rows=[f"u{i}@test.example,N" for i in range(rows)]))
            self.assert_right_at_half_time(self.watch(box), QUARTER)

    SLOW = ('["default"]\nmax_in_flight = 1\nenable_pipelining = false\n'
            'enable_chunking = false\nconnection_limit = 2\n')

    def test_receivers_replies(self):
        with Sandbox() as box:
            self.start(box, self.SLOW, "--rtt", "100ms")
            box.submit(box.write_job(rows=[f"u{i}@test.example,N" for i in range(60)]))
            page = self.assert_right_at_half_time(self.watch(box))
            self.assertIn(page["bottleneck"]["reason"], ("replies", "connection_limit"), page)

    def test_the_jobs_own_rate(self):
        with Sandbox() as box:
            self.start(box, self.SLOW, "--rtt", "100ms")
            box.submit(box.write_job("own", rows=[f"u{i}@test.example,N" for i in range(30)],
                                     extra='[send]\nrate = "2/s"\n'))
            page = self.assert_right_at_half_time(self.watch(box, "own"))
            self.assertEqual(page["bottleneck"]["reason"], "job_rate", page)
            self.assertIn("job.toml", page["bottleneck"]["origin"])

    def test_name_servers_that_are_silent(self):
        with Sandbox() as box, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
            silent.bind(("127.0.0.1", box.dns_port))
            box.configure(extra=f'listen = "127.0.0.1:{box.http_port}"\n')
            box.start_sender()
            box.submit(box.write_job(rows=[f"u{i}@d{i}.test.example,N" for i in range(50)]))
            box.wait_for(lambda: (self.page(box) or {}).get("bottleneck", {}).get("reason")
                         == "dns", "DNS named", 40)
            self.assertIsNone(self.page(box)["eta_seconds"])
            words = box.run("status", "news", "--config", box.config_file, check=0).stdout.decode()
            self.assertIn("waits for DNS", words)

    def test_what_people_see(self):
        rules = '["default"]\nmax_message_rate = "2/s"\n'
        with Sandbox() as box:
            self.start(box, rules)
            box.submit(box.write_job(rows=[f"u{i}@test.example,N" for i in range(400)]))
            box.wait_for(lambda: (self.page(box) or {}).get("eta_seconds"), "an ETA")
            words = box.run("status", "news", "--config", box.config_file, check=0).stdout.decode()
            self.assertRegex(words, r"\d\d:\d\d:\d\d \(\dm\d\ds\)")
            wanted = f"waits for max_message_rate = 2/s ({self.rules}:2) at mx1.sink.example"
            box.wait_for(lambda: wanted in box.run("status", "--config", box.config_file,
                                                   check=0).stdout.decode(), wanted)
            sites = box.run("status", "--by", "site", "--config", box.config_file,
                            check=0).stdout.decode()
            self.assertIn(f"max_message_rate = 2/s ({self.rules}:2)", sites)
            site = json.loads(box.run("status", "--by", "site", "--json", "--config",
                                      box.config_file, check=0).stdout)["sites"][0]
            self.assertEqual(site["bottleneck"]["reason"], "message_rate")
            self.assertAlmostEqual(site["eta_seconds"], site["rows_waiting"] / 2, delta=2)
            self.assertTrue(re.search(r'sluice_job_eta_seconds\{job="news-[^"]*"\} [1-9]',
                                      box.http("/metrics")))
            box.run("pause", "news", "--config", box.config_file, check=0)
            page = self.page(box)
            self.assertEqual(page["bottleneck"]["reason"], "paused")
            self.assertIsNone(page["eta_seconds"])


if __name__ == "__main__":
    unittest.main()
