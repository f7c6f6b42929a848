"""Run as a script in a process of its own: shut this process in, then run one program in it.

Linux only. Reads its orders as JSON from its one argument; hands standard input to the program. Exit status 0: the
program ran to its end; 1: it failed; 2: it was ended for its time; 97: the enclosure could not be built, nothing was
run, and standard error says why. Imports nothing of the project, so that it starts in an isolated interpreter.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import socket
import struct
import sys
import time
from pathlib import Path

FAILED, OVERTIME, REFUSED = 1, 2, 97
BOX = "/box"

_CLONE_NEWNS, _CLONE_NEWUTS, _CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
_CLONE_NEWUSER, _CLONE_NEWPID, _CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
_MS_NOSUID, _MS_NODEV, _MS_BIND, _MS_REC, _MS_PRIVATE = 2, 4, 4096, 16384, 1 << 18
_MNT_DETACH = 2
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_ATTR_RDONLY, _ATTR_NOSUID = 1, 2
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_MOUNT_SETATTR = 442
_FIRST_USER = 1_900_000_000
_SYSTEM = ("/usr", "/lib", "/lib64", "/lib32", "/bin", "/etc/ld.so.cache", "/dev/null", "/dev/urandom")

_libc = ctypes.CDLL(None, use_errno=True)


def _call(what: str, result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    result = _libc.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), data.encode())
    _call(f"mount {target}", result)


def _read_only(path: str, recursive: bool) -> None:
    attributes = struct.pack("QQQQ", _ATTR_RDONLY | _ATTR_NOSUID, 0, 0, 0)
    flags = _AT_RECURSIVE if recursive else 0
    result = _libc.syscall(_MOUNT_SETATTR, _AT_FDCWD, path.encode(), flags, attributes, len(attributes))
    _call(f"make {path} read-only", result)


def _separate() -> None:
    """New namespaces for mounts, processes, network and System V objects; for users too unless this is root."""
    flags = _CLONE_NEWNS | _CLONE_NEWPID | _CLONE_NEWNET | _CLONE_NEWIPC | _CLONE_NEWUTS
    user, group = os.geteuid(), os.getegid()
    if user == 0:
        _call("unshare", _libc.unshare(flags))
        return
    _call("unshare", _libc.unshare(flags | _CLONE_NEWUSER))
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")


def _build_root(root: str, visible: list[str], size: int) -> None:
    """A file system with nothing but an interpreter and system libraries (read-only) and an empty folder BOX."""
    _mount("none", "/", "", _MS_REC | _MS_PRIVATE)
    _mount("tmpfs", root, "tmpfs", _MS_NOSUID | _MS_NODEV, "size=1m,mode=755")
    for name in (*_SYSTEM, *visible):
        source, target = Path(name), Path(root + name)
        if not source.exists() or os.path.lexists(target):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_symlink():
            target.symlink_to(source.readlink())
            continue
        if source.is_dir():
            target.mkdir()
        else:
            target.touch()
        _mount(name, str(target), "", _MS_BIND | _MS_REC)
        _read_only(str(target), recursive=True)
    Path(root + BOX).mkdir()
    _mount("tmpfs", root + BOX, "tmpfs", _MS_NOSUID | _MS_NODEV, f"size={size},mode=1777,nr_inodes=1000")
    old = Path(root + "/old")
    old.mkdir()
    result = _libc.syscall(_PIVOT_ROOT[os.uname().machine], root.encode(), str(old).encode())
    _call("pivot_root", result)
    os.chdir("/")
    _call("umount /old", _libc.umount2(b"/old", _MNT_DETACH))
    old = Path("/old")
    old.rmdir()
    _read_only("/", recursive=False)
    os.chdir(BOX)


def _limit(orders: dict[str, int]) -> None:
    limits = {
        resource.RLIMIT_AS: orders["memory_bytes"],
        resource.RLIMIT_CPU: orders["cpu_seconds"],
        resource.RLIMIT_FSIZE: orders["file_bytes"],
        resource.RLIMIT_NPROC: orders["processes"],
        resource.RLIMIT_NOFILE: 64,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_MSGQUEUE: 0,
    }
    for kind, value in limits.items():
        resource.setrlimit(kind, (value, value))
        if resource.getrlimit(kind) != (value, value):
            raise OSError(f"limit {kind} was not taken")


def _give_up_rights(number: int) -> None:
    if os.geteuid() == 0:
        # A user of its own, so that the limit of processes counts this program's alone; root's would not count.
        user = _FIRST_USER + number
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    _call("no_new_privs", _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    _die_with_parent()


def _die_with_parent() -> None:
    _call("pdeathsig", _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))


def _verify() -> None:
    """Try what must not work."""
    if os.geteuid() == 0:
        raise OSError("still root")
    for folder in ("/", "/usr"):
        try:
            os.close(os.open(f"{folder}/beyond-iid-probe", os.O_CREAT | os.O_WRONLY))
        except OSError:
            continue
        raise OSError(f"{folder} can still be written to")
    others = [name for _, name in socket.if_nameindex() if name != "lo"]
    if others:
        raise OSError(f"network interfaces are still there: {', '.join(others)}")


def _program(orders: dict[str, int], interpreter: str, code: str, number: int) -> None:
    """The process that becomes the program."""
    try:
        os.setsid()
        _give_up_rights(number)
        _verify()
        null = os.open("/dev/null", os.O_RDWR)
        os.dup2(null, 1)
        environment = {"PATH": "/usr/bin:/bin", "HOME": BOX, "TMPDIR": BOX, "LANG": "C.UTF-8"}
        _limit(orders)
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr, flush=True)
        os._exit(REFUSED)
    os.dup2(null, 2)
    os.execve(interpreter, [interpreter, "-I", "-S", "-B", "-c", code], environment)  # noqa: S606


def _first_process(orders: dict[str, int], texts: dict[str, str], visible: list[str], number: int) -> None:
    """Process 1 of the new namespace: when it ends, the system ends every other process in it."""
    try:
        _die_with_parent()
        _build_root(texts["root"], visible, orders["file_bytes"])
    except (OSError, KeyError) as error:
        print(error, file=sys.stderr, flush=True)
        os._exit(REFUSED)
    child = os.fork()
    if child == 0:
        _program(orders, texts["interpreter"], texts["code"], number)
    while True:
        ended, status = os.wait()
        if ended == child:
            os._exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else FAILED)


def main() -> None:
    """See the module's description."""
    asked = json.loads(sys.argv[1])
    parent = os.getppid()
    number = os.getpid() % 1_000_000_000 % 90_000_000
    try:
        _die_with_parent()
        _separate()
    except (OSError, KeyError) as error:
        print(error, file=sys.stderr, flush=True)
        sys.exit(REFUSED)
    if os.getppid() != parent:
        sys.exit(FAILED)
    first = os.fork()
    if first == 0:
        _first_process(asked["limits"], asked["texts"], asked["visible"], number)
    end = time.monotonic() + asked["limits"]["seconds"]
    while time.monotonic() < end:
        ended, status = os.waitpid(first, os.WNOHANG)
        if ended:
            code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else FAILED
            sys.exit(code if code in (0, REFUSED) else FAILED)
        time.sleep(0.005)
    os.kill(first, signal.SIGKILL)
    os.waitpid(first, 0)
    sys.exit(OVERTIME)


if __name__ == "__main__":
    main()
