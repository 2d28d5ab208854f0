"""Whether what the sender says of two jobs is what their receiver took.

Each job has an envelope sender that names it, and each message a header that names job and
recipient, so that a content under another's envelope gives itself away.
"""
import collections
import re

# sender, recipient: text; content: octets.
Taken = collections.namedtuple("Taken", "sender recipient content")


def extra_of(job):
    """For job.toml."""
    return (f'envelope_sender = "{envelope_sender(job)}"\n'
            f'[headers]\nX-Own = "{job} {{{{email}}}}"\n')


def envelope_sender(job):
    return f"{job}@bounces.example"


def names_refused(recipient):
    return recipient.startswith(("no-", "foul-"))


def foreign(taken):
    """Contents that stand under another's envelope."""
    found = []
    for one in taken:
        own = re.search(rb"^X-Own: (\S+) (\S+)\r?$", one.content, re.MULTILINE)
        said = own and (envelope_sender(own[1].decode()), own[2].decode())
        if said != (one.sender, one.recipient):
            found.append(f"content of {said} under {(one.sender, one.recipient)}")
    return found


def faults(reports, events, taken, is_refused=names_refused):
    """What is wrong, in words; [] when all is right.

    reports: job -> rows of its report; events: of these jobs; taken: by their receiver.
    """
    found = foreign(taken)
    copies = collections.Counter((one.sender, one.recipient) for one in taken)
    doubts = collections.Counter((event["sender"], event["recipient"]) for event in events
                                 if event.get("maybe_delivered"))
    for job, rows in reports.items():
        for row in rows:
            who = (envelope_sender(job), row["recipient"])
            refused = is_refused(row["recipient"])
            count = copies.pop(who, 0)
            said = f"{who}: {row['state']} ({row['response']}), stored {count} times"
            if row["state"] != ("bounced" if refused else "delivered"):
                found.append(said + f", {'refused' if refused else 'not refused'}")
            if refused and count > 0 or not refused and count == 0:
                found.append(said)
            if count > 1 + doubts[who]:
                found.append(said + f", maybe delivered {doubts[who]} times")
    found += [f"stored, and nobody asked for it: {who}" for who in copies]
    return found
