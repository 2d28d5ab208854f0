"""Postfix, Exim and OpenSMTPD with STARTTLS, and the certificates that they show. OpenSMTPD's
breaks off every handshake; Postfix's (OpenSSL) and Exim's (GnuTLS) do what they are told to.

    with tempfile.TemporaryDirectory() as folder:
        authority = Authority(folder)
        receiver = with_tls(Exim, authority.issue("mx.exim.example"), versions="1.3")

`receiver` is a class like those of receivers.py: Scene(receiver) starts it behind its zone, and
started(receiver) without one. What a client has to know is in peer_of(server): address, port, the
name that the certificate should be for, and the file with the root to trust.
"""
import contextlib
import pathlib
import re
import subprocess
from typing import NamedTuple

from peers import free_port
from receivers import Exim, OpenSmtpd, Postfix

# Of a server with an ECDSA certificate: nobody has a cipher in common with it.
NO_CIPHER = "ECDHE-RSA-AES128-GCM-SHA256"


def openssl(*arguments, **options):
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True,
                          timeout=60, check=False, **options)
    if done.returncode != 0:
        raise AssertionError(f"openssl {' '.join(map(str, arguments))}:\n{done.stderr}")
    return done.stdout


class Identity(NamedTuple):
    """What a server shows: PEM texts, and the file with the root that a client is to trust."""
    certificates: str  # its own, then those that it was issued by
    key: str
    root_file: pathlib.Path
    name: str

    def tlsa(self, selector=1):
        """The data of a TLSA record "3 SELECTOR 1" for it, in hexadecimal digits."""
        form = openssl("x509", "-noout", "-pubkey", input=self.certificates) if selector else None
        if form:
            command = ["openssl", "pkey", "-pubin", "-outform", "DER"]
        else:
            form, command = self.certificates, ["openssl", "x509", "-outform", "DER"]
        octets = subprocess.run(command, input=form.encode(), capture_output=True, timeout=60,
                                check=True).stdout
        digest = subprocess.run(["openssl", "dgst", "-sha256", "-r"], input=octets,
                                capture_output=True, timeout=60, check=True).stdout
        return digest.split()[0].decode()


class Authority:
    """A private root and one below it that issues certificates."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.count = 0
        self.root_file = self.folder / "root.pem"
        self._own("root", "ecdsa", self.root_file)
        self.issuer_file = self.folder / "issuer.pem"
        self.issuer_file.write_text(self._sign("issuer", self._request("issuer", "ecdsa"), "root",
                                               self.root_file, "CA:TRUE"))

    def issue(self, name, key="ecdsa", days=30):
        """A certificate for `name` with the chain behind it; `days` below nought: it is over."""
        label = self._label()
        request = self._request(label, key, name)
        own = self._sign(label, request, "issuer", self.issuer_file, "CA:FALSE", name, days)
        return Identity(own + self.issuer_file.read_text(), self._key(label).read_text(),
                        self.root_file, name)

    def self_signed(self, name, key="ecdsa"):
        """One that nobody has issued. Its `root_file` is the authority's, which did not either."""
        label = self._label()
        file = self.folder / f"{label}.pem"
        self._own(label, key, file, name)
        return Identity(file.read_text(), self._key(label).read_text(), self.root_file, name)

    def _label(self):
        self.count += 1
        return f"server-{self.count}"

    def _key(self, label):
        return self.folder / f"{label}.key"

    @staticmethod
    def _new_key(key):
        return {"ecdsa": ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
                "rsa": ("-newkey", "rsa:2048")}[key]

    @staticmethod
    def _names(name):
        return ("-addext", f"subjectAltName=DNS:{name}") if name else ()

    def _own(self, label, key, file, name=None):
        openssl("req", "-x509", *self._new_key(key), "-nodes", "-keyout", self._key(label), "-out",
                file, "-days", 30, "-subj", f"/CN={name or label}", *self._names(name))

    def _request(self, label, key, name=None):
        file = self.folder / f"{label}.csr"
        openssl("req", "-new", *self._new_key(key), "-nodes", "-keyout", self._key(label), "-out",
                file, "-subj", f"/CN={name or label}")
        return file

    def _sign(self, label, request, issuer, issuer_file, constraints, name=None, days=30):
        extensions = self.folder / f"{label}.ext"
        extensions.write_text(f"basicConstraints=critical,{constraints}\n"
                              + (f"subjectAltName=DNS:{name}\n" if name else ""))
        return openssl("x509", "-req", "-in", request, "-CA", issuer_file, "-CAkey",
                       self._key(issuer), "-days", days, "-extfile", extensions)


