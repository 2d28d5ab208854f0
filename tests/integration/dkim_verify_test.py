"""Other people's verifiers take every signature of a thousand random messages, and none of the same
messages once they are changed: dkimpy, opendkim and mailauth."""
import concurrent.futures
import json
import os
import pathlib
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import unittest

from dkim_messages import JOBS, ROWS, signed_messages, tampered
from harness import SLUICE
from own_network import OwnNetwork

sys.path.append("/usr/lib/python3/dist-packages")  # of Debian's, where another Python is first
try:
    import dkim
    import nacl  # noqa: F401  Ed25519 of dkimpy's
except ImportError:
    dkim = None

MAILAUTH = "4.8.2"
MAILAUTH_FOLDER = pathlib.Path(SLUICE).resolve().parents[1] / f"mailauth-{MAILAUTH}"
MAILAUTH_SCRIPT = """
const fs = require('fs'), path = require('path');
const { dkimVerify } = require('mailauth/lib/dkim/verify');
const [folder, records] = [process.argv[2], JSON.parse(process.argv[3])];
const resolver = async name => {
  if (records[name]) return [[records[name]]];
  throw Object.assign(new Error('no such name'), { code: 'ENOTFOUND' });
};
(async () => {
  for (const file of fs.readdirSync(folder).sort()) {
    const found = await dkimVerify(fs.readFileSync(path.join(folder, file)), { resolver });
    console.log(JSON.stringify([file, found.results.map(r => [r.algo, r.status.result])]));
  }
})();
"""


class NameServer(threading.Thread):
    """Answers TXT questions at 127.0.0.1:53 of the network that it is made in."""

    def __init__(self, records):
        super().__init__(daemon=True)
        self.records = records
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 53))
        self.start()

    def run(self):
        while True:
            question, peer = self.socket.recvfrom(4096)
            if len(question) < 17:
                return  # stop()'s
            self.socket.sendto(self.answer(question), peer)

    def stop(self):
        self.socket.sendto(b"end", self.socket.getsockname())
        self.join()
        self.socket.close()

    def answer(self, question):
        labels, at = [], 12
        while question[at]:
            labels.append(question[at + 1:at + 1 + question[at]].decode().lower())
            at += 1 + question[at]
        end = at + 5
        text = self.records.get(".".join(labels))
        head = question[:2] + struct.pack(">HHHHH", 0x8580 if text else 0x8583, 1, 1 if text else 0,
                                          0, 0) + question[12:end]
        if not text:
            return head
        parts = [text[i:i + 255].encode() for i in range(0, len(text), 255)]
        data = b"".join(bytes([len(part)]) + part for part in parts)
        return head + b"\xc0\x0c" + struct.pack(">HHIH", 16, 1, 60, len(data)) + data


class Verifiers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.messages, cls.records = signed_messages()
        cls.changed = [tampered(message, i) for i, message in enumerate(cls.messages)]

    def test_there_are_as_many_as_there_should_be(self):
        self.assertEqual(len(self.messages), JOBS * ROWS)
        for before, after in zip(self.messages, self.changed):
            self.assertNotEqual(before, after)
            self.assertEqual(before.count(b"DKIM-Signature:"), 2)

    @unittest.skipIf(dkim is None, "python3-dkim or python3-nacl is not installed")
    def test_dkimpy(self):
        def lookup(name, timeout=5):
            return self.records.get(name.decode().rstrip("."), "").encode()

        def good(message, index):
            try:
                return dkim.DKIM(message).verify(idx=index, dnsfunc=lookup)
            except dkim.DKIMException:
                return False

        for message, changed in zip(self.messages, self.changed):
            for index in (0, 1):
                self.assertTrue(good(message, index), message)
                self.assertFalse(good(changed, index), changed)

    @unittest.skipIf(shutil.which("opendkim-testmsg") is None, "opendkim-tools is not installed")
    @unittest.skipIf(os.geteuid() != 0, "a network of its own is made by root only")
    def test_opendkim(self):
        network = OwnNetwork()
        network.enter()
        self.addCleanup(network.leave)
        server = NameServer(self.records)
        self.addCleanup(server.stop)
        with tempfile.TemporaryDirectory(prefix="sluice-dkim-") as folder:
            resolv = pathlib.Path(folder, "resolv.conf")
            resolv.write_text("nameserver 127.0.0.1\n")
            whole = f"mount --bind {resolv} /etc/resolv.conf && cd {folder} && " \
                    'for f in *.eml; do opendkim-testmsg < $f > $f.out 2>&1; echo "$f $?"; done'
            for i, (message, changed) in enumerate(zip(self.messages, self.changed)):
                pathlib.Path(folder, f"{i:04}.good.eml").write_bytes(message)
                pathlib.Path(folder, f"{i:04}.changed.eml").write_bytes(changed)
            done = subprocess.run(["unshare", "--mount", "sh", "-c", whole], check=True,
                                  timeout=300, capture_output=True, text=True)
            codes = dict(line.split() for line in done.stdout.splitlines())
            self.assertEqual(len(codes), 2 * len(self.messages), done.stderr)
            for file, code in codes.items():
                said = pathlib.Path(folder, file + ".out").read_text()
                if ".good." in file:
                    octets = pathlib.Path(folder, file).read_bytes()
                    self.assertEqual((code, said), ("0", ""), octets)
                else:
                    self.assertNotEqual((code, said), ("0", ""), file)

    def mailauth(self, messages):
        with tempfile.TemporaryDirectory(prefix="sluice-dkim-") as folder:
            for i, message in enumerate(messages):
                pathlib.Path(folder, f"{i:04}.eml").write_bytes(message)
            done = subprocess.run(["node", "-e", MAILAUTH_SCRIPT, "--", "-", folder,
                                   json.dumps(self.records)], cwd=MAILAUTH_FOLDER, check=True,
                                  timeout=300, capture_output=True, text=True)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def test_mailauth(self):
        install_mailauth(self)
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            good, changed = pool.map(self.mailauth, (self.messages, self.changed))
        self.assertEqual(len(good), len(self.messages))
        self.assertEqual(len(changed), len(self.messages))
        for file, results in good:
            self.assertEqual(sorted(results),
                             [["ed25519-sha256", "pass"], ["rsa-sha256", "pass"]],
                             self.messages[int(file[:4])])
        for file, results in changed:
            self.assertEqual([result for _, result in results if result == "pass"], [],
                             self.changed[int(file[:4])])


def install_mailauth(test):
    """Once a build folder; skips where npm or its registry is not there."""
    if (MAILAUTH_FOLDER / "node_modules/mailauth").is_dir():
        return
    if shutil.which("npm") is None:
        test.skipTest("npm is not installed, so mailauth is not")
    MAILAUTH_FOLDER.mkdir(exist_ok=True)
    try:
        done = subprocess.run(
            ["npm", "install", "--prefix", str(MAILAUTH_FOLDER), "--no-audit", "--no-fund",
             "--ignore-scripts", f"mailauth@{MAILAUTH}"], capture_output=True, timeout=240,
            check=False)
    except subprocess.TimeoutExpired:
        test.skipTest("npm's registry does not answer: no mailauth")
    if done.returncode != 0:
        test.skipTest("mailauth cannot be installed: " + done.stderr.decode()[-200:])


if __name__ == "__main__":
    unittest.main()
