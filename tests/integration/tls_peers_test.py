"""Each server with STARTTLS does what its settings say, as OpenSSL's and Postfix's clients see it:
so what a sender meets there is known."""
import pathlib
import smtplib
import ssl
import tempfile
import unittest

from peers import setUpModule  # pylint: disable=unused-import
from receivers import Exim, OpenSmtpd, Postfix
from tls_peers import (NO_CIPHER, Authority, Finger, certificate_for, openssl, peer_of, probe,
                       started, with_tls)

GOOD = (Postfix, Exim)

# What a client that trusts the root and wants the exchanger's name has against each certificate.
KINDS = {"ecdsa": "", "rsa": "", "expired": "certificate has expired",
         "wrong-name": "hostname mismatch", "self-signed": "self-signed certificate"}


class TlsPeers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="sluice-tls-")
        cls.addClassCleanup(folder.cleanup)
        cls.authority = Authority(folder.name)

    def shown(self, receiver, kind="ecdsa"):
        return certificate_for(self.authority, receiver, kind)

    def test_certificates(self):
        with Finger(root_file=self.authority.root_file) as finger:
            for receiver in GOOD:
                for kind, objection in KINDS.items():
                    with self.subTest(receiver=receiver.root_name, kind=kind), \
                            started(with_tls(receiver, self.shown(receiver, kind))) as server:
                        peer = peer_of(server)
                        found = probe(peer)
                        self.assertIsNotNone(found, server.log())
                        self.assertEqual(found[0], objection or "OK")
                        self.assertEqual(finger.look(peer, "secure"),
                                         ("Untrusted" if objection else "Verified", objection))
                        if kind in ("ecdsa", "rsa"):
                            self.assertRegex(probe(peer, "-tls1_2")[2], f"^ECDHE-{kind.upper()}-")

    def test_versions(self):
        for receiver in GOOD:
            for versions, old, new in (("1.2", True, False), ("1.3", False, True),
                                       ("both", True, True)):
                with self.subTest(receiver=receiver.root_name, versions=versions), \
                        started(with_tls(receiver, self.shown(receiver), versions)) as server:
                    peer = peer_of(server)
                    for option, spoken in (("-tls1_2", old), ("-tls1_3", new)):
                        self.assertEqual(probe(peer, option) is not None, spoken, option)
                    self.assertEqual(probe(peer)[1], "TLSv1.3" if new else "TLSv1.2")

    def test_no_common_cipher(self):
        for receiver in GOOD:
            offering = with_tls(receiver, self.shown(receiver), "1.2", ciphers=NO_CIPHER)
            with self.subTest(receiver=receiver.root_name), started(offering) as server:
                self.assertIsNone(probe(peer_of(server)))
                self.assert_breaks_off(server)

    def test_messages_in_tls_and_none_in_clear(self):
        for receiver in GOOD:
            demanding = with_tls(receiver, self.shown(receiver), required=True)
            with self.subTest(receiver=receiver.root_name), started(demanding) as server:
                recipient = "someone@" + receiver.domain(1)
                with self.client(server) as client:
                    with self.assertRaises(smtplib.SMTPException):
                        client.sendmail("a@sender.example", [recipient], "To: x\n\nin clear\n")
                with self.client(server) as client:
                    client.starttls(context=self.context())
                    client.ehlo()
                    self.assertFalse(client.has_extn("starttls"))
                    client.sendmail("a@sender.example", [recipient],
                                    f"To: {recipient}\n\nin TLS\n")
                [mail] = server.stored(1)
                self.assertEqual(mail.content.split(b"\n\n")[1].strip(), b"in TLS")

    def test_tlsa_data_is_the_certificate_s(self):
        shown = self.shown(Postfix)
        with started(with_tls(Postfix, shown)) as server:
            peer = peer_of(server)
            for selector in (0, 1):
                found = probe(peer, "-dane_tlsa_domain", peer.name, "-dane_tlsa_rrdata",
                              f"3 {selector} 1 {shown.tlsa(selector)}")
                self.assertEqual(found[0], "OK")
            found = probe(peer, "-dane_tlsa_domain", peer.name, "-dane_tlsa_rrdata",
                          f"3 1 1 {'00' * 32}")
            self.assertEqual(found[0], "no matching DANE TLSA records")

    def test_debian_s_opensmtpd_breaks_off_every_handshake(self):
        for kind in ("ecdsa", "rsa"):
            with self.subTest(kind=kind), \
                    started(with_tls(OpenSmtpd, self.shown(OpenSmtpd, kind))) as server:
                for option in ("-tls1_2", "-tls1_3"):
                    self.assertIsNone(probe(peer_of(server), option))
                self.assert_breaks_off(server)
                recipient = "someone@" + OpenSmtpd.domain(1)
                with self.client(server) as client:
                    client.sendmail("a@sender.example", [recipient], f"To: {recipient}\n\nclear\n")
                self.assertEqual(len(server.stored(1)), 1)

    # --- parts of the stories

    def assert_breaks_off(self, server):
        client = self.client(server)
        try:
            client.ehlo()
            self.assertTrue(client.has_extn("starttls"))
            with self.assertRaises(ssl.SSLError):
                client.starttls(context=self.context())
        finally:
            client.close()

    @staticmethod
    def client(server):
        return smtplib.SMTP(server.address, server.port, "client.example", timeout=60)

    @staticmethod
    def context():
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context


class Certificates(unittest.TestCase):
    def test_chains(self):
        with tempfile.TemporaryDirectory(prefix="sluice-tls-") as folder:
            authority = Authority(folder)
            shown = authority.issue("mx.one.example")
            file = pathlib.Path(folder) / "shown.pem"
            file.write_text(shown.certificates)
            self.assertEqual(shown.certificates.count("BEGIN CERTIFICATE"), 2)
            told = openssl("verify", "-CAfile", shown.root_file, "-untrusted", file,
                           "-verify_hostname", "mx.one.example", file)
            self.assertIn("OK", told)


if __name__ == "__main__":
    unittest.main()