class Peer(NamedTuple):
    """What a client has to know of a server."""
    address: str
    port: int
    name: str  # of its exchanger, as its zone says it
    root_file: pathlib.Path


def peer_of(server):
    return Peer(server.address, server.port, f"mx.{server.root_name}.example",
                server.identity.root_file)


def certificate_for(authority, receiver, kind="ecdsa"):
    """By its kind: ecdsa, rsa, expired, wrong-name, self-signed."""
    name = f"mx.{receiver.root_name}.example"
    return {"ecdsa": lambda: authority.issue(name),
            "rsa": lambda: authority.issue(name, "rsa"),
            "expired": lambda: authority.issue(name, days=-1),
            "wrong-name": lambda: authority.issue("elsewhere.example"),
            "self-signed": lambda: authority.self_signed(name)}[kind]()


class _TlsPostfix(Postfix):
    services = "tlsmgr unix - - n 1000? 1 tlsmgr\n"

    def __init__(self, port):
        protocols = {"1.2": ">=TLSv1.2, <=TLSv1.2", "1.3": ">=TLSv1.3", "both": ">=TLSv1.2"}
        self.extra = f"""{self.extra}
smtpd_tls_security_level = {"encrypt" if self.required else "may"}
smtpd_tls_chain_files = /etc/tls/key.pem, /etc/tls/certificates.pem
smtpd_tls_protocols = {protocols[self.versions]}
smtpd_tls_mandatory_protocols = {protocols[self.versions]}
smtpd_tls_loglevel = 1
smtpd_tls_received_header = yes
"""
        if self.ciphers:
            self.extra += ("smtpd_tls_ciphers = high\nsmtpd_tls_mandatory_ciphers = high\n"
                           f"tls_high_cipherlist = {self.ciphers}\n")
        super().__init__(port)


class _TlsExim(Exim):
    """Debian's is linked with GnuTLS, whose priority strings name versions and ciphers."""
    tls_hosts = "*"

    def __init__(self, port):
        priorities = "NORMAL:-VERS-ALL" + {"1.2": ":+VERS-TLS1.2", "1.3": ":+VERS-TLS1.3",
                                           "both": ":+VERS-TLS1.3:+VERS-TLS1.2"}[self.versions]
        if self.ciphers:
            priorities += ":-KX-ALL:+ECDHE-RSA"
        self.extra = f"""{self.extra}
tls_certificate = /etc/tls/certificates.pem
tls_privatekey = /etc/tls/key.pem
tls_require_ciphers = {priorities}
log_selector = +tls_cipher +tls_sni
"""
        if self.required:
            self.rcpt_rules = "  deny !encrypted = *\n       message = 5.7.0 TLS is required\n"
        super().__init__(port)


class _TlsOpenSmtpd(OpenSmtpd):
    """Debian 12's is older than the OpenSSL 3 that it is linked with: it finds no private key in
    any handshake and ends each with an alert, internal_error. So it plays the server that offers
    STARTTLS and cannot do it (OpenSMTPD's issues 1171 and 1239 on GitHub); versions and ciphers
    come to nothing."""
    key_mode = 0o600  # it takes no other

    def __init__(self, port):
        self.extra = f"""{self.extra}
pki here cert "/etc/tls/certificates.pem"
pki here key "/etc/tls/key.pem"
"""
        self.listen_options = ("tls-require" if self.required else "tls") + " pki here"
        super().__init__(port)


