"""Postfix from Debian's package, unpacked and not installed, set up as a bulk sender would."""
import pathlib
import socket
import subprocess
import time

# Settings that only move the work along; those that favour Postfix more than a real host could are
# named in the head of bench/peers/postfix.
MAIN = """
compatibility_level = 3.6
queue_directory = {spool}
data_directory = {data}
command_directory = {package}/usr/sbin
daemon_directory = {package}/usr/lib/postfix/sbin
shlib_directory = {package}/usr/lib/postfix
meta_directory = {config}
import_environment = MAIL_CONFIG PATH LD_LIBRARY_PATH={package}/usr/lib/postfix
mail_owner = postfix
setgid_group = postdrop
myhostname = sender.example
mydestination =
alias_maps =
local_recipient_maps =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
relayhost = [127.0.1.1]:{sink_port}
smtp_tls_security_level = none
smtpd_tls_security_level = none
smtputf8_enable = no

# In: no look-ups, no rewriting, no brake.
smtpd_peername_lookup = no
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_client_event_limit_exceptions = 127.0.0.0/8
receive_override_options = no_address_mappings, no_header_body_checks, no_milters
in_flow_delay = 0s
# Out: everything in the active queue, connections kept, processes kept.
qmgr_message_active_limit = 50000
qmgr_message_recipient_limit = 50000
default_process_limit = 200
default_destination_recipient_limit = 1
initial_destination_concurrency = {concurrency}
default_destination_concurrency_limit = {concurrency}
smtp_connection_cache_destinations = [127.0.1.1]:{sink_port}
smtp_connection_reuse_count_limit = 0
max_use = 100000
max_idle = 600s
"""

MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
cleanup   unix n - n - 0 cleanup
qmgr      unix n - n 300 1 qmgr
rewrite   unix - - n - - trivial-rewrite
bounce    unix - - n - 0 bounce
defer     unix - - n - 0 bounce
trace     unix - - n - 0 bounce
verify    unix - - n - 1 verify
smtp      unix - - n - - smtp
relay     unix - - n - - smtp
error     unix - - n - - error
retry     unix - - n - - error
discard   unix - - n - - discard
anvil     unix - - n - 1 anvil
scache    unix - - n - 1 scache
proxymap  unix - - n - - proxymap
"""


def unpack(directory):
    """The package's files below `directory`; downloaded by apt-get when they are not there."""
    if not (directory / "usr/lib/postfix/sbin/master").exists():
        directory.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", "-qq", "postfix"], cwd=directory, check=True)
        package, = directory.glob("postfix_*.deb")
        subprocess.run(["dpkg", "-x", package.name, "."], cwd=directory, check=True)
    return directory


def make_users(directory):
    """Postfix insists on a user and a group of its own: in this mount namespace alone."""
    for name, line in (("passwd", "postfix:x:64101:64101::/nonexistent:/usr/sbin/nologin\n"),
                       ("group", "postfix:x:64101:\npostdrop:x:64102:\n")):
        here = pathlib.Path("/etc") / name
        kept = [old for old in here.read_text().splitlines(keepends=True)
                if old.split(":")[0] not in ("postfix", "postdrop")]
        changed = directory / name
        changed.write_text("".join(kept) + line)
        subprocess.run(["mount", "--bind", str(changed), str(here)], check=True)


class Postfix:
    def __init__(self, package, directory, port, sink_port, concurrency):
        self.package, self.port = package, port
        self.config, spool, data = (directory / d for d in ("config", "spool", "data"))
        for path in (self.config, spool, data):
            path.mkdir(parents=True)
        self._make_queue(spool, data)
        (self.config / "main.cf").write_text(MAIN.format(
            spool=spool, data=data, package=package, config=self.config, sink_port=sink_port,
            concurrency=concurrency))
        (self.config / "master.cf").write_text(MASTER.format(port=port))
        (self.config / "dynamicmaps.cf").write_text("")
        self.master = None

    @staticmethod
    def _make_queue(spool, data):
        def own(path, mode, group="root", user="postfix"):
            subprocess.run(["chown", f"{user}:{group}", str(path)], check=True)
            path.chmod(mode)
        own(data, 0o700)
        for name in ("incoming", "active", "deferred", "bounce", "defer", "corrupt", "flush",
                     "hold", "saved", "trace", "private"):
            (spool / name).mkdir()
            own(spool / name, 0o700)
        (spool / "pid").mkdir()
        for name, mode in (("maildrop", 0o1730), ("public", 0o710)):
            (spool / name).mkdir()
            own(spool / name, mode, "postdrop")

    def start(self, enter):
        self.master = subprocess.Popen(
            [f"{self.package}/usr/lib/postfix/sbin/master", "-c", str(self.config), "-d"],
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
                 "LD_LIBRARY_PATH": f"{self.package}/usr/lib/postfix"},
            preexec_fn=enter)
        end = time.monotonic() + 20
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 5) as s:
                    if s.recv(200).startswith(b"220"):
                        return
            except ConnectionError:
                pass
            if self.master.poll() is not None or time.monotonic() > end:
                raise SystemExit("Postfix does not start: see its log (logger, journalctl)")
            time.sleep(0.05)

    def stop(self):
        self.master.terminate()
        self.master.wait()
