"""Unpack layers: decompress and hash here, extract in a child process on another core.

One warm process (`unpack_child.py`) serves all pulls under way and forks for each layer: an image of 120
layers must not pay for 120 interpreters. It starts with the first pull and ends with the last.
"""

import contextlib
import dataclasses
import fcntl
import hashlib
import io
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, cast

import zstandard
from isal import igzip, isal_zlib

from cri.images import errors, extract

_CHILD = Path(__file__).with_name("unpack_child.py")
_CHUNK_BYTES = 1 << 18
_PIPE_BYTES = 1 << 20  # /proc/sys/fs/pipe-max-size default
_F_SETPIPE_SZ = 1031  # include/uapi/linux/fcntl.h
_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_WINDOW_BYTES_MAX = 128 << 20  # zstd --ultra's; a frame may claim gigabytes
_GZIP_ERROR = cast(type[Exception], isal_zlib.error)


@dataclasses.dataclass(frozen=True, slots=True)
class Unpacked:
    """diff_id: digest of the uncompressed tar stream. bytes, inodes: what the tree takes on disk."""

    diff_id: str
    bytes: int
    inodes: int


class Unpacker:
    """The unpacking process, shared by all who use it at a time. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._child: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Keep the process during the body; it starts while the caller goes on."""
        with self._lock:
            self._users += 1
            self._start()
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if not self._users:
                    self._stop()

    def unpack(
        self, stream: BinaryIO, target: Path, lowers: Sequence[Path], limits: extract.Limits
    ) -> Unpacked:
        """Extract a layer (tar, gzip or zstd) into the existing, empty directory target. Call while running.

        lowers: unpacked parents, topmost first. Raises ImageError; target is then to be discarded.
        """
        request = {
            "root": str(target),
            "lowers": [str(lower) for lower in lowers],
            "entries": limits.entries,
            "bytes": limits.bytes,
        }
        out, data = os.pipe2(os.O_CLOEXEC)
        report, answer = os.pipe2(os.O_CLOEXEC)
        with open(data, "wb", buffering=0) as pipe, open(report, "rb") as result:
            try:
                self._send(json.dumps(request).encode(), [out, answer])
            finally:
                os.close(out)
                os.close(answer)
            try:
                diff_id = _feed(stream, cast(BinaryIO, pipe), limits)
            finally:
                pipe.close()  # whatever happened, the child sees the end and goes
                reported = result.read()
        return _result(diff_id, reported)

    def _send(self, request: bytes, fds: list[int]) -> None:
        with self._lock:
            self._start()
            assert self._control is not None
            try:
                socket.send_fds(self._control, [request], fds)
            except OSError as err:
                raise errors.corrupt(f"cannot unpack layer: unpacking process: {err}") from err

    def _start(self) -> None:
        if self._child is not None and self._child.poll() is None:
            return
        self._stop()
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._child = subprocess.Popen(
                [sys.executable, "-I", "-S", "-B", str(_CHILD)],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env={},
            )

    def _stop(self) -> None:
        if self._control is not None:
            self._control.close()  # the process ends by itself
        if self._child is not None:
            self._child.wait()
        self._control = self._child = None


def decompressed(stream: BinaryIO) -> BinaryIO:
    """Return a reader of the content, whatever its compression; told by its first bytes, not by its name."""
    buffered = io.BufferedReader(cast(io.RawIOBase, stream), _CHUNK_BYTES)
    magic = buffered.peek(4)[:4]
    if magic.startswith(_GZIP_MAGIC):
        return cast(BinaryIO, igzip.IGzipFile(fileobj=buffered, mode="rb"))  # type: ignore[no-untyped-call]
    if magic == _ZSTD_MAGIC:
        decompressor = zstandard.ZstdDecompressor(max_window_size=_WINDOW_BYTES_MAX)
        return cast(BinaryIO, decompressor.stream_reader(buffered, read_across_frames=True))
    return buffered


def chunks(reader: BinaryIO) -> Iterator[bytes]:
    """Read all of a decompressed stream. Raises ImageError where the compression is broken."""
    try:
        while data := reader.read(_CHUNK_BYTES):
            yield data
    except (EOFError, igzip.BadGzipFile, _GZIP_ERROR, zstandard.ZstdError) as err:
        raise errors.corrupt(f"cannot decompress layer: {err}") from err


def _feed(stream: BinaryIO, pipe: BinaryIO, limits: extract.Limits) -> str:
    """Write the decompressed stream to the child; returns its digest."""
    with contextlib.suppress(OSError):
        fcntl.fcntl(pipe, _F_SETPIPE_SZ, _PIPE_BYTES)
    digest = hashlib.sha256()
    stream_bytes_max = limits.bytes + limits.entries * 1024  # contents and headers
    left = stream_bytes_max
    try:
        for data in chunks(decompressed(stream)):
            left -= len(data)
            if left < 0:
                raise errors.too_big(f"cannot unpack layer: more than {stream_bytes_max} bytes")
            digest.update(data)
            _write_all(pipe, data)
    except BrokenPipeError:
        pass  # the child says why
    return "sha256:" + digest.hexdigest()


def _write_all(pipe: BinaryIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[pipe.write(view) :]


def _result(diff_id: str, report: bytes) -> Unpacked:
    try:
        answer = json.loads(report)
    except ValueError:
        raise errors.corrupt("cannot unpack layer: the unpacking process died") from None
    if "error" in answer:
        failure = errors.invalid if answer["unsafe"] else errors.corrupt
        raise failure(f"cannot unpack layer: {answer['error']}")
    return Unpacked(diff_id, answer["disk_bytes"], answer["inodes"])
