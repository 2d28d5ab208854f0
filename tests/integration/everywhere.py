"""A receiver on every address of this machine, which knows at which one it was called, and when."""
import contextlib
import re
import socket
import threading


class Everywhere(contextlib.AbstractContextManager):
    """Takes all mail, but at the addresses of which `closed(address)` is true: there it greets 421.

    dialled: the addresses in order of connection. taken: (address, recipient) in order of verdict.
    """

    def __init__(self, port, closed=lambda address: False):
        self.closed = closed
        self.lock = threading.Lock()
        self.dialled = []
        self.taken = []
        self.errors = []
        self.listener = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("::", port))
        self.listener.listen(1024)
        self.accepting = threading.Thread(target=self._accept, daemon=True)
        self.accepting.start()

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.accepting.join()
        self.listener.close()

    def of(self, recipient):
        """The addresses at which this recipient's mail was taken."""
        with self.lock:
            return [address for address, taken in self.taken if taken == recipient]

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            address = connection.getsockname()[0].removeprefix("::ffff:")
            with self.lock:
                self.dialled.append(address)
            threading.Thread(target=self._serve, args=(connection, address), daemon=True).start()

    def _serve(self, connection, address):
        with connection, contextlib.suppress(OSError):
            try:
                self._converse(connection, address)
            except (OSError, EOFError):
                raise
            except Exception as error:  # what is wrong here must not pass for the sender's doing
                self.errors.append(error)

    def _converse(self, connection, address):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection.makefile("rb") as lines:
            if self.closed(address):
                connection.sendall(b"421 closed for today\r\n")
                return
            connection.sendall(b"220 everywhere.example\r\n")
            recipients = []
            while line := lines.readline():
                command = line[:4].upper()
                if command == b"RCPT":
                    recipients.append(re.search(rb"<(.*)>", line).group(1).decode())
                if command == b"DATA":
                    connection.sendall(b"354 go on\r\n")
                    while (text := lines.readline()) != b".\r\n":
                        if not text:
                            return
                    with self.lock:
                        self.taken += [(address, recipient) for recipient in recipients]
                    recipients = []
                connection.sendall(b"221 bye\r\n" if command == b"QUIT" else b"250 2.0.0 taken\r\n")
                if command == b"QUIT":
                    return
