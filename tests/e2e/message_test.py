"""Messages as receivers get them, taken apart by Python's email package: every field, part and
attachment is what went in."""
import email
import email.header
import email.policy
import gzip
import json
import random
import re
import unittest

from harness import Sandbox

# What has broken mail programs before. Values for bodies; those without line ends also for headers.
NASTY = [
    "", "Zoe", "Zoë", " ", "a ", " a", "a\tb", ".", "..", ".hidden", "From me", "=", "=3D",
    "=?utf-8?Q?x?=", "a=?b", '"quoted" \\ back', "a, b <c@d.example>; (e)", "<b>&'\"", "--=_x",
    "{{name}}", "\x01\x7f", "a  b   c", "x" * 74 + "😀", "y" * 75 + ".c", "w" * 77, "e" * 75 + " f",
    "😀" * 200, "é a " * 500 + "z", "i" * 997, "j" * 998, "k" * 999, "l" * 10_000,
    "word " * 3_000 + "end", "שלום עולם, abc", "\u202eright to left\u202c", "日本語 テキスト",
    " " * 40 + "x" + " " * 2_000 + "y", "e\u0301\u0302\u0303" * 50, "👩‍👩‍👧‍👦 " * 40,
]
NASTY_BODIES = [
    "a\nb", "a\r\nb", "lone\rreturn", "\n", "\r", "\r\n", "trailing \nblanks\t\n", "\n.\n..\n.x",
    "line\nFrom me\nFrom ", "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n.\r\n",
    "x" * 998 + "\n" + "y" * 999 + "\n", "in the middle of it: " + "Zoë and 😀, " * 5_000,
]


def canonical(text):
    """Line ends as a body has them: LF and CRLF are one, a CR alone is none."""
    return text.replace("\r\n", "\n").replace("\n", "\r\n").encode()


def escaped(text):
    for plain, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"),
                          ("'", "&#39;")):
        text = text.replace(plain, entity)
    return text


def decoded_header(message, name):
    raw = message.get_all(name)
    assert len(raw) == 1, f"{len(raw)} headers {name}"
    unfolded = raw[0].replace("\r\n", "").replace("\n", "")
    return str(email.header.make_header(email.header.decode_header(unfolded)))


