"""The receiver's side of a connection, and a listener whose every connection has one character."""
import contextlib
import socket
import struct
import threading
import time


class Wire:
    """What a character says and hears. OSError and EOFError end the conversation."""

    def __init__(self, connection, stopped):
        self.connection = connection
        self.stopped = stopped
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.heard = b""
        self.farewell = b"221 bye\r\n"

    def say(self, octets):
        self.connection.sendall(octets)

    def packet(self):
        octets = self.connection.recv(65536)
        if not octets:
            raise EOFError
        return octets

    def line(self):
        while b"\n" not in self.heard:
            self.heard += self.packet()
        line, self.heard = self.heard.split(b"\n", 1)
        return line + b"\n"

    def octets(self, count):
        while len(self.heard) < count:
            self.heard += self.packet()
        octets, self.heard = self.heard[:count], self.heard[count:]
        return octets

    def content(self):
        while self.line() != b".\r\n":
            pass

    def without_end(self, octets):
        while True:
            self.say(octets)

    def dripping(self, octets, seconds):
        for i in range(len(octets)):
            self.say(octets[i:i + 1])
            time.sleep(seconds)

    def listen(self):
        """Says nothing more and hears all, to the end."""
        while True:
            self.packet()

    def deaf(self):
        """Reads nothing more: the window closes and stays so."""
        self.stopped.wait()

    def abort(self):
        """Ends with a reset."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    # --- an honest beginning

    def greet(self, *keywords):
        self.say(b"220 mx.hostile.example\r\n")
        self.line()
        lines = [b"mx.hostile.example", *keywords]
        self.say(b"".join(b"250-" + line + b"\r\n" for line in lines[:-1]) +
                 b"250 " + lines[-1] + b"\r\n")

    def until(self, command):
        """Accepts all before `command`, which is left unanswered. False: QUIT came first."""
        while not (line := self.line().upper()).startswith(command):
            if line.startswith(b"QUIT"):
                self.say(self.farewell)
                return False
            self.say(b"250 fine\r\n")
        return True

    def until_dot(self):
        """Accepts a message up to its end, which is left unanswered. False: QUIT came first."""
        if not self.until(b"DATA"):
            return False
        self.say(b"354 go on\r\n")
        self.content()
        return True


class Receiver(contextlib.AbstractContextManager):
    """Listens on an address of its own and treats every connection alike."""

    def __init__(self, behaviour, address, port, receive_buffer=None):
        self.behaviour = behaviour
        self.stopped = threading.Event()
        self.connections = 0
        self.errors = []
        self.listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if receive_buffer:
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.listener.bind((address, port))
        self.listener.listen(128)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection:
            self.connections += 1
            try:
                self.behaviour(Wire(connection, self.stopped))
            except (OSError, EOFError):
                pass  # the sender has ended it
            except Exception as error:
                self.errors.append(error)
                raise

    def __exit__(self, *_):
        self.stopped.set()
        # Wakes accept(), which a close alone would not.
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
