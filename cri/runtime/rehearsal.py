"""The way of a container's first process, gone a few times by the supervisor before its first clone.

CPython rewrites the bytecode of a function in its first eight calls, and fills caches of names and types:
what only clones run each of them would do anew, in pages that it must copy for it.
"""

from __future__ import annotations

import contextlib
import logging
import os

from cri.linux import clone, mount, prctl
from cri.runtime import init, packets, process, root

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from typing import Any

    from cri.cgroup.hierarchy import Hierarchies

log = logging.getLogger(__name__)

_TIMES = 10  # eight calls until bytecode is rewritten, one that looks, one to spare; 1.5 ms each


def rehearse(stage: str, hierarchies: Hierarchies) -> None:
    """Make and enter a small root filesystem in mount namespaces of our own, and come back.

    For a process of one thread. What the host cannot do is of no account here: clones will say so.
    """
    before = _descriptors()
    home = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    top, here = (os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC) for path in ("/", "."))
    mask = os.umask(0o022)
    ours, theirs = packets.pair()
    try:
        for _ in range(_TIMES):
            clone.unshare(clone.CLONE_NEWNS)
            _once(stage, hierarchies, ours)
            clone.setns(home, clone.CLONE_NEWNS)
    except OSError as error:
        log.info("rehearsal ended early: %s", error)
    finally:
        clone.setns(home, clone.CLONE_NEWNS)
        os.fchdir(top)
        os.chroot(".")
        os.fchdir(here)
        os.umask(mask)
        ours.close()
        theirs.close()
        init.close_fds(home, top, here)
        for fd in _descriptors() - before:  # a first process closes all at once, at its end
            with contextlib.suppress(OSError):  # what the list itself was read by
                os.close(fd)


def _descriptors() -> set[int]:
    return {int(name) for name in os.listdir("/proc/self/fd")}


def _once(stage: str, hierarchies: Hierarchies, control: socket.socket) -> None:
    mount.mount(None, "/", None, mount.MS_REC | mount.MS_PRIVATE)
    mount.mount("tmpfs", stage, "tmpfs", 0, "size=1m,mode=755")
    for name in ("lower", "upper", "work", "volume"):
        os.mkdir(f"{stage}/{name}")
    spec, host = _spec(stage), init.Host()
    host.sources = [-1 for _ in spec["mounts"]]
    process.adjust(spec["process"])
    top, _ = init.assemble(init.Job(spec, control, (-1, -1, -1), stage, hierarchies), host)
    root.enter(top)
    os.close(top)
    process.change_directory("/")
    process.become(spec["process"])


def _spec(stage: str) -> dict[str, Any]:
    """What a plain container's Spec has, for a process that stays who it is."""
    with open("/proc/self/oom_score_adj", encoding="ascii") as file:
        score = int(file.read())
    return {
        "process": {**_same_identity(), "oom_score_adj": score, "rlimits": (), "cwd": "/", "tty": False},
        "rootfs": {
            "lowers": (f"{stage}/lower", f"{stage}/volume"),
            "upper": f"{stage}/upper",
            "work": f"{stage}/work",
            "readonly": False,
        },
        "mounts": tuple([_bind(f"{stage}/volume", target) for target in ("/a", "/b", "/c", "/d", "/e")]),
        "namespaces": {"net": "", "ipc": "", "uts": "", "user": "", "pid": "own"},
        "masked_paths": ("/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"),
        "readonly_paths": ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys"),
        "sysctls": (),
        "shm_size": 64 << 10,
        "host_devices": False,
        "devices": (),
        "writable_sys": False,
        "writable_cgroup": False,
    }


def _same_identity() -> dict[str, Any]:
    effective, permitted, inheritable = prctl.get_capabilities()
    return {
        "capabilities": {
            "bounding": (1 << 64) - 1,
            "permitted": permitted,
            "effective": effective,
            "inheritable": inheritable,
            "ambient": 0,
        },
        "user": {"uid": os.getuid(), "gid": os.getgid(), "groups": tuple(os.getgroups())},
        "no_new_privs": False,
        "seccomp": b"",
    }


def _bind(source: str, target: str) -> dict[str, Any]:
    return {
        "target": target,
        "source": source,
        "kind": "bind",
        "readonly": False,
        "recursive_readonly": False,
        "propagation": "private",
        "options": (),
        "lowers": (),
        "sub_path": "",
        "idmapped": False,
    }
