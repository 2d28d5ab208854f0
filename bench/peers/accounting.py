"""What a mail system costs: CPU, octets written and syncs, whoever of its processes causes them.

CPU is that of a cgroup. Disk is that of a file system of its own on a loop device: what reaches the
device counts, so that directories, inodes and the file system's journal are in it. Syncs are the
kernel's tracepoint at the top of ext4's fsync, which io_uring's come through as well.
"""
import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time


class Group:
    """A cgroup (version 2; its CPU time needs no controller)."""

    def __init__(self, name):
        mounts = [line.split() for line in pathlib.Path("/proc/mounts").read_text().splitlines()]
        top = next((m[1] for m in mounts if m[2] == "cgroup2"), None)
        if top is None:
            raise SystemExit("no cgroup2 file system is mounted: mount -t cgroup2 none DIR")
        self.path = pathlib.Path(tempfile.mkdtemp(prefix=name + ".", dir=top))

    def enter(self):
        """For preexec_fn."""
        (self.path / "cgroup.procs").write_text("0")

    def cpu_seconds(self):
        stat = dict(line.split() for line in (self.path / "cpu.stat").read_text().splitlines())
        return int(stat["usage_usec"]) / 1e6

    def remove(self):
        """Ends what is left in it, as after a failure."""
        (self.path / "cgroup.kill").write_text("1")
        end = time.monotonic() + 20
        while (self.path / "cgroup.procs").read_text() and time.monotonic() < end:
            time.sleep(0.02)
        self.path.rmdir()


class Disk:
    """A file system in a file, mounted in this mount namespace alone."""

    def __init__(self, directory, gibibytes=4):
        self.image, self.path = directory / "disk.img", directory / "disk"
        self.path.mkdir(exist_ok=True)
        self.image.unlink(missing_ok=True)
        with open(self.image, "wb") as image:
            image.truncate(gibibytes << 30)
        subprocess.run(["mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0",
                        str(self.image)], check=True)
        subprocess.run(["mount", "-o", "loop,noatime", str(self.image), str(self.path)], check=True)
        self.device = os.stat(self.path).st_dev

    def octets_written(self):
        subprocess.run(["sync", "-f", str(self.path)], check=True)
        name = f"/sys/dev/block/{os.major(self.device)}:{os.minor(self.device)}/stat"
        return int(pathlib.Path(name).read_text().split()[6]) * 512

    def close(self):
        subprocess.run(["umount", str(self.path)], check=True)
        self.image.unlink()


class Syncs(contextlib.AbstractContextManager):
    """Counts fsync, fdatasync and io_uring's on a disk while it is entered; None without perf."""

    def __init__(self, disk):
        self.count = None
        self.perf = None
        if shutil.which("perf") is None:
            return
        events = pathlib.Path("/sys/kernel/tracing/events/ext4/ext4_sync_file_enter")
        if not events.exists():
            subprocess.run(["mount", "-t", "tracefs", "tracefs", "/sys/kernel/tracing"],
                           check=False, capture_output=True)
        if not events.exists():
            return
        self.out = disk.image.with_name("syncs.txt")
        kernel_number = os.major(disk.device) << 20 | os.minor(disk.device)
        self.perf = ["perf", "stat", "-a", "-x,", "-o", str(self.out),
                     "-e", "ext4:ext4_sync_file_enter", "--filter", f"dev == {kernel_number}"]

    def __enter__(self):
        if self.perf is not None:
            self.running = subprocess.Popen(self.perf)
        return self

    def __exit__(self, *_):
        if self.perf is None:
            return
        self.running.send_signal(signal.SIGINT)
        self.running.wait()
        for line in self.out.read_text().splitlines():
            if "ext4_sync_file_enter" in line:
                self.count = int(line.split(",")[0])
