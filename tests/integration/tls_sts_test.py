"""MTA-STS (RFC 8461) through the whole program: policies that it fetches over HTTPS from hosts that
behave or do not, and what becomes of mail by them."""
import json
import re
import select
import tempfile
import time
import unittest
from typing import NamedTuple

import sink_log
import ways
from peers import RESOLVER, setUpModule  # pylint: disable=unused-import
from policy_host import PATH, Answer, PolicyHost, kept_policies, policy
from tls_peers import Authority
from tls_world import DNS_PORT, World, facts

STS = "sts.example"
HOST = "127.0.9.1"
HASTY = '["default"]\nconsecutive_connection_failures_before_delay = 99\n'
SHORT = 300  # seconds that a policy holds
# Where that host listens too, and nobody is allowed to go.
PRIVATE = "10.9.9.9"
# Receivers by their addresses. GOOD shows a certificate for *.sts.example.
GOOD, ELSEWHERE, SELF_SIGNED, EXPIRED, PLAIN = (f"127.0.8.{n}" for n in (1, 2, 3, 4, 5))

# What becomes of a recipient: delivered, with what the event says of TLS; or words why it is held.
PROVED = ("mta-sts", "names", None)
ANY = ("opportunistic", None, None)
CLEAR = ("opportunistic", None, "STARTTLS is not offered")
NOT_NAMED = "the domain's MTA-STS policy does not name it"
NOT_OFFERED = "TLS is required, and the receiver does not offer STARTTLS"


class Row(NamedTuple):
    """exchangers: the addresses of LABEL-1, LABEL-2...; `at`: the one that the mail comes to.
    answer: of the policy host, or a text that it gives as it should; None: there is no policy.
    says: a regular expression for what `sluice resolve` says of it. code: what mail would be
    deferred with. host: the policy host's address. asked: whether it hears what is asked for.
    lines: further ones of the zone."""
    label: str
    ours: object
    answer: object = None
    exchangers: tuple = (GOOD,)
    at: int = 1
    says: str = ""
    code: str = ""
    host: str = HOST
    asked: bool = True
    lines: tuple = ()


def named(label, number=1):
    return f"{label}-{number}.{STS}"


def enforced():
    """Under "enforce"."""
    def row(label, ours, exchangers, patterns=None, **more):
        patterns = patterns or [named(label, n + 1) for n in range(len(exchangers))]
        says = "^enforce for " + re.escape(", ".join(patterns)) + ", until 2"
        return Row(label, ours, policy("enforce", *patterns), exchangers, says=says, **more)
    yield row("good", PROVED, (GOOD,))
    yield row("second-named", PROVED, (GOOD, GOOD), [named("second-named", 2)], at=2)
    yield row("not-named", NOT_NAMED, (GOOD,), [named("good")])
    yield row("pattern", PROVED, (GOOD,), ["*." + STS])
    yield row("pattern-below", NOT_NAMED, (GOOD,), ["*.below." + STS])
    yield row("pattern-itself", NOT_NAMED, (GOOD,), ["*." + named("pattern-itself")])
    yield row("elsewhere", "TLS: .*elsewhere.example", (ELSEWHERE,), code="4.7.5")
    yield row("self-signed", "TLS: .*self-signed", (SELF_SIGNED,), code="4.7.5")
    yield row("expired", "TLS: .*expired", (EXPIRED,), code="4.7.5")
    yield row("in-clear", NOT_OFFERED, (PLAIN,), code="4.7.4")
    yield row("bad-then-good", PROVED, (SELF_SIGNED, GOOD), at=2)
    yield row("clear-then-good", PROVED, (PLAIN, GOOD), at=2)
    yield row("bad-twice", "TLS: ", (SELF_SIGNED, ELSEWHERE), code="4.7.5")


