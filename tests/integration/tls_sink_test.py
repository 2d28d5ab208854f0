"""The sink's STARTTLS as other people's clients see it, and what its report and log tell of it."""
import contextlib
import json
import pathlib
import smtplib
import ssl
import subprocess
import tempfile
import time
import unittest

import harness
from tls_peers import Authority, Peer, probe

# It is resolved without a name server, so that smtplib can check the certificate's name.
NAME = "localhost"


class Receiver:
    """`sluice sink --starttls` on a free port."""

    def __init__(self, folder, *options):
        self.report_file, self.log_file = folder / "report.json", folder / "log"
        self.process = harness.Process(
            [harness.SLUICE, "sink", "--listen", "127.0.0.1:0", "--json", "--starttls", "--log",
             self.log_file, "--report", self.report_file, *map(str, options)])
        try:
            ready = json.loads(self.process.wait_for_line('"ready"'))
        except BaseException:
            self.process.kill()
            raise
        self.port = int(ready["smtp"][0].rpartition(":")[2])

    def client(self):
        return smtplib.SMTP(NAME, self.port, "client.example", timeout=60)

    def finish(self):
        """Its report, and its log as lists of words without the times."""
        code = self.process.stop()
        if code != 0:
            raise AssertionError(f"exit code {code}: {self.process.text()}")
        return (json.loads(self.report_file.read_text()),
                [line.split(" ")[1:] for line in self.log_file.read_text().splitlines()])


def mail(client, recipient):
    client.sendmail("a@sender.example", [recipient], f"To: {recipient}\n\nhello\n")


