"""Sluice towards Debian's Postfix, Exim and OpenSMTPD with STARTTLS: what a job's policy asks for,
what became of it by the receiver's own word, and by the event record."""
import re
import tempfile
import unittest
from typing import NamedTuple

import ways
from peers import Scene, setUpModule  # pylint: disable=unused-import
from receivers import Exim, OpenSmtpd, Postfix
from tls_peers import NO_CIPHER, Authority, with_tls
from tls_world import facts, held_line

MESSAGES, ON_ONE = 30, 5
ONE_AT_A_TIME = f"""["default"]
connection_limit = 1
max_deliveries_per_connection = {ON_ONE}
consecutive_connection_failures_before_delay = 1
"""
POLICIES = ("opportunistic", "required", "verified")


class Kind(NamedTuple):
    """A receiver. refused: by whom a certificate is looked at, why; broken: nobody can use it."""
    name: str
    certificate: str = "ecdsa"
    versions: str = "both"
    protocol: str = "TLSv1.3"
    refused: str = ""
    broken: bool = False


KINDS = (
    Kind("ecdsa"), Kind("rsa", "rsa"),
    Kind("old", versions="1.2", protocol="TLSv1.2"),
    Kind("old-rsa", "rsa", "1.2", "TLSv1.2"),
    Kind("new", versions="1.3"),
    Kind("no-cipher", versions="1.2", broken=True),
    Kind("expired", "expired", refused="TLS: .*expired"),
    Kind("wrong-name", "wrong-name", refused="TLS: .*elsewhere.example"),
    Kind("self-signed", "self-signed", refused="TLS: .*self-signed"))


def offering(receiver, kind, authority, address):
    """A server of that kind for a zone of its own."""
    zone = f"{kind.name}-{receiver.root_name}.example"
    name = f"mx.{zone}"
    shown = {"ecdsa": lambda: authority.issue(name), "rsa": lambda: authority.issue(name, "rsa"),
             "expired": lambda: authority.issue(name, days=-1),
             "wrong-name": lambda: authority.issue("elsewhere.example"),
             "self-signed": lambda: authority.self_signed(name)}[kind.certificate]()
    made = with_tls(receiver, shown, kind.versions,
                    ciphers=NO_CIPHER if kind.broken else None)
    made.address, made.zone_name = address, zone
    made.accepted = zone.replace(".", "[.]")
    return made


def zones_of(receivers):
    return {receiver.zone_name: ["@ MX 10 mx", f"mx A {receiver.address}"]
            for receiver in receivers}


def said_of_tls(receiver, mail):
    """By the Received header: protocol and cipher; None: it came in clear."""
    [received] = [field for field in mail.trace if field.lower().startswith(b"received:")
                  and b"sender.example" in field]
    form = {Postfix: rb"using (TLSv1[.][23]) with cipher (\S+)",
            Exim: rb"[(](TLS1[.][23])[)]\s+tls\s+(\S+)"}[receiver]
    found = re.search(form, received)
    if found:
        return found.group(1).decode().replace("TLS1", "TLSv1"), found.group(2).decode()
    if b"TLS" in received:
        raise AssertionError(received)
    return None


def plain(cipher):
    """Without what OpenSSL's and GnuTLS's names of it differ in."""
    return re.sub("^TLS_|WITH|[^A-Z0-9]", "", cipher)


