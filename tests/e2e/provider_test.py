"""Limits of a provider and of a source; what shaping files may say and where `resolve` finds it."""
import json
import unittest

import sink_log
from harness import Process, Sandbox, SLUICE

SITES = 4
ZONES = "".join(f"d{i}.example MX 10 mx{i}.big.example\nmx{i}.big.example A 127.0.7.{1 + i}\n"
                for i in range(SITES)) + ("other.example MX 10 mx.other.example\n"
                                          "mx.other.example A 127.0.7.5\n")
SOURCES = '''
[[source]]
name = "slow"
address = "127.0.8.1"
hello = "slow.sender.example"
[[source]]
name = "fast"
address = "127.0.8.2"
hello = "fast.sender.example"
[[pool]]
name = "default"
sources = ["slow", "fast"]
'''
# What is on its way may arrive together.
ON_THE_WAY = 5


class Limited(Sandbox):
    """A sandbox with the zones above and these rules."""

    def __init__(self, rules, extra="", shards=1):
        super().__init__()
        self.rules = self.directory / "rules.toml"
        self.rules.write_text(rules)
        (self.directory / "zones").write_text(ZONES)
        self.log = self.directory / "log"
        self.configure(extra=extra + f'[shaping]\nfiles = ["{self.rules}"]\n')
        text = self.config_file.read_text()
        self.config_file.write_text(text.replace("shards = 1", f"shards = {shards}"))

    def start(self, *sink_options):
        self.start_sink("--zone-file", str(self.directory / "zones"), "--log", str(self.log),
                        *sink_options, exchangers=SITES + 1, zone=None)
        self.start_sender()

    def line_of(self, text):
        """Where the rules say so, as `resolve` names it."""
        lines = self.rules.read_text().splitlines()
        [number] = [i for i, line in enumerate(lines, 1) if text in line]
        return number


class Provider(unittest.TestCase):
    RULES = """
["default"]
connection_limit = 10
[provider."big"]
match = [{MXSuffix = ".big.example"}]
provider_connection_limit = 3
provider_max_message_rate = "100/s,max_burst=20"
"""

    def check(self, shards):
        with Limited(self.RULES, shards=shards) as box:
            box.start("--rtt", "20ms")
            mail = [f"u{i}@d{i % SITES}.example,N" for i in range(300)]
            other = [f"o{i}@other.example,N" for i in range(300)]
            box.submit(box.write_job(rows=mail))
            box.submit(box.write_job("others", rows=other))
            self.assertEqual(box.wait_done("others")["delivered"], 300)
            self.assertEqual(box.wait_done("news")["delivered"], 300)
            events = sink_log.read(box.log)
            of_big = [e for e in events if e.address != f"127.0.7.{SITES + 1}:{box.smtp_port}"]
            self.assertLessEqual(sink_log.most_open(of_big)[0], 3)
            times = sink_log.times(of_big)
            self.assertEqual(len(times), 300)
            self.assertLessEqual(sink_log.burst_needed(times, 100), 20 + ON_THE_WAY)
            # Before the mail of three of them is all gone.
            reached = {e.address for e in sink_log.messages(of_big)[:200]}
            self.assertEqual(len(reached), SITES, "all sites of the provider have their turn")
            rest = [e for e in events if e.address == f"127.0.7.{SITES + 1}:{box.smtp_port}"]
            self.assertLess(sink_log.times(rest)[-1], times[-1],
                            "the provider's limits held back a site that is not of it")

    def test_its_limits_are_shared_by_its_sites(self):
        self.check(shards=1)

    def test_its_limits_are_shared_by_all_shards(self):
        self.check(shards=4)


class OfSource(unittest.TestCase):
    RULES = """
["default"]
connection_limit = 10
["default".sources."slow"]
connection_limit = 1
max_message_rate = "40/s,max_burst=4"
"""

    def test_limits_of_one_source_leave_the_other_alone(self):
        with Limited(self.RULES, SOURCES) as box:
            box.start("--rtt", "10ms")
            # Of one site: what a source sends of it goes by that source's limits.
            rows = [f"u{i}@d0.example,N" for i in range(20_000)]
            box.submit(box.write_job(rows=rows))
            slow = box.wait_for(lambda: self.of(box, "127.0.8.1", 80), "mail of the slow source")
            events = sink_log.read(box.log)
            mine = {e.connection for e in events
                    if e.kind == "open" and e.who.startswith("127.0.8.1:")}
            self.assertEqual(sink_log.most_open([e for e in events if e.connection in mine])[0], 1)
            self.assertLessEqual(sink_log.burst_needed(slow, 40), 4 + ON_THE_WAY)
            fast = self.of(box, "127.0.8.2", 1)
            self.assertGreater(len(fast), 4 * len(slow))

    @staticmethod
    def of(box, address, count):
        """When mail came from that address; nothing before there are so many."""
        events = sink_log.read(box.log)
        mine = {e.connection for e in events
                if e.kind == "open" and e.who.startswith(address + ":")}
        times = sink_log.times([e for e in events if e.connection in mine])
        return times if len(times) >= count else None


