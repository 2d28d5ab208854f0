"""Other people's servers: each in a copy of its unpacked root, on a loopback address of its own.

A server runs in a chroot that is a fresh copy of build/peers/roots/NAME, in a process namespace of
its own where the system allows one; stop() kills every process whose root is that copy. Nothing
sleeps and hopes: a server is ready when it accepts a connection on its address.
"""
import ctypes
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
import unittest

import harness

HERE = pathlib.Path(__file__).resolve().parent
ROOTS = pathlib.Path(os.environ.get("SLUICE_PEERS", HERE.parents[1] / "build" / "peers" / "roots"))
DEADLINE = 60.0
# For a whole job, on a machine that has other things to do.
harness.DEADLINE = 240.0
PR_SET_PDEATHSIG = 1
# The namespace ends with its first process, a shell that stays root: a server that gives up root
# loses the signal that the death of its parent would send it.
IN_NAMESPACE = ("unshare", "--pid", "--fork", "--kill-child", "sh", "-c", '"$@"; exit $?', "sh")

POSTFIX, EXIM, OPENSMTPD = "127.0.0.2", "127.0.0.3", "127.0.0.4"
AUTHORITY, RESOLVER = "127.0.0.5", "127.0.0.6"


def free_port():
    """A port that is free for TCP and UDP on every loopback address."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp, \
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            tcp.bind(("0.0.0.0", 0))
            try:
                udp.bind(("0.0.0.0", tcp.getsockname()[1]))
            except OSError:
                continue
            return tcp.getsockname()[1]


def why_not():
    """What keeps these tests from running here, or None."""
    if os.geteuid() != 0:
        return "other people's servers are started in a chroot: this needs root"
    with tempfile.TemporaryDirectory() as directory:
        try:
            os.mknod(directory + "/null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
            with open(directory + "/null", "wb"):
                pass
        except OSError as error:
            return f"no device nodes can be made in {directory}: {error}"
    return None


def setUpModule():  # pylint: disable=invalid-name
    """For every test module: unpacks the servers, or says why all its tests are skipped."""
    reason = why_not()
    if reason:
        raise unittest.SkipTest(reason)
    subprocess.run([HERE / "unpack_peers", ROOTS], check=True, timeout=540)


def may_have_namespace():
    return subprocess.run([*IN_NAMESPACE, "true"],
                          stderr=subprocess.DEVNULL, check=False).returncode == 0


class Server:
    """A program in a root of its own. Subclasses name it, its users, folders and files."""

    root_name = ""
    users = {}     # name -> user and group number
    groups = {}    # further groups
    folders = {}   # path -> (owner, mode)
    program = ()

    def __init__(self, address, port):
        self.address, self.port = address, port
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="sluice-peer-"))
        self.root = self.directory / self.root_name
        self.log_file = self.directory / "output"
        self.popen = None

    # --- for subclasses

    def files(self):
        """path -> text, written before the start."""
        return {}

    def log(self):
        """What the server says of itself."""
        return self.log_file.read_text(errors="replace")

    # --- life

    def start(self):
        try:
            self._furnish()
            prefix = IN_NAMESPACE if may_have_namespace() else ()
            with open(self.log_file, "wb") as output:
                self.popen = subprocess.Popen(
                    [*prefix, "chroot", str(self.root), *self.program], stdin=subprocess.DEVNULL,
                    stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
                    preexec_fn=lambda: ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL))
            self._wait_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self):
        while True:
            mine = [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc")))
                    if self._is_mine(pid)]
            for pid in mine:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            if not mine:
                break
            select.select([], [], [], 0.01)
        if self.popen:
            self.popen.wait(DEADLINE)
        shutil.rmtree(self.directory, ignore_errors=True)

    def _is_mine(self, pid):
        try:
            if os.readlink(f"/proc/{pid}/root") != str(self.root):
                return False
            text = pathlib.Path(f"/proc/{pid}/stat").read_text()
            return text[text.rindex(")") + 2] not in "ZX"
        except (OSError, ValueError):
            return False

    def _furnish(self):
        subprocess.run(["cp", "-a", ROOTS / self.root_name, self.root], check=True)
        for path, minor in (("null", 3), ("zero", 5), ("random", 8), ("urandom", 9)):
            self.make_folder("/dev")
            os.mknod(self.root / "dev" / path, 0o666 | stat.S_IFCHR, os.makedev(1, minor))
            os.chmod(self.root / "dev" / path, 0o666)
        for folder in ("/tmp", "/var/tmp", "/run", "/etc"):
            self.make_folder(folder, mode=0o1777 if "tmp" in folder else 0o755)
        users = {"root": 0, "nobody": 65534, **self.users}
        self.write("/etc/passwd", "".join(f"{name}:x:{number}:{number}::/srv:/bin/sh\n"
                                          for name, number in users.items()))
        self.write("/etc/group", "".join(f"{name}:x:{number}:\n"
                                         for name, number in {**users, **self.groups}.items()))
        self.write("/etc/hosts", "127.0.0.1 localhost\n")
        self.write("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n")
        self.write("/etc/services", "smtp 25/tcp\ndomain 53/tcp\ndomain 53/udp\n")
        for path, (owner, mode) in self.folders.items():
            self.make_folder(path, owner, mode)
        for path, text in self.files().items():
            self.write(path, text)

    def make_folder(self, path, owner="root", mode=0o755):
        folder = self.root / path.lstrip("/")
        folder.mkdir(parents=True, exist_ok=True)
        user, _, group = owner.partition(":")
        ids = {"root": 0, **self.users, **self.groups}
        os.chown(folder, ids[user], ids[group or user])
        folder.chmod(mode)

    def write(self, path, text, mode=0o644):
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.unlink(missing_ok=True)
        file.write_text(text)
        file.chmod(mode)

    def greet(self, connection):
        """Says what a first connection has to say, so that the server is done with it."""

    def _wait_ready(self):
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end:
            if self.popen.poll() is not None:
                break
            try:
                with socket.create_connection((self.address, self.port), 1) as connection:
                    self.greet(connection)
                return
            except OSError:
                select.select([], [], [], 0.02)
        raise AssertionError(f"{self.root_name} does not answer on {self.address}:{self.port}:\n"
                             + self.log())


class Knot(Server):
    """The authority for "example.": zones is {name: lines}."""

    root_name = "knot"
    users = {"knot": 64010}
    folders = {"/run/knot": ("knot", 0o755), "/var/lib/knot": ("knot", 0o755),
               "/zones": ("knot", 0o755)}
    program = ("/usr/sbin/knotd", "-c", "/etc/knot/test.conf")

    def __init__(self, port, zones):
        super().__init__(AUTHORITY, port)
        self.zones = zones

    def files(self):
        config = (f"server:\n    listen: {self.address}@{self.port}\n    user: knot:knot\n"
                  "    rundir: /run/knot\n    udp-workers: 1\n    tcp-workers: 1\n"
                  "    background-workers: 1\n"
                  "log:\n  - target: stderr\n    any: info\n"
                  "database:\n    storage: /var/lib/knot\n    journal-db-max-size: 8M\n"
                  "    kasp-db-max-size: 8M\n    timer-db-max-size: 8M\n"
                  "    catalog-db-max-size: 8M\n"
                  "template:\n  - id: default\n    storage: /zones\n    file: \"%s.zone\"\n"
                  "    journal-content: none\n    zonefile-sync: -1\nzone:\n")
        found = {}
        for name, lines in self.zones.items():
            config += f"  - domain: {name}\n"
            found[f"/zones/{name}.zone"] = (
                f"$ORIGIN {name}.\n$TTL 300\n"
                "@ SOA ns.example. admin.example. 1 3600 600 86400 300\n@ NS ns.example.\n"
                + "".join(line + "\n" for line in lines))
        found["/etc/knot/test.conf"] = config
        return found


class Unbound(Server):
    """The resolver that Sluice asks; it knows nothing but what the authority tells.

    Of "unserved." the authority refuses to speak.
    """

    root_name = "unbound"
    program = ("/usr/sbin/unbound", "-d", "-c", "/etc/unbound/test.conf")

    def __init__(self, port, authority_port):
        super().__init__(RESOLVER, port)
        self.authority_port = authority_port

    def files(self):
        return {"/etc/unbound/test.conf": f"""
