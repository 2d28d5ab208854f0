"""TLS reports (RFC 8460) as their receivers read them: what became of sessions by DANE, by MTA-STS
and without either, a day later in the mail."""
import base64
import email
import gzip
import json
import re
import tempfile
import unittest
from typing import NamedTuple

import ways
from peers import free_port, setUpModule  # pylint: disable=unused-import
from policy_host import Answer, PolicyHost, policy
from tls_peers import Authority
from tls_world import World, tlsa

SIGNED, STS, BARE, READER = "signed.example", "sts.example", "bare.example", "reader.example"
HOST, READS = "127.0.9.1", "127.0.8.9"
# Receivers by their addresses. GOOD shows a certificate for *.sts.example, NAMED *.signed.example.
GOOD, ELSEWHERE, EXPIRED, SELF_SIGNED, PLAIN, NAMED = (f"127.0.8.{n}" for n in range(1, 7))
WRONG = f"3 1 1 {'00' * 32}"
LONG_AGO = "2026-01-05"
FROM = "tls-reports@sender.example"
SESSIONS = 3
# One message a session, one session at a time; a site that fails is not tried again.
RULES = """["default"]
connection_limit = 1
max_deliveries_per_connection = 1
consecutive_connection_failures_before_delay = 1
"""
NOT_SUPPORTED, MISFIT = "starttls-not-supported", "validation-failure"


class Told(NamedTuple):
    """What a report says by one policy. mx: its mx-host. failed: result-type, the exchanger, its
    address (None: it was not connected to) and what the reason says."""
    type: str
    passed: int = 0
    failed: tuple = ()
    strings: tuple = ()
    mx: tuple = ()


class Row(NamedTuple):
    """A domain: its exchangers' addresses, each with its TLSA records; what it is told."""
    domain: str
    told: tuple
    exchangers: tuple
    count: int = SESSIONS
    patterns: tuple = ()
    mode: str = "enforce"

    def host(self, number=1):
        label, _, zone = self.domain.partition(".")
        return f"{label}-{number}.{zone}"


def signed(right, unusable):
    def row(label, told, *exchangers, count=1, patterns=()):
        domain = f"{label}.{SIGNED}"
        named = []
        for type_, passed, failed, number, strings in told:
            host = f"{label}-{number}.{SIGNED}"
            failed = (failed[0], host, *failed[1:]) if failed else ()
            named.append(Told(type_, passed, failed, strings, (host,)))
        return Row(domain, tuple(named), exchangers, count, patterns)
    refused = (MISFIT, GOOD, "TLSA")
    yield row("right", [("tlsa", SESSIONS, (), 1, (right,))], (GOOD, right), count=SESSIONS)
    yield row("both", [("tlsa", SESSIONS, (), 1, (WRONG, right))], (GOOD, WRONG, right),
              count=SESSIONS)
    yield row("wrong", [("tlsa", 0, refused, 1, (WRONG,))], (GOOD, WRONG))
    yield row("plain", [("tlsa", 0, (NOT_SUPPORTED, PLAIN, "does not offer STARTTLS"), 1,
                         (right,))], (PLAIN, right))
    yield row("wrong-then-right", [("tlsa", 0, refused, 1, (WRONG,)),
                                   ("tlsa", 1, (), 2, (right,))], (GOOD, WRONG), (GOOD, right))
    yield row("unusable", [("tlsa", 0, ("tlsa-invalid", GOOD, "none of its TLSA records"), 1, ())],
              (GOOD, unusable))
    # Beside a policy of MTA-STS, which would forbid the first and allow the second, DANE decides.
    yield row("beside-right", [("tlsa", 1, (), 1, (right,))], (GOOD, right),
              patterns=(f"another.{SIGNED}",))
    yield row("beside-wrong", [("tlsa", 0, (MISFIT, NAMED, "TLSA"), 1, (WRONG,))], (NAMED, WRONG),
              patterns=(f"beside-wrong-1.{SIGNED}",))


def by_policy(mode, before=""):
    def row(label, address, *failed, patterns=None, count=1):
        label = before + label
        host = f"{label}-1.{STS}"
        patterns = patterns or (host,)
        strings = ("version: STSv1", f"mode: {mode}", *(f"mx: {each}" for each in patterns),
                   "max_age: 604800")
        failed = (failed[0], host, *failed[1:]) if failed else ()
        told = Told("sts", 0 if failed else count, failed, strings, patterns)
        return Row(f"{label}.{STS}", (told,), ((address,),), count, patterns, mode)
    yield row("good", GOOD, count=SESSIONS)
    yield row("pattern", GOOD, patterns=(f"*.{STS}", f"*.{BARE}"), count=SESSIONS)
    yield row("elsewhere", ELSEWHERE, "certificate-host-mismatch", ELSEWHERE, "elsewhere.example")
    yield row("expired", EXPIRED, "certificate-expired", EXPIRED, "expired")
    yield row("self-signed", SELF_SIGNED, "certificate-not-trusted", SELF_SIGNED, "self-signed")
    offered = "does not offer STARTTLS" if mode == "enforce" else "STARTTLS is not offered"
    yield row("plain", PLAIN, NOT_SUPPORTED, PLAIN, offered)
    # One that may not be used is not connected to.
    yield row("not-named", GOOD, MISFIT, None if mode == "enforce" else GOOD, "does not name it",
              patterns=(f"good-1.{STS}",))


