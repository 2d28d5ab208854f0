"""A newcomer's first minutes: the obvious mistakes, each answered in a line that says the mend."""
import unittest

from harness import Sandbox


class FirstUse(unittest.TestCase):
    def test_init_writes_what_run_accepts_and_never_overwrites(self):
        with Sandbox() as box:
            path = box.directory / "fresh.toml"
            box.run("init", "--path", path, check=0)
            before = path.read_text()
            done = box.run("init", "--path", path, check=73)
            self.assertIn("--force", done.stderr.decode())
            self.assertEqual(path.read_text(), before)

    def test_submit_without_a_sender_still_spools(self):
        with Sandbox() as box:
            box.start_sink()
            box.start_sender()
            box.sender.stop()
            box.submit(box.write_job(rows=["a@test.example,A"]))
            box.start_sender()
            self.assertEqual(box.wait_done("news")["delivered"], 1)

    def test_an_unknown_command_and_no_command_are_usage_errors(self):
        with Sandbox() as box:
            self.assertIn("sluice", box.run("sbumit", check=64).stderr.decode())
            box.run(check=64)

    def test_a_job_without_its_list_names_it(self):
        with Sandbox() as box:
            box.start_sink()
            box.start_sender()
            job = box.write_job(rows=["a@test.example,A"])
            (job / "list.csv").unlink()
            done = box.submit(job, check=66)
            self.assertIn("list.csv", done.stderr.decode())

    def test_an_unknown_key_is_refused_with_the_nearest(self):
        with Sandbox() as box:
            box.start_sink()
            box.start_sender()
            job = box.write_job(rows=["a@test.example,A"])
            toml = job / "job.toml"
            toml.write_text(toml.read_text().replace("subject =", "sujbect ="))
            done = box.submit(job, check=65)
            self.assertRegex(done.stderr.decode(), r"job\.toml:\d+:\d+: .*subject")

    def test_a_column_that_is_not_there(self):
        with Sandbox() as box:
            box.start_sink()
            box.start_sender()
            job = box.write_job(rows=["a@test.example,A"], header="e-mail,name")
            done = box.submit(job, check=65)
            self.assertIn("list.address", done.stderr.decode())
            self.assertIn("e-mail", done.stderr.decode())


if __name__ == "__main__":
    unittest.main()
