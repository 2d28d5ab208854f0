"""Every mistake in the book: what is refused, where and with which words; and nothing else suffers.

Each job is dropped as another program would do it, past the checks of `sluice submit`, and then
given to `sluice submit` as well, which must say the same before it writes anything.
"""
import csv
import os
import shutil
import unittest

from harness import Sandbox

JOB = """name = "{name}"
from = "Example News <news@example.com>"
subject = "For {{{{name}}}}"
{extra}
[message]
{message}
[list]
file = "list.csv"
"""


def job_of(box, name, extra="", message='text = "body.txt"', files=None, toml=None):
    """A job like a good one but for what the case says. A file of None is left out."""
    job = box.directory / name
    job.mkdir()
    contents = {"body.txt": b"Hello {{name}}\n",
                "list.csv": b"email,name\nann@test.example,Ann\n",
                "job.toml": (toml or JOB.format(name=name, extra=extra, message=message)).encode()}
    contents.update(files or {})
    for file, octets in contents.items():
        if octets is not None:
            (job / file).write_bytes(octets)
    return job


# name: (arguments of job_of, what error.txt must say)
REFUSED = {
    "unknown-key": (dict(extra='reply-to = "a@example.com"'),
                    r"job\.toml:4:1: .*reply-to.*did you mean.*reply_to"),
    "not-built": (dict(extra='[record]\nmeta = ["name"]'),
                  r"job\.toml:5:\d+: .*meta.*not built yet"),
    "broken-toml": (dict(toml='name = "x\n'), r"job\.toml:1:"),
    "no-name": (dict(toml='from = "a@example.com"\n'), r"name is missing; add name = "),
    "no-such-column": (dict(files={"list.csv": b"mail,name\nann@test.example,Ann\n"}),
                       r'list\.csv:1: no column "email"; its columns are mail, name'),
    "unknown-field": (dict(files={"body.txt": b"Hello\n\n{{nmae}}\n"}),
                      r'body\.txt:3:1: .*nmae.*did you mean.*name'),
    "unclosed-tag": (dict(files={"body.txt": b"Hello {{name}\n"}), r"body\.txt:1:7: .*}}"),
    "missing-list": (dict(files={"list.csv": None}),
                     r'list\.file = "list\.csv": no such file in the job\'s directory'),
    "empty-list": (dict(files={"list.csv": b""}), r"list\.csv:1: the list is empty"),
    "header-only": (dict(files={"list.csv": b"email,name\n"}), r"list\.csv.*no r(ows|ecipients)"),
    "missing-part": (dict(message='text = "bdoy.txt"'),
                     r'message\.text = "bdoy\.txt": no such file.*did you mean "body\.txt"\?'),
    "header-break": (dict(extra='reply_to = "a@example.com\\r\\nBcc: <x@y.example>"'),
                     r"job\.toml.*reply_to.*(line break|control)"),
    "subject-break": (dict(toml=JOB.format(name="subject-break", extra="",
                                           message='text = "body.txt"')
                           .replace("For {{name}}", "One\\nTwo")),
                      r"subject.*(line break|control)"),
    "header-key": (dict(toml=JOB.format(name="header-key", extra="", message='text = "body.txt"')
                        + '[headers]\n"X-A\\r\\nBcc" = "b"\n'), r"job\.toml:\d+:.*header field"),
    "header-value": (dict(toml=JOB.format(name="header-value", extra="",
                                          message='text = "body.txt"')
                          + '[headers]\nX-A = "b\\r\\nBcc: c@d.example"\n'),
                     r"X-A.*(line break|control)"),
    "outside": (dict(message='text = "../../secret.txt"'), r"leaves the job's folder"),
    "own-name": (dict(message='text = "summary.json"'), r"a name that Sluice gives"),
    "attachment": (dict(message='text = "body.txt"\nattachments = ["bgi.pdf"]',
                        files={"big.pdf": b"x" * 100}),
                   r'message\.attachments = "bgi\.pdf": no such file.*did you mean "big\.pdf"'),
    "large-attachments": (dict(message='text = "body.txt"\nattachments = ["a", "b", "c"]',
                               files=dict.fromkeys("abc", bytes(45 << 20))),
                          r"files of the message have 141,557,\d+ octets.*134,217,728"),
    "attachment-outside": (dict(message='text = "body.txt"\nattachments = ["../a"]'),
                           r'attachments: "\.\./a" is no file of the job\'s folder'),
    "template-size": (dict(files={"body.txt": b"x" * ((16 << 20) + 1)}),
                      r"body\.txt.*more than 16777216"),
    "no-pool": (dict(toml=JOB.format(name="no-pool", extra="", message='text = "body.txt"')
                     + '[send]\npool = "defualt"\n'), r'send\.pool = "defualt".*did you mean'),
    "partial": (dict(files={"body.txt": b"{{> footer}}\n"}),
                r"body\.txt:1:1: .*it looks for footer, "),
    "unclosed-section": (dict(files={"body.txt": b"a\n{{#name}}b\n"}),
                         r"body\.txt:2:1: section {{#name}} is never closed"),
    "template-utf8": (dict(files={"body.txt": b"Gr\xfc\xdfe\n"}), r"body\.txt:1:.*UTF-8"),
}