_WITH_TLS = {Postfix: _TlsPostfix, Exim: _TlsExim, OpenSmtpd: _TlsOpenSmtpd}


def with_tls(receiver, shown, versions="both", required=False, ciphers=None):
    """A class like `receiver` (Postfix, Exim or OpenSmtpd) that offers STARTTLS.

    `shown` is an Identity. `versions`: "1.2", "1.3" or "both". `ciphers` NO_CIPHER, with versions
    "1.2" and an ECDSA certificate: no handshake comes to anything.
    """
    base = _WITH_TLS[receiver]
    settings = {"identity": shown, "versions": versions, "required": required, "ciphers": ciphers}

    class WithTls(base):
        """The server with its certificate."""
        key_mode = getattr(base, "key_mode", 0o644)

        def files(self):
            return {**super().files(), "/etc/tls/certificates.pem": self.identity.certificates,
                    "/etc/tls/key.pem": self.identity.key}

        def write(self, path, text, mode=0o644):
            super().write(path, text, self.key_mode if path == "/etc/tls/key.pem" else mode)

    for name, value in settings.items():
        setattr(WithTls, name, value)
    return WithTls


@contextlib.contextmanager
def started(receiver):
    """The server alone, without zone and sender."""
    server = receiver(free_port()).start()
    try:
        yield server
    finally:
        server.stop()


def probe(peer, *options):
    """(verdict on the certificate, protocol, cipher) of a handshake; None: there was none."""
    done = subprocess.run(
        ["openssl", "s_client", "-starttls", "smtp", "-connect", f"{peer.address}:{peer.port}",
         "-servername", peer.name, "-verify_hostname", peer.name, "-CAfile", str(peer.root_file),
         "-brief", *options], input="QUIT\r\n", capture_output=True, text=True, timeout=60,
        check=False)
    found = dict(re.findall(r"^(.*?): (.*)$", done.stderr, re.MULTILINE))
    if "Protocol version" not in found:
        return None
    verdict = found.get("Verification") or found["Verification error"]
    return verdict, found["Protocol version"], found["Ciphersuite"]


class Finger(Postfix):
    """posttls-finger, Postfix's own client, in a root where nothing is started but that.

    For the levels that look into the DNS ("dane", "dane-only") `resolver` is the address of a
    validating one, port 53.
    """

    def __init__(self, root_file=None, resolver=None):
        super().__init__(0)
        self.root_file, self.resolver = root_file, resolver

    def files(self):
        found = super().files()
        if self.root_file:
            found["/etc/tls/root.pem"] = self.root_file.read_text()
        if self.resolver:
            found["/etc/resolv.conf"] = f"nameserver {self.resolver}\noptions edns0 trust-ad\n"
        return found

    def look(self, peer, level, *options):
        """Its word for the session at that level, "Verified", "Trusted", "Untrusted" or
        "Anonymous", and what OpenSSL has against the certificate ("" if nothing). Where there is
        no session: "", and all that it said."""
        looked_up = level.startswith("dane")
        server = f"[{peer.name if looked_up else peer.address}]:{peer.port}"
        command = ["chroot", self.root, "/usr/sbin/posttls-finger", "-c", "-o", "dnssec_probe=",
                   "-l", level, *options]
        if self.root_file:
            command += ["-F", "/etc/tls/root.pem"]
        done = subprocess.run([*command, server, *([] if looked_up else [peer.name])],
                              capture_output=True, text=True, timeout=60, check=False)
        told = re.search(r"posttls-finger: (\w+) TLS connection established", done.stdout)
        if not told:
            return "", done.stdout + done.stderr
        objection = re.search(r"verification failed for \S+: (?:num=[0-9]+:)?(.*)", done.stdout)
        return told.group(1), objection.group(1) if objection else ""

    def __enter__(self):
        try:
            self._furnish()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()
