"""Damaged files in the spool of a job that is half done: what can be read goes on, what could make
somebody get the mail again waits for the operator.

One spool is made once; each test copies it, damages the copy, and starts the program on it.
"""
import calendar
import json
import os
import re
import shutil
import time
import unittest

from harness import Sandbox

ROWS = 6000
PAD = "x" * 4000  # so that a segment is full soon


class Origin:
    """A stopped spool: `news` half done over several journal files, `other` paused."""

    def __init__(self):
        self.box = Sandbox()
        try:
            self.make(self.box)
        except BaseException:
            self.box.__exit__()
            raise

    def make(self, box):
        box.start_sink("--rtt", "1ms")
        rules = box.directory / "shaping.toml"
        rules.write_text('["default"]\nmax_message_rate = "400/s"\n')
        box.configure(extra=f'[shaping]\nfiles = ["{rules}"]\n')
        box.start_sender()
        box.submit(box.write_job(header="email,name,pad", rows=[
            f"user{i}@d{i % 50}.test.example,Name {i},{PAD}" for i in range(ROWS)]))
        box.sender.wait_for_line("job news-.* taken")
        self.news = next(box.spool.glob("active/news-*")).name
        self.wait_delivered(1500)
        box.sender.stop()
        box.start_sender()
        # Named by another second than the first: so they can be told apart by their age.
        other = box.write_job("other", rows=[f"other{i}@d1.test.example,O {i}" for i in range(10)],
                              extra='[send]\nrate = "10/s"\n')
        box.wait_for(lambda: box.run("pause", "--site", "nobody", "--config", box.config_file)
                     and self.is_another_second(), "another second")
        box.submit(other)
        box.sender.wait_for_line("job other-.* taken")
        box.run("pause", "other", "--config", box.config_file, check=0)
        self.other = next(box.spool.glob("active/other-*")).name
        self.wait_delivered(3000)
        box.other_delivered = status(box, "other")["delivered"]
        box.sender.stop()
        self.other_left = 10 - box.other_delivered
        self.received = box.stop_sink()["identities"]["distinct"] - box.other_delivered

    def is_another_second(self):
        return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()) not in self.news

    def wait_delivered(self, count):
        self.box.wait_for(lambda: status(self.box, "news")["delivered"] >= count, "some verdicts")


def status(box, job):
    return json.loads(box.run("status", job, "--json", "--config", box.config_file,
                              check=0).stdout)


def flip(path, offset):
    octets = bytearray(path.read_bytes())
    octets[offset] ^= 0x10
    stat = path.stat()
    path.write_bytes(octets)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


