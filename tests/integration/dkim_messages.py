"""A thousand messages that sluice composed and signed, as the receiver stored them, and the keys'
records: what verifiers of other people's are given."""
import random
import re

from harness import Sandbox

DOMAIN = "news.example.com"
SELECTORS = ("r1", "e1")  # RSA and Ed25519
JOBS, ROWS = 10, 100

WORDS = ["a", "word", "Zoë", "日本語", "😀", "=", "=3D", ".", "..", "From ", "-- ", "x" * 70,
         "y" * 300, "\t", "  ", "   ", " \t ", "https://e.example/?a=b&c=d", "&amp;", "<p>", ";",
         "{{name}}", "{{x}}", "{{{x}}}", "{{#x}}yes {{.}}{{/x}}", "{{^x}}nothing{{/x}}"]
VALUES = ["", "", "Zoe", "Zoë", "a  b", " a ", ".", "..", "\ta", "x" * 500, "word " * 60, "😀" * 40,
          "=?utf-8?Q?x?=", "<b>&'\"", "two\nlines", "e\n\n\n", "\n.\n", "From me", "a;b=c:d"]


def random_text(chance, parts, words):
    lines = []
    for _ in range(chance.randrange(parts)):
        line = "".join(chance.choice(words) + chance.choice(["", " ", "  "])
                       for _ in range(chance.randrange(8)))
        lines.append(line + chance.choice(["", "", " ", "\t"]))
    return "\n".join(lines) + chance.choice(["", "\n", "\n\n\n"])


def eml_of(chance):
    plain = [word for word in WORDS if word.isascii()]
    subject = "Subject:" + chance.choice(["", " ", "  \t "]) + "a  {{h}}\n \t folded  \n"
    more = ["", "List-ID: <a.example.com>\n", "Cc: x@example.com,\n y@e.example\n"]
    return (subject + chance.choice(more)
            + "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\n"
            + random_text(chance, 30, plain)).encode()


def write_job(box, chance, number):
    rows = ["email,name,x,h"]
    for row in range(ROWS):
        values = [chance.choice(VALUES).replace('"', '""') for _ in range(2)]
        header = chance.choice([value for value in VALUES if "\n" not in value]).replace('"', '""')
        rows.append(f'r{row}@d{row % 5}.test.example,"{values[0]}","{values[1]}","{header}"')
    listed = ("\n".join(rows) + "\n").encode()
    options = {"lst": listed, "subject": chance.choice(["For  {{h}}", "to all", "{{h}}"])}
    if number % 3 == 2:
        options["eml"] = eml_of(chance)
    else:
        options["text"] = random_text(chance, 30, WORDS)
        if number % 3 == 1:
            options["html"] = random_text(chance, 30, WORDS)
    job = box.write_job(name=f"job{number}", **options)
    toml = (job / "job.toml").read_text().replace("<news@example.com>",
                                                  f"<news@{DOMAIN}>".lower())
    if number % 3 != 2:
        toml += '[headers]\nList-ID = "<{{job}}.example.com>"\nX-Long = "' + "long " * 60 + '"\n'
    else:
        toml = re.sub(r"^subject = .*\n", "", toml, flags=re.MULTILINE)
    (job / "job.toml").write_text(toml)
    return job


def make_keys(box):
    """[[dkim]] for sluice.toml, and the records by name."""
    tables, records = "", {}
    for selector, kind in zip(SELECTORS, ("rsa", "ed25519")):
        made = box.run("dkim-key", "--domain", "example.com", "--selector", selector, "--type",
                       kind, "--directory", box.directory, check=0).stdout.decode()
        tables += made[made.index("[[dkim]]"):]
        zone = made[:made.index("# into")]
        name = re.search(r"^(\S+)\. IN TXT", zone, re.MULTILINE).group(1)
        records[name] = "".join(re.findall(r'"([^"]*)"', zone))
    return tables, records


def signed_messages(seed=20261123):
    """(messages as octets, records by name): half of them came by BDAT, half by DATA."""
    chance = random.Random(seed)
    messages, records = [], {}
    with Sandbox() as box:
        tables, records = make_keys(box)
        store = box.directory / "store"
        store.mkdir()
        box.configure(extra=tables)
        for half, options in enumerate(([], ["--no-chunking"])):
            box.start_sink("--store", store, *options)
            if half == 0:
                box.start_sender()
            for number in range(half * JOBS // 2, (half + 1) * JOBS // 2):
                box.submit(write_job(box, chance, number), "--wait")
            box.stop_sink()
        messages = [path.read_bytes() for path in sorted((store / "new").iterdir())]
    return messages, records


def tampered(message, number):
    """The message with one change that breaks every signature."""
    head, body = message.split(b"\r\n\r\n", 1)
    kind = number % 6
    if kind == 0:
        return head + b"\r\n\r\nx" + body
    if kind == 1:
        return message + b"one line more\r\n"
    if kind == 2:
        return b"Subject: forged\r\n" + message
    if kind == 3:
        return re.sub(rb"(?m)^To: [^\r]*", b"To: other@example.org", message, count=1)
    if kind == 4:
        return b"Reply-To: forged@example.org\r\n" + message
    return re.sub(rb"(?m)^Message-ID: <", b"Message-ID: <z", message, count=1)
