#!/usr/bin/env python3
"""TLS towards the receivers: what is encrypted, what authenticated, what never leaves in clear."""
import json
import unittest

from harness import Sandbox

ROWS = [f"u{i}@d{i % 7}.test.example,Name {i}" for i in range(200)]


def events_of(box, *options):
    text = box.run("log", "--config", box.config_file, *options, check=0).stdout.decode()
    return [json.loads(line) for line in text.splitlines()]


class Tls(unittest.TestCase):
    def start(self, box, *sink, tls="", rules=None, exchangers=3):
        box.start_sink(*sink, exchangers=exchangers)
        extra = f"[tls]\n{tls}\n" if tls else ""
        if rules:
            file = box.directory / "shaping.toml"
            file.write_text(rules)
            extra += f'[shaping]\nfiles = ["{file}"]\n'
        box.configure(extra=extra)
        box.start_sender()

    def send(self, box, rows=None, name="news", job=""):
        made = box.write_job(name=name, rows=rows or ROWS)
        toml = made / "job.toml"
        toml.write_text(toml.read_text() + job)
        box.submit(made)

    def events(self, box, count, kind="Delivery"):
        return box.wait_for(lambda: (found := events_of(box, "--type", kind))
                            and len(found) >= count and found, f"{count} events")

    def held(self, box, words):
        """The job waits, and status says why."""
        def reason():
            told = box.run("status", "--by", "site", "--config", box.config_file,
                           check=0).stdout.decode()
            return words in told and told
        return box.wait_for(reason, words)

    def test_is_used_wherever_it_is_offered(self):
        with Sandbox() as box:
            self.start(box, "--starttls")
            self.send(box)
            self.assertEqual(box.wait_done("news")["delivered"], len(ROWS))
            for event in self.events(box, len(ROWS)):
                self.assertEqual(event["tls_protocol_version"], "TLSv1.3")
                self.assertRegex(event["tls_cipher"], r"^TLS_")
                self.assertEqual(event["tls_policy"], "opportunistic")
                self.assertNotIn("tls_authenticated", event)
                self.assertNotIn("tls_reason", event)
            tls = box.stop_sink()["tls"]
            self.assertEqual((tls["messages"], tls["messages_in_clear"]), (len(ROWS), 0))

    def test_where_it_is_not_offered_mail_goes_in_clear(self):
        with Sandbox() as box:
            self.start(box)
            self.send(box)
            self.assertEqual(box.wait_done("news")["delivered"], len(ROWS))
            for event in self.events(box, len(ROWS)):
                self.assertNotIn("tls_cipher", event)
                self.assertEqual(event["tls_policy"], "opportunistic")
                self.assertEqual(event["tls_reason"], "STARTTLS is not offered")

    def test_where_the_handshake_fails_opportunistic_mail_goes_in_clear_for_an_hour(self):
        for fault, reason in (("HANDSHAKE:drop=1", "TLS: "), ("HANDSHAKE:garbage=1", "TLS: "),
                              ("STARTTLS:454=1", "STARTTLS is refused: 454")):
            with self.subTest(fault), Sandbox() as box:
                self.start(box, "--starttls", "--odds", fault, exchangers=1,
                           rules='["default"]\nmax_deliveries_per_connection = 5\n')
                self.send(box)
                self.assertEqual(box.wait_done("news")["delivered"], len(ROWS))
                for event in self.events(box, len(ROWS)):
                    self.assertNotIn("tls_cipher", event)
                    self.assertIn(reason, event["tls_reason"])
                report = box.stop_sink()
                self.assertEqual(report["tls"]["messages_in_clear"], len(ROWS))
                # The first connections are dialled side by side, before any of them knows.
                self.assertLessEqual(sum(report["tls"]["failed"].values()), 20)

    def test_what_requires_it_never_leaves_in_clear(self):
        cases = [((), "does not offer STARTTLS"),
                 (("--starttls", "--odds", "STARTTLS:454=1"), "454"),
                 (("--starttls", "--odds", "HANDSHAKE:drop=1"), "TLS: "),
                 (("--starttls", "--odds", "STARTTLS:inject=1"), "STARTTLS")]
        for sink, words in cases:
            with self.subTest(words), Sandbox() as box:
                self.start(box, *sink)
                self.send(box, job='[tls]\npolicy = "required"\n')
                self.held(box, words)
                report = box.stop_sink()
                self.assertEqual(report["messages"], 0)
                # EHLO, STARTTLS and QUIT: nobody's address is said in clear either.
                self.assertLessEqual(report["commands"], 3 * report["connections"]["accepted"])

    def test_an_injected_reply_is_not_believed(self):
        with Sandbox() as box:
            self.start(box, "--starttls", "--odds", "STARTTLS:inject=1")
            self.send(box)
            self.held(box, "more came than the reply to STARTTLS")
            self.assertEqual(box.stop_sink()["messages"], 0)

    def test_a_job_that_requires_it_and_one_that_does_not_share_a_site(self):
        with Sandbox() as box:
            self.start(box, "--starttls", tls='policy = "none"', exchangers=1)
            self.send(box, name="lax")
            self.send(box, name="strict", job='[tls]\npolicy = "required"\n')
            for name in ("lax", "strict"):
                self.assertEqual(box.wait_done(name)["delivered"], len(ROWS))
            found = self.events(box, 2 * len(ROWS))
            for event in found:
                strict = event["job"].startswith("strict")
                self.assertEqual("tls_cipher" in event, strict)
                self.assertEqual(event.get("tls_policy"), "required" if strict else None)
            self.assertEqual(box.stop_sink()["tls"]["messages"], len(ROWS))

    def test_verified_needs_the_exchangers_certificate(self):
        with Sandbox() as box:
            root = box.directory / "root.pem"
            self.start(box, "--starttls", "--tls-name", "mx1.sink.example", "--tls-ca-out",
                       str(root), tls=f'policy = "verified"\nca_file = "{root}"', exchangers=1)
            self.send(box)
            self.assertEqual(box.wait_done("news")["delivered"], len(ROWS))
            for event in self.events(box, len(ROWS)):
                self.assertEqual(event["tls_policy"], "verified")
                self.assertEqual(event["tls_authenticated"], "names")

    def test_verified_refuses_another_name_and_an_unknown_root(self):
        with Sandbox() as box:
            root = box.directory / "root.pem"
            self.start(box, "--starttls", "--tls-name", "mx9.sink.example", "--tls-ca-out",
                       str(root), tls=f'policy = "verified"\nca_file = "{root}"')
            self.send(box)
            self.held(box, "mx9.sink.example")
            self.assertEqual(box.stop_sink()["messages"], 0)
        with Sandbox() as box:
            self.start(box, "--starttls", "--tls-name", "*.sink.example",
                       tls='policy = "verified"')
            self.send(box)
            self.held(box, "self-signed")
            self.assertEqual(box.stop_sink()["messages"], 0)

    def test_a_rule_asks_for_it_in_kumos_words(self):
        with Sandbox() as box:
            self.start(box, "--starttls", tls='policy = "none"',
                       rules='["d1.test.example"]\nmx_rollup = false\n'
                             'enable_tls = "RequiredInsecure"\n'
                             '["d2.test.example"]\nmx_rollup = false\n'
                             'enable_tls = "OpportunisticInsecure"\n')
            self.send(box)
            self.assertEqual(box.wait_done("news")["delivered"], len(ROWS))
            for event in self.events(box, len(ROWS)):
                policy = {"d1.test.example": "required",
                          "d2.test.example": "opportunistic"}.get(event["queue"])
                self.assertEqual(event.get("tls_policy"), policy, event)
                self.assertEqual("tls_cipher" in event, policy is not None)

    def test_who_takes_no_mail_in_clear_gets_it_encrypted(self):
        with Sandbox() as box:
            self.start(box, "--starttls", "--require-tls", tls='policy = "none"')
            self.send(box)
            summary = box.wait_done("news")
            self.assertEqual(summary["delivered"], len(ROWS))
            # What was refused so was no attempt.
            self.assertEqual(summary["attempts"], len(ROWS))
            self.assertEqual(box.stop_sink()["tls"]["messages_in_clear"], 0)

    def test_sessions_are_resumed(self):
        for versions in ("1.2", "1.3"):
            with self.subTest(versions), Sandbox() as box:
                self.start(box, "--starttls", "--tls-versions", versions, exchangers=1,
                           rules='["default"]\nconnection_limit = 2\n'
                                 'max_deliveries_per_connection = 10\n')
                self.send(box)
                self.assertEqual(box.wait_done("news")["delivered"], len(ROWS))
                found = self.events(box, len(ROWS))
                resumed = sum("tls_resumed" in event for event in found)
                self.assertGreater(resumed, len(ROWS) // 2)
                tls = box.stop_sink()["tls"]
                self.assertGreater(tls["resumed"], tls["handshakes"] // 2)

    def test_only_tls_1_2_and_later(self):
        with Sandbox() as box:
            self.start(box, "--starttls", "--tls-versions", "1.2", "--tls-key-type", "rsa")
            self.send(box)
            self.assertEqual(box.wait_done("news")["delivered"], len(ROWS))
            self.assertEqual({e["tls_protocol_version"] for e in self.events(box, len(ROWS))},
                             {"TLSv1.2"})


if __name__ == "__main__":
    unittest.main()
