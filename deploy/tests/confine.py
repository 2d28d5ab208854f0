"""A unit's settings, put upon a process as far as a chroot can, in the child before it executes.

The unit file itself is read, so that what is tested is what is installed. Put in force: User=,
Group=, UMask=, Limit*=, NoNewPrivileges=, CapabilityBoundingSet=, SystemCallFilter=,
RestrictAddressFamilies=, MemoryDenyWriteExecute=, Environment of Type=notify and WatchdogSec=. File
systems (ProtectSystem=, ReadWritePaths= and the like) are the caller's.
"""
import collections
import ctypes
import errno
import os
import pathlib
import re
import resource
import socket
import struct
import subprocess

PR_SET_SECCOMP, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 22, 24, 38
SECCOMP_MODE_FILTER = 2
RET_ALLOW, RET_ERRNO, RET_KILL = 0x7FFF0000, 0x00050000, 0x80000000
LOAD, JUMP_EQUAL, JUMP_ANY_BIT, RETURN = 0x20, 0x15, 0x45, 0x06  # classic BPF, 32 bits
NUMBER_AT, ARCH_AT, ARGUMENTS_AT = 0, 4, 16                      # struct seccomp_data
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
WRITE, EXECUTE = 2, 4                                            # PROT_*


def read_unit(path):
    """{key: [values in order]} of all sections; an empty value resets, as systemd has it."""
    settings = collections.defaultdict(list)
    for line in path.read_text().splitlines():
        line = line.strip()
        if not line or line[0] in "#;[":
            continue
        key, value = (part.strip() for part in line.split("=", 1))
        settings[key].append(value)
    return dict(settings)


def seconds(text):
    number, unit = re.fullmatch(r"(\d+)(s|min|h)?", text).groups()
    return int(number) * {None: 1, "s": 1, "min": 60, "h": 3600}[unit]


def size(text):
    number, unit = re.fullmatch(r"(\d+)([KMG]?)", text).groups()
    return int(number) << {"": 0, "K": 10, "M": 20, "G": 30}[unit]


def _set_members(name, analyze):
    """The calls of a set such as @system-service, with the sets in it."""
    members = set()
    for line in analyze(name):
        word = line.strip()
        if not word or word.startswith("#") or word == name:
            continue
        members |= _set_members(word, analyze) if word.startswith("@") else {word}
    return members


def allowed_calls(filters, analyze):
    """What SystemCallFilter= lines leave, in their order. `analyze` lists a set's lines."""
    allowed = set()
    for line in filters:
        words = line.lstrip("~").split()
        named = set()
        for word in words:
            named |= _set_members(word, analyze) if word.startswith("@") else {word}
        allowed = allowed - named if line.startswith("~") else allowed | named
    # What systemd always leaves: itself must still execute the program.
    return allowed | {"execve"} | _set_members("@default", analyze)


def call_numbers():
    text = subprocess.run(["cpp", "-dM"], input="#include <sys/syscall.h>\n", text=True,
                          capture_output=True, check=True).stdout
    return {name: int(number)
            for name, number in re.findall(r"#define __NR_(\w+) (\d+)$", text, re.MULTILINE)}


class _Program:
    def __init__(self):
        self.steps = []

    def add(self, code, value, if_true=0, if_false=0):
        self.steps.append(struct.pack("=HBBI", code, if_true, if_false, value))

    def answer(self, error):
        self.add(RETURN, RET_ERRNO | error if error else RET_ALLOW)


