"""The event record: one final event a recipient, whatever happens in between."""
import collections
import json
import os
import signal
import unittest

from harness import Process, Sandbox, SLUICE

FINAL = {"Delivery", "Bounce", "Expiration", "AdminBounce", "Rejection", "Suppression"}


def events_of(box, *options):
    done = box.run("log", "--config", box.config_file, *options, check=0)
    return [json.loads(line) for line in done.stdout.decode().splitlines()]


def by_id(events):
    """What stands there twice counts once."""
    return {event["id"]: event for event in events}


class Events(unittest.TestCase):
    def test_every_recipient_has_one_final_event(self):
        with Sandbox() as box:
            box.start_sink("--recipient-rule", "refuse:0.1", "--recipient-rule", "defer-once:0.1")
            box.configure(extra='[[source]]\nname = "s1"\naddress = "127.0.0.1"\n'
                                '[[pool]]\nname = "default"\nsources = ["s1"]\n')
            box.start_sender()
            job = box.write_job(rows=[f"user{i}@d{i % 40}.test.example,Name {i}"
                                      for i in range(2000)])
            box.submit(job, "--wait", check=1)
            rows = box.report("news")
            self.assertEqual(box.sender.stop(), 0, box.sender.text())
            events = events_of(box, "--job", "news")
            self.assertEqual(len(by_id(events)), len(events), "no crash, no twins")
            self.assertEqual([e["event_time"] for e in events],
                             sorted(e["event_time"] for e in events))
            final = {e["recipient"]: e for e in events if e["type"] in FINAL}
            self.assertEqual(sum(e["type"] in FINAL for e in events), 2000)
            self.assertEqual(len(final), 2000)
            wanted = {"delivered": "Delivery", "bounced": "Bounce"}
            for row in rows:
                event = final[row["recipient"]]
                self.assertEqual(event["type"], wanted[row["state"]])
                self.assertEqual(str(event["row"]), row["row"])
                self.assertEqual(str(event["response"]["code"]), row["code"])
                self.assertEqual(str(event["num_attempts"]), row["attempts"])
            deferred = [e["recipient"] for e in events if e["type"] == "TransientFailure"]
            self.assertEqual(sorted(deferred),
                             sorted(r["recipient"] for r in rows if r["attempts"] == "2"))
            event = final["user7@d7.test.example"]
            self.assertEqual(event["queue"], "d7.test.example")
            self.assertEqual(event["sender"], "news@example.com")
            self.assertEqual(event["egress_source"], "s1")
            self.assertEqual(event["source_address"], {"address": "127.0.0.1"})
            self.assertTrue(event["peer_address"]["addr"].startswith("127.0.7."))
            self.assertTrue(event["size"] > 0)
            # Its filters.
            bounces = events_of(box, "--type", "Bounce")
            self.assertEqual({e["type"] for e in bounces}, {"Bounce"})
            self.assertEqual(len(bounces), sum(r["state"] == "bounced" for r in rows))
            self.assertEqual(events_of(box, "--job", "olds"), [])
            done = box.run("log", "--config", box.config_file, "--type", "Bonce", check=64)
            self.assertIn("did you mean Bounce", done.stderr.decode())

    def test_kill_in_the_middle_misses_no_event(self):
        rows = 20000
        with Sandbox() as box:
            box.start_sink("--rtt", "5ms")
            rules = box.directory / "shaping.toml"
            # So that a poll finds it in the middle.
            rules.write_text('["default"]\nmax_message_rate = "4000/s"\n')
            box.configure(engine="", extra='[record]\nrotate = "1MiB"\n'
                                           f'[shaping]\nfiles = ["{rules}"]\n')
            text = box.config_file.read_text().replace("shards = 1", "shards = 2")
            box.config_file.write_text(text)
            box.start_sender()
            box.submit(box.write_job(rows=[f"user{i}@d{i % 200}.test.example,Name {i}"
                                           for i in range(rows)]))

            def record_bytes():
                record = box.spool / "record"
                return sum(f.stat().st_size for f in record.iterdir()) if record.exists() else 0

            def over():
                return list((box.spool / "done").iterdir())
            in_the_middle = 0
            for _ in range(3):
                size = record_bytes()
                box.wait_for(lambda: record_bytes() > size + 500000 or over(), "some events")
                os.kill(box.sender.popen.pid, signal.SIGKILL)
                box.sender.finish()
                in_the_middle += not over()
                # As a torn write leaves it.
                for path in (box.spool / "record").glob("events.0??.jsonl"):
                    with open(path, "ab") as f:
                        f.write(b'{"type":"Delivery","id":"torn')
                # Fewer shards from here on: the other's journal is still told.
                box.config_file.write_text(text.replace("shards = 2", "shards = 1"))
                box.start_sender()
            summary = box.wait_done("news")
            self.assertEqual(summary["delivered"], rows)
            self.assertEqual(box.sender.stop(), 0, box.sender.text())
            # Rotated files are compressed after a while.
            for path in (box.spool / "record").glob("*.jsonl"):
                for line in path.read_bytes().splitlines():
                    json.loads(line)
            events = events_of(box)
            distinct = by_id(events).values()
            final = collections.Counter(e["recipient"] for e in distinct if e["type"] in FINAL)
            self.assertEqual(len(final), rows)
            self.assertEqual(set(final.values()), {1})
            self.assertEqual({e["row"] for e in distinct}, set(range(1, rows + 1)))
            self.assertGreater(len(list((box.spool / "record").glob("events.000-*.jsonl*"))), 0)
            self.assertGreater(in_the_middle, 0)

    def test_follow_prints_what_comes(self):
        with Sandbox() as box:
            box.start_sink()
            box.start_sender()
            follow = Process([SLUICE, "log", "--follow", "--config", str(box.config_file)])
            box.started.append(follow)
            box.submit(box.write_job(rows=["ann@test.example,Ann"]), "--wait")
            line = follow.wait_for_line('"recipient":"ann@test.example"')
            self.assertEqual(json.loads(line)["type"], "Delivery")
            self.assertEqual(follow.stop(signal.SIGINT), 0)


if __name__ == "__main__":
    unittest.main()
