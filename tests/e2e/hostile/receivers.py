#!/usr/bin/env python3
"""Receivers that mean harm, or are broken, each with what must become of its recipients.

The tests run them as threads; `python3 -m hostile.receivers CHARACTER ADDRESS PORT` plays one until
it is ended. The time-outs that the outcomes rest on are TIMEOUTS. "One octet a minute" is one each
0.3 seconds here, against a second.
"""
import signal
import sys

from hostile.outcome import Characters, bounced, deferred, delivered, waits
from hostile.wire import Receiver

TIMEOUTS = {"connect_timeout": "2s", "banner_timeout": "1s", "ehlo_timeout": "1s",
            "mail_from_timeout": "1s", "rcpt_to_timeout": "1s", "data_timeout": "1s",
            "data_dot_timeout": "1s", "rset_timeout": "1s"}
# Get a message of several megabytes, and have a small receive buffer.
LARGE = {"window-closed-for-ever", "reset-in-data", "close-in-data"}
# Holds its message to the end: only the drain time-out frees it.
HOLDS = {"window-closed-for-ever"}
SLOWLY = 0.3

character = Characters()


# --- the greeting -----------------------------------------------------------------------------

@character(waits(r"after banner: protocol error: reply line too long"))
def endless_banner_line(wire):
    wire.without_end(b"220 " + b"x" * 1000)


@character(waits(r"after banner: protocol error: reply too long"))
def endless_banner_lines(wire):
    wire.without_end(b"220-" + b"x" * 1000 + b"\r\n")


@character(waits(r"after banner: timed out"))
def one_octet_a_minute(wire):
    while True:
        wire.dripping(b"220-mx.hostile.example\r\n", SLOWLY)


@character(waits(r"after banner: timed out"))
def silent(wire):
    wire.listen()


@character(waits(r"after banner: protocol error: a line that is no reply"))
def garbage(wire):
    wire.say(b"\x00\xffSSH-2.0-OpenSSH_9.2\r\n")
    wire.listen()


@character(waits(r"after banner: protocol error: reply line too long"))
def binary_zeros(wire):
    wire.without_end(bytes(4096))


@character(waits(r"after banner: protocol error: a line that is no reply"))
def empty_lines(wire):
    wire.without_end(b"\r\n" * 100)


@character(waits(r"after banner: connection closed by the receiver"))
def close_at_once(_):
    pass


# The reset may come before the connection is seen to be there.
@character(waits(r"connection reset"))
def reset_at_once(wire):
    wire.abort()


@character(waits(r"after banner: connection closed by the receiver"))
def half_a_banner_then_close(wire):
    wire.say(b"220-mx.hostile.example\r\n22")


@character(waits(r"after banner: protocol error: lines of one reply with different codes"))
def two_codes_in_the_banner(wire):
    wire.say(b"220-mx.hostile.example\r\n221 is it\r\n")
    wire.listen()


@character(waits(r"after banner: protocol error: a line that is no reply"))
def code_600(wire):
    wire.say(b"600 beyond all codes\r\n")
    wire.listen()


@character(waits(r"after banner: protocol error: a line that is no reply"))
def code_of_two_digits(wire):
    wire.say(b"22 mx.hostile.example\r\n")
    wire.listen()


@character(waits(r"replies do not belong to their commands: a reply without a command"))
def replies_before_commands(wire):
    wire.say(b"220 mx.hostile.example\r\n" + b"250 not asked\r\n" * 5)
    wire.listen()


# --- the greeting's answer --------------------------------------------------------------------

@character(waits(r"after EHLO: connection closed by the receiver"))
def close_after_ehlo(wire):
    wire.say(b"220 mx.hostile.example\r\n")
    wire.line()


@character(waits(r"after EHLO: protocol error: reply too long"))
def endless_ehlo_reply(wire):
    wire.say(b"220 mx.hostile.example\r\n")
    wire.line()
    wire.without_end(b"250-X-KEYWORD " + b"x" * 500 + b"\r\n")


