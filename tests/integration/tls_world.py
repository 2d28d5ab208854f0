"""A network of the test's own: zones of which some are signed, a resolver that validates, receivers
that show certificates made for the test, and the sender.

    with World({"signed.example": [...], "plain.example": [...]}, ["signed.example"]) as world:
        sink = world.receive("127.0.8.1", shown)
        world.begin()

The resolver answers on port 53, where posttls-finger asks it too. A zone whose name begins with
"bogus" is signed with a key that the resolver does not know.
"""
import hashlib
import json
import re
import subprocess

import harness
import sink_log
import ways
from dns_signed_test import key_of
from own_network import OwnNetwork
from peers import RESOLVER, Knot, Scene, Unbound
from tls_peers import openssl

DNS_PORT = 53


def tlsa(certificate, usage, selector, matching):
    """The data of a TLSA record for the first certificate in a PEM text."""
    command = ["openssl", "x509", "-outform", "DER"]
    if selector == 1:
        certificate = openssl("x509", "-noout", "-pubkey", input=certificate)
        command = ["openssl", "pkey", "-pubin", "-outform", "DER"]
    octets = subprocess.run(command, input=certificate.encode(), capture_output=True, timeout=60,
                            check=True).stdout
    found = {0: octets, 1: hashlib.sha256(octets).digest(), 2: hashlib.sha512(octets).digest()}
    return f"{usage} {selector} {matching} {found[matching].hex()}"


class SigningKnot(Knot):
    def __init__(self, port, zones, signed, ttl):
        super().__init__(port, zones)
        self.signed, self.ttl = signed, ttl

    def files(self):
        found = {path: text.replace("$TTL 300", f"$TTL {self.ttl}").replace(
            "86400 300", f"86400 {self.ttl}") for path, text in super().files().items()}
        for zone in self.signed:
            found["/etc/knot/test.conf"] = found["/etc/knot/test.conf"].replace(
                f"  - domain: {zone}\n", f"  - domain: {zone}\n    dnssec-signing: on\n")
        return found


class ValidatingUnbound(Unbound):
    def __init__(self, authority_port, signed):
        super().__init__(DNS_PORT, authority_port)
        self.signed = signed

    def files(self):
        [(path, text)] = super().files().items()
        lines = ""
        for zone in self.signed:
            whose = self.signed[0] if zone.startswith("bogus") else zone
            lines += f'    trust-anchor: "{zone}. DNSKEY {key_of(whose, self.authority_port)}"\n'
        text = text.replace('"iterator"', '"validator iterator"')
        return {path: text.replace("remote-control:\n", lines + "remote-control:\n")}


class Sink:
    """`sluice sink` at an address. shown: an Identity; None: it does not offer STARTTLS."""

    def __init__(self, world, address, shown, *options):
        self.log_file = world.directory / f"{address}.log"
        self.report_file = world.directory / f"{address}.json"
        command = [harness.SLUICE, "sink", "--listen", f"{address}:{world.smtp_port}", "--exact",
                   "--json", "--log", self.log_file, "--report", self.report_file, *options]
        if shown:
            for option, text in (("--tls-certificate", shown.certificates),
                                 ("--tls-key", shown.key)):
                file = world.directory / f"{address}{option}.pem"
                file.write_text(text)
                command += [option, file]
        self.process = harness.Process([*map(str, command)])
        world.started.append(self.process)
        self.process.wait_for_line('"ready"')

    def taken(self):
        """recipient -> the protocols that its messages came in; "": in clear."""
        found = {}
        for event in sink_log.messages(sink_log.read(self.log_file)):
            found.setdefault(event.who, []).append(event.tls)
        return found

    def asked_for(self):
        """The server names of its sessions."""
        lines = [line.split(" ") for line in self.log_file.read_text().splitlines()]
        return {words[7] for words in lines if words[1] == "tls" and len(words) > 7}

    def finish(self):
        """Its report."""
        self.process.stop()
        return json.loads(self.report_file.read_text())


class World(Scene):
    def __init__(self, zones, signed=(), ttl=300):
        self.network = OwnNetwork()
        self.network.enter()
        self.authority = lambda port, all_zones: SigningKnot(port, all_zones, signed, ttl)
        self.resolver = lambda _, authority_port: ValidatingUnbound(authority_port, signed)
        super().__init__(zones=zones)
        self.dns_port = DNS_PORT

    def __exit__(self, *what):
        super().__exit__(*what)
        self.network.leave()

    def change(self, zone, lines):
        """The authority serves it so from now on."""
        old = self.servers[0]
        old.stop()
        self.servers[0] = self.authority(old.port, {**old.zones, zone: lines}).start()

    def receive(self, address, shown, *options):
        return Sink(self, address, shown, *options)

    def begin(self, tls="", dns="trust_ad = true\n", **settings):
        """Starts the sender. `tls`: lines of [tls]."""
        ways.configure(self, [f"{RESOLVER}:{DNS_PORT}"], dns=dns, **settings)
        with self.config_file.open("a") as file:
            file.write(f"[tls]\n{tls}\n")
        self.start_sender()

    def held(self, exchanger, words):
        """Waits until the site of which that is the first exchanger is not sent to; `words`: why,
        a regular expression."""
        line = held_line(self, exchanger)
        if not re.search(words, line):
            raise AssertionError(f"another reason than {words!r}: {line}")


def held_line(scene, exchanger):
    """The line of the sender's log by which its site is not sent to, once it is there."""
    host, _, zone = map(re.escape, exchanger.partition("."))
    return scene.sender.wait_for_line(
        rf"site ({host}|[(]{host}[|][^ ]*[)])[.]{zone} cannot be reached")


def facts(event):
    """What an event says of TLS: the policy, how the receiver was authenticated, and why it is in
    clear; None: nothing."""
    return (event.get("tls_policy"), event.get("tls_authenticated"), event.get("tls_reason"))
