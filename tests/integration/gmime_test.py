"""Messages as receivers get them, taken apart by GMime and by Python's email package: both find
every field, part and attachment as it went in."""
import base64
import email
import email.policy
import email.utils
import json
import pathlib
import re
import subprocess
import unittest
import urllib.parse

from harness import Sandbox
from message_test import NASTY, NASTY_BODIES, canonical, decoded_header, escaped

READER = pathlib.Path(__file__).with_name("gmime_parts.py")
PYTHON = "/usr/bin/python3"  # Debian's, for which its packages are made
NEEDS = "import gi; gi.require_version('GMime', '3.0'); from gi.repository import GMime"
LONG = "Zoë, 😀 & <co>. " * 6_000  # 100 KB and more
BODIES = NASTY + NASTY_BODIES + [
    "in a sentence [" + LONG + "]", "\n".join([".", "From x", "é "] * 50),
]
# From is job.toml's.
EML = """To: <{{email}}>
Cc: "a, b" <c@d.example>, Grüße {{h}} <e@f.example>
Subject: Grüße {{h}}
X-Row: {{row}}
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=b
Content-Transfer-Encoding: 8bit

--b
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

Grüße, 日本語
.dot
From x
--b
Content-Type: text/html; charset=utf-8

<p>{{x}}|{{{x}}}</p>
--b--
"""


def setUpModule():
    if subprocess.run([PYTHON, "-c", NEEDS], capture_output=True, check=False).returncode != 0:
        raise unittest.SkipTest("no GMime for Python; apt-get install gir1.2-gmime-3.0 python3-gi")


