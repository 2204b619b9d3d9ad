"""The process that unpacks layers: tar streams from pipes, each written below a directory that is its world.

Run as `python -I -S unpack_child.py` with a seqpacket socket as stdin. A message is JSON {root, lowers,
entries, bytes} with two descriptors: the stream to read, and where to write {disk_bytes, inodes} or
{error, unsafe}. A fork serves each. It is a fresh process because its parent has threads, and the forks
change their root.
Nothing is imported after that: the tree below is the image's, and must not supply code (CVE-2019-14271).
"""

import gc
import json
import os
import resource
import signal
import socket
import sys
from typing import Any

_MEMORY_BYTES_MAX = 1 << 30
_REQUEST_BYTES_MAX = 1 << 18
_ERROR_CHARACTERS_MAX = 2000  # at most 12 kB as JSON: a pipe holds 64 without a reader

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
from cri.images import extract, tar  # noqa: E402
from cri.linux import clone  # noqa: E402


def main() -> None:
    """Serve requests until the socket is closed."""
    clone.unshare(clone.CLONE_NEWNS | clone.CLONE_NEWNET | clone.CLONE_NEWIPC | clone.CLONE_NEWUTS)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # forks report by their pipe; none is waited for
    control = socket.socket(fileno=0)
    gc.disable()  # extraction makes no cycles; a collection in a fork would copy all memory
    gc.freeze()
    while True:
        request, (*fds,), _, _ = socket.recv_fds(control, _REQUEST_BYTES_MAX, 2)
        if not request:
            return
        if os.fork() == 0:
            control.close()
            os._exit(_serve(json.loads(request), *fds))
        for fd in fds:
            os.close(fd)


def _serve(request: dict[str, Any], stream_fd: int, answer_fd: int) -> int:
    """Unpack one layer and answer."""
    lowers = [os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC) for path in request["lowers"]]
    _enter(request["root"], request["bytes"])
    root = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    stream = open(stream_fd, "rb", buffering=1 << 20)  # noqa: SIM115 (lives as long as the process)
    try:
        extractor = extract.Extractor(root, extract.Limits(request["entries"], request["bytes"]), lowers)
        totals = extractor.run(tar.Reader(stream.read))
        while stream.read(1 << 20):  # padding after the end of the archive belongs to the digest
            pass
    except (extract.UnsafeError, tar.TarError) as err:
        answer: dict[str, Any] = {"error": str(err)[:_ERROR_CHARACTERS_MAX], "unsafe": True}
    except OSError as err:
        answer = {"error": str(err)[:_ERROR_CHARACTERS_MAX], "unsafe": False}
    else:
        answer = {"disk_bytes": totals.disk_bytes, "inodes": totals.inodes}
    os.write(answer_fd, json.dumps(answer).encode())
    return 0


def _enter(root: str, file_bytes_max: int) -> None:
    """Make root the root directory and give up what unpacking does not need."""
    _limit(resource.RLIMIT_FSIZE, file_bytes_max)
    _limit(resource.RLIMIT_AS, _MEMORY_BYTES_MAX)
    _limit(resource.RLIMIT_CORE, 0)
    os.umask(0)
    os.chroot(root)
    os.chdir("/")
    sys.path.clear()
    sys.meta_path.clear()
    sys.path_hooks.clear()
    sys.excepthook = lambda *_: os._exit(2)  # a traceback would read source files of the image


def _limit(which: int, wanted: int) -> None:
    hard = resource.getrlimit(which)[1]
    limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(which, (limit, limit))


if __name__ == "__main__":
    main()