def not_enforced():
    for mode in ("testing", "none"):
        for what, address, ours in (("good", GOOD, ANY), ("elsewhere", ELSEWHERE, ANY),
                                    ("plain", PLAIN, CLEAR)):
            yield Row(f"{mode}-{what}", ours, policy(mode, named("another")), (address,),
                      says=f"^{mode} for {named('another')}, until 2")


def not_believed(authority, stranger):
    """Hosts whose policy nobody may believe: by it, nothing could be delivered."""
    strict = policy("enforce", named("another"))

    def row(label, why, shown=None, host=HOST, **answer):
        name = f"mta-sts.{label}.{STS}"
        answer = {"shown": shown or authority.issue(name), "text": strict, **answer}
        return Row(label, ANY, Answer(**answer), (SELF_SIGNED,), host=host,
                   asked=shown is None and host == HOST,
                   says=f"^no policy; the fetch of id 1 failed: {why}")
    at = "https://mta-sts[.]{}[.]sts[.]example: "
    yield row("by-stranger", at.format("by-stranger") + ".*issuer certificate",
              stranger.issue(f"mta-sts.by-stranger.{STS}"))
    yield row("by-itself", at.format("by-itself") + ".*self.signed",
              authority.self_signed(f"mta-sts.by-itself.{STS}"))
    yield row("other-name", at.format("other-name") + ".*no alternative certificate",
              authority.issue(f"other-name.{STS}"))
    yield row("too-old", at.format("too-old") + ".*expired",
              authority.issue(f"mta-sts.too-old.{STS}", days=-1))
    for status in (301, 404, 500):
        yield row(f"status-{status}", at.format(f"status-{status}") + f"status {status} instead",
                  status=status, headers=(("Location", f"https://mta-sts.good.{STS}/"
                                           ".well-known/mta-sts.txt"),))
    yield row("html", at.format("html") + "the policy is not text/plain", kind="text/html")
    large = strict + "extra: " + "x" * 65536 + "\r\n"
    yield row("large", at.format("large") + "Maximum file size", text=large)
    yield row("endless", at.format("endless") + "the answer is larger than 64 KiB", text=large,
              length=False)
    yield row("no-version", "the policy's version is not STSv1",
              text=strict.replace("version", "revision"))
    yield row("no-mode", "the policy's mode is not enforce, testing or none",
              text=strict.replace("enforce", "believe"))
    yield row("no-mx", "the policy has no mx", text=policy("enforce"))
    yield row("nobody", at.format("nobody") + ".*[Cc]onnect", host="127.0.9.2")
    yield row("private", "mta-sts[.]private[.]sts[.]example: [0-9.]+ is a private or other special",
              host=PRIVATE)


def sharing(authority):
    """Domains of one exchanger, which shows a certificate that no policy can like."""
    def row(label, ours, answer=None, says="", asked=True):
        return Row(label, ours, answer, (), says=says, asked=asked,
                   lines=(f"{label} MX 10 shared",))
    strict = policy("enforce", f"shared.{STS}")
    yield row("shared-strict", "TLS: .*self-signed", strict, "^enforce for shared.sts.example,")
    for stall in ("handshake", "reply", "body"):
        label = f"stalled-{stall}"
        shown = authority.issue(f"mta-sts.{label}.{STS}")
        yield row(label, ANY, Answer(shown, strict, stall=stall),
                  f"^no policy; the fetch of id 1 failed: https://mta-sts.{label}.{STS}: .*time",
                  stall != "handshake")
    yield row("shared-free", ANY, asked=False)


def record(label, number=1):
    return f'_mta-sts.{label} TXT "v=STSv1; id={number};"'


def recipient(row):
    return f"user@{row.label}.{STS}"