def seccomp_program(unit, analyze):
    """The filter that systemd would make, as classic BPF."""
    numbers = call_numbers()
    program = _Program()
    program.add(LOAD, ARCH_AT)
    program.add(JUMP_EQUAL, ARCHITECTURES[os.uname().machine], 1, 0)
    program.add(RETURN, RET_KILL)
    # One block a call with a rule of its own: entered with the number, left or answered.
    families = [getattr(socket, name).value for name in unit["RestrictAddressFamilies"][-1].split()]
    program.add(LOAD, NUMBER_AT)
    program.add(JUMP_EQUAL, numbers["socket"], 0, 3 + len(families))
    program.add(LOAD, ARGUMENTS_AT)
    for index, family in enumerate(families):
        program.add(JUMP_EQUAL, family, len(families) - index, 0)
    program.answer(errno.EAFNOSUPPORT)
    program.answer(0)
    if unit.get("MemoryDenyWriteExecute", ["no"])[-1] == "yes":
        # Writable and executable at once, or executable later.
        program.add(LOAD, NUMBER_AT)
        program.add(JUMP_EQUAL, numbers["mmap"], 0, 4)
        program.add(LOAD, ARGUMENTS_AT + 2 * 8)
        program.add(JUMP_ANY_BIT, WRITE, 0, 2)
        program.add(JUMP_ANY_BIT, EXECUTE, 0, 1)
        program.answer(errno.EPERM)
        program.add(LOAD, NUMBER_AT)
        program.add(JUMP_EQUAL, numbers["mprotect"], 0, 3)
        program.add(LOAD, ARGUMENTS_AT + 2 * 8)
        program.add(JUMP_ANY_BIT, EXECUTE, 0, 1)
        program.answer(errno.EPERM)
    program.add(LOAD, NUMBER_AT)
    for name in sorted(allowed_calls(unit["SystemCallFilter"], analyze)):
        if name in numbers:
            program.add(JUMP_EQUAL, numbers[name], 0, 1)
            program.answer(0)
    program.answer(errno.EPERM)
    return b"".join(program.steps), len(program.steps)


def environment(unit, notify_socket):
    return {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "NOTIFY_SOCKET": notify_socket,
            "WATCHDOG_USEC": str(seconds(unit["WatchdogSec"][-1]) * 1_000_000)}


def confinement(unit, root, view, analyze):
    """What to give to Popen as preexec_fn: `view` is what the program sees of the root. Everything
    that could fail for lack of something is looked up here, before the fork."""
    def entry(name):
        lines = (root / "etc" / name).read_text().splitlines()
        return {line.split(":")[0]: int(line.split(":")[2]) for line in lines}

    user, group = entry("passwd")[unit["User"][-1]], entry("group")[unit["Group"][-1]]
    filter_bytes, filter_length = seccomp_program(unit, analyze)
    libc = ctypes.CDLL(None, use_errno=True)
    limits = [(getattr(resource, "RLIMIT_" + key[len("Limit"):]), size(values[-1]))
              for key, values in unit.items() if key.startswith("Limit")]
    capabilities = int(pathlib.Path("/proc/sys/kernel/cap_last_cap").read_text()) + 1
    if unit["CapabilityBoundingSet"][-1] != "" or unit["NoNewPrivileges"][-1] != "yes":
        raise AssertionError("the unit leaves privileges, which this does not imitate")

    def prctl(option, *arguments):
        padded = [ctypes.c_ulong(a) for a in arguments] + [ctypes.c_ulong(0)] * (4 - len(arguments))
        if libc.prctl(option, *padded) != 0:
            raise OSError(ctypes.get_errno(), f"prctl {option}")

    def put_in_force():
        for which, value in limits:
            # Without CAP_SYS_RESOURCE, as in many a sandbox, not even root may raise one.
            most = resource.getrlimit(which)[1]
            value = value if most == resource.RLIM_INFINITY else min(value, most)
            resource.setrlimit(which, (value, value))
        os.chroot(view)
        os.chdir("/")
        for capability in range(capabilities):
            prctl(PR_CAPBSET_DROP, capability)
        os.setgroups([group])
        os.setresgid(group, group, group)
        os.setresuid(user, user, user)
        os.umask(int(unit["UMask"][-1], 8))
        prctl(PR_SET_NO_NEW_PRIVS, 1)
        steps = ctypes.create_string_buffer(filter_bytes, len(filter_bytes))
        program = struct.pack("@HxxxxxxP", filter_length, ctypes.addressof(steps))
        holder = ctypes.create_string_buffer(program, len(program))
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(holder))

    return put_in_force


def as_user(root, user, umask=0o022):
    """preexec_fn of an ordinary user in the root, with all groups of theirs."""
    def entries(name):
        return [line.split(":") for line in (root / "etc" / name).read_text().splitlines()]

    uid, gid = next((int(e[2]), int(e[3])) for e in entries("passwd") if e[0] == user)
    groups = [gid] + [int(e[2]) for e in entries("group") if user in e[3].split(",")]

    def put_in_force():
        os.chroot(root)
        os.chdir("/")
        os.setgroups(groups)
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
        os.umask(umask)

    return put_in_force
