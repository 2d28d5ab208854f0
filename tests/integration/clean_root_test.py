"""A send host from nothing: a bare Debian 12, deploy/install, the unit's settings, mail, the end.

Runs as root in a mount, process and network namespace of its own: the file system, port 25 and the
resolver at 127.0.0.1:53 are those of the new host, and no mail can leave it.
"""
import fcntl
import json
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "deploy" / "tests"))

import bookworm_root  # noqa: E402
import confine  # noqa: E402
import harness  # noqa: E402

INSIDE = "SLUICE_CLEAN_ROOT_ARCHIVE"
UNIT = "/etc/systemd/system/sluice.service"
SPOOL = "var/spool/sluice"
RECIPIENTS = 600  # in two jobs; the shaping rules of deploy/ hold, 50 a second and exchanger
GUIDE = REPOSITORY / "deploy" / "README.md"
METRICS = "http://127.0.0.1:2580/metrics"

RESOLVER = """server:
  do-not-query-localhost: no
  domain-insecure: "example"
stub-zone:
  name: "example"
  stub-addr: 127.0.0.1@5354
"""


def loopback_up():
    interface_up, get_flags, set_flags = 1, 0x8913, 0x8914
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        name_and_flags = fcntl.ioctl(s, get_flags, struct.pack("16sh14x", b"lo", 0))
        flags = struct.unpack("16sh14x", name_and_flags)[1] | interface_up
        fcntl.ioctl(s, set_flags, struct.pack("16sh14x", b"lo", flags))


def mount(*arguments):
    subprocess.run(["mount", *map(str, arguments)], check=True)


def unmount(path):
    """All below it too, before the directory is removed: /dev must not be emptied with it."""
    subprocess.run(["umount", "--recursive", "--lazy", path], check=True)


