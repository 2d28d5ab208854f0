"""A thousand personalised messages to each of three receivers: each once, octet for octet."""
import collections
import concurrent.futures
import re
import subprocess
import unittest

import harness
from peers import Scene, setUpModule  # pylint: disable=unused-import
from receivers import Exim, OpenSmtpd, Postfix

MESSAGES = 1000
# Lines that a careless sender or receiver alters: dots, "From ", long lines, blanks, UTF-8.
TEXT = ("Hello {{name}},\n.\n..two\n.{{name}}\nFrom here on {{city}}\n\ttab and blank \n"
        + "long " * 200 + "\nÜber {{city}}: {{note}}\n")
HTML = "<p>Hello {{name}}</p>\n.<p>{{note}} &amp; {{{note}}}</p>\n"


def shown(scene, row):
    """What `sluice show` prints for a row, with the line ends that Maildirs have."""
    done = subprocess.run([harness.SLUICE, "show", "news", "--row", str(row), "--config",
                           str(scene.config_file)], capture_output=True, timeout=60, check=True)
    return done.stdout.replace(b"\r\n", b"\n")


class Messages(unittest.TestCase):
    def send(self, receiver, wanted_trace):
        with Scene(receiver) as scene:
            [server] = scene.receivers
            scene.configure()
            scene.start_sender()
            recipients = [f"user-{i}@{receiver.domain(i)}" for i in range(1, MESSAGES + 1)]
            lst = "email,name,city,note\n" + "".join(
                f'{address},Näme {i},"City, {i}","<{"x" * (i % 90)}> {"é" * (i % 7)}"\n'
                for i, address in enumerate(recipients, 1))
            job = scene.write_job(lst=lst.encode(), text=TEXT, html=HTML,
                                  subject="For {{name}} in {{city}}")
            scene.submit(job, "--wait")
            self.assertEqual({(r["state"], r["code"], r["attempts"]) for r in scene.report("news")},
                             {("delivered", "250", "1")})
            mails = server.stored(MESSAGES)
            count = collections.Counter(mail.recipient() for mail in mails)
            self.assertEqual(count, dict.fromkeys(recipients, 1), "each recipient exactly once")
            by_recipient = {mail.recipient(): mail for mail in mails}
            with concurrent.futures.ThreadPoolExecutor(4) as pool:
                for address, wanted in zip(recipients, pool.map(
                        lambda row: shown(scene, row), range(1, MESSAGES + 1))):
                    mail = by_recipient[address]
                    self.assertEqual(mail.content, wanted, address)
                    self.assertEqual([line.split(b":")[0].decode() for line in mail.trace],
                                     wanted_trace)
            self.assertEqual(scene.sender.stop(), 0, scene.sender.text())
            self.assertEqual(len(re.findall(receiver.taken, server.log())), MESSAGES)

    def test_postfix(self):
        self.send(Postfix, ["Return-Path", "X-Original-To", "Delivered-To", "Received"])

    def test_exim(self):
        self.send(Exim, ["Return-path", "Envelope-to", "Delivery-date", "Received"])

    def test_opensmtpd(self):
        self.send(OpenSmtpd, ["Return-Path", "Delivered-To", "Received"])


if __name__ == "__main__":
    unittest.main()
