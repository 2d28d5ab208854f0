"""The same personalised mailing, 10 KiB a message, as a job for Sluice and as ready messages."""

LINE = "What happened this month, told in a sentence that fills its line, more or less.\n"
BODY = "Hello {{first_name}} of {{city}},\n\n" + LINE * 122 + "\nYour code is {{code}}.\n"
SENDER = "news@example.com"


def row(i):
    return {"email": f"reader{i}@d{i % 1000}.test.example", "first_name": f"Reader {i}",
            "city": f"Town {i % 777}", "code": str(i * 7919 % 999983), "plan": "gold"}


def write(directory, count):
    directory.mkdir(parents=True)
    (directory / "job.toml").write_text(
        f'name = "news"\nfrom = "Example News <{SENDER}>"\n'
        'subject = "{{first_name}}, your news on plan {{plan}}"\n'
        '[message]\ntext = "body.txt"\n[list]\nfile = "list.csv"\n')
    (directory / "body.txt").write_text(BODY)
    with open(directory / "list.csv", "w", encoding="utf-8") as out:
        out.write(",".join(row(0)) + "\n")
        for i in range(count):
            out.write(",".join(row(i).values()) + "\n")


def message(i):
    """Envelope commands, and the message with its final dot."""
    fields = row(i)
    body = BODY
    for name, value in fields.items():
        body = body.replace("{{" + name + "}}", value)
    head = (f"From: Example News <{SENDER}>\nTo: {fields['email']}\n"
            f"Subject: {fields['first_name']}, your news on plan {fields['plan']}\n"
            "Date: Sun, 22 Nov 2026 10:00:00 +0000\n"
            f"Message-ID: <{i}.news@example.com>\nMIME-Version: 1.0\n"
            "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 7bit\n\n")
    envelope = f"MAIL FROM:<{SENDER}>\r\nRCPT TO:<{fields['email']}>\r\nDATA\r\n"
    return envelope.encode(), (head + body + ".\n").replace("\n", "\r\n").encode()