class TlsSink(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="sluice-tls-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.root_file = self.folder / "root.pem"

    @contextlib.contextmanager
    def sink(self, *options):
        receiver = Receiver(self.folder, *options)
        try:
            yield receiver
        finally:
            receiver.process.kill()

    def trusted(self):
        return ssl.create_default_context(cafile=str(self.root_file))

    def test_messages_in_tls_and_in_clear_are_told_apart(self):
        with self.sink("--tls-name", NAME, "--tls-ca-out", self.root_file) as sink:
            with sink.client() as client:
                client.starttls(context=self.trusted())
                mail(client, "one@test.example")
                mail(client, "two@test.example")
            with sink.client() as client:
                mail(client, "three@test.example")
            report, log = sink.finish()
        told = report["tls"]
        cipher = "TLS_AES_256_GCM_SHA384"
        self.assertEqual(told, {
            "messages": 2, "messages_in_clear": 1, "handshakes": 1, "resumed": 0, "truncated": 0,
            "failed": {}, "sessions": {"TLSv1.3 " + cipher: 1}, "server_names": {NAME: 1}})
        self.assertEqual(
            [[words[0], words[1], *words[3:]] for words in log if words[0] != "open"],
            [["tls", "0", "TLSv1.3", cipher, "full", NAME],
             ["message", "0", "one@test.example", "TLSv1.3"],
             ["message", "0", "two@test.example", "TLSv1.3"], ["close", "0"],
             ["message", "1", "three@test.example"], ["close", "1"]])

    def test_a_client_that_trusts_nobody_leaves(self):
        with self.sink() as sink:
            with self.assertRaises(ssl.SSLCertVerificationError):
                with sink.client() as client:
                    client.starttls(context=ssl.create_default_context())
            report, log = sink.finish()
        reason = "tlsv1 alert unknown ca"
        self.assertEqual(report["tls"]["failed"], {reason: 1})
        self.assertEqual([words[3:] for words in log if words[0] == "tls-failed"],
                         [reason.split(" ")])

    def test_sessions_are_resumed_by_any_worker(self):
        with self.sink("--threads", 4, "--tls-versions", "1.2", "--tls-name", NAME,
                       "--tls-ca-out", self.root_file) as sink:
            context, session = self.trusted(), None
            for _ in range(12):
                with sink.client() as client:
                    client.ehlo()
                    client.docmd("STARTTLS")
                    client.sock = context.wrap_socket(client.sock, server_hostname=NAME,
                                                      session=session)
                    client.file = None
                    client.ehlo()
                    session = session or client.sock.session
            report, _ = sink.finish()
        self.assertEqual((report["tls"]["handshakes"], report["tls"]["resumed"]), (12, 11))

    def test_every_flight_waits_a_round_trip(self):
        with self.sink("--rtt", "80ms") as sink:
            begun = time.monotonic()
            with sink.client() as client:
                client.starttls(context=anybody())
                mail(client, "one@test.example")
            # Greeting, EHLO, STARTTLS, handshake, EHLO, MAIL, RCPT, DATA, content, QUIT.
            self.assertGreaterEqual(time.monotonic() - begun, 10 * 0.08)
            report, _ = sink.finish()
        self.assertEqual(report["tls"]["messages"], 1)

    def test_certificate_of_a_file(self):
        authority = Authority(self.folder)
        shown = authority.issue("mx.file.example", "rsa")
        certificates, key = self.folder / "certificates.pem", self.folder / "key.pem"
        certificates.write_text(shown.certificates)
        key.write_text(shown.key)
        with self.sink("--tls-certificate", certificates, "--tls-key", key, "--tls-ciphers",
                       "ECDHE-RSA-AES128-GCM-SHA256:TLS_AES_128_GCM_SHA256") as sink:
            peer = Peer("127.0.0.1", sink.port, shown.name, shown.root_file)
            self.assertEqual(probe(peer), ("OK", "TLSv1.3", "TLS_AES_128_GCM_SHA256"))
            self.assertEqual(probe(peer, "-tls1_2"),
                             ("OK", "TLSv1.2", "ECDHE-RSA-AES128-GCM-SHA256"))
            report, _ = sink.finish()
        self.assertEqual(set(report["tls"]["server_names"]), {shown.name})

    def test_required_and_offered_once_only(self):
        with self.sink("--require-tls", "--starttls-first", 1) as sink:
            with sink.client() as client:
                client.starttls(context=anybody())
                mail(client, "one@test.example")
            with sink.client() as client:
                client.ehlo()
                self.assertFalse(client.has_extn("starttls"))
                self.assertEqual(client.docmd("STARTTLS")[0], 502)
                self.assertEqual(client.mail("a@sender.example")[0], 530)
            report, _ = sink.finish()
        self.assertEqual((report["tls"]["messages"], report["tls"]["messages_in_clear"]), (1, 0))
        self.assertEqual(report["refused"], {"MAIL": {"530": 1}, "STARTTLS": {"502": 1}})

    def test_faults_reach_the_client(self):
        for odds, error in (("STARTTLS:454=1", smtplib.SMTPResponseException),
                            ("STARTTLS:drop=1", smtplib.SMTPServerDisconnected),
                            ("HANDSHAKE:drop=1", (ssl.SSLEOFError, ConnectionError)),
                            ("HANDSHAKE:reset=1", ConnectionError),
                            ("HANDSHAKE:cut=1", (ssl.SSLEOFError, ConnectionError)),
                            ("HANDSHAKE:garbage=1", ssl.SSLError),
                            ("HANDSHAKE:alert=1", ssl.SSLError),
                            ("HANDSHAKE:hang=1", TimeoutError)):
            with self.subTest(odds), self.sink("--odds", odds) as sink:
                client = sink.client()
                self.addCleanup(client.close)
                client.ehlo()
                if odds.startswith("HANDSHAKE:hang"):
                    client.sock.settimeout(0.3)
                with self.assertRaises(error):
                    client.starttls(context=anybody())
                    raise AssertionError("a session")
                report, _ = sink.finish()
                self.assertEqual(report["tls"]["handshakes"], 0)
                moment, _, fault = odds.partition(":")
                code = fault.partition("=")[0]
                self.assertEqual(report["refused"],
                                 {moment: {code if code.isdigit() else "dropped": 1}})

    def test_options_that_make_no_sense(self):
        for options, words in (
                (("--tls-name", "a.example"), "--starttls"),
                (("--starttls", "--tls-versions", "1.1"), "1.2, 1.3 or both"),
                (("--starttls", "--tls-key-type", "dsa"), "ecdsa or rsa"),
                (("--tls-certificate", "c"), "--tls-key"),
                (("--starttls", "--tls-name", "a,b"), "name of a certificate")):
            done = subprocess.run([harness.SLUICE, "sink", *options], capture_output=True,
                                  text=True, timeout=60, check=False)
            self.assertEqual(done.returncode, 64, done.stderr)
            self.assertIn(words, done.stderr)
        done = subprocess.run([harness.SLUICE, "sink", "--listen", "127.0.0.1:0",
                               "--tls-certificate", self.folder / "none", "--tls-key",
                               self.folder / "none"], capture_output=True, text=True, timeout=60,
                              check=False)
        self.assertEqual(done.returncode, 66, done.stderr)
        self.assertIn(str(self.folder / "none"), done.stderr)


def anybody():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


if __name__ == "__main__":
    unittest.main()
