#!/usr/bin/env python3
"""`sluice tls-probe`: what a session would do, told without a running sender and without mail."""
import contextlib
import json
import struct
import subprocess
import time
import unittest

from harness import Sandbox
from hostile.dns_wire import A, ASKED, MX, NameServer, address, exchanger, record

DOMAIN = "d1.test.example"
MX1, MX1_ADDRESS = "mx1.sink.example", "127.0.7.1"
VOUCHED = 0x0020  # AD
TLSA = 52


class TlsProbe(unittest.TestCase):
    def start(self, box, *sink, tls="", exchangers=1):
        box.start_sink(*sink, exchangers=exchangers)
        box.configure(extra=f"[tls]\n{tls}\n")

    def trusting(self, box, *sink, name=MX1, policy="opportunistic"):
        """A receiver whose certificate is for `name`, by a root that is trusted."""
        root = box.directory / "root.pem"
        self.start(box, "--starttls", "--tls-name", name, "--tls-ca-out", str(root), *sink,
                   tls=f'policy = "{policy}"\nca_file = "{root}"')

    def probe(self, box, *options, domain=DOMAIN, check=0):
        done = box.run("tls-probe", domain, "--config", box.config_file, "--json", *options,
                       check=check)
        return json.loads(done.stdout)

    def issue(self, box):
        """A root, and for MX1 a certificate of now and one of yesterday, with the root behind."""
        def openssl(*arguments, **options):
            return subprocess.run(["openssl", *arguments], capture_output=True, check=True,
                                  cwd=box.directory, timeout=60, **options).stdout.decode()
        new = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
        root = openssl(*new, "-x509", "-subj", "/CN=root", "-keyout", "root.key")
        (box.directory / "root.pem").write_text(root)
        openssl(*new, "-subj", "/CN=leaf", "-keyout", "leaf.key", "-out", "leaf.csr")
        (box.directory / "leaf.ext").write_text(f"subjectAltName=DNS:{MX1}\n")
        files = [box.directory / "root.pem"]
        for days in ("30", "-1"):
            files.append(box.directory / f"leaf{days}.pem")
            files[-1].write_text(openssl(
                "x509", "-req", "-in", "leaf.csr", "-CA", "root.pem", "-CAkey", "root.key",
                "-CAcreateserial", "-extfile", "leaf.ext", "-days", days) + root)
        return files

    def one(self, box, *options, check=0):
        """The first exchanger, and the only session with it."""
        found = self.probe(box, *options, check=check)
        self.assertEqual(found["all_deliver"], check == 0)
        exchanger_found = found["exchangers"][0]
        self.assertEqual(len(exchanger_found["addresses"]), 1, found)
        return exchanger_found, exchanger_found["addresses"][0]

    def no_mail(self, box, commands):
        report = box.stop_sink()
        self.assertEqual((report["messages"], report["recipients"]), (0, 0))
        self.assertEqual(report["commands"], commands)
        return report

    def test_tells_what_is_offered_and_shown(self):
        with Sandbox() as box:
            self.start(box, "--starttls", "--tls-name", "*.sink.example", "--tls-name",
                       "mail.example", exchangers=2)
            before = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
            found, session = self.one(box)
            self.assertEqual((found["policy"], found["from"]), ("opportunistic", "[tls] policy"))
            self.assertEqual(session["address"], found["name"].replace("mx", "127.0.7.")[:9])
            self.assertEqual(session["port"], box.smtp_port)
            self.assertRegex(session["greeting"], "^220 .*sink$")
            self.assertTrue(session["starttls"])
            self.assertEqual(session["protocol"], "TLSv1.3")
            self.assertRegex(session["cipher"], "^TLS_")
            self.assertEqual((session["verdict"], session["authenticated"]),
                             ("encrypted, not authenticated", ""))
            shown = session["certificate"]
            self.assertEqual(shown["names"], ["*.sink.example", "mail.example"])
            self.assertEqual(shown["fits"], [found["name"]])
            self.assertEqual((shown["key"], shown["chain"]), ("EC 256 bits", 1))
            self.assertEqual((shown["trusted"], shown["why_not_trusted"]),
                             (False, "self-signed certificate"))
            self.assertLess(shown["valid_from"], before)
            self.assertGreater(shown["valid_until"], before)
            # EHLO, STARTTLS, EHLO within TLS, QUIT.
            tls = self.no_mail(box, commands=4)["tls"]
            self.assertEqual((tls["handshakes"], tls["server_names"]), (1, {found["name"]: 1}))

    def test_words_for_people(self):
        with Sandbox() as box:
            self.start(box, "--starttls")
            done = box.run("tls-probe", f"ann@{DOMAIN}.", "--config", box.config_file, check=0)
            text = done.stdout.decode()
            for words in (f"{DOMAIN} (ann@{DOMAIN}.): site ", f"10 {MX1}\n",
                          "opportunistic, from [tls] policy", "STARTTLS     offered\n",
                          f"fits         not {MX1}\n", "not trusted: self-signed certificate\n",
                          "verdict      encrypted, not authenticated\n"):
                self.assertIn(words, text)

    def test_in_clear_where_that_would_be_so(self):
        cases = [((), "in clear: STARTTLS is not offered", False, 2),
                 (("--starttls", "--odds", "STARTTLS:454=1"), "in clear: STARTTLS was refused",
                  True, 3),
                 # And once more, without: EHLO, QUIT.
                 (("--starttls", "--odds", "HANDSHAKE:drop=1"),
                  "in clear: TLS: the peer ended the connection within the handshake", True, 4)]
        for sink, verdict, offered, commands in cases:
            with self.subTest(verdict), Sandbox() as box:
                self.start(box, *sink)
                _, session = self.one(box)
                self.assertEqual((session["verdict"], session["starttls"]), (verdict, offered))
                self.assertIsNone(session["certificate"])
                self.no_mail(box, commands)

    def test_what_requires_tls_would_wait(self):
        cases = [((), "4.7.4 TLS is required, and the receiver does not offer STARTTLS", 2),
                 (("--starttls", "--odds", "STARTTLS:454=1"), "after STARTTLS: 454 ", 3),
                 (("--starttls", "--odds", "HANDSHAKE:drop=1"), "4.7.5 TLS: ", 2),
                 (("--starttls", "--odds", "STARTTLS:inject=1"), "more came than", 2)]
        for sink, words, commands in cases:
            with self.subTest(words), Sandbox() as box:
                self.start(box, *sink, tls='policy = "required"')
                _, session = self.one(box, check=1)
                self.assertRegex(session["verdict"], "^would be deferred: ")
                self.assertIn(words, session["verdict"])
                self.no_mail(box, commands)

    def test_an_injected_reply_ends_it_under_any_policy(self):
        with Sandbox() as box:
            self.start(box, "--starttls", "--odds", "STARTTLS:inject=1")
            _, session = self.one(box, check=1)
            self.assertIn("more came than the reply to STARTTLS", session["verdict"])

    def test_verified(self):
        with Sandbox() as box:
            self.trusting(box, policy="verified")
            _, session = self.one(box)
            self.assertEqual(session["verdict"],
                             f"encrypted and authenticated (a certificate for {MX1})")
            self.assertTrue(session["certificate"]["trusted"])
            self.assertEqual(session["certificate"]["why_not_trusted"], "")
            self.no_mail(box, commands=4)

    def test_a_certificate_that_does_not_do_is_told_all_the_same(self):
        with Sandbox() as box:
            self.trusting(box, name="mx9.sink.example", policy="verified")
            _, session = self.one(box, check=1)
            self.assertIn(f"not for {MX1}", session["verdict"])
            self.assertEqual(session["tls_failure"]["kind"], "host-mismatch")
            shown = session["certificate"]
            self.assertEqual((shown["names"], shown["fits"], shown["trusted"]),
                             (["mx9.sink.example"], [], True))

    def test_a_chain_and_a_time_that_is_over(self):
        with Sandbox() as box:
            root, leaf, expired = self.issue(box)
            for certificate, trusted, kind in ((leaf, True, None), (expired, False, "expired")):
                with self.subTest(kind), Sandbox() as inner:
                    self.start(inner, "--starttls", "--tls-certificate", str(certificate),
                               "--tls-key", str(box.directory / "leaf.key"),
                               tls=f'policy = "verified"\nca_file = "{root}"')
                    _, session = self.one(inner, check=int(kind is not None))
                    self.assertEqual(session.get("tls_failure", {}).get("kind"), kind)
                    shown = session["certificate"]
                    self.assertEqual((shown["chain"], shown["fits"], shown["trusted"]),
                                     (2, [MX1], trusted))
                    self.assertEqual(shown["subject"], "/CN=leaf")
                    self.assertEqual(shown["issuer"], "/CN=root")
                    if not trusted:
                        self.assertLess(shown["valid_until"], time.strftime("%Y-%m-%d"))
                        self.assertEqual(shown["why_not_trusted"], "certificate has expired")

    def test_an_exchanger_that_hangs_ends_by_the_rules_time_outs(self):
        for sink, words in ((("--starttls", "--odds", "HANDSHAKE:hang=1"),
                             "after STARTTLS: 4.7.5 TLS: the handshake took too long"),
                            (("--odds", "CONNECT:hang=1"), "timed out")):
            with self.subTest(words), Sandbox() as box:
                rules = box.directory / "shaping.toml"
                rules.write_text('["default"]\ntls_handshake_timeout = "300ms"\n'
                                 'banner_timeout = "300ms"\n')
                self.start(box, *sink, tls=f'policy = "required"\n[shaping]\nfiles = ["{rules}"]')
                _, session = self.one(box, check=1)
                self.assertRegex(session["verdict"], f"^would be deferred: .*{words}")

    def test_nobody_listens(self):
        with Sandbox() as box:
            self.start(box)
            text = box.config_file.read_text()
            box.config_file.write_text(text.replace(f"port = {box.smtp_port}",
                                                    f"port = {box.http_port}"))
            _, session = self.one(box, check=1)
            self.assertFalse(session["connected"])
            self.assertRegex(session["verdict"], "^would be deferred: connection refused")

    def keep_policy(self, box, pattern, mode="enforce"):
        """As a sender that has fetched it would."""
        box.spool.mkdir()
        policy = {"domain": DOMAIN, "mode": mode, "mx": [pattern], "id": "1",
                  "fetched": int(time.time()), "max_age": 86400}
        (box.spool / "mta-sts.json").write_text(
            '{"version":1,"policies":[\n' + json.dumps(policy) + "\n]}\n")

    def test_a_policy_of_mta_sts_holds(self):
        with Sandbox() as box:
            self.trusting(box)
            self.keep_policy(box, "*.sink.example")
            found, session = self.one(box)
            self.assertEqual((found["policy"], found["from"], found["mta_sts_names_it"]),
                             ("mta-sts", f"MTA-STS of {DOMAIN}", True))
            self.assertEqual(session["verdict"], "encrypted and authenticated (MTA-STS)")

    def test_an_exchanger_that_the_policy_does_not_name(self):
        for mode, used in (("enforce", False), ("testing", True)):
            with self.subTest(mode), Sandbox() as box:
                self.trusting(box)
                self.keep_policy(box, "mx.elsewhere.example", mode)
                found = self.probe(box, check=0 if used else 1)["exchangers"][0]
                self.assertEqual((found["mta_sts_names_it"], found["used"]), (False, used))
                self.assertEqual(len(found["addresses"]), int(used))
                if not used:
                    self.assertRegex(found["words"], "^not used: .*MTA-STS")

    def test_dane(self):
        """Records that a name server vouches for, which hold whatever names and roots say."""
        with Sandbox() as box, contextlib.ExitStack() as stack:
            self.start(box, "--starttls", "--tls-name", "elsewhere.example")
            _, session = self.one(box)
            digest = session["certificate"]["spki_sha256"]
            shown = bytearray(bytes.fromhex(digest))

            def answer(q):
                if q.kind == MX and q.name == DOMAIN:
                    return q.reply(exchanger(b"\2mx" + ASKED), flags=VOUCHED)
                if q.kind == A and q.name == f"mx.{DOMAIN}":
                    return q.reply(address(ASKED, MX1_ADDRESS), flags=VOUCHED)
                if q.kind == TLSA and q.name == f"_{box.smtp_port}._tcp.mx.{DOMAIN}":
                    data = struct.pack("BBB", 3, 1, 1) + shown
                    return q.reply(record(ASKED, TLSA, data), flags=VOUCHED)
                return q.reply(soa="example", flags=VOUCHED)

            box.dns_port = stack.enter_context(NameServer(answer)).port
            box.configure()
            text = box.config_file.read_text()
            box.config_file.write_text(text.replace("[dns]\n", "[dns]\ntrust_ad = true\n"))
            found, session = self.one(box)
            self.assertEqual((found["policy"], found["from"]), ("dane", "DANE"))
            self.assertEqual(found["dane"], {"state": "records", "counts": True, "detail": "",
                                             "records": [f"3 1 1 {digest}"]})
            self.assertTrue(session["dane_matches"])
            self.assertEqual(session["verdict"], "encrypted and authenticated (DANE)")
            shown[0] ^= 1
            _, session = self.one(box, check=1)
            self.assertFalse(session["dane_matches"])
            self.assertEqual(session["tls_failure"]["kind"], "tlsa-mismatch")
            self.assertRegex(session["verdict"], "^would be deferred: after STARTTLS: 4.7.5 ")
            self.assertEqual(session["certificate"]["spki_sha256"], digest)

    def test_many_addresses_of_one_exchanger(self):
        """A few side by side; and each shows its certificate, as no session is resumed."""
        count = 40
        with Sandbox() as box, contextlib.ExitStack() as stack:
            self.start(box, "--starttls", "--rtt", "20ms", exchangers=count)

            def answer(q):
                if q.kind == MX and q.name == DOMAIN:
                    return q.reply(exchanger(b"\2mx" + ASKED))
                if q.kind == A and q.name == f"mx.{DOMAIN}":
                    return q.reply(*(address(ASKED, f"127.0.7.{i + 1}") for i in range(count)))
                return q.reply(soa="example")

            box.dns_port = stack.enter_context(NameServer(answer)).port
            box.configure()
            sessions = self.probe(box)["exchangers"][0]["addresses"]
            self.assertEqual({s["address"] for s in sessions},
                             {f"127.0.7.{i + 1}" for i in range(count)})
            for session in sessions:
                self.assertEqual(session["verdict"], "encrypted, not authenticated")
                self.assertIsNotNone(session["certificate"])
            report = self.no_mail(box, commands=4 * count)
            self.assertLessEqual(report["connections"]["peak"], 16)
            self.assertEqual((report["tls"]["handshakes"], report["tls"]["resumed"]), (count, 0))

    def test_several_domains_and_their_choice(self):
        with Sandbox() as box:
            self.start(box, "--starttls")
            done = box.run("tls-probe", DOMAIN, "nowhere.example", "--config", box.config_file,
                           "--json", check=1)
            good, bad = [json.loads(line) for line in done.stdout.splitlines()]
            self.assertTrue(good["all_deliver"])
            self.assertFalse(bad["usable"])
            self.assertIn("MX lookup failed", bad["failure"]["text"])
            none = self.probe(box, "--family", "ipv6", check=1)
            self.assertEqual(none["exchangers"][0]["addresses"], [])
            self.assertEqual(self.one(box, "--exchanger", MX1.upper() + ".", "--family", "ipv4",
                                      "--source", "default")[0]["name"], MX1)

    def test_messages_that_mend(self):
        with Sandbox() as box:
            self.start(box)
            for options, code, words in (
                    (["--exchanger", "mx7.example"], 65, f"--exchanger takes one of {MX1}"),
                    (["--source", "s9"], 65, "no source s9; it has default"),
                    (["--family", "ipv5"], 64, "ipv5 not in {ipv4,ipv6}"),
                    (["b\x01d"], 65, "is no domain")):
                with self.subTest(options):
                    done = box.run("tls-probe", DOMAIN, *options, "--config", box.config_file,
                                   check=code)
                    self.assertIn(words, done.stderr.decode())
                    self.assertEqual(done.stdout, b"")
            (box.spool).mkdir()
            (box.spool / "mta-sts.json").write_text("none")
            done = box.run("tls-probe", DOMAIN, "--config", box.config_file, check=0)
            self.assertIn("MTA-STS policies that the sender keeps do not count",
                          done.stderr.decode())


if __name__ == "__main__":
    unittest.main()
