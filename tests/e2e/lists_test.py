"""Lists in JSON lines: what CSV can do, they can."""
import email
import gzip
import json
import shutil
import signal
import subprocess
import unittest

from harness import Sandbox


def lines(objects):
    return "".join(json.dumps(o, ensure_ascii=False) + "\n" for o in objects).encode()


class JsonLines(unittest.TestCase):
    def test_plain_and_compressed(self):
        plain = lines([{"name": f"Nä \"{i}\"", "email": f"user{i}@d{i % 7}.test.example", "n": i}
                       for i in range(500)])
        lists = {"list.jsonl": plain, "list.jsonl.gz": gzip.compress(plain)}
        if shutil.which("zstd"):
            lists["list.jsonl.zst"] = subprocess.run(["zstd", "-qc"], input=plain,
                                                     capture_output=True, check=True).stdout
        with Sandbox() as box:
            box.start_sink()
            box.start_sender()
            for number, (name, octets) in enumerate(lists.items()):
                job = box.write_job(f"job{number}", lst=octets, list_name=name,
                                    text="Hello {{name}}, {{n}}\n")
                box.submit(job, "--wait")
                out = box.report(job.name)
                self.assertEqual(len(out), 500, name)
                self.assertEqual({r["state"] for r in out}, {"delivered"})
                message = box.run("show", job.name, "--row", 43, "--config", box.config_file,
                                  check=0).stdout.decode()
                content = email.message_from_string(message).get_payload(decode=True).decode()
                self.assertIn('Hello Nä "42"', content)

    def test_bad_rows_are_refused_with_line_and_reason(self):
        with Sandbox() as box:
            box.start_sink()
            box.start_sender()
            job = box.write_job(list_name="list.jsonl", lst=(
                b'{"email": "ann@test.example", "name": "Ann"}\n'
                b'{"email": "bob@test.example", "name": {"first": "Bob"}}\n'
                b'\n'
                b'{"email": "cy@test.example", "nmae": "Cy"}\n'
                b'{"email": "dee@test.example", "name": "\\u0000"}\n'
                b'{"email": "\xff@test.example"}\n'
                b'not json\n'
                b'{"name": "nobody"}\n'
                b'{"email": "eve@test.example"}'))
            box.submit(job, "--wait", check=1)
            summary = box.wait_done("news")
            self.assertEqual(summary["delivered"], 2)
            self.assertEqual(summary["rejected"], 6)
            [rejected] = (box.spool / "done").glob("news-*/rejected.csv")
            rows = rejected.read_text().splitlines()[1:]
            self.assertEqual([r.split(",")[:2] for r in rows],
                             [["2", "2"], ["3", "4"], ["4", "5"], ["5", "6"], ["6", "7"],
                              ["7", "8"]])
            self.assertIn("is an object", rows[0])
            self.assertIn("nmae", rows[1])
            self.assertIn("NUL", rows[2])
            self.assertIn("UTF-8", rows[3])
            self.assertIn("JSON", rows[4])

    def test_a_list_without_columns_is_refused_whole(self):
        with Sandbox() as box:
            box.start_sink()
            box.start_sender()
            cases = {"one": (b"email,name\nann@test.example,Ann\n", "list.jsonl:1: not valid JSON"),
                     "two": (b"", "list.jsonl:1: the list is empty"),
                     "three": (b'{"mail": "ann@test.example", "name": ""}\n',
                               'no column "email"; its columns are mail, name')}
            for name, (octets, reason) in cases.items():
                job = box.write_job(name, lst=octets, list_name="list.jsonl")
                done = box.submit(job, check=65)
                self.assertIn(reason, done.stderr.decode())

    def test_a_killed_sender_goes_on_in_the_list(self):
        count = 60000
        with Sandbox() as box:
            box.start_sink()
            box.configure(engine="max_connections = 100")
            box.start_sender()
            job = box.write_job(list_name="list.jsonl.gz", lst=gzip.compress(lines(
                {"email": f"user{i}@d{i % 50}.test.example", "name": f"Name {i}"}
                for i in range(count))))
            box.submit(job)
            box.wait_for(lambda: list((box.spool / "active").glob("news-*/segments/*.seg")),
                         "a first segment")
            box.sender.stop(signal.SIGKILL)
            box.start_sender()
            summary = box.wait_done("news")
            self.assertEqual(summary["total"], count)
            self.assertEqual(summary["delivered"], count)
            self.assertEqual(box.sender.stop(), 0, box.sender.text())
            self.assertEqual(box.stop_sink()["identities"]["distinct"], count)


if __name__ == "__main__":
    unittest.main()