class Files(unittest.TestCase):
    def refused(self, rules):
        """What a start with these rules says, which fails."""
        with Limited(rules) as box:
            process = Process([SLUICE, "run", "--config", str(box.config_file)])
            box.started.append(process)
            self.assertEqual(process.finish(), 78, process.text())
            return process.text()

    def test_a_key_that_nobody_knows_is_refused_with_a_suggestion(self):
        said = self.refused('["default"]\nconection_limit = 3\n')
        self.assertRegex(said, r"rules\.toml:2:1: unknown key default\.conection_limit; "
                               r"did you mean default\.connection_limit\?")

    def test_an_automation_that_is_none_is_refused(self):
        said = self.refused('["default"]\nconnection_limit = 3\n[["default".automation]]\n'
                            'regex = "too many (messages"\naction = "Suspend"\n'
                            'duration = "1 hour"\n')
        self.assertIn("rules.toml:4:", said)
        said = self.refused('[["default".automation]]\nregex = "too many"\naction = "Suspnd"\n'
                            'duration = "1 hour"\n')
        self.assertIn("rules.toml:3:", said)
        self.assertIn("Suspend", said)
        said = self.refused('[["default".automation]]\nregex = "too many"\naction = "Suspend"\n')
        self.assertIn("duration", said)

    def test_what_is_not_built_is_named_in_one_warning(self):
        rules = ('["default"]\nconnection_limit = 3\nehlo_domain = "x"\n'
                 'source_selection_rate = "10/s"\n[["default".automation]]\nregex = "too many"\n'
                 'action = [{SetConfig = {name = "max_message_rate", value = "1/s"}}, "Suspend"]\n'
                 'trigger = {Threshold = "2/hr"}\nduration = "1 hour"\n'
                 '["d0.example"]\nehlo_domain = "x"\n')
        with Limited(rules) as box:
            box.start()
            said = [line for line in box.sender.lines if "not built yet" in line]
            self.assertEqual(len(said), 1, box.sender.text())
            for name in ("ehlo_domain", "source_selection_rate", "automation"):
                self.assertEqual(said[0].count(name), 1, said[0])
            box.submit(box.write_job(rows=["a@d0.example,N"]), "--wait")


class Resolve(unittest.TestCase):
    RULES = """
["default"]
connection_limit = 10
max_message_rate = "50/s"
["d0.example"]
connection_limit = 2
["d0.example".sources."slow"]
max_message_rate = "7/min"
[provider."big"]
match = [{MXSuffix = ".big.example"}]
provider_max_message_rate = "1,000/hr"
max_deliveries_per_connection = 33
"""

    def check(self, box, *options):
        done = box.run("resolve", "d0.example", "other.example", "--json", "--config",
                       box.config_file, *options, check=0)
        of_big, other = map(json.loads, done.stdout.decode().splitlines())
        limits = {source["source"]: source["limits"] for source in of_big["sources"]}
        for source, key, value, line in (
                ("slow", "connection_limit", "2", "connection_limit = 2"),
                ("slow", "max_message_rate", "7/min", '"7/min"'),
                ("fast", "max_message_rate", "50/s", '"50/s"'),
                ("fast", "provider_max_message_rate", "1000/h", '"1,000/hr"'),
                ("fast", "max_deliveries_per_connection", "33", "= 33")):
            found = limits[source][key]
            self.assertEqual(found["value"].split(",")[0], value, (source, key))
            self.assertEqual(found["from"], f"{box.rules}:{box.line_of(line)}", (source, key))
        self.assertEqual({source["provider"] for source in of_big["sources"]}, {"big"})
        for source in other["sources"]:
            self.assertNotIn("provider_max_message_rate", source["limits"])
            self.assertEqual(source["limits"]["connection_limit"]["from"],
                             f'{box.rules}:{box.line_of("connection_limit = 10")}')
            self.assertEqual(source["limits"]["idle_timeout"]["from"], "default")
        text = box.run("resolve", "d0.example", "--config", box.config_file, *options, check=0)
        self.assertIn(f'rules.toml:{box.line_of("= 33")}', text.stdout.decode())

    def test_it_names_the_line_that_says_so(self):
        with Limited(self.RULES, SOURCES) as box:
            box.start()
            self.check(box)
            self.check(box, "--dns")
            self.assertEqual(box.sender.stop(), 0)
            self.check(box)


if __name__ == "__main__":
    unittest.main()