server:
    interface: {self.address}
    port: {self.port}
    access-control: 127.0.0.0/8 allow
    do-ip6: no
    do-not-query-localhost: no
    module-config: "iterator"
    username: ""
    chroot: ""
    directory: "/"
    pidfile: ""
    use-syslog: no
    verbosity: 1
    num-threads: 1
remote-control:
    control-enable: no
""" + "".join(f"""
stub-zone:
    name: "{zone}"
    stub-addr: {AUTHORITY}@{self.authority_port}
    stub-prime: no
""" for zone in ("example", "unserved"))}


class Mail:
    """A stored message: the trace headers that the receiver put on top, and the rest."""

    TRACE = re.compile(rb"(return-path|received|delivered-to|x-original-to|envelope-to|"
                       rb"delivery-date):", re.IGNORECASE)

    def __init__(self, octets):
        self.trace, self.content = [], octets
        while self.TRACE.match(self.content):
            end = re.search(rb"\n(?![ \t])", self.content).end()
            self.trace.append(self.content[:end])
            self.content = self.content[end:]

    def recipient(self):
        return re.search(rb"^To: (.*)$", self.content, re.MULTILINE).group(1).decode()


class Receiver(Server):
    """A mail server that puts what it accepts into one Maildir, /srv/mail of its root."""

    domains = 5
    extra = ""  # further lines of its configuration

    def __init__(self, port):
        super().__init__(self.address, port)

    def greet(self, connection):
        connection.settimeout(DEADLINE)
        with connection.makefile("rb") as replies:
            replies.readline()
            connection.sendall(b"QUIT\r\n")
            replies.read()

    @classmethod
    def domain(cls, number):
        return f"d{number % cls.domains}.{cls.root_name}.example"

    @classmethod
    def zone(cls):
        return [f"d{i} MX 10 mx" for i in range(cls.domains)] + [f"mx A {cls.address}"]

    def stored(self, count=None):
        """The messages in the Maildir, when there are `count` of them (if given)."""
        folder = self.root / "srv/mail/new"

        def names():
            found = os.listdir(folder) if folder.exists() else []
            return found if count is None or len(found) >= count else None
        end = time.monotonic() + DEADLINE
        while names() is None and time.monotonic() < end:
            select.select([], [], [], 0.02)
        found = os.listdir(folder) if folder.exists() else []
        return [Mail((folder / name).read_bytes()) for name in found]


class Scene(harness.Sandbox):
    """A sandbox whose sender asks unbound, which asks knot; receivers are started by name."""

    authority, resolver = Knot, Unbound

    def __init__(self, *receivers, zones=None):
        super().__init__()
        self.servers = []
        try:
            self.smtp_port, self.dns_port = free_port(), free_port()
            authority_port = free_port()
            all_zones = {"example": ["ns A " + AUTHORITY]}
            for receiver in receivers:
                all_zones[f"{receiver.root_name}.example"] = receiver.zone()
            self.add(self.authority(authority_port, {**all_zones, **(zones or {})}))
            self.add(self.resolver(self.dns_port, authority_port))
            self.receivers = [self.add(receiver(self.smtp_port)) for receiver in receivers]
        except BaseException:
            self.__exit__()
            raise

    def add(self, server):
        self.servers.append(server.start())
        return server

    def __exit__(self, *what):
        super().__exit__(*what)
        for server in self.servers:
            server.stop()

    def configure(self, extra="", **options):
        super().configure(extra=extra, **options)
        text = self.config_file.read_text()
        self.config_file.write_text(text.replace(f"127.0.0.1:{self.dns_port}",
                                                 f"{RESOLVER}:{self.dns_port}"))