@character(waits(r"after EHLO: protocol error: reply line too long"))
def ehlo_line_of_5000_octets(wire):
    wire.greet(b"X-LONG " + b"x" * 4989)
    wire.listen()


@character(waits(r"after EHLO: protocol error: reply too long"))
def ehlo_reply_above_64_kib(wire):
    wire.greet(*[b"X-LONG " + b"x" * 1000] * 66)
    wire.listen()


@character(waits(r"after EHLO: timed out"))
def never_reads(wire):
    wire.say(b"220 mx.hostile.example\r\n")
    wire.deaf()


@character(waits(r"replies do not belong to their commands: a reply without a command"))
def whole_conversation_in_advance(wire):
    wire.greet(b"PIPELINING\r\n250 sender\r\n250 recipient\r\n354 go on\r\n250 taken")
    wire.listen()


@character(delivered())
def mad_keywords(wire):
    wire.greet(b"SIZE 99999999999999999999999999", b"LIMITS RCPTMAX=-1 MAILMAX=x RCPTMAX",
               b"\xff\x00\x01 \x00", b"PIPELINING-NOT", b"8BITMIME\t", b"", b"X " * 1000)
    while wire.until_dot():
        wire.say(b"250 taken\r\n")


# --- the envelope -----------------------------------------------------------------------------

@character(deferred("4.5.0", r"replies do not belong to their commands: 354 in reply to MAIL",
                    "MAIL"))
def data_code_for_mail(wire):
    wire.greet()
    wire.line()
    wire.say(b"354 go on\r\n")
    wire.listen()


@character(deferred("4.5.0", r"replies do not belong to their commands: a reply without a command",
                    "DATA"))
def reply_without_command(wire):
    wire.greet()
    wire.until(b"RCPT")
    wire.say(b"250 fine\r\n250 and more\r\n")
    wire.listen()


@character(deferred("4.5.0", r"replies do not belong to their commands: 250 in reply to DATA",
                    "DATA"))
def yes_to_data(wire):
    wire.greet()
    wire.until(b"DATA")
    wire.say(b"250 fine\r\n")
    wire.listen()


@character(deferred("4.4.2", r"connection closed by the receiver", "RCPT"))
def half_a_reply_then_close(wire):
    wire.greet()
    wire.until(b"RCPT")
    wire.say(b"550 no such u")


@character(deferred("4.5.0", r"protocol error: reply too long", "RCPT"))
def endless_refusal(wire):
    wire.greet()
    wire.until(b"RCPT")
    wire.without_end(b"550-no such user\r\n" * 100)


@character(deferred("4.5.0", r"protocol error: lines of one reply with different codes", "RCPT"))
def two_codes_for_rcpt(wire):
    wire.greet()
    wire.until(b"RCPT")
    wire.say(b"250-fine\r\n550 no such user\r\n")
    wire.listen()


@character(deferred("4.4.2", r"timed out", "RCPT"))
def one_octet_a_minute_for_rcpt(wire):
    wire.greet()
    wire.until(b"RCPT")
    wire.dripping(b"250-fine\r\n" * 100, SLOWLY)


@character(deferred("4.4.2", r"timed out", "RCPT"))
def pipelining_but_a_command_a_packet(wire):
    """Forgets what came with a command: the flight's second is never answered."""
    wire.greet(b"PIPELINING")
    while True:
        wire.packet()
        wire.say(b"250 fine\r\n")


@character(bounced("5.1.1", r"^no \\x00\\xff\\xfe user \\x1b\[31m$", "RCPT"))
def refusal_with_nul_and_8_bit(wire):
    wire.greet()
    while wire.until(b"RCPT"):
        wire.say(b"550 5.1.1 no \x00\xff\xfe user \x1b[31m\r\n")


