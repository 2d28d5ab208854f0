"""posttls-finger looks at TLSA records of a zone that knot signs and unbound validates: verdicts to
compare Sluice's with can be had here, and are what the RFC says."""
import tempfile
import unittest

from dns_signed_test import key_of
from own_network import OwnNetwork
from peers import (POSTFIX, RESOLVER, Knot, Unbound, free_port,
                   setUpModule)  # pylint: disable=unused-import
from receivers import Postfix
from tls_peers import Authority, Finger, Peer, with_tls

SIGNED, UNSIGNED = "signed.example", "unsigned.example"


class SigningKnot(Knot):
    def files(self):
        found = super().files()
        config = found["/etc/knot/test.conf"]
        found["/etc/knot/test.conf"] = config.replace(
            f"  - domain: {SIGNED}\n", f"  - domain: {SIGNED}\n    dnssec-signing: on\n")
        return found


class ValidatingUnbound(Unbound):
    def files(self):
        text = super().files()["/etc/unbound/test.conf"]
        anchor = key_of(SIGNED, self.authority_port)
        return {"/etc/unbound/test.conf":
                text.replace('"iterator"', '"validator iterator"').replace(
                    "remote-control:\n",
                    f'    trust-anchor: "{SIGNED}. DNSKEY {anchor}"\nremote-control:\n')}


class PosttlsFinger(unittest.TestCase):
    def test_records_and_verdicts(self):
        network = OwnNetwork()  # in which port 53 is free
        network.enter()
        self.addCleanup(network.leave)
        folder = tempfile.TemporaryDirectory(prefix="sluice-tls-")
        self.addCleanup(folder.cleanup)
        shown = Authority(folder.name).issue("elsewhere.example", days=-1)
        port = free_port()
        hosts = {"right": f"3 1 1 {shown.tlsa()}", "whole": f"3 0 1 {shown.tlsa(0)}",
                 "wrong": f"3 1 1 {'00' * 32}", "unusable": f"1 1 1 {shown.tlsa()}", "none": None}
        lines = [f"{host} A {POSTFIX}" for host in hosts] + [
            f"_{port}._tcp.{host} TLSA {record}" for host, record in hosts.items() if record]
        self.start(with_tls(Postfix, shown)(port))
        knot = self.start(SigningKnot(free_port(), {
            "example": ["ns A 127.0.0.5"], SIGNED: lines, UNSIGNED: lines}))
        self.start(ValidatingUnbound(53, knot.port))
        with Finger(resolver=RESOLVER) as finger:
            # Names and dates of a certificate do not matter to usage 3. Unusable records demand TLS
            # without authentication; without records, or signatures, it is as it ever was: at these
            # the objection is told and no matter.
            verified, elsewhere = ("Verified", ""), ("Untrusted", "hostname mismatch")
            no_match = ("Untrusted", "no matching DANE TLSA records")
            for zone, host, verdict in ((SIGNED, "right", verified), (SIGNED, "whole", verified),
                                        (SIGNED, "wrong", no_match),
                                        (SIGNED, "unusable", elsewhere),
                                        (SIGNED, "none", elsewhere),
                                        (UNSIGNED, "right", elsewhere),
                                        (UNSIGNED, "wrong", elsewhere)):
                with self.subTest(zone=zone, host=host):
                    peer = Peer(POSTFIX, port, f"{host}.{zone}", shown.root_file)
                    self.assertEqual(finger.look(peer, "dane"), verdict)

    def start(self, server):
        server.start()
        self.addCleanup(server.stop)
        return server


if __name__ == "__main__":
    unittest.main()
