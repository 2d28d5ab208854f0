"""Another user of the group drops jobs (needs root, to be several users)."""
import os
import shutil
import unittest

from harness import SLUICE, Process, Sandbox

GROUP = 62001
SENDER = 62002
DROPPER = 62003


def become(user, umask=0o022):
    def run():
        os.setgroups([])
        os.setgid(GROUP)
        os.setuid(user)
        os.umask(umask)
    return run


def as_user(user, action, umask=0o022):
    """Runs `action` in a child that is `user`; its failure is ours."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            become(user, umask)()
            action()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def job_of(box, name):
    return box.write_job(name, rows=[f"{name}{i}@d{i % 9}.test.example,Name {i}"
                                     for i in range(200)])


@unittest.skipUnless(os.geteuid() == 0, "needs root, to become other users")
class AnotherUser(unittest.TestCase):
    def box_for_users(self, box):
        box.directory.chmod(0o755)
        box.spool.mkdir()
        os.chown(box.spool, SENDER, GROUP)
        os.chown(box.directory, SENDER, GROUP)
        program = box.directory / "sluice"  # a build folder may be closed to others
        shutil.copy(SLUICE, program)
        program.chmod(0o755)
        box.start_sink()
        box.configure()
        box.config_file.chmod(0o644)
        box.sender = Process([str(program), "run", "--config", str(box.config_file)],
                             become(SENDER))
        box.started.append(box.sender)
        box.sender.wait_for_line(" ready:")

    def drop_as(self, box, job, user, umask):
        hidden = box.spool / "incoming" / ("." + job.name)

        def copy():
            hidden.mkdir()
            for file in job.iterdir():
                (hidden / file.name).write_bytes(file.read_bytes())
            hidden.rename(box.spool / "incoming" / job.name)
        self.assertEqual(as_user(user, copy, umask), 0)

    def finished(self, box, name):
        self.assertEqual(box.wait_done(name)["delivered"], 200)
        [done] = (box.spool / "done").glob(f"{name}-*")
        for file in [done, done / "job.toml", done / "body.txt"]:
            self.assertEqual(file.stat().st_uid, SENDER, file)

        def edit():
            (done / "body.txt").write_text("other words\n")
        self.assertNotEqual(as_user(DROPPER, edit), 0)
        return done

    def test_jobs_of_another_user(self):
        with Sandbox() as box:
            self.box_for_users(box)
            incoming = box.spool / "incoming"
            self.assertEqual(incoming.stat().st_mode & 0o7777, 0o2770)
            self.assertEqual(incoming.stat().st_gid, GROUP)

            # A directory that the group may write to: nothing is left behind.
            self.drop_as(box, job_of(box, "open"), DROPPER, 0o002)
            done = self.finished(box, "open")
            self.assertEqual((done / "list.csv").stat().st_uid, DROPPER, "renamed, not copied")
            self.assertEqual(os.listdir(incoming), [])

            # One that it may only read: copied, and what cannot be removed is not taken again.
            self.drop_as(box, job_of(box, "closed"), DROPPER, 0o022)
            done = self.finished(box, "closed")
            self.assertEqual((done / "list.csv").stat().st_uid, SENDER, "copied")
            self.assertEqual(os.listdir(incoming), [f".left-{done.name}"])
            box.sender.wait_for_line(rf"{done.name} was copied.*its owner may remove it")

            # One whose files it may not read: as long as it cannot even look whether job.toml is
            # there, it says so and waits.
            self.drop_as(box, job_of(box, "secret"), DROPPER, 0o077)
            box.sender.wait_for_line(r"incoming/secret.*Permission denied.*chmod")
            (incoming / "secret").chmod(0o755)
            failed = box.wait_for(lambda: list((box.spool / "failed").glob("secret-*/error.txt")),
                                  "refused")
            self.assertIn("Permission denied", failed[0].read_text())
            self.assertEqual(box.sender.stop(), 0)
            self.assertEqual(box.stop_sink()["identities"]["once"], 400)

    def test_what_is_left_in_incoming_is_not_sent_again_after_a_restart(self):
        with Sandbox() as box:
            self.box_for_users(box)
            self.drop_as(box, job_of(box, "closed"), DROPPER, 0o022)
            done = self.finished(box, "closed")
            for swept in (False, True):
                box.sender.kill()
                if swept:  # as keep_done does after its time
                    shutil.rmtree(done)
                box.sender = Process([str(box.directory / "sluice"), "run", "--config",
                                      str(box.config_file)], become(SENDER))
                box.started.append(box.sender)
                box.sender.wait_for_line(" ready:")
            box.submit(box.write_job("last", rows=["last@d1.test.example,Last"]), "--wait")
            self.assertEqual(box.sender.stop(), 0)
            self.assertEqual(box.stop_sink()["identities"]["once"], 201)


if __name__ == "__main__":
    unittest.main()
