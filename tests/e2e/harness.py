"""What end-to-end tests share: a sandbox with a receiver, a name server and the sender.

Each sandbox has a directory and ports of its own, and stops what it started. Waits are for lines
and files, with a deadline; nothing sleeps and hopes.
"""
import contextlib
import csv
import io
import json
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request

SLUICE = os.environ["SLUICE_BINARY"]
DEADLINE = 60.0


class Process:
    """A program whose lines are waited for."""

    def __init__(self, arguments, preexec=None):
        self.lines = []
        self.rest = b""
        self.popen = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                      preexec_fn=preexec)

    def wait_for_line(self, pattern, deadline=DEADLINE):
        end = time.monotonic() + deadline
        while True:
            for line in self.lines:
                if re.search(pattern, line):
                    return line
            if not self._read(end):
                raise AssertionError(f"no line like {pattern!r} in:\n" + "\n".join(self.lines))

    def _read(self, end):
        left = end - time.monotonic()
        if left <= 0 or not select.select([self.popen.stdout], [], [], left)[0]:
            return False
        octets = os.read(self.popen.stdout.fileno(), 65536)
        if not octets:
            return False
        *whole, self.rest = (self.rest + octets).split(b"\n")
        self.lines += [line.decode(errors="replace") for line in whole]
        return True

    def finish(self, deadline=DEADLINE):
        """Reads to the end and returns the exit code."""
        end = time.monotonic() + deadline
        while self._read(end):
            pass
        return self.popen.wait(max(0.1, end - time.monotonic()))

    def stop(self, how=signal.SIGTERM):
        if self.popen.poll() is None:
            self.popen.send_signal(how)
        return self.finish()

    def kill(self):
        if self.popen.stdout.closed:
            return
        if self.popen.poll() is None:
            self.popen.kill()
        self.finish()
        self.popen.stdout.close()

    def text(self):
        return "\n".join(self.lines)


def free_port(address="127.0.0.1", kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as s:
        s.bind((address, 0))
        return s.getsockname()[1]


class Sandbox(contextlib.AbstractContextManager):
    def __init__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="sluice-e2e-"))
        self.spool = self.directory / "spool"
        self.config_file = self.directory / "sluice.toml"
        self.smtp_port = free_port()
        self.dns_port = free_port()
        self.http_port = free_port()
        self.sink = None
        self.sender = None
        self.started = []
        self.cleanup = []  # called at the end, in this order

    def __exit__(self, *_):
        for process in self.started:
            process.kill()
        for action in self.cleanup:
            action()
        shutil.rmtree(self.directory, ignore_errors=True)

    # --- receiver and sender

    def start_sink(self, *options, exchangers=3, zone="test.example"):
        last = f"127.0.7.{exchangers}"
        self.sink_report_file = self.directory / "sink.json"
        arguments = [SLUICE, "sink", "--listen", f"127.0.7.1-{last}:{self.smtp_port}",
                     "--dns", f"127.0.0.1:{self.dns_port}", "--json", "--exact",
                     "--report", str(self.sink_report_file), *options]
        if zone:
            arguments += ["--zone", zone]
        self.sink = Process(arguments)
        self.started.append(self.sink)
        self.sink.wait_for_line('"ready"')

    def stop_sink(self):
        self.sink.stop()
        return json.loads(self.sink_report_file.read_text())

    def configure(self, extra="", engine="", smtp="", retry='retry_interval = "1s"'):
        self.config_file.write_text(f"""
[spool]
path = "{self.spool}"
[engine]
shards = 1
{engine}
[dns]
servers = ["127.0.0.1:{self.dns_port}"]
[smtp]
hello = "sender.example"
port = {self.smtp_port}
allowed_networks = ["127.0.0.0/8"]
{smtp}
[retry]
{retry}
[admin]
socket = "{self.directory}/sluice.sock"
{extra}
""")

    def start_sender(self, preexec=None):
        if not self.config_file.exists():
            self.configure()
        self.sender = Process([SLUICE, "run", "--config", str(self.config_file)], preexec)
        self.started.append(self.sender)
        self.sender.wait_for_line(" ready:")

    def http(self, path):
        """A page of [admin] listen, which the test put at http_port."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}{path}",
                                    timeout=DEADLINE) as page:
            return page.read().decode()

    # --- jobs

    def write_job(self, name="news", rows=None, lst=None, list_name="list.csv",
                  text="Hello {{name}}\n", html=None, eml=None, subject="For {{name}}", extra="",
                  header="email,name"):
        job = self.directory / name
        job.mkdir()
        message = []
        if eml is not None:
            (job / "message.eml").write_bytes(eml)
            message.append('eml = "message.eml"')
        else:
            (job / "body.txt").write_text(text)
            message.append('text = "body.txt"')
        if html is not None:
            (job / "body.html").write_text(html)
            message.append('html = "body.html"')
        if lst is None:
            lst = (header + "\n" + "".join(row + "\n" for row in rows)).encode()
        (job / list_name).write_bytes(lst)
        (job / "job.toml").write_text(
            f'name = "{name}"\nfrom = "Example News <news@example.com>"\n'
            f'subject = "{subject}"\n' + extra +
            f'\n[message]\n' + "\n".join(message) + f'\n[list]\nfile = "{list_name}"\n')
        return job

    def run(self, *arguments, check=None):
        done = subprocess.run([SLUICE, *map(str, arguments)], capture_output=True, timeout=DEADLINE)
        if check is not None and done.returncode != check:
            raise AssertionError(f"{arguments}: exit {done.returncode}, not {check}\n"
                                 f"{done.stdout.decode()}\n{done.stderr.decode()}\n"
                                 + (self.sender.text() if self.sender else ""))
        return done

    def submit(self, job, *options, check=0):
        return self.run("submit", job, "--config", self.config_file, *options, check=check)

    def report(self, job, *options):
        done = self.run("report", job, "--config", self.config_file, "--format", "csv", *options,
                        check=0)
        return list(csv.DictReader(io.StringIO(done.stdout.decode())))

    def drop(self, job):
        """Drops a job as another program would: under a dotted name, then renamed."""
        hidden = self.spool / "incoming" / ("." + job.name)
        shutil.copytree(job, hidden)
        hidden.rename(self.spool / "incoming" / job.name)

    def wait_for(self, condition, what, deadline=DEADLINE):
        """For things that announce themselves by nothing but a file."""
        end = time.monotonic() + deadline
        while time.monotonic() < end:
            found = condition()
            if found:
                return found
            select.select([], [], [], 0.02)
        raise AssertionError(f"not in time: {what}\n" + (self.sender.text() if self.sender else ""))

    def wait_done(self, name):
        def summary():
            for path in (self.spool / "done").glob(f"{name}-*/summary.json"):
                return json.loads(path.read_text())
            return None
        return self.wait_for(summary, f"{name} in done/")
