"""A tenth of the recipients is refused, another tenth put off once: what Sluice says of it."""
import collections
import json
import unittest

from peers import Scene, setUpModule  # pylint: disable=unused-import
from receivers import Exim, OpenSmtpd, Postfix

RECIPIENTS = 500


def local_part(i):
    return {3: f"no-{i}", 7: f"later-{i}"}.get(i % 10, f"user-{i}")


class Refusals(unittest.TestCase):
    def send(self, receiver):
        with Scene(receiver) as scene:
            [server] = scene.receivers
            scene.configure()
            scene.start_sender()
            recipients = [f"{local_part(i)}@{receiver.domain(i)}" for i in range(RECIPIENTS)]
            refused = [r for r in recipients if r.startswith("no-")]
            later = [r for r in recipients if r.startswith("later-")]
            accepted = [r for r in recipients if not r.startswith("no-")]
            scene.submit(scene.write_job(rows=[f"{r},Name" for r in recipients]), "--wait", check=1)

            mails = collections.Counter(mail.recipient() for mail in server.stored(len(accepted)))
            self.assertEqual(mails, dict.fromkeys(accepted, 1))
            self.check_report(scene, receiver, recipients, refused)
            status = json.loads(scene.run("status", "news", "--json", "--config",
                                          scene.config_file, check=0).stdout)
            wanted = {"total": RECIPIENTS, "delivered": len(accepted), "bounced": len(refused),
                      "waiting": 0, "deferred": 0, "in_flight": 0, "expired": 0, "cancelled": 0,
                      "rejected": 0, "maybe_delivered": 0, "attempts": RECIPIENTS + len(later)}
            self.assertEqual({key: status[key] for key in wanted}, wanted)
            self.assertEqual(scene.sender.stop(), 0, scene.sender.text())
            self.check_events(scene, receiver, accepted, refused, later)

    def check_report(self, scene, receiver, recipients, refused):
        rows = scene.report("news")
        self.assertEqual([row["recipient"] for row in sorted(rows, key=lambda r: int(r["row"]))],
                         recipients)
        for row in rows:
            is_later = row["recipient"].startswith("later-")
            with self.subTest(row["recipient"]):
                if row["recipient"].startswith("no-"):
                    self.assertEqual((row["state"], row["code"], row["attempts"]),
                                     ("bounced", str(receiver.refusal[0]), "1"))
                    self.assertIn(receiver.refusal[2], row["response"])
                else:
                    self.assertEqual((row["state"], row["code"], row["attempts"]),
                                     ("delivered", "250", "2" if is_later else "1"))
        done = scene.run("report", "news", "--config", scene.config_file, "--format", "csv",
                         "--only", "bounced", check=0)
        self.assertEqual(done.stdout.decode().count("\n"), 1 + len(refused))

    def check_events(self, scene, receiver, accepted, refused, later):
        done = scene.run("log", "--job", "news", "--config", scene.config_file, check=0)
        events = collections.defaultdict(dict)
        for event in map(json.loads, done.stdout.decode().splitlines()):
            known = events[event["type"]]
            self.assertNotIn(event["recipient"], known, "one event of a type a recipient")
            known[event["recipient"]] = event
        self.assertEqual(set(events), {"Delivery", "TransientFailure", "Bounce"})
        self.assertEqual(set(events["Delivery"]), set(accepted))
        self.assertEqual(set(events["Bounce"]), set(refused))
        self.assertEqual(set(events["TransientFailure"]), set(later))
        for kind, (code, enhanced, words) in (("Bounce", receiver.refusal),
                                              ("TransientFailure", receiver.deferral)):
            for recipient, event in events[kind].items():
                response = event["response"]
                got = response.get("enhanced_code")
                self.assertEqual((response["code"], response["command"], event["num_attempts"]),
                                 (code, "RCPT", 1), recipient)
                self.assertEqual(
                    got and (got["class"], got["subject"], got["detail"]), enhanced, recipient)
                self.assertIn(words, response["content"])
                self.assertEqual(event["peer_address"],
                                 {"name": f"mx.{receiver.root_name}.example",
                                  "addr": receiver.address})
        for recipient, event in events["Delivery"].items():
            self.assertEqual(event["response"]["code"], 250)
            self.assertRegex(event["response"]["content"], receiver.acceptance)
            self.assertEqual(event["num_attempts"], 2 if recipient in later else 1)

    def test_postfix(self):
        self.send(Postfix)

    def test_exim(self):
        self.send(Exim)

    def test_opensmtpd(self):
        self.send(OpenSmtpd)


if __name__ == "__main__":
    unittest.main()