def read_by_gmime(paths):
    done = subprocess.run([PYTHON, READER], input="".join(f"{path}\n" for path in paths).encode(),
                          stdout=subprocess.PIPE, timeout=300, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def header_of(found, name):
    [value] = [value for key, value in found["headers"] if key == name]
    return value


def content_of(part):
    return base64.b64decode(part["content"])


def names_in(found):
    """Of the body the names that GMime counts among its headers, of the message the others."""
    return sorted(name for name, _ in found["headers"] + found["body"]["headers"])


class Gmime(unittest.TestCase):
    def deliver(self, box, job, count, *options):
        """By the row that X-Row names: what GMime and what Python's email make of its message."""
        store = box.directory / "store"
        store.mkdir()
        box.start_sink("--store", store, *options)
        box.start_sender()
        box.submit(job, "--wait")
        paths = sorted((store / "new").iterdir())
        found = {}
        for path, by_gmime in zip(paths, read_by_gmime(paths), strict=True):
            by_python = email.message_from_bytes(path.read_bytes(), policy=email.policy.compat32)
            self.assertEqual(by_python.defects, [])
            self.compare(by_gmime, by_python)
            found[int(header_of(by_gmime, "X-Row"))] = (by_gmime, by_python)
        self.assertEqual(sorted(found), list(range(1, count + 1)))
        return found

    def compare(self, by_gmime, by_python):
        """Both find the same headers, and the same tree of parts with the same contents."""
        self.assertEqual(names_in(by_gmime), sorted(set(by_python.keys())))
        for name in ("Subject", "X-Row"):
            self.assertEqual(header_of(by_gmime, name), decoded_header(by_python, name).strip())
        self.compare_parts(by_gmime["body"], by_python)

    def compare_parts(self, by_gmime, by_python):
        self.assertEqual(by_gmime["type"], by_python.get_content_type())
        if by_python.is_multipart():
            for one, other in zip(by_gmime["parts"], by_python.get_payload(), strict=True):
                self.compare_parts(one, other)
            return
        self.assertEqual(content_of(by_gmime), by_python.get_payload(decode=True))
        self.assertEqual(by_gmime["charset"], by_python.get_content_charset())
        self.assertEqual(by_gmime["disposition"], by_python.get_content_disposition())

    def write_job(self, box, rows, toml, files):
        job = box.directory / "news"
        for name, contents in files.items():
            path = job / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(contents if isinstance(contents, bytes) else contents.encode())
        (job / "list.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (job / "job.toml").write_text(f'name = "news"\n{toml}[list]\nfile = "list.jsonl"\n')
        return job

    def test_every_header_field_comes_back(self):
        # A URI stays on one line: a long one is refused.
        rows = [{"email": f"r{i}@d{i % 7}.test.example", "h": value, "u": value[:60]}
                for i, value in enumerate(NASTY)]
        toml = ('from = "{{h}} <news@example.com>"\nsubject = "For {{h}}{{^h}}nobody{{/h}}!"\n'
                'reply_to = "A {{h}} B <r@example.com>, plain@example.com"\n'
                '[message]\ntext = "body.txt"\n'
                '[unsubscribe]\nurl = "https://e.example/u/{{u}}"\nmailto = "u@example.com"\n'
                '[headers]\nX-Row = "{{row}}"\nX-Alone = "{{h}}"\nX-Both = "[{{h}}] [{{h}}]"\n'
                'List-ID = "News <{{row}}.example.com>"\nFeedback-ID = "{{row}}:{{job}}:x"\n'
                'X-Url = "{{#urlencode}}{{h}}{{/urlencode}}"\n')
        with Sandbox() as box:
            job = self.write_job(box, rows, toml, {"body.txt": "x\n"})
            for number, (found, message) in self.deliver(box, job, len(rows)).items():
                value = rows[number - 1]["h"]
                alone = value.strip(" \t")
                encoded = urllib.parse.quote(value, safe="")
                link = urllib.parse.quote(value[:60], safe="")
                with self.subTest(value=value[:60]):
                    self.assertEqual(found["subject"], f"For {value or 'nobody'}!")
                    self.assertEqual(found["from"], [[alone, "news@example.com"]])
                    self.assertEqual(found["reply_to"], [[f"A {value} B", "r@example.com"],
                                                         ["", "plain@example.com"]])
                    self.assertEqual(found["to"], [["", rows[number - 1]["email"]]])
                    self.assertEqual(header_of(found, "X-Alone"), alone)
                    self.assertEqual(header_of(found, "X-Both"), f"[{value}] [{value}]")
                    self.assertEqual(header_of(found, "X-Url"), encoded)
                    self.assertEqual(header_of(found, "List-ID"), f"News <{number}.example.com>")
                    self.assertRegex(header_of(found, "Feedback-ID"), rf"^{number}:news-.*:x$")
                    self.assertEqual(header_of(found, "List-Unsubscribe-Post"),
                                     "List-Unsubscribe=One-Click")
                    uris = f"<https://e.example/u/{link}>,<mailto:u@example.com?subject="
                    self.assertRegex("".join(header_of(found, "List-Unsubscribe").split()),
                                     f"^{re.escape(uris)}[a-z2-7]{{32}}>$")
                    self.assertEqual(found["message_id"], message["Message-ID"].strip("<>"))
                    self.assertEqual(found["date"], int(email.utils.parsedate_to_datetime(
                        message["Date"]).timestamp()))

    def test_every_value_comes_back_from_text_and_html(self):
        rows = [{"email": f"r{i}@d{i % 7}.test.example", "x": value}
                for i, value in enumerate(BODIES)]
        toml = ('from = "Example News <news@example.com>"\nsubject = "s"\n'
                '[message]\ntext = "body.txt"\nhtml = "body.html"\n[headers]\nX-Row = "{{row}}"\n')
        files = {"body.txt": ".begins with a dot\nFrom {{x}}, in a sentence: [{{x}}]\n"
                             "{{#x}}\nshown: {{.}}\n{{/x}}\n{{^x}}\nnothing\n{{/x}}\n{{> foot}}\n",
                 "foot.txt": "-- \nBye Zoë\n.\n",
                 "body.html": "<p>{{x}}|{{{x}}}|{{#x}}{{x}}{{/x}}</p>\n"}
        with Sandbox() as box:
            job = self.write_job(box, rows, toml, files)
            for number, (found, _) in self.deliver(box, job, len(rows)).items():
                x = rows[number - 1]["x"]
                with self.subTest(value=x[:60]):
                    self.assertEqual(found["body"]["type"], "multipart/alternative")
                    text, html = found["body"]["parts"]
                    shown = ("shown: ", x, "\n") if x else ("nothing\n",)
                    self.assertEqual(content_of(text), b"".join(map(canonical, (
                        ".begins with a dot\nFrom ", x, ", in a sentence: [", x, "]\n", *shown,
                        "-- \nBye Zoë\n.\n"))))
                    self.assertEqual(content_of(html), b"".join(map(canonical, (
                        "<p>", escaped(x), "|", x, "|", escaped(x), "</p>\n"))))

    def test_attachments_and_inline_images_come_back(self):
        files = {
            "parts/terms.pdf": bytes(range(256)) * 300,
            "parts/Übersicht – 日本語 und ein sehr langer Name, der in keine Zeile passt.txt":
                "Zoë\n",
            "leer": b"", 'q"uote.csv': b"a,b\r\n", "one.bin": b"\n",
            "lines.txt": b".\r\n\r\rFrom x",
            "logo.png": b"\x89PNG\r\n\x1a\n" + b"\0" * 100, "b.gif": b"GIF89a;",
        }
        shown = ["logo.png", "b.gif"]
        names = ", ".join(json.dumps(name, ensure_ascii=False) for name in files)
        toml = ('from = "Example News <news@example.com>"\nsubject = "s"\n[headers]\n'
                f'X-Row = "{{{{row}}}}"\n[message]\ntext = "body.txt"\nhtml = "body.html"\n'
                f'attachments = [{names}]\n')
        parts = {"body.txt": "{{x}}\n", "body.html":
                 '<p>{{x}}</p><img src="cid:logo.png"><img src="cid:b.gif">\n', **files}
        rows = [{"email": "a@test.example", "x": "Zoë"}, {"email": "b@test.example", "x": ""}]
        with Sandbox() as box:
            job = self.write_job(box, rows, toml, parts)
            for number, (found, _) in self.deliver(box, job, len(rows)).items():
                x = rows[number - 1]["x"]
                self.assertEqual(found["body"]["type"], "multipart/mixed")
                alternative, *attached = found["body"]["parts"]
                text, related = alternative["parts"]
                html, *images = related["parts"]
                self.assertEqual(content_of(text), canonical(f"{x}\n"))
                self.assertEqual(content_of(html), canonical(parts["body.html"].replace(
                    "{{x}}", x)))
                for place, wanted, given in (
                        ("inline", shown, images),
                        ("attachment", [n for n in files if n not in shown], attached)):
                    self.assertEqual([part["filename"] for part in given],
                                     [name.split("/")[-1] for name in wanted])
                    for name, part in zip(wanted, given, strict=True):
                        octets = files[name]
                        self.assertEqual(content_of(part), octets if isinstance(octets, bytes)
                                         else octets.encode())
                        self.assertEqual(part["disposition"], place)
                        self.assertEqual(part["content_id"], name if place == "inline" else None)

    def test_a_message_of_its_author_comes_back_in_eight_and_in_seven_bits(self):
        rows = [{"email": "a@test.example", "h": "Zoë", "x": "<Zoë>\n.x"},
                {"email": "b@test.example", "h": "😀" * 60, "x": LONG}]
        toml = 'from = "Zoë 😀 <news@example.com>"\n[message]\neml = "message.eml"\n'
        for options in ((), ("--no-8bitmime",)):
            with self.subTest(options=options), Sandbox() as box:
                job = self.write_job(box, rows, toml, {"message.eml": EML})
                for number, (found, _) in self.deliver(box, job, len(rows), *options).items():
                    row = rows[number - 1]
                    self.assertEqual(found["subject"], f"Grüße {row['h']}")
                    self.assertEqual(found["from"], [["Zoë 😀", "news@example.com"]])
                    self.assertEqual(found["to"], [["", row["email"]]])
                    text, html = found["body"]["parts"]
                    self.assertEqual(content_of(text), canonical("Grüße, 日本語\n.dot\nFrom x"))
                    self.assertEqual(content_of(html), b"".join(map(canonical, (
                        "<p>", escaped(row["x"]), "|", row["x"], "</p>"))))


if __name__ == "__main__":
    unittest.main()
