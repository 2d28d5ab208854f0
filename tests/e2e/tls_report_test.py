#!/usr/bin/env python3
"""TLS reports: what became of sessions is told, a day later, to the domains that ask for it."""
import base64
import datetime
import email
import gzip
import http.server
import json
import re
import ssl
import subprocess
import threading
import unittest

from harness import Sandbox

ROWS = [f"u{i}@d0.test.example,Name {i}" for i in range(40)]
LONG_AGO = "2026-01-05"
FROM = "tls-reports@sender.example"
ZONE = "_smtp._tls.d0.test.example TXT v=TLSRPTv1; rua=mailto:tls@rua.test.example\n"


class ReportServer:
    """Takes reports by https under a certificate that nobody vouches for; keeps what was posted."""

    def __init__(self, box, status=200):
        key, certificate = box.directory / "web.key", box.directory / "web.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=elsewhere", "-keyout",
                        key, "-out", certificate], capture_output=True, check=True, timeout=60)
        self.posted = posted = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):  # pylint: disable=invalid-name
                body = self.rfile.read(int(self.headers["Content-Length"]))
                posted.append((self.path, self.headers, body))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):  # pylint: disable=arguments-differ
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.port = self.server.server_address[1]

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def zone(self, also=""):
        return (f"_smtp._tls.d0.test.example TXT v=TLSRPTv1; rua={also}"
                f"https://rua.test.example:{self.port}/v1/tls?by=mail\n"
                "rua.test.example A 127.0.0.1\n")


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

    def let_the_day_end(self, box, day=LONG_AGO):
        """The process stops, and what it gathered is of a day long ago when it starts again."""
        self.stop(box)
        file = box.spool / "tls-results.json"
        text, days = re.subn(r'"day":"[0-9-]*"', f'"day":"{day}"', file.read_text())
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

    def test_who_does_not_ask_gets_none(self):
        for zone in ("", "_smtp._tls.d0.test.example TXT v=TLSRPTv2; rua=mailto:tls@rua.example\n"):
            with self.subTest(zone=zone), Sandbox() as box:
                self.start(box, "--starttls", zone=zone)
                self.send(box)
                self.let_the_day_end(box)
                box.wait_for(lambda b=box: self.results(b) == [], "results that are done with")
                self.assertEqual(list((box.spool / "done").glob("tls-report-*")), [])
                self.assertEqual(list((box.spool / "incoming").iterdir()), [])

    def test_who_asks_by_https_gets_it_posted(self):
        with Sandbox() as box, ReportServer(box) as web:
            self.start(box, "--starttls", zone=web.zone())
            self.send(box)
            self.let_the_day_end(box)
            box.sender.wait_for_line(": posted to https://rua.test.example")
            box.wait_for(lambda: self.results(box) == [], "results that are done with")
            (path, headers, body), = web.posted
            self.assertEqual(path, "/v1/tls?by=mail")
            self.assertEqual(headers["Content-Type"], "application/tlsrpt+gzip")
            self.assertEqual(headers["Host"], f"rua.test.example:{web.port}")
            report = json.loads(gzip.decompress(body))
            self.assertEqual(report["policies"][0]["policy"]["policy-domain"], "d0.test.example")
            self.assertGreater(self.counts(report["policies"][0])[0], 0)
            self.assertEqual(list((box.spool / "done").glob("tls-report-*")), [])

    def test_one_that_is_not_taken_waits_while_the_mailed_one_goes_once(self):
        day = (datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=2)).date()
        with Sandbox() as box, ReportServer(box, status=503) as web:
            self.start(box, "--starttls", zone=web.zone(also="mailto:tls@mail.test.example,"))
            self.send(box)
            self.let_the_day_end(box, day)
            box.sender.wait_for_line("waits: https://rua.test.example answered with status 503")
            box.wait_done("tls-report")
            self.stop(box)
            self.assertEqual([result["day"] for result in self.results(box)], [str(day)])
            self.assertEqual(len(web.posted), 1)

    def test_a_web_server_that_never_takes_it_is_given_up_after_days(self):
        with Sandbox() as box, ReportServer(box, status=404) as web:
            self.start(box, "--starttls", zone=web.zone())
            self.send(box)
            self.let_the_day_end(box)
            box.sender.wait_for_line("is given up: https://rua.test.example answered with status")
            box.wait_for(lambda: self.results(box) == [], "results that are given up")

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
