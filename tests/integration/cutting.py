"""Stands between Sluice and a receiver and cuts connections, at octets that a seed chooses."""
import contextlib
import random
import select
import socket
import struct
import threading

PIECE = 65536


class Cutter:
    """Listens on an address of its own; started and stopped like a server of a scene.

    From begin() on each connection is cut when so many octets went through it, both directions
    together: at random, on average `mean`. Half of the cuts close both sides, half reset them.
    """

    def __init__(self, address, receiver, mean, seed):
        self.address, self.receiver, self.mean = address, receiver, mean
        self.random = random.Random(seed)
        self.lock = threading.Lock()
        self.cutting = False
        self.connections = self.cuts = 0
        self.threads = []

    def start(self):
        self.wake, self.waker = socket.socketpair()
        self.listener = socket.create_server((self.address, self.receiver[1]), backlog=128)
        self.accepting = threading.Thread(target=self._accept, daemon=True)
        self.accepting.start()
        return self

    def stop(self):
        self.waker.close()  # readable for all threads, for ever
        self.accepting.join()
        for thread in self.threads:
            thread.join()
        self.listener.close()
        self.wake.close()

    def begin(self):
        """For connections that are made from now on."""
        with self.lock:
            self.cutting = True

    def _accept(self):
        while self.wake not in select.select([self.listener, self.wake], [], [])[0]:
            sender, _ = self.listener.accept()
            with self.lock:
                self.connections += 1
                left = 1 + int(self.random.expovariate(1 / self.mean)) if self.cutting else None
                resets = self.random.random() < 0.5
            thread = threading.Thread(target=self._carry, args=(sender, left, resets), daemon=True)
            self.threads.append(thread)
            thread.start()

    def _carry(self, sender, left, resets):
        with sender, contextlib.suppress(OSError), \
                socket.create_connection(self.receiver) as receiver:
            other = {sender: receiver, receiver: sender}
            for end in other:
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while True:
                ready = select.select([*other, self.wake], [], [])[0]
                if self.wake in ready:
                    return
                for end in ready:
                    octets = end.recv(PIECE)
                    if not octets:
                        return
                    cut = left is not None and left <= len(octets)
                    other[end].sendall(octets[:left] if cut else octets)
                    if cut:
                        self._cut(other, resets)
                        return
                    left = left and left - len(octets)

    def _cut(self, ends, resets):
        with self.lock:
            self.cuts += 1
        for end in ends if resets else ():
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
