"""A full disk, a read-only one, an address that is taken: what happens, and what is said.

The spool lies on a small file system of its own, which only root can mount.
"""
import json
import os
import shutil
import socket
import subprocess
import unittest

from harness import Process, Sandbox, SLUICE


def mount(box, mebibytes):
    box.spool.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "sluice-test",
                    str(box.spool)], check=True)
    box.cleanup.append(lambda: subprocess.run(["umount", "-l", str(box.spool)], check=False))


def may_mount():
    if os.geteuid() != 0:
        return False
    with Sandbox() as box:
        try:
            mount(box, 1)
        except (OSError, subprocess.CalledProcessError):
            return False
    return True


class Ballast:
    """A file that takes all the room there is."""

    def __init__(self, box):
        self.path = box.spool / "ballast"

    def fill(self):
        with open(self.path, "ab", buffering=0) as file:
            for size in (1 << 20, 1 << 12):
                try:
                    while True:
                        file.write(b"x" * size)
                except OSError:
                    pass

    def drop(self):
        self.path.unlink()


@unittest.skipUnless(may_mount(), "needs root, to mount a small file system")
class SmallDisk(unittest.TestCase):
    ROWS = 20000

    def rows(self):
        return [f"user{i}@d{i % 50}.test.example,Name {i}" for i in range(self.ROWS)]

    def delivered_once(self, box):
        self.assertEqual(box.wait_done("news")["delivered"], self.ROWS)
        self.assertEqual(box.sender.stop(), 0, box.sender.text())
        self.assertEqual(box.stop_sink()["identities"]["once"], self.ROWS)

    def keep_nothing_free(self, box):
        text = box.config_file.read_text()
        box.config_file.write_text(text.replace("[spool]\n", '[spool]\nreserve = "0"\n'))

    def test_lists_leave_room_for_the_journal(self):
        with Sandbox() as box:
            mount(box, 300)
            box.start_sink()
            box.start_sender()  # 256 MiB are kept
            box.drop(box.write_job("small", rows=self.rows()[:100]))
            self.assertEqual(box.wait_done("small")["delivered"], 100)
            ballast = box.spool / "ballast"
            ballast.write_bytes(b"x" * (60 << 20))
            box.drop(box.write_job(rows=self.rows()))
            line = box.sender.wait_for_line("its list waits: only")
            self.assertIn("256 MiB are kept for the journal ([spool] reserve)", line)
            ballast.unlink()
            box.sender.wait_for_line("there is room on the disk again: its list goes on")
            self.assertEqual(box.wait_done("news")["delivered"], self.ROWS)
            self.assertEqual(box.sender.stop(), 0, box.sender.text())

    def fill_while_sending(self, box):
        mount(box, 16)
        box.start_sink("--rtt", "5ms")
        box.configure(engine="max_connections = 20")
        self.keep_nothing_free(box)
        box.start_sender()
        box.drop(box.write_job(rows=self.rows()))
        journal = box.spool / "journal"
        box.wait_for(lambda: sum(f.stat().st_size for f in journal.iterdir()) > 20000,
                     "some verdicts")
        ballast = Ballast(box)
        ballast.fill()
        return ballast

    def test_full_before_a_job_is_taken(self):
        with Sandbox() as box:
            mount(box, 16)
            box.start_sink()
            box.configure()
            self.keep_nothing_free(box)
            box.start_sender()
            job = box.write_job(rows=self.rows()[:100])
            hidden = box.spool / "incoming" / ".news"  # nobody looks at such a name
            shutil.copytree(job, hidden)
            ballast = Ballast(box)
            ballast.fill()
            # A rename needs no room; taking the job does.
            hidden.rename(hidden.with_name("news"))
            box.sender.wait_for_line("(cannot be taken into the spool|waits, the spool cannot be "
                                     "written).*([Nn]o space|[Nn]o room)", deadline=20)
            self.assertFalse(list((box.spool / "failed").iterdir()))
            ballast.drop()
            self.assertEqual(box.wait_done("news")["delivered"], 100)
            self.assertEqual(box.sender.stop(), 0)

    def test_full_while_sending(self):
        with Sandbox() as box:
            ballast = self.fill_while_sending(box)
            line = box.sender.wait_for_line("writing the journal failed")
            self.assertIn("nothing more is sent until there is room", line)
            stalled = box.run("status", "--json", "--config", box.config_file, check=0)
            self.assertIn(b'"sending"', stalled.stdout)
            ballast.drop()
            box.sender.wait_for_line("there is room on the disk again: sending goes on")
            self.delivered_once(box)

    def test_stopped_while_full(self):
        with Sandbox() as box:
            ballast = self.fill_while_sending(box)
            box.sender.wait_for_line("writing the journal failed")
            self.assertEqual(box.sender.stop(), 74, box.sender.text())
            ballast.drop()
            box.start_sender()
            self.assertEqual(box.wait_done("news")["delivered"], self.ROWS)
            box.sender.stop()
            identities = box.stop_sink()["identities"]
            self.assertEqual(identities["distinct"], self.ROWS)
            self.assertEqual(identities["more"], 0)

    def test_a_read_only_spool_is_refused(self):
        with Sandbox() as box:
            mount(box, 1)
            subprocess.run(["mount", "-o", "remount,ro", str(box.spool)], check=True)
            box.configure()
            done = box.run("run", "--config", box.config_file, check=73)
            self.assertIn(f"cannot write to the spool {box.spool}: Read-only file system",
                          done.stderr.decode())


class Taken(unittest.TestCase):
    def test_an_address_in_use(self):
        with Sandbox() as box, socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            port = other.getsockname()[1]
            box.configure(extra=f'listen = "127.0.0.1:{port}"\n')
            done = box.run("run", "--config", box.config_file)
            self.assertEqual(done.returncode, 78, done.stderr)
            self.assertIn(f"127.0.0.1:{port}", done.stderr.decode())
            self.assertIn("in use", done.stderr.decode())

    def test_a_source_address_that_is_not_ours(self):
        with Sandbox() as box:
            box.start_sink()
            box.configure(extra='[[source]]\nname = "s1"\naddress = "198.51.100.7"\n'
                                '[[pool]]\nname = "default"\nsources = ["s1"]\n')
            process = Process([SLUICE, "run", "--config", str(box.config_file)])
            box.started.append(process)
            box.sender = process
            process.wait_for_line(" ready:")
            box.submit(box.write_job(rows=["ann@test.example,Ann"]))
            waiting = box.wait_for(
                lambda: [s for s in self.sites(box) if s["last_failure"]], "a failure in status")
            self.assertIn("198.51.100.7", waiting[0]["last_failure"])
            self.assertIn("no address of this host", waiting[0]["last_failure"])
            self.assertEqual(process.stop(), 0)

    def sites(self, box):
        done = box.run("status", "--by", "site", "--json", "--config", box.config_file)
        return json.loads(done.stdout)["sites"]


if __name__ == "__main__":
    unittest.main()
