"""Limits of real receivers: those that we are told of are never met, the others by backing off.

All mail arrives, and few knocks are in vain.
"""
import json
import re
import unittest

from peers import Scene, setUpModule  # pylint: disable=unused-import
from receivers import Exim, OpenSmtpd, Postfix

CONNECTIONS = 20  # that a site may have open


class ConcurrencyPostfix(Postfix):
    extra = "smtpd_client_event_limit_exceptions =\nsmtpd_client_connection_count_limit = 2\n"


class RatePostfix(Postfix):
    extra = ("smtpd_client_event_limit_exceptions =\nsmtpd_client_connection_rate_limit = 4\n"
             "anvil_rate_time_unit = 2s\n")


class ConcurrencyExim(Exim):
    extra = "smtp_accept_max_per_host = 2\n"


class MessageRatePostfix(Postfix):
    extra = ("smtpd_client_event_limit_exceptions =\nsmtpd_client_message_rate_limit = 60\n"
             "anvil_rate_time_unit = 2s\n")


class ShortExim(Exim):
    extra = "smtp_accept_max_per_connection = 20\n"


class Sending(unittest.TestCase):
    def send(self, receiver, messages, rules=""):
        """Sends that many messages; returns the server's log and the events."""
        with Scene(receiver) as scene:
            [server] = scene.receivers
            (scene.directory / "shaping.toml").write_text(
                f'["default"]\n{rules or "connection_limit = " + str(CONNECTIONS)}\n')
            scene.configure(extra=f'[shaping]\nfiles = ["{scene.directory}/shaping.toml"]\n')
            scene.start_sender()
            recipients = [f"user-{i}@{receiver.domain(i)}" for i in range(messages)]
            scene.submit(scene.write_job(rows=[f"{r},Name" for r in recipients]), "--wait")
            self.assertEqual({row["state"] for row in scene.report("news")}, {"delivered"})
            self.assertEqual(sorted(mail.recipient() for mail in server.stored(messages)),
                             sorted(recipients), "each recipient exactly once")
            self.assertEqual(scene.sender.stop(), 0, scene.sender.text())
            done = scene.run("log", "--config", scene.config_file, check=0)
            events = [json.loads(line) for line in done.stdout.decode().splitlines()]
            return server.log(), events


class NotTold(Sending):
    def check_refused(self, log, events, refusal, most):
        refused = len(re.findall(refusal, log))
        self.assertGreater(refused, 0, "the limit was never met")
        # A limit of the whole site is no row's fault: none is put off for it.
        self.assertEqual({e["type"] for e in events}, {"Delivery"})
        self.assertLessEqual(refused, most)

    def check_concurrency(self, receiver, messages, refusal):
        log, events = self.send(receiver, messages)
        pauses = len({line[:19] for line in log.splitlines() if refusal in line})
        # At first as many as may be open, then one or two after each pause.
        self.check_refused(log, events, refusal, CONNECTIONS + 2 * pauses)

    def test_postfix_concurrent_connections(self):
        self.check_concurrency(ConcurrencyPostfix, 2000, "Connection concurrency limit exceeded")

    def test_exim_concurrent_connections(self):
        self.check_concurrency(ConcurrencyExim, 1000,
                               "refused: too many connections from that IP")

    def test_postfix_connection_rate(self):
        # 20 connections are needed and 4 in two seconds allowed: ten seconds at least.
        log, events = self.send(RatePostfix, 400, "max_deliveries_per_connection = 20")
        accepted = len({e["session_id"] for e in events if e["type"] == "Delivery"})
        # At first as many as may be open, then each that is accepted gives leave to try once more.
        self.check_refused(log, events, "Connection rate limit exceeded", CONNECTIONS + accepted)

    def check_messages_a_connection(self, events, code, words):
        """One refused MAIL ends a session: it is not asked again and again."""
        refused = [e for e in events if e["type"] == "TransientFailure"]
        sessions = [e["session_id"] for e in refused]
        self.assertTrue(sessions, "the limit was never met")
        for event in refused:
            self.assertEqual((event["response"]["code"], event["response"]["command"]),
                             (code, "MAIL"))
            self.assertIn(words, event["response"]["content"])
        self.assertEqual(len(sessions), len(set(sessions)), "asked again after a refusal")

    def test_exim_messages_a_connection(self):
        _, events = self.send(ShortExim, 1000)
        self.check_messages_a_connection(events, 421, "too many messages in this connection")

    def test_opensmtpd_messages_a_connection(self):
        # A hundred, as OpenSMTPD comes.
        _, events = self.send(OpenSmtpd, 150, "connection_limit = 1")
        self.check_messages_a_connection(events, 452, "Too many messages sent")


class Told(Sending):
    """The receiver counts for itself, and has nothing to refuse."""

    def check_kept(self, receiver, messages, rules, refusal, late=0):
        log, events = self.send(receiver, messages, rules)
        self.assertLessEqual(len(re.findall(refusal, log)), late)
        self.assertEqual({e["type"] for e in events}, {"Delivery"})

    def test_postfix_message_rate(self):
        # Postfix's clock has whole seconds, its two are up to three: 60 in them are allowed.
        self.check_kept(MessageRatePostfix, 150, 'max_message_rate = "19/s"',
                        "Message delivery request rate limit exceeded")

    def test_postfix_refuses_what_is_faster(self):
        # Else the one before proves nothing.
        log, _ = self.send(MessageRatePostfix, 150, 'max_message_rate = "60/s"')
        self.assertIn("Message delivery request rate limit exceeded", log)

    def test_postfix_connection_rate(self):
        self.check_kept(RatePostfix, 40, 'max_connection_rate = "1/s"\n'
                        "max_deliveries_per_connection = 5", "Connection rate limit exceeded")

    def test_postfix_concurrent_connections(self):
        self.check_kept(ConcurrencyPostfix, 1000, "connection_limit = 2\n"
                        "max_deliveries_per_connection = 20",
                        "Connection concurrency limit exceeded")

    def test_exim_concurrent_connections(self):
        # Exim counts a session until its daemon has seen the process end, after the connection has:
        # of eight that follow another some may come too early for it.
        self.check_kept(ConcurrencyExim, 200, "connection_limit = 2\n"
                        "max_deliveries_per_connection = 20",
                        "refused: too many connections from that IP", late=3)


if __name__ == "__main__":
    unittest.main()
