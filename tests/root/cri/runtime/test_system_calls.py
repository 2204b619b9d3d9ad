"""System calls into the kernel's deeper parts, tried in a container with default profile and capabilities.

The attacker is the host's own Python, shown to the container; where the default profile answers EPERM (or
ENOSYS) the call never reached the code behind it.
"""

from __future__ import annotations

import errno
import json
import os
import platform
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from cri.bundle import capabilities, seccomp
from cri.bundle.spec import Capabilities, Mount
from tests.root.cri.runtime.conftest import Node

pytestmark = pytest.mark.root

_PYTHON = os.path.realpath(sys.executable)
_PRELUDE = """
import ctypes, errno, json, os, mmap, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
def call(number, *arguments):
    ctypes.set_errno(0)
    passed = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    result = libc.syscall(ctypes.c_long(number), *passed)
    return ctypes.get_errno() if result < 0 else 0
"""


def attack(node: Node, script: str, **changes: Any) -> list[str]:
    """Run a Python script in a container; what it prints."""
    for name in ("lib", "lib64"):
        (node.image / name).symlink_to(f"usr/{name}")
    process = {
        "seccomp": seccomp.runtime_default(capabilities.DEFAULT),
        "env": ("PATH=/bin", "PYTHONDONTWRITEBYTECODE=1", f"PYTHONHOME={sys.base_prefix}"),
        **changes.pop("process", {}),
    }
    places = ["/usr"] if sys.base_prefix.startswith("/usr") else ["/usr", sys.base_prefix]
    mounts = tuple(Mount(place, place, readonly=True) for place in places)
    text = _PRELUDE + textwrap.dedent(script)
    code, lines = node.run(_PYTHON, "-c", text, process=process, mounts=mounts, **changes)
    assert code == 0, lines
    return lines


# number on x86-64 and on the others (asm-generic)
CALLS = {
    "io_uring_setup": (425, 425),
    "userfaultfd": (323, 282),
    "bpf": (321, 280),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "perf_event_open": (298, 241),
    "kexec_load": (246, 104),
    "init_module": (175, 105),
    "open_by_handle_at": (304, 265),
    "mount": (165, 40),
    "fsopen": (430, 430),
    "move_mount": (429, 429),
    "pivot_root": (155, 41),
    "setns": (308, 268),
    "unshare": (272, 97),
    "swapon": (167, 224),
    "reboot": (169, 142),
    "settimeofday": (164, 170),
    "acct": (163, 89),
    "quotactl": (179, 60),
    "syslog": (103, 116),
    "process_vm_readv": (310, 270),
    "pidfd_getfd": (438, 438),
    "kcmp": (312, 272),
    "fanotify_init": (300, 262),
    "move_pages": (279, 239),
    "vhangup": (153, 58),
    "clone3": (435, 435),
}


def test_calls_into_the_kernels_depths_are_refused(node: Node) -> None:
    column = 0 if platform.machine() == "x86_64" else 1
    numbers = {name: pair[column] for name, pair in CALLS.items()}
    (line,) = attack(
        node, f"print(json.dumps({{n: call(k, 0, 0, 0, 0, 0) for n, k in {numbers!r}.items()}}))"
    )
    found = json.loads(line)
    assert found.pop("clone3") == errno.ENOSYS  # so that libraries fall back to clone
    assert set(found.values()) == {errno.EPERM}, found


def test_new_namespaces_and_hypervisor_sockets_are_refused(node: Node) -> None:
    lines = attack(
        node,
        """
        for flag in (0x10000000, 0x20000, 0x40000000, 0x80):
            clone = ctypes.c_long(56 if os.uname().machine == "x86_64" else 220)
            pid = libc.syscall(clone, flag | 17, 0, 0, 0, 0)
            if pid == 0:
                os._exit(0)
            print(pid, ctypes.get_errno())
        import socket
        try:
            socket.socket(40, socket.SOCK_STREAM)
        except OSError as error:
            print("vsock", error.errno)
        """,
    )
    assert lines == ["-1 1"] * 4 + ["vsock 1"]


@pytest.mark.skipif(platform.machine() != "x86_64", reason="two more call tables are x86-64's own")
def test_other_call_tables_lead_no_further(node: Node) -> None:
    """A filter that looks at numbers alone is passed by those of i386 (int 0x80) and x32 (bit 30)."""
    lines = attack(
        node,
        """
        import signal
        def i386(number):
            # push rbx; mov eax, number; xor ebx, ebx; xor ecx, ecx; xor edx, edx; int 0x80; pop rbx; ret
            after = bytes.fromhex("31db31c931d2cd805bc3")
            code = bytes.fromhex("53b8") + number.to_bytes(4, "little") + after
            page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
            page.write(code)
            at = ctypes.addressof(ctypes.c_char.from_buffer(page))
            return ctypes.CFUNCTYPE(ctypes.c_int)(at)()
        def tried(what, *arguments):
            pid = os.fork()
            if pid == 0:
                os._exit(min(abs(what(*arguments)), 255))
            status = os.waitpid(pid, 0)[1]
            return os.waitstatus_to_exitcode(status)
        # io_uring_setup, mount, unshare, bpf, keyctl as i386 counts them
        print(*[tried(i386, number) for number in (425, 21, 310, 357, 288)])
        print(*[tried(call, number | 1 << 30) for number in (425, 165, 272, 321, 250)])
        """,
    )
    i386, x32 = ([int(word) for word in line.split()] for line in lines)
    assert set(i386) <= {errno.EPERM, errno.ENOSYS, -11}, i386  # SIGSEGV: a kernel without that table
    assert set(x32) <= {errno.EPERM, errno.ENOSYS, -31}, x32  # SIGSYS: of no architecture the profile names


