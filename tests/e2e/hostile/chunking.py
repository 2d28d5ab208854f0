"""Receivers that offer CHUNKING: an honest one, and what it becomes when a thing is done wrong.

A Book has what all connections of a receiver took and obeyed. Recipients whose local part begins
with "no-" are refused; contents for those with "foul-" are refused at their end.
"""
import contextlib
import re
import threading

from hostile.account import Taken


class Book:
    """What a receiver took, obeyed and refused, over all its connections."""

    def __init__(self):
        self.lock = threading.Lock()
        self.taken = []           # Taken, one for each recipient
        self.transactions = []    # for each accepted one: (how, number of its recipients)
        self.obeyed = []          # commands that got a 2xx or 354
        self.refused_chunks = 0   # for want of a recipient
        self.nested_mails = 0     # MAIL while another sender stood
        self.connections = 0


class Session:
    """Honest."""

    keywords = (b"PIPELINING", b"CHUNKING", b"8BITMIME", b"ENHANCEDSTATUSCODES")
    recipients_max = 1000
    ok = {"RSET": b"2.0.0 flushed", "MAIL": b"2.1.0 sender fine", "RCPT": b"2.1.5 recipient fine",
          "NOOP": b"2.0.0 idle", "BDAT": b"2.0.0 taken", "DATA": b"2.0.0 taken"}

    def __init__(self, wire, book):
        self.wire, self.book = wire, book
        self.sender, self.recipients = None, []
        self.going = True
        with book.lock:
            book.connections += 1
            self.number = book.connections

    def serve(self):
        self.say(b"220 mx.hostile.example ready")
        while self.going:
            self.obey(self.wire.line())

    def say(self, line):
        self.wire.say(line + b"\r\n")

    def obey(self, line):
        words = line.split()
        verb = words[0].decode("latin-1").upper() if words else ""
        handle = {"EHLO": self.on_ehlo, "MAIL": self.on_mail, "RCPT": self.on_rcpt,
                  "DATA": self.on_data, "BDAT": self.on_bdat, "RSET": self.on_rset,
                  "NOOP": self.on_noop, "QUIT": self.on_quit}.get(verb)
        if handle is None:
            self.say(b"500 5.5.2 no such command")
            return
        handle(line)

    def agree(self, line, verb):
        with self.book.lock:
            self.book.obeyed.append(line)
        self.say(b"250 " + self.ok[verb])

    # --- commands

    def on_ehlo(self, _):
        lines = [b"mx.hostile.example", *self.keywords]
        for line in lines[:-1]:
            self.say(b"250-" + line)
        self.say(b"250 " + lines[-1])

    def on_mail(self, line):
        if path_of(line) is None:
            self.say(b"501 5.5.4 no path")
            return
        if self.sender is not None:
            with self.book.lock:
                self.book.nested_mails += 1
            self.say(b"503 5.5.1 sender already given")
            return
        self.sender = path_of(line)
        self.agree(line, "MAIL")

    def on_rcpt(self, line):
        if self.sender is None:
            self.say(b"503 5.5.1 no sender")
        elif path_of(line) is None:
            self.say(b"501 5.5.4 no path")
        elif path_of(line).startswith("no-"):
            self.say(b"550 5.1.1 no such user")
        elif len(self.recipients) >= self.recipients_max:
            self.say(b"452 4.5.3 too many recipients")
        else:
            self.recipients.append(path_of(line))
            self.agree(line, "RCPT")

    def on_data(self, line):
        if not self.recipients:
            self.say(b"503 5.5.1 no recipients")
            return
        with self.book.lock:
            self.book.obeyed.append(line)
        self.say(b"354 go on")
        content = b""
        while (part := self.wire.line()) != b".\r\n":
            content += part.removeprefix(b".")
        self.take(content, "DATA")

    def on_bdat(self, line):
        size = int(line.split()[1])
        if not self.recipients:
            with self.book.lock:
                self.book.refused_chunks += 1
            self.on_refused_chunk(size)
            return
        self.take(self.wire.octets(size), "BDAT")

    def on_refused_chunk(self, size):
        self.wire.octets(size)
        self.reset()
        self.say(b"503 5.5.1 no recipients")

    def on_rset(self, line):
        self.reset()
        self.agree(line, "RSET")

    def on_noop(self, line):
        self.agree(line, "NOOP")

    def on_quit(self, _):
        self.say(b"221 2.0.0 bye")
        self.going = False

    # --- ends of messages

    def reset(self):
        self.sender, self.recipients = None, []

    def take(self, content, how):
        sender, recipients = self.sender, self.recipients
        self.reset()
        if any(recipient.startswith("foul-") for recipient in recipients):
            self.on_foul()
            return
        with self.book.lock:
            self.book.taken += [Taken(sender, one, content) for one in recipients]
            self.book.transactions.append((how, len(recipients)))
        self.say(b"250 " + self.ok[how])

    def on_foul(self):
        self.say(b"554 5.6.0 foul content")


