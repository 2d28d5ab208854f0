"""Many domains behind Debian's knot and unbound, for bench/cold and bench/cold_job.

Every domain d0.cold.example, d1.cold.example ... has an MX of its own, mx.dN.cold.example, with one
A record. knot is the authority, unbound (one thread, no validation, room for all answers) asks it;
both stay on the core that the servers are given. Needs root: see tests/integration/peers.py.
"""
import contextlib
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
SLUICE = pathlib.Path(os.environ.get("SLUICE_BINARY", ROOT / "build/release/tools/sluice"))
os.environ["SLUICE_BINARY"] = str(SLUICE)
sys.path[:0] = [str(ROOT / "tests/integration"), str(ROOT / "tests/e2e")]
import peers  # noqa: E402  pylint: disable=wrong-import-position

SENDER_CORE, SERVER_CORE = 0, 1
TTL = 86_400


@contextlib.contextmanager
def on_core(core):
    """What is started meanwhile stays on that core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Resolver(peers.Unbound):
    """unbound with room for a million answers and thousands of questions under way."""

    def files(self):
        found = super().files()
        (path, text), = found.items()
        room = ("num-threads: 1\n    msg-cache-size: 512m\n    rrset-cache-size: 512m\n"
                "    cache-max-ttl: 86400\n    so-rcvbuf: 4m\n    so-sndbuf: 4m\n"
                "    outgoing-range: 8192\n    num-queries-per-thread: 4096\n"
                "    msg-buffer-size: 8192")
        return {path: text.replace("verbosity: 1", "verbosity: 0").replace("num-threads: 1", room)}


class World:
    """knot and unbound with `count` domains; `exchanger_address(number)` is where each points."""

    def __init__(self, count, exchanger_address):
        reason = peers.why_not()
        if reason:
            sys.exit(reason)
        subprocess.run([ROOT / "tests/integration/unpack_peers", peers.ROOTS], check=True)
        lines = []
        for i in range(count):
            lines.append(f"d{i} {TTL} MX 10 mx.d{i}")
            lines.append(f"mx.d{i} {TTL} A {exchanger_address(i)}")
        self.authority_port, self.port = peers.free_port(), peers.free_port()
        self.authority = peers.Knot(self.authority_port, {
            "example": ["ns A " + peers.AUTHORITY], "cold.example": lines})
        self.resolver = None

    def __enter__(self):
        with on_core(SERVER_CORE):
            self.authority.start()
        try:
            self.restart_resolver()
        except BaseException:
            self.authority.stop()
            raise
        return self

    def __exit__(self, *what):
        if self.resolver:
            self.resolver.stop()
        self.authority.stop()

    @property
    def server(self):
        return f"{peers.RESOLVER}:{self.port}"

    def restart_resolver(self):
        """Afterwards it knows nothing."""
        if self.resolver:
            self.resolver.stop()
        self.resolver = Resolver(self.port, self.authority_port)
        with on_core(SERVER_CORE):
            self.resolver.start()