def test_no_input_is_pushed_into_a_terminal(node: Node) -> None:
    """TIOCSTI (CVE-2016-2568 and its like): the terminal is the container's own, no shell of the host's."""
    lines = attack(
        node,
        """
        import fcntl, termios
        try:
            for letter in b"id\\n":
                fcntl.ioctl(0, termios.TIOCSTI, bytes([letter]))
            print("pushed")
        except OSError as error:
            print("refused", error.errno)
        print(os.ttyname(0), os.stat("/dev/console").st_rdev == os.stat(0).st_rdev)
        print(os.listdir("/dev/pts"))
        """,
        process={"tty": True},
    )
    text = [line.strip() for line in lines]
    assert "/dev/pts/0 True" in text
    assert any(
        sorted(json.loads(line.replace("'", '"'))) == ["0", "ptmx"] for line in text if line[:1] == "["
    )


def test_the_hosts_keys_stay_the_hosts(node: Node) -> None:
    """Without a filter a process could read the session keyring of who started it."""
    session = attack(
        node,
        """
        print(libc.syscall(ctypes.c_long(250 if os.uname().machine == "x86_64" else 219), 0, -3, 0, 0, 0))
        """,
        process={"seccomp": b""},
    )[0]
    pid = node.pid("nk-super")
    script = f"""
import ctypes, os
lib = ctypes.CDLL(None)
print(lib.syscall(ctypes.c_long({250 if platform.machine() == "x86_64" else 219}), 0, -3, 0, 0, 0))
"""
    ours = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert os.path.exists(f"/proc/{pid}")
    assert int(session) > 0
    assert session != ours.strip()


def test_the_kernels_switches_cannot_be_turned(node: Node) -> None:
    """core_pattern and its like run a program as the host's root; nor by mounting anew, or another way in."""
    pattern = Path("/proc/sys/kernel/core_pattern")
    before = pattern.read_text()
    caps = Capabilities(capabilities.DEFAULT, capabilities.DEFAULT, capabilities.DEFAULT)
    lines = attack(
        node,
        """
        def tried(path, flags=os.O_WRONLY):
            try:
                os.close(os.open(path, flags))
                return "open"
            except OSError as error:
                return errno.errorcode[error.errno]
        def mounted(*arguments):
            ctypes.set_errno(0)
            return "done" if libc.mount(*arguments) == 0 else errno.errorcode[ctypes.get_errno()]
        for path in ("/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sysrq-trigger",
                     "/proc/1/root/proc/sys/kernel/core_pattern", "/proc/irq/0/smp_affinity",
                     "/sys/kernel/uevent_helper", "/sys/kernel/mm/transparent_hugepage/enabled"):
            print(path, tried(path))
        print("remount", mounted(b"none", b"/proc/sys", b"", 0x20 | 0x1000, None))
        print("proc", mounted(b"proc", b"/tmp", b"proc", 0, None))
        print("sysfs", mounted(b"sysfs", b"/tmp", b"sysfs", 0, None))
        print("umount", "done" if libc.umount2(b"/proc/version", 2) == 0 else "refused")
        print("masked", len(open("/proc/version", "rb").read(10)))
        """,
        masked_paths=("/proc/version", "/proc/acpi", "/proc/keys"),
        readonly_paths=("/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus", "/proc/fs"),
        process={"capabilities": caps, "seccomp": b""},  # capabilities and mounts alone must hold
    )
    assert not [line for line in lines if line.endswith((" open", " done"))], lines
    assert lines[-1] == "masked 0"
    assert pattern.read_text() == before


def test_device_nodes_of_its_own_do_not_open(node: Node) -> None:
    """mknod is granted, as everywhere; the cgroup's device rules are what holds."""
    lines = attack(
        node,
        """
        import stat
        for kind, major, minor in (("b", 7, 0), ("b", 8, 0), ("b", 253, 0), ("b", 254, 0), ("c", 1, 1),
                                   ("c", 1, 2), ("c", 1, 11), ("c", 4, 1), ("c", 10, 200), ("c", 10, 229)):
            path = f"/tmp/{kind}-{major}-{minor}"
            os.mknod(path, 0o666 | (stat.S_IFBLK if kind == "b" else stat.S_IFCHR), os.makedev(major, minor))
            for flags in (os.O_RDONLY, os.O_WRONLY):
                try:
                    os.open(path, flags | os.O_NONBLOCK)
                    print(path, "opened")
                except OSError as error:
                    print(errno.errorcode[error.errno])
        """,
    )
    assert set(lines) == {"EPERM"}, lines