def without_the_policy():
    """Its host says 404: mail goes as if there were none."""
    failed = ("sts-policy-fetch-error", None, None, "status 404 instead of 200")
    told = (Told("no-policy-found", 1), Told("sts", 0, failed))
    return Row(f"nowhere.{STS}", told, ((GOOD,),), 1, (f"nowhere-1.{STS}",), "404")


def without():
    none = "no-policy-found"
    yield Row(f"good.{BARE}", (Told(none, SESSIONS),), ((GOOD,),))
    yield Row(f"self-signed.{BARE}", (Told(none, SESSIONS),), ((SELF_SIGNED,),))
    failed = (NOT_SUPPORTED, f"plain-1.{BARE}", PLAIN, "STARTTLS is not offered")
    yield Row(f"plain.{BARE}", (Told(none, 0, failed),), ((PLAIN,),))


class Reports(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="sluice-tls-")
        self.addCleanup(folder.cleanup)
        self.authority = Authority(folder.name)
        wild = f"*.{STS}"
        self.shown = {GOOD: self.authority.issue(wild), PLAIN: None,
                      NAMED: self.authority.issue(f"*.{SIGNED}"),
                      ELSEWHERE: self.authority.issue("elsewhere.example"),
                      EXPIRED: self.authority.issue(wild, days=-1),
                      SELF_SIGNED: self.authority.self_signed(wild)}

    def test_what_reports_tell(self):
        right = tlsa(self.shown[GOOD].certificates, 3, 1, 1)
        rows = [*signed(right, "1" + right[1:]), *by_policy("enforce"),
                *by_policy("testing", "test-"), without_the_policy(), *without()]
        silent = Row(f"silent.{BARE}", (), ((GOOD,),))
        world = self.world([*rows, silent])
        self.begin(world)
        self.send(world, [*rows, silent])
        self.let_the_day_end(world)
        for row in rows:  # policies that did not count were known all the same
            if row.patterns and row.mode != "404":
                self.assertIn(f"{row.mode} for {row.patterns[0]}",
                              ways.resolve(world, row.domain)["mta_sts"])
        arrived = world.wait_for(lambda: self.arrived(world, len(rows)), "the reports", 60)
        self.assertEqual(world.sender.stop(), 0)
        for row in rows:
            with self.subTest(row.domain):
                [message] = arrived.pop(address_of(row))
                self.check_report(row, self.unpacked(row, message))
        self.assertEqual(arrived, {})
        # Who does not ask is not told. All is done with, and the reports' sessions do not count.
        self.assertEqual(set(re.findall("TLS report to (.*) of ", world.sender.text())),
                         {row.domain for row in rows})
        left = json.loads((world.spool / "tls-results.json").read_text())["results"]
        self.assertNotIn(LONG_AGO, {each["day"] for each in left})
        self.assertNotIn(READER, {each["domain"] for each in left})

    # --- parts of the story

    def world(self, rows):
        port = free_port()
        zones = {zone: [] for zone in (SIGNED, STS, BARE)}
        zones[READER] = ["@ MX 10 mx", f"mx A {READS}"]
        for row in rows:
            label, _, zone = row.domain.partition(".")
            lines = zones[zone]
            if row.told:
                lines.append(f'_smtp._tls.{label} TXT '
                             f'"v=TLSRPTv1; rua=mailto:{address_of(row)}"')
            for number, (address, *records) in enumerate(row.exchangers, 1):
                name = f"{label}-{number}"
                lines += [f"{label} MX {number}0 {name}", f"{name} A {address}",
                          *(f"_{port}._tcp.{name} TLSA {record}" for record in records)]
            if row.patterns:
                lines += [f'_mta-sts.{label} TXT "v=STSv1; id=1;"', f"mta-sts.{label} A {HOST}"]
        world = World(zones, (SIGNED,))
        self.addCleanup(world.__exit__, None, None, None)
        world.smtp_port = port
        for address, shown in self.shown.items():
            world.receive(address, shown)
        world.receive(READS, None, "--store", str(world.directory / "reports"))
        host = PolicyHost(HOST)
        self.addCleanup(host.close)
        for row in rows:
            if row.patterns:
                identity = self.authority.issue("mta-sts." + row.domain)
                host.serve(row.domain, Answer(identity, status=404) if row.mode == "404" else
                           Answer(identity, policy(row.mode, *row.patterns)))
        return world

    def begin(self, world):
        world.begin(f'ca_file = "{self.authority.root_file}"\nreport_from = "{FROM}"\n'
                    'report_contact = "postmaster@sender.example"\n'
                    'organization = "Sender Inc."\n', rules=RULES)

    def send(self, world, rows):
        """Until all is delivered but what may not be."""
        wanted = {f"u{number}@{row.domain}": "delivered" if self.delivered(row) else "waiting"
                  for row in rows for number in range(row.count)}
        ways.submit(world, wanted)
        for row in rows:
            if not self.delivered(row):
                world.held(row.host(), "")
        ways.settle(world, wanted, seconds=60)

    @staticmethod
    def delivered(row):
        """What only tells of a failure holds no mail back."""
        return (not row.told or row.mode != "enforce" or any(told.passed for told in row.told)
                or row.told[0].type == "no-policy-found"
                or row.told[0].failed[0] == "tlsa-invalid")

    def let_the_day_end(self, world):
        """The process stops, and what it gathered is of a day long ago when it starts again."""
        self.assertEqual(world.sender.stop(), 0)
        file = world.spool / "tls-results.json"
        text, days = re.subn(r'"day":"[0-9-]*"', f'"day":"{LONG_AGO}"', file.read_text())
        self.assertGreater(days, 0)
        file.write_text(text)
        world.start_sender()

    @staticmethod
    def arrived(world, count):
        """address -> messages, once there are so many."""
        folder = world.directory / "reports" / "new"
        names = list(folder.iterdir()) if folder.exists() else []
        if len(names) < count:
            return None
        found = {}
        for name in names:
            message = email.message_from_bytes(name.read_bytes())
            found.setdefault(message["To"], []).append(message)
        return found

    def unpacked(self, row, message):
        self.assertEqual(message["From"], FROM)
        self.assertEqual(message["TLS-Report-Domain"], row.domain)
        self.assertEqual(message["TLS-Report-Submitter"], "sender.example")
        self.assertEqual(message.get_content_type(), "multipart/report")
        self.assertEqual(message.get_param("report-type"), "tlsrpt")
        text, packed = message.get_payload()
        self.assertEqual(text.get_content_type(), "text/plain")
        self.assertEqual(packed.get_content_type(), "application/tlsrpt+gzip")
        self.assertTrue(packed.get_filename().startswith(
            f"sender.example!{row.domain}!1767571200!1767657599!"), packed.get_filename())
        report = json.loads(gzip.decompress(base64.b64decode(packed.get_payload())))
        self.assertIn(f"<{report['report-id']}>", message["Subject"])
        return report

    def check_report(self, row, report):
        self.assertEqual(report["organization-name"], "Sender Inc.")
        self.assertEqual(report["contact-info"], "postmaster@sender.example")
        self.assertEqual(report["date-range"], {"start-datetime": f"{LONG_AGO}T00:00:00Z",
                                                "end-datetime": f"{LONG_AGO}T23:59:59Z"})
        self.assertEqual(len(report["policies"]), len(row.told), report)
        for found, told in zip(report["policies"], row.told):
            self.check_policy(row, found, told)

    def check_policy(self, row, found, told):
        strings = sorted if told.type == "tlsa" else list  # records have no order
        wanted = {"policy-type": told.type, "policy-string": strings(told.strings),
                  "policy-domain": row.domain, "mx-host": list(told.mx)}
        shown = dict(found["policy"])
        shown["policy-string"] = strings(shown.get("policy-string", ()))
        self.assertEqual(shown, {key: value for key, value in wanted.items()
                                 if value or key == "policy-string"})
        failures = told.failed and (row.count if told.type == "no-policy-found" else 1) or 0
        self.assertEqual(found["summary"], {"total-successful-session-count": told.passed,
                                            "total-failure-session-count": failures})
        if not told.failed:
            self.assertNotIn("failure-details", found)
            return
        [details] = found["failure-details"]
        result, exchanger, address, reason = told.failed
        self.assertIn(reason, details.pop("failure-reason-code"))
        wanted = {"result-type": result, "receiving-mx-hostname": exchanger,
                  "receiving-ip": address, "failed-session-count": failures}
        self.assertEqual(details, {key: value for key, value in wanted.items() if value})


def address_of(row):
    return f"{row.domain.replace('.', '-')}@{READER}"


if __name__ == "__main__":
    unittest.main()