def obeyed_of(content):
    """What a receiver obeys that reads a content as commands."""
    book = Book()
    session = ReadsRefused(Script(content), book)
    with contextlib.suppress(EOFError):
        while session.going:
            session.obey(session.wire.line())
    return book.obeyed


class Script:
    """Stands for a wire whose other end has said all that it will say, and hears nothing."""

    def __init__(self, octets):
        self.lines = re.findall(rb"[^\n]*\n", octets)

    def line(self):
        if not self.lines:
            raise EOFError
        return self.lines.pop(0)

    def octets(self, _):
        raise EOFError

    def say(self, _):
        pass


def path_of(line):
    found = re.search(rb"<([^>]*)>", line)
    return found and found[1].decode("latin-1")


class KeepsMail(Session):
    """A refused chunk leaves the sender where it was, as Exim 4.96 does."""

    def on_refused_chunk(self, size):
        self.wire.octets(size)
        self.say(b"503 5.5.1 no recipients")


class ReadsRefused(Session):
    """A refused chunk is not swallowed: its lines are commands, blanks in front forgiven."""

    def on_refused_chunk(self, _):
        self.say(b"503 5.5.1 no recipients")


class AnswersTwice(Session):
    """Each `every`th content of a connection that came as a chunk is answered twice."""

    every = 1
    chunks = 0

    def take(self, content, how):
        super().take(content, how)
        if how == "BDAT":
            self.chunks += 1
            if self.chunks % self.every == 0:
                self.say(b"250 " + self.ok["BDAT"])


class AnswersTwiceNowAndThen(AnswersTwice):
    every = 7


class AnswersTwiceSeldom(AnswersTwice):
    """Late enough that blind flights were earned before."""

    every = 70


class Terse(Session):
    """All that is accepted is answered alike: no wording tells which command was meant."""

    ok = dict.fromkeys(Session.ok, b"ok")


class TerseTwice(Terse, AnswersTwice):
    pass


class TerseTwiceNowAndThen(Terse, AnswersTwiceNowAndThen):
    pass


class TerseTwiceSeldom(Terse, AnswersTwiceSeldom):
    pass


class RefusesChunks(Session):
    """Offers what it has not: BDAT is unknown to it, and its content is commands."""

    def on_bdat(self, _):
        self.say(b"502 5.5.1 not implemented")


class SwallowsChunks(Session):
    """Offers what it has not, but knows how long a chunk is."""

    def on_bdat(self, line):
        self.wire.octets(int(line.split()[1]))
        self.say(b"502 5.5.1 not implemented")


class ClosesAfterRefused(Session):
    """Ends the connection with each chunk that it refuses."""

    def on_refused_chunk(self, size):
        super().on_refused_chunk(size)
        self.going = False

    def on_foul(self):
        super().on_foul()
        self.going = False


class TwoRecipients(Session):
    """Takes two recipients at once, and says so only when there are more."""

    recipients_max = 2


class SaysTwoRecipients(TwoRecipients):
    keywords = (*Session.keywords, b"LIMITS RCPTMAX=2")
