#!/usr/bin/env python3
"""TLS reports: what became of sessions is told, a day later, to the domains that ask for it."""
import base64
import email
import gzip
import json
import re
import unittest

from harness import Sandbox

ROWS = [f"u{i}@d0.test.example,Name {i}" for i in range(40)]
LONG_AGO = "2026-01-05"
FROM = "tls-reports@sender.example"
ZONE = "_smtp._tls.d0.test.example TXT v=TLSRPTv1; rua=mailto:tls@rua.test.example\n"


class TlsReport(unittest.TestCase):
    def start(self, box, *sink, zone=ZONE, report_from=FROM, extra=""):
        file = box.directory / "zone"
        file.write_text(zone)
        box.start_sink("--zone-file", str(file), *sink, exchangers=1)
        box.configure(extra=f'[tls]\nreport_from = "{report_from}"\n'
                            'report_contact = "postmaster@sender.example"\n'
                            f'organization = "Sender Inc."\n{extra}')
        box.start_sender()

    def send(self, box, rows=None, name="news"):
        box.submit(box.write_job(name=name, rows=rows or ROWS))
        self.assertEqual(box.wait_done(name)["delivered"], len(rows or ROWS))

    def stop(self, box):
        self.assertEqual(box.sender.stop(), 0, box.sender.text())

    def results(self, box):
        """What is kept: an object for each day and domain."""
        return json.loads((box.spool / "tls-results.json").read_text())["results"]

    def policies(self, box):
        return [policy for each in self.results(box) for policy in each["policies"]]

    def let_the_day_end(self, box):
        """The process stops, and what it gathered is of a day long ago when it starts again."""
        self.stop(box)
        file = box.spool / "tls-results.json"
        text, days = re.subn(r'"day":"[0-9-]*"', f'"day":"{LONG_AGO}"', file.read_text())
        self.assertGreater(days, 0)
        file.write_text(text)
        box.start_sender()

    def report(self, box):
        """The one report that was sent, as its receiver reads it."""
        box.wait_done("tls-report")
        jobs = list((box.spool / "done").glob("tls-report-*"))
        self.assertEqual(len(jobs), 1)
        self.assertTrue(jobs[0].name.startswith(f"tls-report-{LONG_AGO}-"))
        shown = box.run("show", jobs[0].name, "--row", "1", "--config", box.config_file, check=0)
        message = email.message_from_bytes(shown.stdout)
        text, packed = message.get_payload()
        self.assertEqual(text.get_content_type(), "text/plain")
        self.assertEqual(packed.get_content_type(), "application/tlsrpt+gzip")
        self.assertRegex(packed.get_filename(),
                         r"^sender\.example!d0\.test\.example!1767571200!1767657599!.*\.json\.gz$")
        return message, json.loads(gzip.decompress(base64.b64decode(packed.get_payload())))

    def counts(self, policy):
        summary = policy["summary"]
        return (summary["total-successful-session-count"], summary["total-failure-session-count"])

    def test_who_asks_gets_one(self):
        with Sandbox() as box:
            self.start(box, "--starttls")
            self.send(box)
            self.let_the_day_end(box)
            message, report = self.report(box)
            self.assertEqual(message["To"], "tls@rua.test.example")
            self.assertEqual(message["From"], FROM)
            self.assertEqual(message["TLS-Report-Domain"], "d0.test.example")
            self.assertEqual(message["TLS-Report-Submitter"], "sender.example")
            self.assertEqual(message.get_content_type(), "multipart/report")
            self.assertEqual(message.get_param("report-type"), "tlsrpt")
            subject = " ".join(message["Subject"].split())
            self.assertEqual(subject, "Report Domain: d0.test.example Submitter: sender.example "
                                      f"Report-ID: <{report['report-id']}>")
            self.assertEqual(report["organization-name"], "Sender Inc.")
            self.assertEqual(report["contact-info"], "postmaster@sender.example")
            self.assertEqual(report["date-range"], {"start-datetime": f"{LONG_AGO}T00:00:00Z",
                                                    "end-datetime": f"{LONG_AGO}T23:59:59Z"})
            policy, = report["policies"]
            self.assertEqual(policy["policy"], {"policy-type": "no-policy-found",
                                                "policy-domain": "d0.test.example"})
            passed, failed = self.counts(policy)
            self.assertGreater(passed, 0)
            self.assertEqual(failed, 0)
            self.assertNotIn("failure-details", policy)
            # It is told once, and the session that carried it is not told of.
            self.stop(box)
            self.assertEqual(self.results(box), [])

    def test_a_session_counts_once_for_the_domain_of_its_first_message(self):
        with Sandbox() as box:
            rules = box.directory / "shaping.toml"
            rules.write_text('["default"]\nconnection_limit = 1\n')
            self.start(box, "--starttls", extra=f'[shaping]\nfiles = ["{rules}"]\n')
            self.send(box, rows=[f"u{i}@d{i % 4}.test.example,Name {i}" for i in range(40)])
            self.stop(box)
            self.assertEqual(box.stop_sink()["tls"]["handshakes"], 1)
            found, = self.results(box)
            self.assertRegex(found["domain"], r"^d[0-3]\.test\.example$")
            self.assertEqual([self.counts(policy) for policy in found["policies"]], [(1, 0)])

    def test_what_fails_is_told_with_its_reason(self):
        cases = [(("--starttls", "--odds", "HANDSHAKE:drop=1"), "validation-failure"),
                 ((), "starttls-not-supported"),
                 (("--starttls", "--odds", "STARTTLS:454=1"), "starttls-not-supported")]
        for sink, result in cases:
            with self.subTest(result, sink=sink), Sandbox() as box:
                self.start(box, *sink)
                self.send(box)
                self.stop(box)
                self.assertTrue(self.policies(box))
                for policy in self.policies(box):
                    passed, failed = self.counts(policy)
                    self.assertEqual(passed, 0)
                    self.assertGreater(failed, 0)
                    details = policy["failure-details"]
                    self.assertEqual({each["result-type"] for each in details}, {result})
                    self.assertEqual(sum(each["failed-session-count"] for each in details), failed)
                    for each in details:
                        self.assertEqual(each["receiving-mx-hostname"], "mx1.sink.example")
                        self.assertEqual(each["receiving-ip"], "127.0.7.1")
                        self.assertTrue(each["failure-reason-code"])

    def test_who_does_not_ask_or_asks_by_https_gets_none(self):
        zone = "_smtp._tls.d0.test.example TXT v=TLSRPTv1; rua=https://rua.test.example/\n"
        with Sandbox() as box:
            self.start(box, "--starttls", zone=zone)
            self.send(box)
            self.let_the_day_end(box)
            box.sender.wait_for_line("it wants it by https, which is not sent")
            box.wait_for(lambda: self.results(box) == [], "results that are done with")
            self.assertEqual(list((box.spool / "done").glob("tls-report-*")), [])
            self.assertEqual(list((box.spool / "incoming").iterdir()), [])

    def test_a_domain_whose_record_cannot_be_looked_up_is_given_up_after_days(self):
        with Sandbox() as box:
            self.start(box, "--starttls", zone="_smtp._tls.d0.test.example SERVFAIL\n")
            self.send(box)
            self.let_the_day_end(box)
            box.sender.wait_for_line("is given up: its TXT record cannot be looked up")
            box.wait_for(lambda: self.results(box) == [], "results that are given up")

    def test_what_was_gathered_outlives_the_process(self):
        with Sandbox() as box:
            self.start(box, "--starttls", zone="")
            self.send(box)
            self.stop(box)
            before = sum(self.counts(policy)[0] for policy in self.policies(box))
            self.assertGreater(before, 0)
            box.start_sender()
            self.send(box, name="more")
            self.stop(box)
            self.assertGreater(sum(self.counts(policy)[0] for policy in self.policies(box)), before)

    def test_nothing_is_gathered_where_nobody_reports(self):
        with Sandbox() as box:
            self.start(box, "--starttls", report_from="")
            self.send(box)
            self.stop(box)
            self.assertFalse((box.spool / "tls-results.json").exists())


if __name__ == "__main__":
    unittest.main()