class BadInput(unittest.TestCase):
    def error_of(self, box, name):
        def found():
            # Behind a job's name stands the time: a longer name begins like it.
            for path in (box.spool / "failed").glob(f"{name}-[0-9]*/error.txt"):
                return path
            return None
        path = box.wait_for(found, f"{name} in failed/")
        # What was dropped and not copied follows it.
        claimed = box.spool / "incoming" / f".taken-{path.parent.name}"
        box.wait_for(lambda: not claimed.exists(), f"nothing left of {name} in incoming/")
        return path

    def test_jobs_that_are_refused_whole(self):
        with Sandbox() as box:
            box.start_sink()
            box.start_sender()
            jobs = {name: job_of(box, name, **arguments)
                    for name, (arguments, _) in REFUSED.items()}
            for job in jobs.values():
                box.drop(job)
            good = job_of(box, "good")
            box.drop(good)
            for name, (_, says) in REFUSED.items():
                with self.subTest(name):
                    path = self.error_of(box, name)
                    self.assertRegex(path.read_text(), says)
                    # All that was dropped is there, to be mended and dropped again.
                    for file in jobs[name].iterdir():
                        self.assertEqual((path.parent / file.name).read_bytes(), file.read_bytes())
                    done = box.submit(jobs[name], check=78 if "not built" in says else
                                      66 if "no such file" in says else 65)
                    self.assertRegex(done.stderr.decode(), says)
                    self.assertEqual(done.stdout, b"")
            self.assertEqual(box.wait_done("good")["delivered"], 1)
            self.assertEqual(os.listdir(box.spool / "incoming"), [])
            self.assertEqual(os.listdir(box.spool / "active"), [])
            status = box.run("status", "--config", box.config_file, check=0).stdout.decode()
            self.assertEqual(status.count("failed"), len(REFUSED))
            self.assertEqual(box.sender.stop(), 0)
            self.assertEqual(box.stop_sink()["identities"]["distinct"], 1)

    def test_a_refused_job_keeps_its_folders(self):
        with Sandbox() as box:
            box.start_sink()
            box.start_sender()
            job = job_of(box, "folders", toml=JOB.format(
                name="folders", extra="",
                message='text = "parts/body.txt"\nhtml = "parts/typo.html"')
                .replace("list.csv", "parts/list.csv"))
            (job / "parts" / "deep").mkdir(parents=True)
            for file in ("body.txt", "list.csv"):
                (job / file).rename(job / "parts" / file)
            (job / "parts" / "body.html").write_text("<p>not named</p>")
            (job / "parts" / "deep" / "note.txt").write_text("a note")
            before = {p.relative_to(job): p.read_bytes() for p in job.rglob("*") if p.is_file()}
            box.drop(job)
            error = self.error_of(box, "folders")
            self.assertIn('message.html = "parts/typo.html": no such file', error.read_text())
            failed = error.parent
            after = {p.relative_to(failed): p.read_bytes() for p in failed.rglob("*")
                     if p.is_file() and p != error}
            self.assertEqual(after, before)
            self.assertEqual(os.listdir(box.spool / "incoming"), [])

            # Mended and dropped again, under the id that it was refused with.
            again = box.directory / failed.name
            shutil.copytree(failed, again)
            (again / "parts" / "body.html").rename(again / "parts" / "typo.html")
            box.drop(again)
            self.assertEqual(box.wait_done("folders")["delivered"], 1)
            self.assertTrue(failed.is_dir(), "what was refused stays as it was")
            # And once more, under the id of one that is done.
            [done] = (box.spool / "done").iterdir()
            twin = box.directory / "twin" / done.name
            shutil.copytree(again, twin)
            hidden = box.spool / "incoming" / ".twin"
            shutil.copytree(twin, hidden)
            hidden.rename(box.spool / "incoming" / done.name)
            box.wait_for(lambda: len(list((box.spool / "done").glob("*/summary.json"))) == 2,
                         "done once more, under an id of its own")
            self.assertEqual(box.sender.stop(), 0)

    def test_links_and_pipes(self):
        with Sandbox() as box:
            box.start_sink()
            box.start_sender()
            secret = box.directory / "secret"
            secret.mkdir()
            (secret / "body.txt").write_text("secret\n")
            link = job_of(box, "link", files={"body.txt": None})
            (link / "body.txt").symlink_to(secret / "body.txt")
            folder = job_of(box, "folder", message='text = "parts/body.txt"')
            (folder / "parts").symlink_to(secret)
            lists = job_of(box, "lists", files={"list.csv": None})
            (lists / "list.csv").symlink_to("/etc/passwd")
            pipe = job_of(box, "pipe", files={"body.txt": None})
            os.mkfifo(pipe / "body.txt")
            whole = job_of(box, "whole", files={"job.toml": None})
            (whole / "job.toml").symlink_to("/etc/hostname")
            for job, says in ((link, r"message\.text = \"body\.txt\" is a symbolic link"),
                              (folder, r"leads through a symbolic link"),
                              (lists, r"list\.file = \"list\.csv\" is a symbolic link"),
                              (pipe, r"message\.text = \"body\.txt\" is not a regular file"),
                              (whole, r"job\.toml is a symbolic link")):
                with self.subTest(job.name):
                    job.rename(box.spool / "incoming" / job.name)
                    self.assertRegex(self.error_of(box, job.name).read_text(), says)
            self.assertEqual(box.sender.stop(), 0)
            self.assertEqual(box.stop_sink()["identities"]["distinct"], 0)

    def test_rows_that_are_refused(self):
        rows = [  # octets of the row, the reason in rejected.csv; None: it is sent
            (b"ann@test.example,Ann", None),
            (b"not-an-address,Bob", r"@"),
            (b'"a@b\r\nRCPT TO:<x@y>",Eve', r"address|line break|control"),
            (b"cy@test.example," + b"x" * (1 << 20), r"262144|256 KiB|longer|more than"),
            (b"dee@test.example,\xff\xfe", r"UTF-8"),
            (b"ed@test.example,a\0b", r"NUL"),
            (b'flo@test.example,"Flo\r\nBcc: all@test.example"',
             r"value of \{\{name\}\} in header Subject holds a line break"),
            (b"gus@test.example,Gus,more", r"column"),
            (b"hal@test.example", r"column"),
            (b",Nobody", r"address|empty"),
            (b"ida@-bad-.example,Ida", r"domain|label"),
            (b"jo@" + b"x" * 64 + b".example,Jo", r"label|63|long"),
            ("lär@test.example,Lär".encode(), None),
            (b"max@test.example,Max", None),
        ]
        with Sandbox() as box:
            box.start_sink("--store", str(box.directory / "mail"))
            box.start_sender()
            job = job_of(box, "rows", files={
                "list.csv": b"email,name\n" + b"".join(row + b"\n" for row, _ in rows)})
            box.submit(job, "--wait", check=1)
            summary = box.wait_done("rows")
            bad = [(number, reason) for number, (_, reason) in enumerate(rows, 1) if reason]
            self.assertEqual(summary["rejected"], len(bad))
            self.assertEqual(summary["total"], len(rows))
            [path] = (box.spool / "done").glob("rows-*/rejected.csv")
            with open(path, newline="", encoding="utf-8") as file:
                rejected = {int(r["row"]): r for r in csv.DictReader(file)}
            self.assertEqual(sorted(rejected), [number for number, _ in bad])
            line = 2
            for number, (octets, reason) in enumerate(rows, 1):
                if reason:
                    self.assertEqual(int(rejected[number]["line"]), line, octets[:60])
                    self.assertRegex(rejected[number]["reason"], reason)
                line += octets.count(b"\n") + 1
            mail = b"".join(p.read_bytes() for p in (box.directory / "mail" / "new").iterdir())
            self.assertNotIn(b"RCPT TO", mail)
            self.assertNotIn(b"\nBcc:", mail)

    def test_a_job_that_is_still_written_is_not_taken(self):
        with Sandbox() as box:
            box.start_sink()
            box.start_sender()
            incoming = box.spool / "incoming"
            job = job_of(box, "slow")
            toml = job / "job.toml"
            toml.rename(job / "job.toml.part")
            job.rename(incoming / "slow")
            removed = job_of(box, "removed", files={"job.toml": None})
            removed.rename(incoming / "removed")
            # A later job is taken: by then both of these have been looked at.
            box.submit(job_of(box, "other"), "--wait")
            self.assertEqual(sorted(os.listdir(incoming)), ["removed", "slow"])
            for file in list((incoming / "removed").iterdir()):
                file.unlink()
            (incoming / "removed").rmdir()
            (incoming / "slow" / "job.toml.part").rename(incoming / "slow" / "job.toml")
            self.assertEqual(box.wait_done("slow")["delivered"], 1)
            self.assertEqual(os.listdir(box.spool / "failed"), [])
            self.assertEqual(os.listdir(incoming), [])
            self.assertNotIn("error", box.sender.text().lower())


if __name__ == "__main__":
    unittest.main()
