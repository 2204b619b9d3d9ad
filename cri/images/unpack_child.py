"""The process that unpacks one layer: a tar stream on stdin, written below a directory that is its world.

Run as `python -I -S unpack_child.py '<json>'` with {root, lowers, entries, bytes}; prints {entries, bytes} or
{error, unsafe}. It is a fresh process because its parent has threads, and because it changes its root.
Nothing is imported after that: the tree below is the image's, and must not supply code (CVE-2019-14271).
"""

import json
import os
import resource
import sys

_MEMORY_BYTES_MAX = 1 << 30


def main() -> int:
    """Unpack, report on stdout, and return the exit code."""
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    from cri.images import extract, tar
    from cri.linux import clone

    request = json.loads(sys.argv[1])
    lowers = [os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC) for path in request["lowers"]]
    clone.unshare(clone.CLONE_NEWNS | clone.CLONE_NEWNET | clone.CLONE_NEWIPC | clone.CLONE_NEWUTS)
    _enter(request["root"], request["bytes"])
    root = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    stream = open(0, "rb", buffering=1 << 20, closefd=False)  # noqa: SIM115 (lives as long as the process)
    try:
        extractor = extract.Extractor(root, extract.Limits(request["entries"], request["bytes"]), lowers)
        totals = extractor.run(tar.Reader(stream.read))
        while stream.read(1 << 20):  # padding after the end of the archive belongs to the digest
            pass
    except (extract.UnsafeError, tar.TarError) as err:
        print(json.dumps({"error": str(err), "unsafe": True}), flush=True)
        return 1
    except OSError as err:
        print(json.dumps({"error": str(err), "unsafe": False}), flush=True)
        return 1
    print(json.dumps({"entries": totals.entries, "bytes": totals.bytes}), flush=True)
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
    sys.exit(main())
