"""Postfix, Exim and OpenSMTPD as receivers: the configuration of each.

Recipients are accepted, but for local parts that begin with "no-", which do not exist, and with
"later-", whose first attempt is put off. Everything else that a receiver does to a sender, such as
slowing down who is refused often, is as its distribution delivers it; subclasses say more in
`extra`. `refusal` and `deferral` are the answers to those recipients (code, enhanced code, words),
`acceptance` that to a message, `taken` is what the log says once of each message accepted.
"""
import socketserver
import threading

from peers import EXIM, OPENSMTPD, POSTFIX, Receiver


class _Greylist(socketserver.StreamRequestHandler):
    """Postfix's policy protocol: name=value lines, an empty one, and an action in return."""

    def handle(self):
        asked = {}
        for line in self.rfile:
            if line.strip():
                name, _, value = line.decode().strip().partition("=")
                asked[name] = value
                continue
            self.wfile.write(f"action={self.action(asked['recipient'])}\n\n".encode())
            asked = {}

    def action(self, recipient):
        with self.server.lock:
            if not recipient.startswith("later-") or recipient in self.server.seen:
                return "DUNNO"
            self.server.seen.add(recipient)
        return "450 4.7.1 Greylisted, please come back"


class _GreylistServer(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self):
        super().__init__((POSTFIX, 0), _Greylist)
        self.lock = threading.Lock()
        self.seen = set()
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Postfix(Receiver):
    root_name = "postfix"
    accepted = "d[0-9]+[.]postfix[.]example"
    address = POSTFIX
    users = {"postfix": 64020, "store": 64021}
    groups = {"postdrop": 64022}
    folders = {
        "/srv/mail": ("store", 0o755), "/var/lib/postfix": ("postfix", 0o700),
        "/var/log": ("root", 0o755), "/var/spool/postfix": ("root", 0o755),
        **{f"/var/spool/postfix/{name}": ("postfix", 0o700)
           for name in ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold",
                        "incoming", "private", "saved", "trace")},
        "/var/spool/postfix/maildrop": ("postfix:postdrop", 0o730),
        "/var/spool/postfix/public": ("postfix:postdrop", 0o710),
        "/var/spool/postfix/pid": ("root", 0o755),
    }
    program = ("/usr/lib/postfix/sbin/master", "-d", "-c", "/etc/postfix")
    refusal = (550, (5, 1, 1), "Recipient address rejected: User unknown in virtual mailbox table")
    deferral = (450, (4, 7, 1), "Recipient address rejected: Greylisted, please come back")
    taken = "[(]queue active[)]"
    services = ""  # further lines of master.cf
    acceptance = "^Ok: ([0-9]+ bytes )?queued as [0-9A-F]+$"

    def __init__(self, port):
        super().__init__(port)
        self.greylist = _GreylistServer()

    def stop(self):
        super().stop()
        self.greylist.shutdown()
        self.greylist.server_close()

    def files(self):
        return {
            "/etc/postfix/main.cf": f"""
compatibility_level = 3.6
myhostname = mx.postfix.example
mydestination =
inet_interfaces = all
inet_protocols = ipv4
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
queue_directory = /var/spool/postfix
data_directory = /var/lib/postfix
shlib_directory = /usr/lib/postfix
maillog_file = /var/log/mail.log
alias_maps =
local_header_rewrite_clients =
virtual_mailbox_domains = regexp:/etc/postfix/domains
virtual_mailbox_maps = regexp:/etc/postfix/mailboxes
virtual_mailbox_base = /srv
virtual_uid_maps = static:64021
virtual_gid_maps = static:64021
smtpd_relay_restrictions = reject_unauth_destination
smtpd_recipient_restrictions = check_policy_service
    inet:{POSTFIX}:{self.greylist.server_address[1]}
smtpd_peername_lookup = no
{self.extra}
""",
            "/etc/postfix/domains": f"/^{self.accepted}$/ here\n",
            "/etc/postfix/mailboxes": "!/^no-/ mail/\n",
            "/etc/postfix/master.cf": f"""
{self.address}:{self.port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
{self.services}"""}

    def log(self):
        path = self.root / "var/log/mail.log"
        return (path.read_text(errors="replace") if path.exists() else "") + super().log()


