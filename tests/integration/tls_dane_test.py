"""DANE (RFC 7672) row by row, in zones that knot signs and unbound validates: what becomes of mail,
and what posttls-finger, Postfix's client, makes of the same exchangers."""
import re
import subprocess
import tempfile
import unittest
from typing import NamedTuple

import ways
from peers import RESOLVER, free_port, setUpModule  # pylint: disable=unused-import
from tls_peers import Authority, Finger
from tls_world import World, facts, tlsa

SIGNED, UNSIGNED, BOGUS = "signed.example", "unsigned.example", "bogus.example"
# Receivers by their addresses. GOOD shows a certificate for *.signed.example and its issuer's.
GOOD, EXPIRED, ELSEWHERE, PLAIN = (f"127.0.8.{n}" for n in (1, 2, 3, 4))
WRONG = f"3 1 1 {'00' * 32}"
PORT = "PORT"  # stands for the port in the names of TLSA records

# What becomes of a recipient: delivered, with what the event says of TLS; or words why it is held.
PROVED = ("dane", "dane", None)
ENCRYPTED = ("dane", None, None)
ANY = ("opportunistic", None, None)
CLEAR = ("opportunistic", None, "STARTTLS is not offered")
REFUSED = "TLS: .*TLSA"
NOT_KNOWN = "its TLSA records cannot be looked up"
NOT_OFFERED = "does not offer STARTTLS"


class Row(NamedTuple):
    """exchangers: of each the address and its records; `lines` are further ones of the zone.
    finger: its word on each exchanger; `at`: the one that the mail comes to."""
    label: str
    ours: object
    finger: tuple
    exchangers: tuple = ()
    lines: tuple = ()
    at: int = 1
    sni: str = ""


def at(host, *records):
    return tuple(f"_{PORT}._tcp.{host} TLSA {record}" for record in records)


def one(label, ours, finger, address, *records):
    return Row(label, ours, (finger,), ((address, *records),))


def matches(good, authority, stranger):
    """Each form of record, with the data of the certificate shown, and with another's."""
    issuer, other = authority.issuer_file.read_text(), stranger.issuer_file.read_text()
    for selector in (0, 1):
        for matching in (0, 1, 2):
            for usage, own, foreign in ((3, good.certificates, other), (2, issuer, other)):
                form = (usage, selector, matching)
                label = "-".join(map(str, form))
                yield one(f"match-{label}", PROVED, "proved", GOOD, tlsa(own, *form))
                yield one(f"other-{label}", REFUSED, "refused", GOOD, tlsa(foreign, *form))
    root = authority.root_file.read_text()
    # Whoever shows no root is not believed by a digest of it, but by the whole.
    yield one("root-digest", REFUSED, "refused", GOOD, tlsa(root, 2, 0, 1))
    yield one("root-whole", PROVED, "proved", GOOD, tlsa(root, 2, 0, 0))
    yield one("own-as-issuer", REFUSED, "refused", GOOD, tlsa(good.certificates, 2, 1, 1))


def names_and_dates(shown, authority):
    issuer = tlsa(authority.issuer_file.read_text(), 2, 1, 1)
    for label, address in (("expired", EXPIRED), ("elsewhere", ELSEWHERE)):
        own = tlsa(shown[address].certificates, 3, 1, 1)
        yield one(f"{label}-3", PROVED, "proved", address, own)
        yield one(f"{label}-2", "TLS: ", "refused", address, issuer)
    # Under usage 2 the certificate may name the domain, or what that stands for, as well.
    deep = (f"mx.deep A {GOOD}", *at("mx.deep", issuer))
    yield Row("by-domain", PROVED, ("proved",), lines=("by-domain MX 10 mx.deep", *deep))
    yield Row("stands.for.by-alias", PROVED, ("proved",), lines=(
        "stands.for.by-alias CNAME by-alias", "by-alias MX 10 mx.deeper",
        f"mx.deeper A {GOOD}", *at("mx.deeper", issuer)))
    yield Row("too.deep", "TLS: ", ("refused",), lines=(
        "too.deep MX 10 mx.too.deep", f"mx.too.deep A {GOOD}", *at("mx.too.deep", issuer)))