class Damage(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.origin = Origin()
        cls.addClassCleanup(cls.origin.box.__exit__)

    def copy(self):
        """A sandbox with a copy of the spool, and a receiver."""
        self.others = 0  # that got their mail in this run, besides those of `news`
        box = Sandbox()
        self.addCleanup(box.__exit__)
        shutil.copytree(self.origin.box.spool, box.spool)
        box.start_sink()
        box.configure()
        return box

    def active(self, box):
        return box.spool / "active" / self.origin.news

    def journals(self, box):
        """Those with something in them, oldest first."""
        return sorted(path for path in box.spool.glob("journal/*.jnl")
                      if path.stat().st_size > 100)

    def finish(self, box, times):
        """`news` comes to its end; how many got it in this run."""
        summary = box.wait_done("news")
        self.assertEqual(summary["total"], ROWS)
        self.assertEqual(summary["delivered"], ROWS)
        box.sender.stop()
        identities = box.stop_sink()["identities"]
        self.assertEqual(identities["distinct"], identities["once"])
        got_it = identities["distinct"] - self.others
        if times == "once":
            self.assertEqual(got_it, ROWS - self.origin.received)
        else:
            self.assertGreater(got_it, ROWS - self.origin.received)

    def run_other(self, box):
        """The other job goes on all the same."""
        self.assertEqual(status(box, "other")["phase"], "paused")
        box.run("resume", "other", "--config", box.config_file, check=0)
        self.assertEqual(box.wait_done("other")["delivered"], 10)
        self.others += self.origin.other_left

    def assert_held(self, box, *words):
        shown = status(box, "news")
        self.assertEqual(shown["phase"], "held", shown)
        self.assertEqual(shown["total"], ROWS)
        for word in words:
            self.assertIn(word, shown["error"])
            self.assertRegex(box.sender.text(), r" error .*" + re.escape(word))
        table = box.run("status", "--config", box.config_file, check=0).stdout.decode()
        self.assertIn("held", table)
        return shown

    # --- the journal

    def make_older(self, path):
        """Than the other job: only the first can be in it."""
        stamp = self.origin.news.split("-")[1]
        seconds = calendar.timegm(time.strptime(stamp, "%Y%m%dT%H%M%SZ")) - 2
        os.utime(path, (seconds, seconds))

    def test_a_torn_tail_is_cut(self):
        box = self.copy()
        with open(self.journals(box)[-1], "ab") as journal:
            journal.write(b"\xf7SLF and then nothing")
        box.start_sender()
        self.assertNotIn(" error ", box.sender.text())
        self.run_other(box)
        self.finish(box, "once")

    def test_a_flipped_octet_holds_the_jobs_it_may_concern(self):
        box = self.copy()
        journal = self.journals(box)[0]
        whole = journal.read_bytes()
        flip(journal, len(whole) // 2)
        self.make_older(journal)
        box.start_sender()
        self.assert_held(box, journal.name, "sluice resume " + self.origin.news + " --unread")
        self.run_other(box)
        # New ones are not concerned either.
        box.submit(box.write_job("later", rows=["later@d1.test.example,L"]))
        box.wait_done("later")
        # Not by mistake.
        done = box.run("resume", "news", "--config", box.config_file)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(b"--unread", done.stderr)
        self.assertEqual(status(box, "news")["phase"], "held")
        done = box.run("pause", "news", "--config", box.config_file)
        self.assertIn(b"nothing of it is sent", done.stderr)
        # And not by a restart: what can be read stands under its name, the damage is kept.
        box.sender.stop()
        self.assertEqual(box.stop_sink()["identities"]["distinct"], self.others + 1)
        damaged = journal.with_name(journal.name + ".damaged")
        self.assertEqual(len(damaged.read_bytes()), len(whole))
        self.assertEqual(journal.read_bytes(), whole[:journal.stat().st_size])
        self.assertGreater(journal.stat().st_size, 32)
        box.start_sink()
        box.start_sender()
        held = self.assert_held(box, journal.name)
        # The part before the damage counts.
        self.assertGreater(held["delivered"], 0)
        self.assertLess(held["delivered"], self.origin.received)
        again = self.origin.received - held["delivered"]
        done = box.run("resume", "news", "--unread", "--config", box.config_file, check=0)
        self.assertIn(self.origin.news, done.stdout.decode())
        box.wait_done("news")
        box.sender.stop()
        identities = box.stop_sink()["identities"]
        self.assertEqual(identities["distinct"], ROWS - self.origin.received + again)

    def test_what_was_accepted_stays_so_over_a_restart(self):
        box = self.copy()
        journal = self.journals(box)[0]
        flip(journal, 3)
        rules = box.directory / "shaping.toml"
        rules.write_text('["default"]\nmax_message_rate = "10/s"\n')
        box.configure(extra=f'[shaping]\nfiles = ["{rules}"]\n')
        box.start_sender()
        self.assert_held(box, journal.name)
        box.run("resume", "news", "--unread", "--config", box.config_file, check=0)
        self.assertEqual(status(box, "news")["phase"], "sending")
        box.sender.stop()
        box.start_sender()
        self.assertEqual(status(box, "news")["phase"], "sending")
        self.assertEqual(status(box, "other")["phase"], "held", "that is another job")

    def test_a_restored_file_is_as_before(self):
        box = self.copy()
        journal = self.journals(box)[0]
        copy = box.directory / "copy"
        shutil.copy2(journal, copy)
        flip(journal, journal.stat().st_size // 2)
        box.start_sender()
        self.assert_held(box, journal.name)
        box.sender.stop()
        shutil.copy2(copy, journal)
        journal.with_name(journal.name + ".damaged").unlink()
        box.start_sender()
        self.assertNotIn(" error ", box.sender.text())
        self.finish(box, "once")

    def test_a_file_that_can_be_read_again_has_its_name_back(self):
        box = self.copy()
        journal = self.journals(box)[0]
        journal.rename(journal.with_name(journal.name + ".damaged"))
        box.start_sender()
        self.assertRegex(box.sender.text(), "can be read again")
        self.assertTrue(journal.exists())
        self.finish(box, "once")

    def test_a_broken_header(self):
        self.hold_and_go_on(lambda journal: flip(journal, 9))

    def test_a_directory_in_its_place(self):
        def damage(journal):
            journal.unlink()
            journal.mkdir()
        self.hold_and_go_on(damage)

    def test_a_link_that_leads_nowhere(self):
        def damage(journal):
            journal.unlink()
            journal.symlink_to("/nowhere/at/all")
        self.hold_and_go_on(damage)

    def test_a_file_that_is_missing_between_others(self):
        box = self.copy()
        journals = sorted(box.spool.glob("journal/*.jnl"))
        self.assertGreaterEqual(len(journals), 2)
        # Named to the end of the series, so that there is one before it.
        (box.spool / "journal" / "000-00000000.jnl").write_bytes(b"")
        journals[0].unlink()
        box.start_sender()
        self.assert_held(box, journals[0].name)
        box.run("resume", "news", "--unread", "--config", box.config_file, check=0)
        self.finish(box, "again")

    def test_a_block_that_is_damaged_while_it_waits(self):
        box = self.copy()
        rules = box.directory / "shaping.toml"
        rules.write_text('["default"]\nmax_message_rate = "100/s"\n')
        box.configure(extra=f'[shaping]\nfiles = ["{rules}"]\n')
        box.start_sender()
        # Of a job that starts paused no block is read yet.
        box.run("pause", "news", "--config", box.config_file, check=0)
        box.sender.stop()
        rules.write_text("")
        box.start_sender()
        segment = max(self.active(box).glob("segments/*.seg"))
        flip(segment, segment.stat().st_size // 2)
        box.run("resume", "news", "--config", box.config_file, check=0)
        shown = box.wait_for(lambda: (lambda s: s["error"] and s)(status(box, "news")),
                             "the job's error")
        self.assertIn(f"rows of {segment}", shown["error"])
        self.assertIn("restore the file", shown["error"])
        # The others are sent, and it does not end.
        box.wait_for(lambda: status(box, "news")["delivered"] == ROWS - status(
            box, "news")["waiting"], "all that can be read")
        shown = status(box, "news")
        self.assertEqual(shown["phase"], "sending")
        self.assertGreater(shown["waiting"], 0)
        # Restored, they go too.
        box.sender.stop()
        flip(segment, segment.stat().st_size // 2)
        box.start_sender()
        self.finish(box, "once")

    def hold_and_go_on(self, damage):
        box = self.copy()
        journal = self.journals(box)[0]
        damage(journal)
        box.start_sender()
        self.assert_held(box, journal.name)
        box.run("resume", "news", "--unread", "--config", box.config_file, check=0)
        self.finish(box, "again")

    def test_a_held_job_can_be_cancelled(self):
        box = self.copy()
        journal = self.journals(box)[0]
        flip(journal, 3)
        box.start_sender()
        held = self.assert_held(box, journal.name)
        box.run("cancel", "news", "--config", box.config_file, check=0)
        summary = box.wait_done("news")
        self.assertEqual(summary["total"], ROWS)
        self.assertEqual(summary["cancelled"], ROWS - held["delivered"])
        box.sender.stop()
        self.assertEqual(box.stop_sink()["identities"]["distinct"], 0)

    # --- segments

    def stay(self, box, path, whole):
        """Rows of one segment stay, the others go on; restored, it ends as ever."""
        box.start_sender()
        self.assertRegex(box.sender.text(), r" error .*" + re.escape(path.name))
        before = status(box, "news")
        self.assertIn(path.name, before["error"])
        self.assertEqual(before["phase"], "sending")
        stay = int(re.search(r"([\d,]+) rows or more", before["error"])[1].replace(",", ""))
        self.assertGreater(stay, 0)
        box.wait_for(lambda: status(box, "news")["delivered"] == ROWS - stay, "the others")
        self.run_other(box)
        self.assertTrue(self.active(box).is_dir(), "not done")
        shown = status(box, "news")
        self.assertEqual(shown["waiting"], stay)
        if path.exists():
            done = box.run("report", "news", "--config", box.config_file, "--format", "csv")
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(path.name.encode(), done.stderr)
            self.assertGreater(done.stdout.count(b"\n"), ROWS // 4, "the others are told")
        box.sender.stop()
        now = box.stop_sink()["identities"]
        self.assertEqual(now["distinct"], now["once"])
        path.write_bytes(whole)
        box.start_sink()
        box.start_sender()
        summary = box.wait_done("news")
        self.assertEqual(summary["delivered"], ROWS)
        self.assertEqual(summary["total"], ROWS)
        box.sender.stop()
        then = box.stop_sink()["identities"]
        self.assertEqual(now["distinct"] - self.others + then["distinct"],
                         ROWS - self.origin.received)

    def segment(self, box):
        segments = sorted(self.active(box).glob("segments/*.seg"))
        self.assertGreaterEqual(len(segments), 3, "the list makes several")
        return segments[1]

    def test_a_segment_without_its_index(self):
        box = self.copy()
        path = self.segment(box)
        whole = path.read_bytes()
        flip(path, len(whole) - 200)
        self.stay(box, path, whole)

    def test_a_segment_without_its_trailer(self):
        box = self.copy()
        path = self.segment(box)
        whole = path.read_bytes()
        flip(path, len(whole) - 4)
        self.stay(box, path, whole)

    def test_a_truncated_segment(self):
        box = self.copy()
        path = self.segment(box)
        whole = path.read_bytes()
        path.write_bytes(whole[:len(whole) // 2])
        self.stay(box, path, whole)

    def test_a_missing_segment(self):
        box = self.copy()
        path = self.segment(box)
        whole = path.read_bytes()
        path.unlink()
        self.stay(box, path, whole)

    def test_a_cancelled_job_ends_without_its_damaged_segment(self):
        box = self.copy()
        path = self.segment(box)
        path.write_bytes(b"")
        box.start_sender()
        box.run("cancel", "news", "--config", box.config_file, check=0)
        box.sender.stop()
        box.start_sender()
        self.assertEqual(box.wait_done("news")["total"], ROWS)

    # --- the rest

    def test_the_list_is_read_on_when_progress_is_damaged(self):
        box = self.copy()
        (self.active(box) / "progress").write_bytes(b"\0\0\0")
        box.start_sender()
        self.assertRegex(box.sender.text(), "progress cannot be read")
        self.finish(box, "once")

    def test_a_damaged_job_file_holds_its_job(self):
        box = self.copy()
        path = self.active(box) / "job.toml"
        whole = path.read_bytes()
        path.write_bytes(b"name = \0")
        box.start_sender()
        shown = status(box, "news")
        self.assertEqual(shown["phase"], "held")
        self.assertIn("job.toml", shown["error"])
        self.assertIn("sluice resume", shown["error"])
        self.run_other(box)
        done = box.run("resume", "news", "--config", box.config_file)
        self.assertIn(b"job.toml", done.stderr)
        self.assertEqual(status(box, "news")["phase"], "held")
        path.write_bytes(whole)
        box.run("resume", self.origin.news, "--config", box.config_file, check=0)
        box.wait_done("news")
        box.sender.stop()
        identities = box.stop_sink()["identities"]
        self.assertEqual(identities["distinct"] - self.others, ROWS - self.origin.received)
        self.assertEqual(identities["once"], identities["distinct"])

    def test_files_of_the_spool_that_are_not_needed_to_start(self):
        box = self.copy()
        (box.spool / "limits.json").write_bytes(b"{\xff")
        (box.spool / "paused_sites").unlink(missing_ok=True)
        (box.spool / "paused_sites").mkdir()
        (box.spool / "journal" / "000.followed").write_bytes(b"\xff\xff")
        box.start_sender()
        self.assertRegex(box.sender.text(), "paused_sites cannot be read")
        self.run_other(box)
        self.assertEqual(box.wait_done("news")["delivered"], ROWS)


if __name__ == "__main__":
    unittest.main()
