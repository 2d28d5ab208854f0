"""Sources and pools: weights, addresses that cannot be bound, who sent what."""
import collections
import json
import unittest

from harness import Sandbox


class Sources(unittest.TestCase):
    SOURCES = '''
[[source]]
name = "a"
address = "127.0.8.1"
hello = "a.sender.example"
[[source]]
name = "b"
address = "127.0.8.2"
hello = "b.sender.example"
[[pool]]
name = "default"
sources = [{ source = "a", weight = 3 }, "b"]
'''

    def test_blocks_go_by_weight_and_rows_keep_their_source(self):
        with Sandbox() as box:
            box.start_sink("--recipient-rule", "defer-once:0.2")
            box.configure(extra=self.SOURCES)
            box.start_sender()
            job = box.write_job(rows=[f"u{i}@d{i % 300}.test.example,N" for i in range(1500)])
            box.submit(job, "--wait")
            out = box.report("news")
            self.assertEqual({row["state"] for row in out}, {"delivered"})
            by_source = collections.Counter(row["source"] for row in out)
            self.assertEqual(set(by_source), {"a", "b"})
            self.assertGreater(by_source["a"], by_source["b"])
            events = box.run("log", "--config", box.config_file, check=0).stdout.decode()
            sources = collections.defaultdict(set)
            for line in events.splitlines():
                event = json.loads(line)
                sources[event["row"]].add(event["egress_source"])
            self.assertTrue(all(len(names) == 1 for names in sources.values()))

    def test_an_address_that_is_not_ours_holds_nobody_else_up(self):
        with Sandbox() as box:
            box.start_sink()
            box.configure(extra=self.SOURCES.replace("127.0.8.2", "192.0.2.77"))
            box.start_sender()
            job = box.write_job(rows=[f"u{i}@d{i % 40}.test.example,N" for i in range(200)])
            box.submit(job)
            box.sender.wait_for_line("taken")

            def settled():
                out = box.report("news")
                states = collections.Counter((row["state"], row["source"]) for row in out)
                return states if len(out) == 200 and states[("delivered", "a")] > 100 else None
            states = box.wait_for(settled, "the mail of source a")
            self.assertNotIn(("bounced", "b"), states)
            sites = box.run("status", "--by", "site", "--config", box.config_file, check=0)
            self.assertIn("source b (192.0.2.77): no address of this host", sites.stdout.decode())


if __name__ == "__main__":
    unittest.main()