def unusable(right):
    yield one("usage-0", ENCRYPTED, "encrypted", GOOD, "0" + right[1:])
    yield one("usage-1", ENCRYPTED, "encrypted", GOOD, "1" + right[1:])
    yield one("usages-0-and-1", ENCRYPTED, "encrypted", GOOD, "0" + right[1:], "1" + WRONG[1:])
    yield one("matching-9", ENCRYPTED, "encrypted", GOOD, right.replace("3 1 1", "3 1 9"))
    yield one("selector-7", ENCRYPTED, "encrypted", GOOD, right.replace("3 1 1", "3 7 1"))
    yield one("too-short", ENCRYPTED, "encrypted", GOOD, right[:-2])
    yield one("unusable-in-clear", NOT_OFFERED, "in clear", PLAIN, "1" + right[1:])
    yield one("unusable-and-wrong", REFUSED, "refused", GOOD, "1" + right[1:], WRONG)
    yield one("unusable-and-right", PROVED, "proved", GOOD, "1" + right[1:], right)
    yield one("wrong-and-right", PROVED, "proved", GOOD, WRONG, right)


def nothing_counts():
    yield one("denied", ANY, "any", GOOD)
    yield one("denied-in-clear", CLEAR, "in clear", PLAIN)
    yield Row("no-such-type", ANY, ("any",), ((GOOD,),),
              (f'_{PORT}._tcp.no-such-type-1 TXT "not that"',))
    yield Row("insecure-records", ANY, ("any",), ((GOOD,),),
              (f"_{PORT}._tcp.insecure-records-1 CNAME records.{UNSIGNED}.",))
    yield Row("insecure-address", ANY, ("any",), lines=(
        f"insecure-address MX 10 mx.{UNSIGNED}.",))


def not_known(right):
    for label, target in (("bogus", f"records.{BOGUS}."), ("servfail", "records.unserved.")):
        alias = f"_{PORT}._tcp.{label}-1 CNAME {target}"
        yield Row(label, NOT_KNOWN, ("not known",), ((GOOD,),), (alias,))
        both = f"{label}-and-next"
        yield Row(both, PROVED, ("not known", "proved"), ((GOOD,), (GOOD, right)),
                  (alias.replace(label, both, 1),), 2)


def aliases(right):
    target = (f"target A {GOOD}", *at("target", right))
    yield Row("alias", PROVED, ("proved",), lines=(
        "alias MX 10 alias-1", "alias-1 CNAME target", *target), sni="target")
    yield Row("alias-own", PROVED, ("proved",), lines=(
        "alias-own MX 10 alias-own-1", "alias-own-1 CNAME bare", f"bare A {GOOD}",
        *at("alias-own-1", right)), sni="alias-own-1")
    yield Row("alias-worse", PROVED, ("proved",), lines=(
        "alias-worse MX 10 alias-worse-1", "alias-worse-1 CNAME target",
        *at("alias-worse-1", WRONG)), sni="target")
    yield Row("alias-better", REFUSED, ("refused",), lines=(
        "alias-better MX 10 alias-better-1", "alias-better-1 CNAME worse", f"worse A {GOOD}",
        *at("worse", WRONG), *at("alias-better-1", right)))
    for label, record, ours, finger, sni in (
            ("alias-out", right, PROVED, "proved", "alias-out-1"),
            ("alias-out-wrong", WRONG, REFUSED, "refused", "")):
        yield Row(label, ours, (finger,), lines=(
            f"{label} MX 10 {label}-1", f"{label}-1 CNAME mx.{UNSIGNED}.",
            *at(f"{label}-1", record)), sni=sni)


def several(right):
    yield one("in-clear", NOT_OFFERED, "in clear", PLAIN, right)
    yield Row("clear-then-right", PROVED, ("in clear", "proved"), ((PLAIN, right), (GOOD, right)),
              at=2)
    yield Row("wrong-then-right", PROVED, ("refused", "proved"), ((GOOD, WRONG), (GOOD, right)),
              at=2)
    yield Row("wrong-then-none", ANY, ("refused", "any"), ((GOOD, WRONG), (GOOD,)), at=2)
    yield Row("wrong-twice", REFUSED, ("refused", "refused"), ((GOOD, WRONG), (GOOD, WRONG)))
    yield Row("implicit", PROVED, ("proved",), lines=(f"implicit A {GOOD}", *at("implicit", right)))
    yield Row("implicit-wrong", REFUSED, ("refused",),
              lines=(f"implicit-wrong A {GOOD}", *at("implicit-wrong", WRONG)))


