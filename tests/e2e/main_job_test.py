"""The main job: what is dropped arrives, once, as it should read."""
import email
import email.policy
import gzip
import shutil
import subprocess
import unittest

from harness import Sandbox


def rows(count, domains=10):
    return [f"user{i}@d{i % domains}.test.example,Name {i}" for i in range(count)]


class MainJob(unittest.TestCase):
    def deliver(self, box, job):
        box.submit(job, "--wait")
        return box.report(job.name)

    def test_every_recipient_gets_it_once(self):
        with Sandbox() as box:
            box.start_sink()
            box.configure(engine="max_connections = 100")
            box.start_sender()
            job = box.write_job(rows=rows(3000, 100))
            out = self.deliver(box, job)
            self.assertEqual(len(out), 3000)
            self.assertEqual({r["state"] for r in out}, {"delivered"})
            self.assertEqual({r["code"] for r in out}, {"250"})
            self.assertEqual(sorted(int(r["row"]) for r in out), list(range(1, 3001)))
            self.assertEqual(box.sender.stop(), 0, box.sender.text())
            report = box.stop_sink()
            self.assertEqual(report["identities"]["once"], 3000)
            self.assertEqual(report["identities"]["distinct"], 3000)

    def test_several_shards_share_the_work(self):
        with Sandbox() as box:
            box.start_sink(exchangers=7)
            box.configure()
            text = box.config_file.read_text().replace("shards = 1", "shards = 4")
            box.config_file.write_text(text)
            box.start_sender()
            job = box.write_job(rows=rows(5000, 400))
            out = self.deliver(box, job)
            self.assertEqual({r["state"] for r in out}, {"delivered"})
            box.sender.stop()
            self.assertEqual(box.stop_sink()["identities"]["once"], 5000)

    def test_text_and_html_arrive_as_written(self):
        with Sandbox() as box:
            store = box.directory / "mail"
            box.start_sink("--store", str(store))
            box.start_sender()
            job = box.write_job(
                lst='email,name\nann@test.example,"Änn <b> ""q"" & Co"\n'.encode(),
                text="Hello {{name}},\n.a dot\nFrom here\n" + "x" * 300 + "\n",
                html="<p>Hello {{name}}</p>\n<p>{{{name}}}</p>\n",
                subject="Für {{name}}")
            self.deliver(box, job)
            [path] = (store / "new").iterdir()
            message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
            self.assertEqual(message["Subject"], 'Für Änn <b> "q" & Co')
            self.assertEqual(message["To"], "ann@test.example")
            self.assertEqual(message["From"], "Example News <news@example.com>")
            self.assertTrue(message["Date"] and message["Message-ID"])
            text, html = message.iter_parts()
            self.assertEqual(text.get_content().replace("\r\n", "\n"),
                             'Hello Änn <b> "q" & Co,\n.a dot\nFrom here\n' + "x" * 300 + "\n")
            self.assertIn("<p>Hello Änn &lt;b&gt; &quot;q&quot; &amp; Co</p>", html.get_content())
            self.assertIn('<p>Änn <b> "q" & Co</p>', html.get_content())

    def test_eml_template(self):
        with Sandbox() as box:
            store = box.directory / "mail"
            box.start_sink("--store", str(store))
            box.start_sender()
            job = box.write_job(rows=["ann@test.example,Ann"], eml=(
                b"From: News <news@example.com>\nSubject: Hi {{name}}\nX-Own: 1\n\n"
                b"Dear {{name}},\n.dot\n"))
            toml = job / "job.toml"
            toml.write_text("\n".join(line for line in toml.read_text().splitlines()
                                      if not line.startswith("subject")))
            self.deliver(box, job)
            [path] = (store / "new").iterdir()
            message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
            self.assertEqual(message["Subject"], "Hi Ann")
            self.assertEqual(message["X-Own"], "1")
            self.assertEqual(message.get_content().replace("\r\n", "\n"), "Dear Ann,\n.dot\n")

    def test_compressed_lists(self):
        lines = "".join(r.replace(",", ";") + "\r\n" for r in rows(500))
        plain = ("email;name\r\n" + lines).encode()
        compressed = {"list.csv": plain, "list.csv.gz": gzip.compress(plain)}
        if shutil.which("zstd"):
            compressed["list.csv.zst"] = subprocess.run(["zstd", "-qc"], input=plain,
                                                        capture_output=True, check=True).stdout
        with Sandbox() as box:
            box.start_sink()
            box.start_sender()
            for number, (name, octets) in enumerate(compressed.items()):
                job = box.write_job(f"job{number}", lst=octets, list_name=name)
                out = self.deliver(box, job)
                self.assertEqual(len(out), 500, name)
                self.assertEqual({r["state"] for r in out}, {"delivered"})

    def test_a_dropped_job_is_taken_and_finished(self):
        with Sandbox() as box:
            box.start_sink()
            box.start_sender()
            box.drop(box.write_job("dropped", rows=rows(50)))
            summary = box.wait_done("dropped")
            self.assertEqual(summary["delivered"], 50)
            self.assertEqual(summary["total"], 50)

    def test_refused_and_deferred_recipients(self):
        with Sandbox() as box:
            box.start_sink("--recipient-rule", "refuse:0.1", "--recipient-rule", "defer-once:0.1")
            box.start_sender()
            job = box.write_job(rows=rows(1000))
            box.submit(job, "--wait", check=1)
            out = box.report("news")
            bounced = [r for r in out if r["state"] == "bounced"]
            delivered = [r for r in out if r["state"] == "delivered"]
            self.assertEqual(len(bounced) + len(delivered), 1000)
            self.assertTrue(50 < len(bounced) < 150, len(bounced))
            self.assertTrue(all(r["code"].startswith("5") and r["response"] for r in bounced))
            again = [r for r in delivered if r["attempts"] == "2"]
            self.assertTrue(50 < len(again) < 150, len(again))
            self.assertEqual(box.run("report", "news", "--config", box.config_file, "--format",
                                     "csv", "--only", "bounced", check=0)
                             .stdout.decode().count("\n"), len(bounced) + 1)

    def test_bad_rows_are_refused_with_line_and_reason(self):
        with Sandbox() as box:
            box.start_sink()
            box.start_sender()
            job = box.write_job(lst=(
                b"email,name\nann@test.example,Ann\nnot-an-address,Bob\n"
                b"\"a@b\r\nRCPT TO:<x@y>\",Eve\nzoe@test.example\ncy@test.example,\xff\xfe\n"
                b"ann@test.example,Twice\n"), extra="")
            toml = job / "job.toml"
            toml.write_text(toml.read_text() + "dedupe = true\n")
            box.submit(job, "--wait", check=1)
            summary = box.wait_done("news")
            self.assertEqual(summary["delivered"], 1)
            self.assertEqual(summary["rejected"], 4)
            self.assertEqual(summary["duplicate"], 1)
            self.assertEqual(summary["total"], 6)
            [rejected] = (box.spool / "done").glob("news-*/rejected.csv")
            text = rejected.read_text()
            self.assertIn("2,3,not-an-address,", text)
            self.assertNotIn("\nRCPT", text)

    def test_a_bad_job_is_refused_whole(self):
        with Sandbox() as box:
            box.start_sink()
            box.start_sender()
            job = box.write_job("bad", rows=rows(5), text="Hello\n{{nmae}}\n")
            done = box.submit(job, check=65)
            self.assertIn("body.txt:2:1", done.stderr.decode())
            self.assertIn("name", done.stderr.decode())
            self.assertEqual(list((box.spool / "incoming").iterdir()), [])
            box.drop(job)
            [error] = box.wait_for(lambda: list((box.spool / "failed").glob("bad-*/error.txt")),
                                   "error.txt")
            self.assertIn("body.txt:2:1", error.read_text())
            box.sender.stop()
            self.assertEqual(box.stop_sink()["identities"]["distinct"], 0)

    def test_connection_limit_is_kept(self):
        with Sandbox() as box:
            box.start_sink("--rtt", "5ms", exchangers=1)
            rules = box.directory / "shaping.toml"
            rules.write_text('["default"]\nconnection_limit = 3\n'
                             'max_deliveries_per_connection = 10\n')
            box.configure(extra=f'[shaping]\nfiles = ["{rules}"]\n')
            box.start_sender()
            self.deliver(box, box.write_job(rows=rows(600)))
            box.sender.stop()
            [host] = [h for h in box.stop_sink()["hosts"] if h["messages"]]
            self.assertLessEqual(host["peak"], 3)
            self.assertGreaterEqual(host["connections"], 60)


if __name__ == "__main__":
    unittest.main()
