"""Hostile receivers: each gets its outcome, none bounces anybody, none holds up the innocent."""
import collections
import socket
import threading
import unittest

from harness import Sandbox


def say(connection, octets):
    try:
        connection.sendall(octets)
        return True
    except OSError:
        return False


def read_line(stream):
    try:
        return stream.readline(65536)
    except OSError:
        return b""


def garbage(connection, _):
    say(connection, b"\x00\xffSSH-2.0-OpenSSH_9.2\r\n")


def endless_banner(connection, _):
    while say(connection, b"220-" + b"x" * 1000 + b"\r\n"):
        pass


def silent(connection, stream):
    while read_line(stream):
        pass


def talks_first(connection, stream):
    say(connection, b"220 hi\r\n250 not asked\r\n250 not asked either\r\n")
    silent(connection, stream)


def drops_after_the_dot(connection, stream):
    say(connection, b"220 hi\r\n")
    content = False
    while line := read_line(stream):
        if content:
            if line == b".\r\n":
                return
        elif line.upper().startswith(b"EHLO"):
            say(connection, b"250-hi\r\n250 PIPELINING\r\n")
        elif line.upper().startswith(b"DATA"):
            content = True
            say(connection, b"354 go on\r\n")
        else:
            say(connection, b"250 fine\r\n")


def octet_by_octet(connection, stream):
    """Honest, but slow: every reply in packets of one octet."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def slowly(octets):
        return all(say(connection, octets[i:i + 1]) for i in range(len(octets)))
    slowly(b"220 hi\r\n")
    content = False
    while line := read_line(stream):
        if content:
            if line == b".\r\n":
                content = False
                slowly(b"250 2.0.0 taken\r\n")
        elif line.upper().startswith(b"EHLO"):
            slowly(b"250-hi\r\n250-PIPELINING\r\n250 8BITMIME\r\n")
        elif line.upper().startswith(b"DATA"):
            content = True
            slowly(b"354 go on\r\n")
        elif line.upper().startswith(b"QUIT"):
            slowly(b"221 bye\r\n")
            return
        else:
            slowly(b"250 fine\r\n")


class Receiver:
    """Listens on an address of its own and treats every connection alike."""

    def __init__(self, address, port, behaviour):
        self.behaviour = behaviour
        self.listener = socket.create_server((address, port))
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with connection, connection.makefile("rb") as stream:
            try:
                self.behaviour(connection, stream)
            except OSError:
                pass


class Hostile(unittest.TestCase):
    CHARACTERS = [garbage, endless_banner, silent, talks_first, drops_after_the_dot,
                  octet_by_octet]

    def test_each_beside_an_innocent_site(self):
        with Sandbox() as box:
            zones = ["good.example MX 10 mx.good.example", "mx.good.example A 127.0.7.1",
                     "nowhere.example NULLMX", "broken.example SERVFAIL"]
            receivers = []
            rows = [f"u{i}@good.example,N" for i in range(500)]
            for number, behaviour in enumerate(self.CHARACTERS):
                domain = behaviour.__name__.replace("_", "-") + ".example"
                address = f"127.0.9.{number + 1}"
                zones += [f"{domain} MX 10 mx.{domain}", f"mx.{domain} A {address}"]
                receivers.append(Receiver(address, box.smtp_port, behaviour))
                rows += [f"u{i}@{domain},N" for i in range(5)]
            rows += ["a@nowhere.example,N", "b@broken.example,N"]
            zone_file = box.directory / "zones"
            zone_file.write_text("\n".join(zones) + "\n")
            box.start_sink("--zone-file", str(zone_file), exchangers=1, zone=None)
            rules = box.directory / "shaping.toml"
            rules.write_text('["default"]\nbanner_timeout = "1s"\nehlo_timeout = "1s"\n'
                             'data_dot_timeout = "2s"\n')
            box.configure(extra=f'[shaping]\nfiles = ["{rules}"]\n',
                          retry='retry_interval = "10m"')
            box.start_sender()
            box.submit(box.write_job(rows=rows))

            def settled():
                out = box.report("news") if list((box.spool / "active").glob("[!.]*")) else []
                found = collections.defaultdict(collections.Counter)
                for row in out:
                    found[row["recipient"].split("@")[1]][row["state"]] += 1
                done = (found["good.example"]["delivered"] == 500 and
                        found["octet-by-octet.example"]["delivered"] == 5 and
                        found["drops-after-the-dot.example"]["deferred"] >= 1 and
                        found["nowhere.example"]["bounced"] == 1 and
                        found["broken.example"]["deferred"] == 1)
                return found if done else None
            found = box.wait_for(settled, "verdicts for all who answer")
            for behaviour in self.CHARACTERS[:-1]:
                domain = behaviour.__name__.replace("_", "-") + ".example"
                self.assertEqual(found[domain]["bounced"], 0, domain)
                self.assertEqual(found[domain]["delivered"], 0, domain)
                self.assertEqual(found[domain]["waiting"] + found[domain]["deferred"], 5, domain)
            report = {row["recipient"]: row for row in box.report("news")}
            self.assertEqual(report["a@nowhere.example"]["enhanced"], "5.1.10")
            self.assertEqual(report["b@broken.example"]["enhanced"], "4.4.3")
            self.assertEqual(box.sender.stop(), 0, box.sender.text())
            for receiver in receivers:
                receiver.listener.close()


if __name__ == "__main__":
    unittest.main()
