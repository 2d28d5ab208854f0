"""The power is cut again and again under a job: nobody is lost, few get the mail twice.

The spool lies on a file system of our own (power_cut/) that forgets, at each cut, what was not
synced, but for what a disk would have written by chance. Prints what was sent twice beside what was
in flight, or answered and not yet synced, just before each cut. Eight cuts; SLUICE_LONG=1: fifty.
"""
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import unittest

from harness import Process, Sandbox

POWER_CUT = os.environ.get("SLUICE_POWER_CUT", "")
CUTS = 50 if os.environ.get("SLUICE_LONG") else 8
ROWS = 3000
RATE = 150  # a second and site, so that the job outlives the cuts
IN_FLIGHT_MAX = 40  # connections; of up to 16 messages each


def why_not():
    if os.geteuid() != 0:
        return "mounting takes root"
    if not POWER_CUT or not pathlib.Path(POWER_CUT).exists():
        return "power_cut was not built: libfuse3-dev is missing"
    if not pathlib.Path("/dev/fuse").exists():
        return "there is no /dev/fuse"
    return None


@unittest.skipIf(why_not(), why_not())
class PowerCut(unittest.TestCase):
    def mount(self, box):
        self.place = box.directory / "disk"
        self.place.mkdir()
        self.disk = Process([POWER_CUT, str(self.place)])
        # Before the directory goes, and also when the program has died.
        box.cleanup.append(self.disk.kill)
        box.cleanup.append(lambda: subprocess.run(["umount", "-l", str(self.place)], check=False,
                                                  stderr=subprocess.DEVNULL))
        box.wait_for(lambda: self.place.is_mount(), "the disk")
        box.spool = self.place / "spool"

    def power(self, words):
        with open(self.place / ".power", "w", encoding="ascii") as power:
            power.write(words)

    def status(self, box):
        done = box.run("status", "news", "--json", "--config", box.config_file)
        return json.loads(done.stdout) if done.returncode == 0 else {"delivered": 0, "in_flight": 0}

    def cut(self, box, seed):
        """Nothing happens between the last thing the sender did and the cut."""
        os.kill(box.sender.popen.pid, signal.SIGSTOP)
        os.kill(self.disk.popen.pid, signal.SIGUSR1)
        self.power(f"cut {seed}")
        os.kill(box.sender.popen.pid, signal.SIGKILL)
        box.sender.kill()
        self.power("on")

    def start(self, box, dice):
        """Now and then the power goes while it starts."""
        box.sender = Process([os.environ["SLUICE_BINARY"], "run", "--config",
                              str(box.config_file)])
        box.started.append(box.sender)
        if dice.randrange(4) > 0:
            box.sender.wait_for_line(" ready:")
            return True
        box.sender.wait_for_line("limits of each")
        return False

    def test_nobody_is_lost(self):
        dice = random.Random(9)
        with Sandbox() as box:
            self.mount(box)
            box.start_sink("--rtt", "3ms", "--recipient-rule", "refuse:0.01")
            rules = box.directory / "shaping.toml"
            rules.write_text(f'["default"]\nmax_message_rate = "{RATE}/s"\n')
            box.configure(
                engine=f"max_connections = {IN_FLIGHT_MAX}",
                extra=f'[shaping]\nfiles = ["{rules}"]\n')
            box.start_sender()
            box.submit(box.write_job(rows=[f"user{i}@d{i % 100}.test.example,N {i}"
                                           for i in range(ROWS)]))
            windows = []
            starts_cut = 0
            for number in range(CUTS):
                goal = ROWS * 9 // 10 * (number + 1) // CUTS
                shown = {"in_flight": 0}
                if dice.randrange(4) == 0 and number > 0:
                    starts_cut += 1
                    self.cut(box, dice.getrandbits(60))
                else:
                    shown = box.wait_for(
                        lambda: (lambda s: s["delivered"] >= goal and s)(self.status(box)),
                        f"{goal} verdicts")
                    self.cut(box, dice.getrandbits(60))
                windows.append(shown["in_flight"])
                self.assertFalse(list((box.spool / "done").iterdir()), "cut in the middle")
                ready = self.start(box, dice)
                if not ready:
                    starts_cut += 1
                    self.cut(box, dice.getrandbits(60))
                    box.start_sender()
            rules.write_text("")
            box.sender.stop()
            box.start_sender()
            summary = box.wait_done("news")
            self.assertEqual(summary["total"], ROWS)
            self.assertEqual(summary["delivered"] + summary["bounced"], ROWS)
            self.assertEqual(box.sender.stop(), 0)
            disk = json.loads((self.place / ".power").read_text())
            identities = box.stop_sink()["identities"]
            self.assertEqual(identities["distinct"], summary["delivered"], "nobody is lost")
            twice = identities["distinct"] - identities["once"]
            cuts = disk["cuts"]
            print(f"\n{cuts} cuts, {starts_cut} of them at a start, {ROWS} recipients: 0 lost, "
                  f"{twice} got it more than once ({identities['more']} more than twice); in "
                  f"flight or not synced just before the cuts: {sum(windows)} in all, "
                  f"{max(windows)} at most; the disk lost {disk['lost_pages']} pages and "
                  f"{disk['lost_names']} names in {disk['writes']} writes, {disk['syncs']} syncs")
            self.assertGreaterEqual(cuts, CUTS)
            self.assertGreater(disk["lost_pages"] + disk["lost_names"], 0, "cuts cost something")
            # What was asked a moment before a cut is not what was there at the cut.
            self.assertLessEqual(twice, sum(windows) + cuts * IN_FLIGHT_MAX * 16)
            self.assertLess(twice, ROWS // 2, "a bound that says something")


if __name__ == "__main__":
    unittest.main()
