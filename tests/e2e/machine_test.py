"""What the machine forbids is said in one line, with its mend."""
import ctypes
import resource
import struct
import unittest

from harness import Process, Sandbox, SLUICE


def forbid_io_uring():
    """A seccomp filter that answers io_uring_setup with EPERM, as container runtimes do."""
    libc = ctypes.CDLL(None, use_errno=True)
    nr_io_uring_setup, eperm = 425, 1
    program = b"".join([
        struct.pack("HBBI", 0x20, 0, 0, 0),                       # load the call's number
        struct.pack("HBBI", 0x15, 0, 1, nr_io_uring_setup),       # is it io_uring_setup?
        struct.pack("HBBI", 0x06, 0, 0, 0x00050000 | eperm),      # then EPERM
        struct.pack("HBBI", 0x06, 0, 0, 0x7FFF0000),              # else go on
    ])
    buffer = ctypes.create_string_buffer(program, len(program))

    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]

    libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
    filled = Program(4, ctypes.addressof(buffer))
    if libc.prctl(22, 2, ctypes.byref(filled), 0, 0) != 0:  # PR_SET_SECCOMP, filter mode
        raise OSError("seccomp filter refused")


class Machine(unittest.TestCase):
    def refused(self, box, preexec):
        box.configure()
        process = Process([SLUICE, "run", "--config", str(box.config_file)], preexec)
        box.started.append(process)
        return process.finish(), process.text()

    def test_forbidden_io_uring(self):
        with Sandbox() as box:
            code, text = self.refused(box, forbid_io_uring)
            self.assertIn(code, (69, 78), text)
            self.assertIn("kernel.io_uring_disabled", text)
            self.assertIn("seccomp", text)

    def test_too_few_files(self):
        with Sandbox() as box:
            code, text = self.refused(
                box, lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256)))
            self.assertEqual(code, 78, text)
            self.assertIn("ulimit -n", text)

    def test_broken_configuration(self):
        with Sandbox() as box:
            box.configure(smtp="prot = 25")
            done = box.run("run", "--config", box.config_file, check=78)
            self.assertIn("did you mean", done.stderr.decode())
            self.assertRegex(done.stderr.decode(), r"sluice\.toml:\d+:\d+")

    def test_missing_configuration(self):
        with Sandbox() as box:
            done = box.run("run", "--config", box.directory / "none.toml", check=66)
            self.assertIn("none.toml", done.stderr.decode())

    def test_a_root_file_that_is_none(self):
        with Sandbox() as box:
            box.configure(extra='[tls]\nca_file = "none.pem"\n')
            done = box.run("run", "--config", box.config_file)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("none.pem", done.stderr.decode())


if __name__ == "__main__":
    unittest.main()