@character(bounced("5.1.1", r"^x{1024}$", "RCPT"))
def refusal_of_4000_octets(wire):
    wire.greet()
    while wire.until(b"RCPT"):
        wire.say(b"550 5.1.1 " + b"x" * 4000 + b"\r\n")


# --- the content ------------------------------------------------------------------------------

@character(deferred("4.4.2", r"connection reset", "."))
def reset_in_data(wire):
    wire.greet()
    wire.until(b"DATA")
    wire.say(b"354 go on\r\n")
    wire.packet()
    wire.abort()


@character(deferred("4.4.2", r"connection (reset|closed)", "."))
def close_in_data(wire):
    wire.greet()
    wire.until(b"DATA")
    wire.say(b"354 go on\r\n")
    wire.packet()


@character(deferred("4.4.2", r"connection ended by the sender", "."))
def window_closed_for_ever(wire):
    wire.greet()
    wire.until(b"DATA")
    wire.say(b"354 go on\r\n")
    wire.deaf()


@character(deferred("4.4.2", r"connection closed by the receiver", ".", maybe=True))
def drop_after_the_dot(wire):
    wire.greet()
    wire.until_dot()


@character(deferred("4.4.2", r"connection reset", ".", maybe=True))
def reset_after_the_dot(wire):
    wire.greet()
    wire.until_dot()
    wire.abort()


@character(deferred("4.4.2", r"timed out", ".", maybe=True))
def silent_after_the_dot(wire):
    wire.greet()
    wire.until_dot()
    wire.listen()


@character(deferred("4.4.2", r"timed out", ".", maybe=True))
def one_octet_a_minute_after_the_dot(wire):
    wire.greet()
    wire.until_dot()
    wire.dripping(b"250-taken\r\n" * 100, SLOWLY)


@character(deferred("4.5.0", r"protocol error: reply too long", ".", maybe=True))
def endless_reply_after_the_dot(wire):
    wire.greet()
    wire.until_dot()
    wire.without_end(b"250-taken\r\n" * 100)


@character(deferred("4.5.0", r"protocol error: lines of one reply with different codes", ".",
                    maybe=True))
def two_codes_after_the_dot(wire):
    wire.greet()
    wire.until_dot()
    wire.say(b"250-taken\r\n550 or not\r\n")
    wire.listen()


@character(deferred("4.5.0", r"replies do not belong to their commands: 354 in reply to \.", ".",
                    maybe=True))
def data_code_after_the_dot(wire):
    wire.greet()
    wire.until_dot()
    wire.say(b"354 go on\r\n")
    wire.listen()


@character(delivered(r"^taken \\x00\\xe9\\x7f$"))
def acceptance_with_nul_and_8_bit(wire):
    wire.greet()
    while wire.until_dot():
        wire.say(b"250 2.0.0 taken \x00\xe9\x7f\r\n")


@character(delivered())
def octet_by_octet(wire):
    """Honest: every reply in packets of one octet."""
    wire.connection = Splitting(wire.connection)
    wire.greet(b"PIPELINING", b"8BITMIME")
    while wire.until_dot():
        wire.say(b"250 2.0.0 taken\r\n")


@character(delivered())
def endless_farewell(wire):
    wire.farewell = b"221-bye\r\n"
    wire.greet()
    while wire.until_dot():
        wire.say(b"250 taken\r\n")
    wire.without_end(b"221-bye\r\n" * 100)


class Splitting:
    """A socket that sends each octet by itself."""

    def __init__(self, connection):
        self.recv = connection.recv
        self.octet = connection.sendall

    def sendall(self, octets):
        for i in range(len(octets)):
            self.octet(octets[i:i + 1])


def receive_buffer_of(name):
    return 4096 if name in LARGE else None


def main():
    name, address, port = sys.argv[1:]
    with Receiver(character[name][0], address, int(port), receive_buffer_of(name)):
        print("ready", flush=True)
        signal.sigwait({signal.SIGTERM, signal.SIGINT})


if __name__ == "__main__":
    main()