class Sender(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="sluice-tls-")
        self.addCleanup(folder.cleanup)
        self.authority = Authority(folder.name)

    def scene(self, receivers, rules=""):
        scene = Scene(zones=zones_of(receivers))
        self.addCleanup(scene.__exit__, None, None, None)
        for receiver in receivers:
            scene.receivers.append(scene.add(receiver(scene.smtp_port)))
        ways.configure(scene, rules=rules)
        with scene.config_file.open("a") as file:
            file.write(f'[tls]\nca_file = "{self.authority.root_file}"\n')
        scene.start_sender()
        return scene

    def submit(self, scene, policy, recipients):
        job = scene.write_job(policy, rows=[f"{address},Name" for address in recipients])
        with (job / "job.toml").open("a") as file:
            file.write(f'[tls]\npolicy = "{policy}"\n')
        scene.submit(job)
        scene.sender.wait_for_line(f"job {policy}-.* taken")

    def check_policies(self, receiver, first):
        made = [offering(receiver, kind, self.authority, f"127.0.{first}.{n}")
                for n, kind in enumerate(KINDS, 1)]
        scene = self.scene(made)
        for policy in POLICIES:
            self.submit(scene, policy, [f"{policy}@{each.zone_name}" for each in made])
        for policy in POLICIES:
            ways.settle(scene, {
                f"{policy}@{each.zone_name}":
                    "waiting" if self.is_held(kind, policy) else "delivered"
                for kind, each in zip(KINDS, made)}, policy)
        for kind, each in zip(KINDS, made):
            if self.is_held(kind, "verified"):
                words = "TLS: .*handshake" if kind.broken else kind.refused
                self.assertRegex(held_line(scene, f"mx.{each.zone_name}"), words)
        self.assertEqual(scene.sender.stop(), 0)
        events = ways.events(scene)
        for kind, server in zip(KINDS, scene.receivers):
            with self.subTest(kind.name):
                stored = {mail.recipient(): mail for mail in server.stored()}
                for policy in POLICIES:
                    recipient = f"{policy}@{server.zone_name}"
                    if self.is_held(kind, policy):
                        self.assertNotIn(recipient, stored)
                        self.assertEqual(events[recipient], [])
                        continue
                    [event] = events[recipient]
                    self.check_delivery(receiver, kind, policy, stored.pop(recipient), event)
                self.assertEqual(stored, {})

    @staticmethod
    def is_held(kind, policy):
        return kind.broken and policy != "opportunistic" or kind.refused and policy == "verified"

    def check_delivery(self, receiver, kind, policy, mail, event):
        by_them = said_of_tls(receiver, mail)
        by_us = (event.get("tls_protocol_version"), event.get("tls_cipher"))
        if kind.broken:
            self.assertIsNone(by_them)
            self.assertEqual(by_us, (None, None))
            told, proved, reason = facts(event)
            self.assertEqual((told, proved), (policy, None))
            self.assertRegex(reason, "^TLS: .*handshake failure")
            return
        self.assertEqual(facts(event), (policy, "names" if policy == "verified" else None, None))
        self.assertEqual(by_us[0], kind.protocol)
        self.assertEqual(by_them[0], kind.protocol)
        self.assertTrue(plain(by_them[1]).endswith(plain(by_us[1])), (by_them, by_us))
        if kind.versions == "1.2":
            self.assertIn("-RSA-" if kind.certificate == "rsa" else "-ECDSA-", by_us[1])
        if policy == "verified":  # what others had proved nothing
            self.assertNotIn("tls_resumed", event)

    def test_postfix(self):
        self.check_policies(Postfix, 31)

    def test_exim(self):
        self.check_policies(Exim, 32)

    def test_sessions_are_resumed(self):
        """One connection at a time, five messages on each."""
        kinds = (Kind("old", versions="1.2"), Kind("new", "rsa", "1.3"))
        made = [offering(receiver, kind, self.authority, f"127.0.{33 + n}.{k}")
                for n, receiver in enumerate((Postfix, Exim)) for k, kind in enumerate(kinds, 1)]
        for each in made[2:]:  # Exim's
            each.extra = "tls_resumption_hosts = *\n"
        scene = self.scene(made, ONE_AT_A_TIME)
        recipients = [f"u{i}@{each.zone_name}" for each in made for i in range(MESSAGES)]
        self.submit(scene, "verified", recipients)
        ways.settle(scene, dict.fromkeys(recipients, "delivered"), "verified", 120)
        self.assertEqual(scene.sender.stop(), 0)
        found = ways.events(scene)
        # Only a full handshake has a signature, as their logs say it. Postfix gives no ticket with
        # a session of TLS 1.3 that is resumed itself, and none is used twice.
        signature = ("", "server-digest", "__ECDSA_SHA256__", "__RSA_PSS")
        for server, full, proof in zip(scene.receivers, (1, 3, 1, 1), signature):
            with self.subTest(server.zone_name):
                events = [event for address in recipients if address.endswith(server.zone_name)
                          for event in found[address]]
                self.assertEqual({facts(event) for event in events}, {("verified", "names", None)})
                resumed = [event for event in events if event.get("tls_resumed")]
                self.assertEqual(len(events) - len(resumed), full * ON_ONE)
                if proof:
                    connections = MESSAGES // ON_ONE
                    lines = [line for line in server.log().splitlines()
                             if "TLS connection established" in line or " P=esmtps " in line]
                    signed = sum(proof in line for line in lines)
                    self.assertEqual(signed * connections, full * len(lines), lines)

    def test_who_breaks_off_every_handshake_gets_it_in_clear_for_an_hour(self):
        made = offering(OpenSmtpd, Kind("broken"), self.authority, "127.0.35.1")
        scene = self.scene([made], ONE_AT_A_TIME)
        [server] = scene.receivers
        recipients = [f"u{i}@{made.zone_name}" for i in range(MESSAGES)]
        self.submit(scene, "opportunistic", recipients)
        ways.settle(scene, dict.fromkeys(recipients, "delivered"), "opportunistic", 120)
        self.assertEqual(server.log().count("SSL routines"), 1)
        self.submit(scene, "required", [f"required@{made.zone_name}"])
        self.assertRegex(held_line(scene, f"mx.{made.zone_name}"),
                         "after STARTTLS: TLS: .*internal error")
        self.assertEqual(ways.states(scene, "required"), {f"required@{made.zone_name}": "waiting"})
        [told] = ways.resolve(scene, made.zone_name)["broken_tls"]
        self.assertRegex(told, "^mx.broken-opensmtpd.example: opportunistic mail goes in clear for "
                         "the next (59|60) min: TLS: .*internal error$")
        self.assertEqual(scene.sender.stop(), 0)
        self.assertEqual({mail.recipient() for mail in server.stored()}, set(recipients))
        found = ways.events(scene)
        self.assertEqual(set(found), set(recipients))
        for [event] in found.values():
            self.assertNotIn("tls_cipher", event)
            told, proved, reason = facts(event)
            self.assertEqual((told, proved), ("opportunistic", None))
            self.assertRegex(reason, "^TLS: .*internal error$")


if __name__ == "__main__":
    unittest.main()