class ServiceManager:
    """The receiving end of sd_notify."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        path.chmod(0o666)
        self.messages = []  # (when, text)

    def wait_for(self, beginning, after=0, deadline=30.0):
        """The first message that begins so, and its place; only those from `after` on count."""
        end = time.monotonic() + deadline
        while True:
            for place, (when, text) in enumerate(self.messages):
                if place >= after and text.startswith(beginning):
                    return place, when
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.socket], [], [], left)[0]:
                raise AssertionError(f"no {beginning} from the program in time: {self.messages}")
            self.messages.append((time.monotonic(), self.socket.recv(4096).decode()))


class Host:
    """The new host: a root directory, and what runs in it."""

    def __init__(self, root):
        self.root = root
        self.processes = []

    def run(self, *arguments, user=None, umask=0o022, check=0):
        preexec = confine.as_user(self.root, user or "root", umask)
        done = subprocess.run(arguments, capture_output=True, text=True, preexec_fn=preexec,
                              timeout=harness.DEADLINE, check=False)
        if check is not None and done.returncode != check:
            raise AssertionError(f"{arguments}: exit {done.returncode}, not {check}\n"
                                 f"{done.stdout}\n{done.stderr}")
        return done

    def start(self, *arguments, preexec=None):
        process = harness.Process(arguments, preexec or confine.as_user(self.root, "root"))
        self.processes.append(process)
        return process

    def stop_all(self):
        for process in reversed(self.processes):
            process.kill()

    def path(self, path):
        return self.root / path.lstrip("/")

    def write_job(self, home, name, first, count):
        job = self.path(home) / name
        job.mkdir()
        (job / "job.toml").write_text(
            f'name = "{name}"\nfrom = "Example News <news@example.com>"\n'
            'subject = "Hello {{name}}"\n[message]\ntext = "body.txt"\n[list]\nfile = "list.csv"\n')
        (job / "body.txt").write_text("Hello {{name}} of {{city}},\n\nthis is the news.\n")
        with open(job / "list.csv", "w", encoding="utf-8") as out:
            out.write("email,name,city\n")
            for i in range(first, first + count):
                out.write(f"reader{i}@d{i % 20}.test.example,Reader {i},Town {i % 77}\n")
        return job


def prepare(root):
    """Unpacks, installs as an operator would, and makes the file system what the unit leaves."""
    bookworm_root.unpack(os.environ[INSIDE], root)
    mount("-t", "proc", "proc", root / "proc")
    mount("--bind", "/dev", root / "dev")
    host = Host(root)
    source = root / "usr/src/sluice/deploy"
    shutil.copytree(REPOSITORY / "deploy", source, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy2(os.environ["SLUICE_BINARY"], source.parent / "program")
    host.installed = host.run("/usr/src/sluice/deploy/install", "/usr/src/sluice/program")
    host.again = host.run("/usr/src/sluice/deploy/install", "/usr/src/sluice/program")
    # What Debian's unbound.service does before the start, without the Internet.
    shutil.copy(root / "usr/share/dns/root.key", root / "var/lib/unbound/root.key")
    shutil.chown(root / "var/lib/unbound/root.key", *_owner(root, "unbound"))
    (root / "etc/unbound/unbound.conf.d/zz-this-network.conf").write_text(RESOLVER)
    (root / "etc/resolv.conf").write_text("nameserver 127.0.0.1\n")
    for user, groups in (("ann", ["-G", "sluice"]), ("mallory", [])):
        host.run("/usr/sbin/useradd", "--create-home", "--base-dir", "/srv", *groups, user)
    return host


def _owner(root, user):
    for line in (root / "etc/passwd").read_text().splitlines():
        fields = line.split(":")
        if fields[0] == user:
            return int(fields[2]), int(fields[3])
    raise AssertionError(f"no user {user}")


def make_view(host, unit, view):
    """The file system as the unit leaves it to the program: ProtectSystem=strict, ProtectProc=,
    ProcSubset=, RuntimeDirectory=, LogsDirectory=, ReadWritePaths=."""
    root = host.root
    runtime = root / "run" / unit["RuntimeDirectory"][-1]
    runtime.mkdir()
    shutil.chown(runtime, *_owner(root, unit["User"][-1]))
    runtime.chmod(int(unit["RuntimeDirectoryMode"][-1], 8))
    writable = [str(runtime.relative_to(root)), "var/log/" + unit["LogsDirectory"][-1], "tmp"]
    writable += [path.lstrip("/") for line in unit["ReadWritePaths"] for path in line.split()]
    mount("--bind", root, view)
    for path in writable:
        mount("--bind", root / path, view / path)
    mount("--bind", "/dev", view / "dev")
    mount("-t", "proc", "-o", "hidepid=invisible,subset=pid", "proc", view / "proc")
    mount("-o", "remount,bind,ro", view)


class CleanRootTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        loopback_up()
        directory = tempfile.TemporaryDirectory(prefix="sluice-root-")
        cls.addClassCleanup(directory.cleanup)
        root, cls.view = pathlib.Path(directory.name, "root"), pathlib.Path(directory.name, "view")
        root.mkdir()
        cls.view.mkdir()
        mount("--bind", root, root)
        cls.addClassCleanup(unmount, root)
        pathlib.Path(directory.name).chmod(0o755)
        cls.host = prepare(root)
        cls.addClassCleanup(cls.host.stop_all)
        cls.unit = confine.read_unit(cls.host.path(UNIT))
        # While /proc is whole.
        cls.verified = cls.host.run("systemd-analyze", "verify", UNIT, check=None)
        cls.exposure = cls.host.run("systemd-analyze", "security", "--offline=yes", UNIT,
                                    "--threshold=20", check=None)

        def analyze(name):
            return cls.host.run("systemd-analyze", "syscall-filter", name).stdout.splitlines()[1:]
        cls.confinement = staticmethod(confine.confinement(cls.unit, root, cls.view, analyze))

    def test_systemd_finds_nothing_to_mend_in_the_unit(self):
        self.assertEqual((self.verified.returncode, self.verified.stderr), (0, ""))
        self.assertEqual(self.exposure.returncode, 0, self.exposure.stdout[-200:])

    def test_unbound_accepts_its_configuration(self):
        self.host.run("unbound-checkconf")

    def test_installing_again_changes_nothing_of_the_operators(self):
        self.assertIn("wrote /etc/sluice/sluice.toml", self.host.installed.stdout)
        self.assertNotIn("wrote", self.host.again.stdout)

    def test_spool_belongs_to_the_user_and_its_group_may_drop(self):
        owner = _owner(self.host.root, "sluice")
        for path, mode in (("", 0o755), ("/incoming", 0o2770)):
            there = (self.host.root / (SPOOL + path)).stat()
            self.assertEqual((there.st_mode & 0o7777, there.st_uid, there.st_gid), (mode, *owner))

    def test_messages_of_the_guide_are_those_of_the_program(self):
        told = GUIDE.read_text().split("## What messages mean")[1].split("## Upgrade")[0]
        first_cells = [row.split("|")[1] for row in told.splitlines() if row.startswith("| `")]
        messages = [m for cell in first_cells for m in re.findall(r"`([^`]+)`", cell)]
        self.assertGreater(len(messages), 40)
        sources = "".join(path.read_text() for folder in ("engine", "tools/cmd")
                          for path in (REPOSITORY / folder).rglob("*.cc"))
        literals = re.sub(r'"\s*\n\s*"', "", sources).replace('\\"', '"')
        unknown = [message for message in messages for piece in message.split("…")
                   if piece.strip(" ;:") not in literals]
        self.assertEqual(unknown, [])

    def test_life_of_a_send_host(self):
        host = self.host
        resolver = host.start("unbound", "-d", "-d", "-p")
        resolver.wait_for_line("start of service")
        report = host.root / "tmp" / "sink.json"
        sink = host.start("/usr/local/bin/sluice", "sink", "--listen", "127.0.1.1-127.0.1.3:25",
                          "--dns", "127.0.0.1:5354", "--zone", "test.example", "--exact", "--json",
                          "--report", "/tmp/sink.json")
        sink.wait_for_line('"ready"')
        make_view(host, self.unit, self.view)
        self.addCleanup(unmount, self.view)
        manager, sluice = self.start_service()
        sluice.wait_for_line(" ready:")  # or it ends, and its words are told

        self.assert_ready_and_pinging(manager)
        self.assert_group_sends(sluice)
        self.assert_others_may_not()
        self.assert_metrics_are_those_of_the_guide()
        self.assert_reload_is_announced(manager, sluice)
        self.assert_limits_hold(sluice)

        begun = time.monotonic()
        self.assertEqual(sluice.stop(), 0, sluice.text())
        self.assertLess(time.monotonic() - begun,
                        confine.seconds(self.unit["TimeoutStopSec"][-1]))
        manager.wait_for("STOPPING=1")
        sink.stop()
        identities = json.loads(report.read_text())["identities"]
        self.assertEqual((identities["distinct"], identities["repeated"]), (RECIPIENTS, []))

    # --- parts of the story

    def start_service(self):
        """`systemctl start sluice`, with the two lines that a loopback network needs besides."""
        host = self.host
        configuration = (host.root / "etc/sluice/sluice.toml").read_text()
        changed = configuration.replace('hello = "mta.example.com"', 'hello = "sender.example"\n'
                                        'allowed_networks = ["127.0.0.0/8"]')
        self.assertNotEqual(changed, configuration)
        (host.root / "etc/sluice/sluice.toml").write_text(changed)
        manager = ServiceManager(host.root / "tmp" / "notify")
        self.addCleanup(manager.socket.close)
        settings = confine.environment(self.unit, "/tmp/notify")
        enter = self.confinement

        def preexec():
            os.environ.clear()
            os.environ.update(settings)
            enter()
        command = self.unit["ExecStart"][-1].split()
        return manager, host.start(*command, preexec=preexec)

    def assert_ready_and_pinging(self, manager):
        interval = confine.seconds(self.unit["WatchdogSec"][-1])
        place, last = manager.wait_for("READY=1")
        for _ in range(3):
            place, when = manager.wait_for("WATCHDOG=1", after=place + 1)
            self.assertLess(when - last, interval / 2)
            last = when

    def assert_group_sends(self, sluice):
        host, half = self.host, RECIPIENTS // 2
        host.write_job("/srv/ann", "by-command", 0, half)
        done = host.run("/usr/local/bin/sluice", "submit", "/srv/ann/by-command", "--wait",
                        user="ann")
        self.assertRegex(done.stdout, "by-command-")

        host.write_job("/srv/ann", "by-hand", half, half)
        # Under the usual umask: the directory is not writable for the group, and so is copied.
        incoming = f"/{SPOOL}/incoming"
        host.run("cp", "-r", "/srv/ann/by-hand", f"{incoming}/.by-hand", user="ann")
        host.run("mv", f"{incoming}/.by-hand", f"{incoming}/by-hand", user="ann")
        sluice.wait_for_line("job by-hand-.* done")
        for name in ("by-command", "by-hand"):
            summary, = (host.root / SPOOL / "done").glob(f"{name}-*/summary.json")
            self.assertEqual(json.loads(summary.read_text())["delivered"], half)
        self.assertEqual(self.events_seen_by("ann"), RECIPIENTS)

    def events_seen_by(self, user):
        """The record follows the verdicts a moment later."""
        end = time.monotonic() + 10
        while True:
            told = self.host.run("/usr/local/bin/sluice", "log", user=user).stdout.splitlines()
            if len(told) >= RECIPIENTS or time.monotonic() > end:
                return len(told)

    def assert_others_may_not(self):
        self.host.write_job("/srv/mallory", "theirs", 0, 1)
        told = self.host.run("/usr/local/bin/sluice", "submit", "/srv/mallory/theirs",
                             user="mallory", check=None)
        self.assertNotEqual(told.returncode, 0)
        told = self.host.run("/usr/local/bin/sluice", "status", user="mallory", check=None)
        self.assertNotEqual(told.returncode, 0)
        self.assertIn("member of its group", told.stderr)

    def assert_metrics_are_those_of_the_guide(self):
        with urllib.request.urlopen(METRICS, timeout=10) as answer:
            text = answer.read().decode()
        self.assertRegex(text, rf'(?m)^sluice_recipients_total{{state="delivered"}} {RECIPIENTS}$')
        known = set(re.findall(r"(?m)^# TYPE (\w+)", text))
        self.assertEqual(known ^ set(re.findall(r"\bsluice_[a-z_]+", GUIDE.read_text())), set())

    def assert_reload_is_announced(self, manager, sluice):
        before = len(manager.messages)
        sluice.popen.send_signal(signal.SIGHUP)
        place, _ = manager.wait_for("RELOADING=1", after=before)
        manager.wait_for("READY=1", after=place)
        sluice.wait_for_line("reloaded /etc/sluice/sluice.toml")

    def assert_limits_hold(self, sluice):
        status = pathlib.Path(f"/proc/{sluice.popen.pid}/status").read_text()
        told = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        user, group = map(str, _owner(self.host.root, "sluice"))
        self.assertEqual(told["Uid"].split(), [user] * 4)
        self.assertEqual(told["Gid"].split(), [group] * 4)
        self.assertEqual((told["NoNewPrivs"], told["Seccomp"]), ("1", "2"))
        self.assertEqual({told[c] for c in ("CapPrm", "CapEff", "CapBnd", "CapAmb")}, {"0" * 16})


def main():
    if os.geteuid() != 0:
        print("clean_root_test: only root can make a root directory: SKIPPED", file=sys.stderr)
        sys.exit(77)
    if INSIDE not in os.environ:
        os.environ[INSIDE] = str(bookworm_root.cached())
        os.execvp("unshare", ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child",
                              "--mount-proc", sys.executable, "-B", *sys.argv])
    unittest.main()


if __name__ == "__main__":
    main()
