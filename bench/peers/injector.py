"""Gives ready messages to an SMTP server over parallel connections, as fast as it takes them.

usage: injector.py PORT SESSIONS MESSAGES

With PIPELINING: a message's text and the next one's envelope leave together. The messages are made
before the first octet is sent; "go" on standard output tells when that was, "done" when the last
was answered.
"""
import pathlib
import socket
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import job  # noqa: E402


class Session(threading.Thread):
    def __init__(self, port, messages):
        super().__init__()
        self.port, self.messages, self.error = port, messages, None

    def run(self):
        try:
            self.converse()
        except Exception as error:  # of a thread: told by main()
            self.error = error

    def expect(self, replies, code):
        line = replies.readline()
        while line[3:4] == b"-":
            line = replies.readline()
        if not line.startswith(code):
            raise RuntimeError(f"the server answered {line!r}, not {code!r}")

    def converse(self):
        with socket.create_connection(("127.0.0.1", self.port)) as s:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            replies = s.makefile("rb")
            self.expect(replies, b"220")
            s.sendall(b"EHLO injector.example\r\n")
            self.expect(replies, b"250")
            text = b""
            for envelope, content in self.messages:
                s.sendall(text + envelope)
                for code in ([b"250"] if text else []) + [b"250", b"250", b"354"]:
                    self.expect(replies, code)
                text = content
            s.sendall(text + b"QUIT\r\n")
            self.expect(replies, b"250")
            self.expect(replies, b"221")


def main():
    port, sessions, count = map(int, sys.argv[1:])
    messages = [job.message(i) for i in range(count)]
    threads = [Session(port, messages[n::sessions]) for n in range(sessions)]
    print("go", flush=True)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    errors = [str(thread.error) for thread in threads if thread.error]
    if errors:
        sys.exit("injector: " + errors[0])
    print("done", flush=True)


if __name__ == "__main__":
    main()