class Sts(unittest.TestCase):
    def setUp(self):
        authorities = []
        for _ in range(2):
            folder = tempfile.TemporaryDirectory(prefix="sluice-tls-")
            self.addCleanup(folder.cleanup)
            authorities.append(Authority(folder.name))
        self.authority, self.stranger = authorities
        wild = f"*.{STS}"
        self.shown = {GOOD: self.authority.issue(wild), PLAIN: None,
                      EXPIRED: self.authority.issue(wild, days=-1),
                      ELSEWHERE: self.authority.issue("elsewhere.example"),
                      SELF_SIGNED: self.authority.self_signed(wild)}

    def world(self, rows):
        self.zone = [f"shared A {SELF_SIGNED}"]
        for row in rows:
            if row.answer:
                self.zone += [record(row.label), f"mta-sts.{row.label} A {row.host}"]
            for number, address in enumerate(row.exchangers, 1):
                host = f"{row.label}-{number}"
                self.zone += [f"{row.label} MX {number}0 {host}", f"{host} A {address}"]
            self.zone += row.lines
        # What has changed is asked for as soon as the program's own cache lets go of it.
        world = World({STS: self.zone}, ttl=1)
        self.addCleanup(world.__exit__, None, None, None)
        self.sinks = {address: world.receive(address, shown)
                      for address, shown in self.shown.items()}
        self.host, self.private = PolicyHost(HOST), PolicyHost(PRIVATE)
        for host in (self.host, self.private):
            self.addCleanup(host.close)
        for row in filter(lambda row: row.answer, rows):
            self.serve(row.label, row.answer, self.private if row.host == PRIVATE else self.host)
        return world

    def serve(self, label, answer, host=None):
        domain = f"{label}.{STS}"
        if isinstance(answer, str):
            answer = Answer(self.authority.issue("mta-sts." + domain), answer)
        (host or self.host).serve(domain, answer)

    def begin(self, world, patient=True):
        """Whose sender is not patient tries held mail again and again; the other's connections stay
        open, also when a policy changes, and it reports, which policies in testing mode are for."""
        rules = '["default"]\nidle_timeout = "10m"\n' if patient else HASTY
        ways.configure(world, [f"{RESOLVER}:{DNS_PORT}"], rules=rules)
        text = world.config_file.read_text()
        if not patient:
            text = text.replace('"10m"', '"1s"\nmax_retry_interval = "2s"')
        text += f'[tls]\nca_file = "{self.authority.root_file}"\n'
        world.config_file.write_text(text + ('report_from = "tls@sender.example"\n' * patient))
        world.start_sender()

    def test_table(self):
        """What stalls is given up after a minute: all else is looked at meanwhile."""
        table = [*enforced(), *not_enforced(), *not_believed(self.authority, self.stranger)]
        shared = list(sharing(self.authority))
        changing = Row("changing", ANY, policy("testing", named("changing")))
        world = self.world([*table, *shared, changing])
        self.begin(world)
        self.check_sharing(world, shared)
        ways.submit(world, [recipient(row) for row in (*table, changing)], "table")
        self.settle(world, (*table, changing), "table")
        self.check_words(world, table)
        self.check_probes(world, table)
        self.check_new_id(world)
        self.settle(world, shared, "shared", 120)
        self.check_words(world, shared)
        self.check_held(world, [*table, *shared])
        self.assertEqual(world.sender.stop(), 0)
        self.check_outcomes(world, [*table, *shared])
        self.check_requests([*table, *shared])
        # Where no sender runs: what it has kept, and what is fetched for the question.
        self.check_words(world, [row for row in table
                                 if row.label in ("good", "none-good", "status-404", "private")])

    def test_what_is_kept(self):
        """A policy outlives the process, its host and its record, but not its max_age."""
        kept, held = "kept", "kept-held"
        rows = [Row(kept, PROVED, policy("enforce", named(kept))),
                Row(held, "TLS: ", policy("enforce", named(held)), (ELSEWHERE,)),
                Row("short", ANY, policy("enforce", named("short"), max_age=SHORT), (ELSEWHERE,))]
        world = self.world(rows)
        self.begin(world, patient=False)
        ways.submit(world, map(recipient, rows), "first")
        self.settle(world, [*rows[:2], rows[2]._replace(ours="")], "first")
        self.assertEqual(world.sender.stop(), 0)
        stored = kept_policies(world.spool)
        self.assertEqual({domain: (each["mode"], each["id"], each["mx"], each["max_age"])
                          for domain, each in stored.items()},
                         {f"{row.label}.{STS}": ("enforce", "1", [named(row.label)], max_age)
                          for row, max_age in zip(rows, (604800, 604800, SHORT))})

        self.host.close()
        world.change(STS, [line for line in self.zone if "TXT" not in line
                           and not line.startswith("mta-sts.")])
        world.wait_for(lambda: not self.records(world, kept), "a record that is gone")
        end = self.let_it_end_soon(world, "short", stored)
        world.start_sender()
        ways.submit(world, ["second@" + f"{row.label}.{STS}" for row in rows], "second")
        ways.settle(world, {f"second@{kept}.{STS}": "delivered"}, "second")
        found = ways.resolve(world, f"{kept}.{STS}")
        self.assertEqual(self.records(world, kept), [])
        self.assertRegex(found["mta_sts"], f"^enforce for {named(kept)}, until 2")
        # Tried again and again, they wait until their policy is over.
        for job, who in (("first", "user"), ("second", "second")):
            ways.settle(world, {f"{who}@{held}.{STS}": "waiting",
                                f"{who}@short.{STS}": "delivered"}, job, 60)
        self.assertEqual(ways.resolve(world, f"short.{STS}")["mta_sts"], "no policy")
        self.assertEqual(world.sender.stop(), 0)

        events = ways.events(world)
        for who in ("user", "second"):
            [event] = events[f"{who}@{kept}.{STS}"]
            self.assertEqual(facts(event), PROVED)
            self.assertEqual(events[f"{who}@{held}.{STS}"], [])
            [event] = events[f"{who}@short.{STS}"]
            self.assertEqual(facts(event), ANY)
            self.assertGreaterEqual(event["timestamp"], end)
        tries = sink_log.read(self.sinks[ELSEWHERE].log_file)
        self.assertGreater(sum(event.kind == "open" for event in tries), 4)

    # --- parts of the stories

    def check_sharing(self, world, shared):
        """Whose policy is on its way waits, and nobody else."""
        ways.submit(world, [recipient(row) for row in shared], "shared")
        stalled = [row for row in shared if row.label.startswith("stalled-")]
        self.assertEqual(len(stalled), 3)
        for row in stalled:
            domain = f"{row.label}.{STS}"
            world.wait_for(lambda: self.host.connections(domain), "somebody who asks")
        self.settle(world, [row._replace(ours="") if row in stalled else row for row in shared],
                    "shared")
        for row in stalled:
            self.assertEqual(ways.resolve(world, f"{row.label}.{STS}")["mta_sts"],
                             "no policy; being fetched")

    @staticmethod
    def records(world, label):
        """The domain's TXT records, as the program sees them."""
        facts_found = ways.resolve(world, f"{label}.{STS}")["facts"]
        [found] = [fact for fact in facts_found if fact["type"] == "TXT"]
        return found["records"] if found["kind"] != "failed" else [found["detail"]]

    @staticmethod
    def let_it_end_soon(world, label, stored):
        """As if it had been fetched almost its max_age ago; returns the second of its end."""
        fetched = stored[f"{label}.{STS}"]["fetched"]
        end = int(time.time()) + 5
        file = world.spool / "mta-sts.json"
        lines = [line.replace(f'"fetched":{fetched}', f'"fetched":{end - SHORT}')
                 if f'"{label}.{STS}"' in line else line
                 for line in file.read_text().splitlines(keepends=True)]
        file.write_text("".join(lines))
        return end

    def settle(self, world, rows, job, seconds=60):
        ways.settle(world, {recipient(row): "waiting" if isinstance(row.ours, str) else "delivered"
                            for row in rows}, job, seconds)

    def check_words(self, world, rows):
        """What `sluice resolve` says of policies."""
        for row in rows:
            with self.subTest(row.label):
                found = ways.resolve(world, f"{row.label}.{STS}")
                if row.says:
                    self.assertRegex(found["mta_sts"], row.says)
                else:
                    self.assertIsNone(found["mta_sts"])
                told = {each["from"] for each in found["tls"]}
                self.assertEqual(told, {f"MTA-STS of {row.label}.{STS}"
                                        if row.says.startswith("^enforce") else "[tls] policy"})

    def check_probes(self, world, rows):
        """What `sluice tls-probe`, which says codes, would do: nothing is refused for good."""
        held = [row for row in rows if isinstance(row.ours, str)]
        world.wait_for(lambda: {f"{row.label}.{STS}" for row in held}
                       <= kept_policies(world.spool).keys(), "policies for others to read")
        for row in held:
            with self.subTest(row.label):
                done = world.run("tls-probe", f"{row.label}.{STS}", "--json", "--config",
                                 world.config_file, check=1)
                exchangers = json.loads(done.stdout)["exchangers"]
                self.assertEqual([each["used"] for each in exchangers],
                                 [row.ours != NOT_NAMED] * len(exchangers))
                for address in (each for found in exchangers for each in found["addresses"]):
                    self.assertFalse(address["delivers"])
                    self.assertRegex(address["verdict"],
                                     f"^would be deferred: after (EHLO|STARTTLS): {row.code} ")

    def check_held(self, world, rows):
        for row in rows:
            if isinstance(row.ours, str):
                with self.subTest(row.label):
                    world.held(named(row.label) if row.exchangers else f"shared.{STS}", row.ours)

    def check_new_id(self, world):
        """The running program follows a policy of another id, once it sees that."""
        domain = f"changing.{STS}"
        self.serve("changing", policy("enforce", named("changing")))
        self.zone[self.zone.index(record("changing"))] = record("changing", 2)
        world.change(STS, self.zone)

        def follows():
            select.select([], [], [], 0.5)
            return ways.resolve(world, domain)["mta_sts"].startswith("enforce")
        self.assertEqual(len(self.host.requests(domain)), 1)
        world.wait_for(follows, "the new policy")
        self.assertEqual(len(self.host.requests(domain)), 2)
        ways.submit(world, ["second@" + domain], "changed")
        ways.settle(world, {"second@" + domain: "delivered"}, "changed")
        self.changed = {"user@" + domain: ANY, "second@" + domain: PROVED}

    def check_outcomes(self, world, rows):
        found = ways.events(world)
        for row in rows:
            with self.subTest(row.label):
                self.check_row(recipient(row), row, found[recipient(row)])
        for address, told in self.changed.items():
            self.assertEqual([facts(event) for event in found[address]], [told])
        self.assertEqual({event["type"] for events in found.values() for event in events},
                         {"Delivery"})

    def check_row(self, who, row, events):
        came = {address: sink.taken()[who] for address, sink in self.sinks.items()
                if who in sink.taken()}
        if isinstance(row.ours, str):
            self.assertEqual((came, events), ({}, []))
            return
        [event] = events
        self.assertEqual(facts(event), row.ours)
        address = row.exchangers[row.at - 1] if row.exchangers else SELF_SIGNED
        self.assertEqual(came, {address: ["" if row.ours == CLEAR else "TLSv1.3"]})
        if row.exchangers:
            self.assertEqual(event["peer_address"]["name"], named(row.label, row.at))

    def check_requests(self, rows):
        """Each host was asked once, for that path; where a redirect leads nobody went."""
        for row in rows:
            domain = f"{row.label}.{STS}"
            with self.subTest(row.label):
                self.assertEqual(self.host.requests(domain),
                                 [(domain, f"{PATH} mta-sts.{domain}")] if row.asked else [])
        self.assertEqual(self.private.connections(), [])


if __name__ == "__main__":
    unittest.main()
