"""A network of the test's own in which every address of both families is this machine.

Nothing leaves it. Whoever is dialled, at a public, private or multicast address, is whatever
listens here on all addresses: an address that nobody was connected to was not tried. One stretch,
NOWHERE, has no route.
"""
import ctypes
import os
import subprocess
import unittest

CLONE_NEWNET = 0x40000000
NOWHERE = "11.9.0.0/16"
COMMANDS = [
    "link set lo up",
    "route add local 0.0.0.0/0 dev lo table local",
    "-6 route add local ::/0 dev lo table local",
    f"route add unreachable {NOWHERE} table local",
]


class OwnNetwork:
    """From enter() to leave() this thread, and what it starts, lives in it."""

    def __init__(self, *addresses):
        """`addresses`: that programs bind to by name, beside loopback's."""
        self.addresses = addresses
        self.outside = None

    def enter(self):
        libc = ctypes.CDLL(None, use_errno=True)
        outside = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        if libc.unshare(CLONE_NEWNET) != 0:
            os.close(outside)
            raise unittest.SkipTest("no network namespace can be made here: "
                                    + os.strerror(ctypes.get_errno()))
        self.outside = outside
        try:
            for address in self.addresses:
                bits = 128 if ":" in address else 32
                self._ip(f"addr add {address}/{bits} dev lo")
            for command in COMMANDS:
                self._ip(command)
        except BaseException:
            self.leave()
            raise

    def leave(self):
        """Does nothing outside."""
        if self.outside is None:
            return
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(self.outside, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "cannot leave the network namespace")
        os.close(self.outside)
        self.outside = None

    @staticmethod
    def _ip(command):
        subprocess.run(["ip", *command.split()], check=True)