class Exim(Receiver):
    root_name = "exim"
    accepted = "d[0-9]+[.]exim[.]example"
    address = EXIM
    users = {"Debian-exim": 64030}
    folders = {"/srv/mail": ("Debian-exim", 0o755), "/var/log/exim4": ("Debian-exim", 0o755),
               "/var/spool/exim4": ("Debian-exim", 0o750)}
    program = ("/usr/sbin/exim4", "-bdf", "-q1m")
    refusal = (550, None, "Unrouteable address")
    deferral = (451, (4, 7, 1), "Greylisted by Exim, try again later")
    taken = " <= "
    tls_hosts = ""   # to whom STARTTLS is offered
    rcpt_rules = ""  # of its ACL, before all others
    acceptance = r"(^|\n)OK id=[0-9A-Za-z-]+$"

    def files(self):
        return {"/etc/exim4/exim4.conf": f"""
primary_hostname = mx.exim.example
domainlist ours = ^{self.accepted}\\$
local_interfaces = {self.address}
daemon_smtp_ports = {self.port}
tls_advertise_hosts = {self.tls_hosts}
host_lookup =
keep_environment =
spool_directory = /var/spool/exim4
log_file_path = /var/log/exim4/%slog
acl_smtp_rcpt = acl_rcpt
smtp_accept_queue_per_connection = 0
{self.extra}

begin acl
acl_rcpt:
{self.rcpt_rules}  require domains = +ours
  require verify = recipient
  defer local_parts = ^later-
        !seen = 1h / key=$local_part@$domain
        message = 4.7.1 Greylisted by Exim, try again later
  accept

begin routers
here:
  driver = accept
  domains = +ours
  local_parts = !^no-
  transport = store

begin transports
store:
  driver = appendfile
  directory = /srv/mail
  maildir_format
  user = Debian-exim
  group = Debian-exim
  return_path_add
  envelope_to_add
  delivery_date_add

begin retry
* * F,1h,1m
"""}

    def log(self):
        path = self.root / "var/log/exim4/mainlog"
        return (path.read_text(errors="replace") if path.exists() else "") + super().log()


# Speaks smtpd-filters(7): registers for RCPT, defers who is asked for the first time.
_GREYLIST_FILTER = """#!/bin/sh
while read -r line; do
  case $line in
    'config|ready')
      echo 'register|filter|smtp-in|rcpt-to'
      echo 'register|ready' ;;
    'filter|'*'|smtp-in|rcpt-to|'*)
      rest=${line#*|smtp-in|rcpt-to|}
      token=${rest%|*}
      case ${rest##*|} in
        later-*)
          file=/tmp/seen/${rest##*|}
          if [ ! -e "$file" ]; then
            : > "$file"
            echo "filter-result|$token|reject|451 4.7.1 Greylisted by a filter, come back"
            continue
          fi ;;
      esac
      echo "filter-result|$token|proceed" ;;
  esac
done
"""


class OpenSmtpd(Receiver):
    root_name = "opensmtpd"
    accepted = "d[0-9]+[.]opensmtpd[.]example"
    address = OPENSMTPD
    users = {"opensmtpd": 64040, "opensmtpq": 64041, "store": 64042}
    folders = {"/srv": ("store", 0o755), "/srv/mail": ("store", 0o755),
               "/tmp/seen": ("opensmtpd", 0o755), "/var/spool/smtpd": ("root", 0o711),
               "/var/empty": ("root", 0o755), "/var/run": ("root", 0o755),
               "/var/lib/opensmtpd/empty": ("root", 0o755)}
    program = ("/usr/sbin/smtpd", "-d", "-f", "/etc/smtpd.conf")
    refusal = (550, None, "Invalid recipient")
    deferral = (451, (4, 7, 1), "Greylisted by a filter, come back")
    taken = " smtp message msgid="
    listen_options = ""  # of its listener, after the port
    acceptance = "^[0-9a-f]+ Message accepted for delivery$"

    def files(self):
        options = f"{self.listen_options} hostname mx.opensmtpd.example filter greylist"
        return {"/etc/smtpd.conf": f"""
table mailboxes file:/etc/mailboxes
filter greylist proc-exec "/usr/local/bin/greylist"
{self.extra}
listen on {self.address} port {self.port} {options}
action store maildir "/srv/mail" virtual <mailboxes>
match from any for domain regex "^{self.accepted}$" rcpt-to regex "^no-" reject
match from any for domain regex "^{self.accepted}$" action store
""", "/etc/mailboxes": "@ store\n"}

    def write(self, path, text, mode=0o644):
        super().write(path, text, mode)
        if path == "/etc/smtpd.conf":
            super().write("/usr/local/bin/greylist", _GREYLIST_FILTER, 0o755)


ALL = (Postfix, Exim, OpenSmtpd)