class Messages(unittest.TestCase):
    def deliver(self, box, job, count):
        """The messages that the sink stored, by the row that X-Row names."""
        box.submit(job, "--wait")
        found = {}
        for path in (box.directory / "store" / "new").iterdir():
            octets = path.read_bytes()
            message = email.message_from_bytes(octets, policy=email.policy.compat32)
            self.assertEqual(message.defects, [], octets[:2000])
            found[int(message["X-Row"])] = (message, octets)
        self.assertEqual(sorted(found), list(range(1, count + 1)))
        return found

    def start(self, box, *options):
        (box.directory / "store").mkdir()
        box.start_sink("--store", box.directory / "store", *options)
        box.start_sender()

    def write_list(self, job, rows):
        (job / "list.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def write_toml(self, job, subject, message, headers=""):
        (job / "job.toml").write_text(
            f'name = "{job.name}"\nfrom = "Example News <news@example.com>"\n'
            f'subject = "{subject}"\n[message]\n{message}\n[list]\nfile = "list.jsonl"\n'
            f'[headers]\nX-Row = "{{{{row}}}}"\n' + headers)

    def make_job(self, box):
        job = box.directory / "news"
        (job / "parts").mkdir(parents=True)
        return job

    def check_line_lengths(self, octets):
        self.assertNotIn(b"\r\r\n", octets)
        self.assertEqual(octets.count(b"\r"), octets.count(b"\r\n"))
        self.assertEqual(octets.count(b"\n"), octets.count(b"\r\n"))
        for line in octets.split(b"\r\n"):
            self.assertLessEqual(len(line), 998)

    def test_every_value_comes_back_from_header_text_and_html(self):
        with Sandbox() as box:
            self.start(box)
            job = self.make_job(box)
            rows = [{"email": f"r{i}@d{i % 7}.test.example", "h": value, "x": value}
                    for i, value in enumerate(NASTY)]
            rows += [{"email": f"b{i}@d{i % 7}.test.example", "h": "", "x": value}
                     for i, value in enumerate(NASTY_BODIES)]
            self.write_list(job, rows)
            self.write_toml(job, "For {{h}}{{^h}}nobody{{/h}}!",
                            'text = "body.txt"\nhtml = "body.html"',
                            'X-Url = "https://e.example/?q={{#urlencode}}{{h}}{{/urlencode}}"\n')
            (job / "body.txt").write_text(
                ".begins with a dot\nFrom the sender, {{x}}, in a sentence: [{{x}}]\n"
                "{{#x}}\nshown: {{.}}\n{{/x}}\n{{^x}}\nnothing\n{{/x}}\n{{> foot}}\n")
            (job / "foot.txt").write_text("-- \nBye Zoë\n.\n")
            (job / "body.html").write_text("<p>{{x}}|{{{x}}}|{{#x}}{{x}}{{/x}}</p>\n")
            for number, (message, octets) in self.deliver(box, job, len(rows)).items():
                row = rows[number - 1]
                h, x = row["h"], row["x"]
                with self.subTest(row=x[:60]):
                    self.check_line_lengths(octets)
                    self.assertEqual(decoded_header(message, "Subject"),
                                     f"For {h or 'nobody'}!")
                    text, html = message.get_payload()
                    shown = ("shown: ", x, "\n") if x else ("nothing\n",)
                    self.assertEqual(text.get_payload(decode=True), b"".join(map(canonical, (
                        ".begins with a dot\nFrom the sender, ", x, ", in a sentence: [", x,
                        "]\n", *shown, "-- \nBye Zoë\n.\n"))))
                    self.assertEqual(html.get_payload(decode=True), b"".join(map(canonical, (
                        "<p>", escaped(x), "|", x, "|", escaped(x), "</p>\n"))))
                    self.assertEqual(text.get_content_charset(), "utf-8")

    def test_parts_attachments_and_inline_images_come_back(self):
        with Sandbox() as box:
            self.start(box)
            job = self.make_job(box)
            self.write_list(job, [{"email": "a@test.example", "name": "Zoë"},
                                  {"email": "b@test.example", "name": ""}])
            files = {
                "parts/terms.pdf": bytes(range(256)) * 300,
                "parts/Übersicht – 日本語 und ein sehr langer Name, der in keine Zeile passt.txt":
                    "Zoë\n".encode(),
                "leer": b"",
                'q"uote.csv': b"a,b\r\n",
                "logo.png": b"\x89PNG\r\n\x1a\n" + b"\0" * 100,
            }
            for name, contents in files.items():
                (job / name).write_bytes(contents)
            names = ", ".join(json.dumps(name, ensure_ascii=False) for name in files)
            self.write_toml(job, "s", f'html = "parts/body.html"\ntext_from_html = true\n'
                                      f'attachments = [{names}]')
            (job / "parts" / "body.html").write_text(
                "<h1>Hello{{#name}} {{name}}{{/name}}</h1>\n<ul><li>one</li><li>two</li></ul>\n"
                '<a href="https://e.example/">Shop &amp; go</a><img src="cid:logo.png" alt="">\n')
            for number, (message, octets) in self.deliver(box, job, 2).items():
                self.check_line_lengths(octets)
                name = " Zoë" if number == 1 else ""
                self.assertEqual(message.get_content_type(), "multipart/mixed")
                alternative, *attached = message.get_payload()
                self.assertEqual(alternative.get_content_type(), "multipart/alternative")
                text, related = alternative.get_payload()
                self.assertEqual(
                    text.get_payload(decode=True).decode().replace("\r\n", "\n"),
                    f"Hello{name}\n\n- one\n- two\n\nShop & go <https://e.example/>\n")
                self.assertEqual(related.get_content_type(), "multipart/related")
                html, logo = related.get_payload()
                self.assertIn(f"<h1>Hello{name}</h1>", html.get_payload(decode=True).decode())
                self.assertEqual(logo["Content-ID"], "<logo.png>")
                self.assertEqual(logo.get_payload(decode=True), files["logo.png"])
                modern = email.message_from_bytes(octets, policy=email.policy.default)
                self.assertEqual(
                    [(part.get_filename(), part.get_payload(decode=True))
                     for part in modern.iter_attachments()],
                    [(path.split("/")[-1], contents) for path, contents in files.items()
                     if path != "logo.png"])
                self.assertEqual([part.get_content_type() for part in attached],
                                 ["application/pdf", "text/plain", "application/octet-stream",
                                  "text/csv"])

    def test_a_receiver_without_8bitmime_gets_the_same_in_seven_bits(self):
        content = "Grüße, 日本語\n.dot\nFrom x\n"
        eml = ("MIME-Version: 1.0\nSubject: Grüße {{name}}\nX-Row: {{row}}\n"
               "Content-Type: multipart/mixed; boundary=b\n"
               "Content-Transfer-Encoding: 8bit\n\n--b\n"
               "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n"
               f"{content}\n--b\nContent-Type: text/plain; charset=utf-8\n\nDear {{{{name}}}}\n"
               "--b--\n").encode()
        for options in ((), ("--no-8bitmime",), ("--no-8bitmime", "--no-chunking")):
            with self.subTest(options=options), Sandbox() as box:
                self.start(box, *options)
                job = box.write_job(rows=["a@test.example,Zoë"], eml=eml)
                toml = job / "job.toml"
                toml.write_text(toml.read_text().replace('subject = "For {{name}}"\n', ""))
                message, octets = self.deliver(box, job, 1)[1]
                self.assertEqual(octets.isascii(), bool(options))
                first, second = message.get_payload()
                self.assertEqual(first.get_payload(decode=True), canonical(content))
                self.assertEqual(second.get_payload(decode=True), "Dear Zoë".encode())
                self.assertEqual(decoded_header(message, "Subject"), "Grüße Zoë")

    def test_a_signed_part_is_refused_rather_than_broken(self):
        eml = ("X-Row: {{row}}\nContent-Type: multipart/signed; boundary=b\n\n--b\n\nGrüße\n--b\n\n"
               "signature\n--b--\n").encode()
        with Sandbox() as box:
            self.start(box, "--no-8bitmime")
            job = box.write_job(rows=["a@test.example,Zoë"], eml=eml)
            box.submit(job, "--wait", check=1)
            report = box.report("news")
            self.assertEqual(report[0]["state"], "bounced")
            self.assertEqual(report[0]["enhanced"], "5.6.3")

    def test_submit_warns_and_refuses_with_the_place(self):
        with Sandbox() as box:
            self.start(box)
            job = box.write_job(
                rows=["a@test.example,Zoe"],
                text="Hi {{#vip}}{{name}}{{/vip}}\nhttp://e.example/ and http://f.example/\n")
            warned = box.submit(job).stderr.decode()
            self.assertIn('warning: body.txt:1:4: no column named "vip"', warned)
            self.assertIn("warning: body.txt:2:1: a link without https: http://e.example/ "
                          "(2 such links", warned)
            for text, error in (("{{> foot}}", "body.txt:1:1: {{> foot}}: the job has no such"),
                                ("a\n{{#name}}", "body.txt:2:1: section {{#name}} is never"),
                                ("{{name", "body.txt:1:1: unclosed tag"),
                                ("{{nam}}", 'body.txt:1:1: no column named "nam"; did you mean')):
                (job / "body.txt").write_text(text)
                self.assertIn(error, box.submit(job, check=65).stderr.decode())
            (job / "body.txt").write_text("t\n")
            toml = job / "job.toml"
            toml.write_text(toml.read_text().replace(
                "[list]", 'attachments = ["none.pdf"]\n[list]'))
            self.assertIn("none.pdf", box.submit(job, check=66).stderr.decode())
            (job / "none.pdf").symlink_to("/etc/passwd")
            self.assertIn("symbolic link", box.submit(job, check=65).stderr.decode())
            (job / "none.pdf").unlink()
            with open(job / "none.pdf", "wb") as file:
                file.truncate(50 << 20)
            self.assertIn("none.pdf", box.submit(job, check=65).stderr.decode())

    def test_submit_tells_of_the_whole_list_before_the_first_mail(self):
        with Sandbox() as box:
            self.start(box)
            job = box.write_job(rows=[
                "a@test.example,Zoe", "nobody,x", "b@test.example," + "é" * 20_000,
                "c@test.example,y"], html="<p>{{name}}</p>" + "<b>word</b> " * 6_000 + "\n")
            done = box.submit(job, "--dry-run")
            said = done.stderr.decode()
            self.assertIn("warning: list.csv:3: row 2 is rejected: no @", said)
            self.assertIn("warning: list.csv:4: row 3: its HTML has 112,009 octets; Gmail shows "
                          "the first 102 KiB", said)
            at_most = re.search(r"the largest of 3 messages has at most ([\d,]+) octets: row 3",
                                said)
            shown = box.submit(job, "--dry-run", "--row", 3).stdout
            self.assertGreaterEqual(int(at_most[1].replace(",", "")), len(shown))

            # 18.5 MiB, of which base64 makes 25.3.
            with open(job / "film.bin", "wb") as file:
                file.truncate(37 << 19)
            toml = job / "job.toml"
            toml.write_text(toml.read_text().replace(
                "[list]", 'attachments = ["film.bin"]\n[list]'))
            said = box.submit(job, "--dry-run", check=0).stderr.decode()
            self.assertRegex(said, r"warning: list\.csv:4: row 3: its message has 26,[\d,]+ octets "
                                   r"\(3 rows have more than 25 MiB\)")

            # 46 MiB, of which it makes 62.9: thirty times the long name is more than is left.
            with open(job / "film.bin", "wb") as file:
                file.truncate(46 << 20)
            (job / "body.txt").write_text("{{name}}\n" * 30)
            refused = box.submit(job, check=65)
            self.assertIn("list.csv:4: row 3: its message has more than 67,108,864 octets, the "
                          "most that is sent; shorten", refused.stderr.decode())
            self.assertEqual(refused.stdout, b"")
            self.assertEqual(list((box.spool / "incoming").iterdir()), [])

    def test_a_list_that_breaks_off_is_refused_before_the_first_mail(self):
        with Sandbox() as box:
            self.start(box)
            chance = random.Random(1)
            rows = "".join(f"user{i}@test.example,{chance.randbytes(20).hex()}\n"
                           for i in range(50_000))
            packed = gzip.compress(b"email,name\n" + rows.encode())
            job = box.write_job(lst=packed[:-len(packed) // 4], list_name="list.csv.gz")
            self.assertIn("list.csv.gz", box.submit(job, check=65).stderr.decode())
            self.assertEqual(list((box.spool / "incoming").iterdir()), [])

    def test_what_was_dropped_by_hand_is_copied_with_all_it_needs(self):
        with Sandbox() as box:
            self.start(box)
            job = self.make_job(box)
            self.write_list(job, [{"email": "a@test.example", "name": "Zoe"}])
            self.write_toml(job, "s", 'text = "parts/body"\nattachments = ["parts/a.bin"]')
            (job / "parts" / "body").write_text("{{> outer}}\n")
            (job / "parts" / "outer.mustache").write_text("outer {{> sub/inner}}\n")
            (job / "parts" / "sub").mkdir()
            (job / "parts" / "sub" / "inner").write_text("inner {{name}}")
            (job / "parts" / "a.bin").write_bytes(b"\0\1\2")
            box.drop(job)
            self.assertEqual(box.wait_done("news")["delivered"], 1)
            path, = (box.directory / "store" / "new").iterdir()
            message = email.message_from_bytes(path.read_bytes())
            text, attachment = message.get_payload()
            self.assertEqual(text.get_payload(decode=True), b"outer inner Zoe\r\n")
            self.assertEqual(attachment.get_payload(decode=True), b"\0\1\2")


if __name__ == "__main__":
    unittest.main()