def finger_word(finger, destination):
    """What posttls-finger makes of an exchanger."""
    command = ["chroot", finger.root, "/usr/sbin/posttls-finger", "-c", "-o", "dnssec_probe=",
               "-l", "dane", destination]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    said = done.stdout + done.stderr
    if "TLSA lookup error" in said:
        return "not known"
    if "Failed to establish" in said:
        return said
    told = re.search(r"posttls-finger: (\w+) TLS connection established", said)
    if not told:
        lines = [line for line in said.splitlines() if "unsupported TLSA" not in line]
        return "in clear" if done.returncode == 0 and not lines else said
    if told.group(1) == "Verified":
        return "proved"
    if "MX RRset insecure" in said:  # its next word is what it would be, were it secure
        return "insecure MX"
    if re.search("(server|CA) certificate verification failed", said):
        return "refused"
    return "encrypted" if "TLSA" in said else "any"


class Dane(unittest.TestCase):
    def setUp(self):
        authorities = []
        for _ in range(2):
            folder = tempfile.TemporaryDirectory(prefix="sluice-tls-")
            self.addCleanup(folder.cleanup)
            authorities.append(Authority(folder.name))
        self.authority, self.stranger = authorities
        wild = f"*.{SIGNED}"
        self.shown = {GOOD: self.authority.issue(wild), PLAIN: None,
                      EXPIRED: self.authority.issue(wild, days=-1),
                      ELSEWHERE: self.authority.issue("elsewhere.example")}
        self.right = tlsa(self.shown[GOOD].certificates, 3, 1, 1)

    def world(self, rows):
        port = free_port()
        signed = [f"wrong A {GOOD}", *at("wrong", WRONG)]
        for row in rows:
            for number, (address, *records) in enumerate(row.exchangers, 1):
                host = f"{row.label}-{number}"
                signed += [f"{row.label} MX {number}0 {host}", f"{host} A {address}",
                           *at(host, *records)]
            signed += row.lines
        zones = {SIGNED: signed, BOGUS: [f"records TLSA {self.right}"],
                 # The first one's exchanger would be proved to be another.
                 UNSIGNED: [f"insecure-mx MX 10 wrong.{SIGNED}.", f"mx A {GOOD}",
                            *at("mx", WRONG), f"records TLSA {WRONG}"]}
        world = World({zone: [line.replace(PORT, str(port)) for line in lines]
                       for zone, lines in zones.items()}, (SIGNED, BOGUS))
        self.addCleanup(world.__exit__, None, None, None)
        world.smtp_port = port
        self.sinks = {address: world.receive(address, shown)
                      for address, shown in self.shown.items()}
        return world

    def test_table(self):
        rows = [*matches(self.shown[GOOD], self.authority, self.stranger),
                *names_and_dates(self.shown, self.authority), *unusable(self.right),
                *nothing_counts(), *not_known(self.right), *aliases(self.right),
                *several(self.right)]
        world = self.world(rows)
        world.begin()
        outcomes = {f"user@{row.label}.{SIGNED}": row for row in rows}
        outcomes[f"user@insecure-mx.{UNSIGNED}"] = Row("insecure-mx", ANY, ())
        self.send(world, "table", outcomes)
        self.check_words(world)
        self.check_outcomes(world, outcomes)
        self.check_names(rows)
        self.check_finger(world, rows)

    def test_policies_beside_it(self):
        """The strictest of all holds, and what does not match is not rescued by another."""
        rows = [one("right", None, "", GOOD, self.right), one("wrong", None, "", GOOD, WRONG),
                one("elsewhere", None, "", ELSEWHERE,
                    tlsa(self.shown[ELSEWHERE].certificates, 3, 1, 1)),
                one("unusable", None, "", GOOD, "1" + self.right[1:]),
                one("other-unusable", None, "", ELSEWHERE, "1" + self.right[1:]),
                one("none", None, "", GOOD)]
        believed = {"right": PROVED, "wrong": REFUSED, "elsewhere": PROVED, "unusable": ENCRYPTED,
                    "other-unusable": ENCRYPTED}
        nothing = dict.fromkeys([row.label for row in rows], ANY)
        named = ("dane", "names", None)
        settings = {
            "not-trusted": ("", "trust_ad = false\n", nothing),
            "not-wanted": ("dane = false", "trust_ad = true\n", nothing),
            "none": ('policy = "none"', "trust_ad = true\n",
                     {**believed, "none": (None, None, None)}),
            "required": ('policy = "required"', "trust_ad = true\n",
                         {**believed, "none": ("required", None, None)}),
            "verified": (f'policy = "verified"\nca_file = "{self.authority.root_file}"',
                         "trust_ad = true\n",
                         {**believed, "unusable": named, "other-unusable": "elsewhere.example",
                          "none": ("verified", "names", None)})}
        world = self.world(rows)
        for name, (tls, dns, outcomes) in settings.items():
            with self.subTest(name):
                world.begin(tls, dns)
                by_label = {row.label: row for row in rows}
                wanted = {f"{name}@{label}.{SIGNED}": by_label[label]._replace(ours=ours)
                          for label, ours in outcomes.items()}
                self.send(world, name, wanted)
                world.run("cancel", name, "--config", world.config_file)
                world.wait_done(name)
                self.check_outcomes(world, wanted)

    # --- parts of the stories

    def send(self, world, job, outcomes):
        ways.submit(world, outcomes, job)
        held = [row for row in outcomes.values() if isinstance(row.ours, str)]
        for row in held:
            with self.subTest(row.label):
                world.held(f"{self.first_host(row)}.{SIGNED}", row.ours)
        ways.settle(world, {recipient: "waiting" if row in held else "delivered"
                            for recipient, row in outcomes.items()}, job)

    def check_outcomes(self, world, outcomes):
        self.assertEqual(world.sender.stop(), 0)
        found = ways.events(world)
        for recipient, row in outcomes.items():
            with self.subTest(row.label):
                self.check_row(recipient, row, found[recipient])

    @staticmethod
    def first_host(row):
        if row.exchangers:
            return f"{row.label}-1"
        named = re.match(f"{re.escape(row.label)} MX 10 (.*)", row.lines[0])
        return named.group(1) if named else row.label

    def check_row(self, recipient, row, events):
        came = {address: sink.taken()[recipient] for address, sink in self.sinks.items()
                if recipient in sink.taken()}
        if isinstance(row.ours, str):
            self.assertEqual((came, events), ({}, []))
            return
        [event] = events
        self.assertEqual(facts(event), row.ours)
        [(address, protocols)] = came.items()
        in_clear = row.ours in (CLEAR, (None, None, None))
        self.assertEqual(protocols, ["" if in_clear else "TLSv1.3"])
        self.assertEqual(event.get("tls_protocol_version", ""), protocols[0])
        self.assertEqual("tls_cipher" in event, not in_clear)
        if row.exchangers:
            self.assertEqual(address, row.exchangers[row.at - 1][0])
            self.assertEqual(event["peer_address"]["name"], f"{row.label}-{row.at}.{SIGNED}")

    def check_words(self, world):
        """What `sluice resolve` says before anything is sent."""
        for label, words, origin in (
                ("match-3-1-1", "always encrypted, a certificate that one of 1 TLSA records of "
                 f"match-3-1-1-1.{SIGNED} vouches for", "DANE"),
                ("usage-0", "always encrypted, any certificate", "DANE"),
                ("denied", "encrypted where STARTTLS is offered and works, any certificate",
                 "[tls] policy"),
                ("bogus", "not used: its TLSA records cannot be looked up (RFC 7672): the TLSA "
                 f"lookup failed: the server answered SERVFAIL at {RESOLVER}:53", "DANE")):
            with self.subTest(label):
                found = ways.resolve(world, f"{label}.{SIGNED}")
                [told] = found["tls"]
                self.assertEqual((told["words"], told["from"]), (words, origin))
                asked = {fact["type"]: fact["ad"] for fact in found["facts"]}
                self.assertEqual(asked["TLSA"], label != "bogus")

    def check_names(self, rows):
        """Where records count, the session asks for the name that they belong to."""
        names = self.sinks[GOOD].asked_for()
        for row in rows:
            if row.sni:
                with self.subTest(row.label):
                    self.assertIn(f"{row.sni}.{SIGNED}", names)
                    if row.sni != f"{row.label}-1":
                        self.assertNotIn(f"{row.label}-1.{SIGNED}", names)

    def check_finger(self, world, rows):
        with Finger(resolver=RESOLVER) as finger:
            for row in rows:
                # Beyond a domain's first exchanger it does not go: several are named to it.
                places = [f"{row.label}.{SIGNED}"] if len(row.finger) == 1 else [
                    f"[{row.label}-{number}.{SIGNED}]" for number in (1, 2)]
                with self.subTest(row.label):
                    self.assertEqual(tuple(finger_word(finger, f"{place}:{world.smtp_port}")
                                           for place in places), row.finger)
            with self.subTest("insecure-mx"):
                self.assertEqual(finger_word(
                    finger, f"insecure-mx.{UNSIGNED}:{world.smtp_port}"), "insecure MX")


if __name__ == "__main__":
    unittest.main()
