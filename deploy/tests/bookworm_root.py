"""A minimal Debian 12 in a directory: made once by debootstrap, kept as a tar file, unpacked fresh.

The tar file's name holds a digest of what was asked for, so that another list of packages makes
another root.
"""
import hashlib
import os
import pathlib
import shutil
import subprocess
import tempfile

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
CACHE = REPOSITORY / "build" / "peers"
# What a Debian host has or the operator's guide tells to install, besides the program's libraries.
HOST_PACKAGES = ["dns-root-data", "procps", "systemd", "unbound"]
# Nobody reads these here, and they are half of the tar file.
BALLAST = ["usr/share/doc", "usr/share/locale", "usr/share/man", "var/cache/apt",
           "var/lib/apt/lists"]


def runtime_packages():
    lines = (REPOSITORY / "deploy" / "packages.txt").read_text().splitlines()
    return [line.split("#")[0].strip() for line in lines if line.split("#")[0].strip()]


def _run(*arguments, log):
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive", LC_ALL="C")
    with open(log, "ab") as out:
        done = subprocess.run(arguments, stdout=out, stderr=out, env=environment, check=False)
    if done.returncode != 0:
        tail = pathlib.Path(log).read_text(errors="replace")[-3000:]
        raise AssertionError(f"{' '.join(map(str, arguments))}: exit {done.returncode}\n{tail}")


def cached():
    """The tar file; made when it is missing, which needs Debian's package registry."""
    packages = runtime_packages() + HOST_PACKAGES
    digest = hashlib.sha256("\n".join(packages + BALLAST).encode()).hexdigest()[:12]
    archive = CACHE / f"bookworm-{digest}.tar"
    if archive.exists():
        return archive
    if shutil.which("debootstrap") is None:
        raise AssertionError("debootstrap is missing: tools/install_packages")
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bookworm-", dir=CACHE) as made:
        root = pathlib.Path(made) / "root"
        log = str(pathlib.Path(made) / "log")
        _run("debootstrap", "--variant=minbase", "bookworm", str(root), log=log)
        # Packages that bring a service would start it.
        policy = root / "usr/sbin/policy-rc.d"
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
        _run("chroot", str(root), "apt-get", "-qq", "-y", "install", "--no-install-recommends",
             *packages, log=log)
        for path in BALLAST:
            shutil.rmtree(root / path, ignore_errors=True)
        whole = pathlib.Path(made) / "root.tar"
        _run("tar", "--numeric-owner", "-cf", str(whole), "-C", str(root), ".", log=log)
        whole.rename(archive)
    return archive


def unpack(archive, root):
    subprocess.run(["tar", "--numeric-owner", "-xpf", str(archive), "-C", str(root)], check=True)
