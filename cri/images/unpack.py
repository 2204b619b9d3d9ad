"""Unpack a layer: decompress and hash here, extract in a child process."""

import contextlib
import dataclasses
import fcntl
import hashlib
import io
import json
import subprocess
import sys
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
_GZIP_ERROR = cast(type[Exception], isal_zlib.error)


@dataclasses.dataclass(frozen=True, slots=True)
class Unpacked:
    """diff_id: digest of the uncompressed tar stream."""

    diff_id: str
    bytes: int
    entries: int


def unpack(stream: BinaryIO, target: Path, lowers: Sequence[Path], limits: extract.Limits) -> Unpacked:
    """Extract a layer (tar, gzip or zstd) into the existing, empty directory target.

    lowers: unpacked parents, topmost first. Raises ImageError; target is then to be discarded.
    """
    request = {
        "root": str(target),
        "lowers": [str(lower) for lower in lowers],
        "entries": limits.entries,
        "bytes": limits.bytes,
    }
    child = subprocess.Popen(
        [sys.executable, "-I", "-S", "-B", str(_CHILD), json.dumps(request)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env={},
        bufsize=0,
    )
    try:
        diff_id = _feed(stream, cast(BinaryIO, child.stdin), limits)
        report = cast(BinaryIO, child.stdout).read()
        child.wait()
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()
        for pipe in (child.stdin, child.stdout):
            cast(BinaryIO, pipe).close()
    return _result(diff_id, report, child.returncode)


def decompressed(stream: BinaryIO) -> BinaryIO:
    """Return a reader of the content, whatever its compression; told by its first bytes, not by its name."""
    buffered = io.BufferedReader(cast(io.RawIOBase, stream), _CHUNK_BYTES)
    magic = buffered.peek(4)[:4]
    if magic.startswith(_GZIP_MAGIC):
        return cast(BinaryIO, igzip.IGzipFile(fileobj=buffered, mode="rb"))  # type: ignore[no-untyped-call]
    if magic == _ZSTD_MAGIC:
        return cast(BinaryIO, zstandard.ZstdDecompressor().stream_reader(buffered, read_across_frames=True))
    return buffered


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
        pipe.close()
    except BrokenPipeError:
        pass  # the child says why
    return "sha256:" + digest.hexdigest()


def chunks(reader: BinaryIO) -> Iterator[bytes]:
    """Read all of a decompressed stream. Raises ImageError where the compression is broken."""
    try:
        while data := reader.read(_CHUNK_BYTES):
            yield data
    except (EOFError, igzip.BadGzipFile, _GZIP_ERROR, zstandard.ZstdError) as err:
        raise errors.corrupt(f"cannot decompress layer: {err}") from err


def _write_all(pipe: BinaryIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[pipe.write(view) :]


def _result(diff_id: str, report: bytes, exit_code: int) -> Unpacked:
    try:
        answer = json.loads(report)
    except ValueError:
        raise errors.corrupt(f"cannot unpack layer: unpacking process ended with {exit_code}") from None
    if "error" in answer:
        failure = errors.invalid if answer["unsafe"] else errors.corrupt
        raise failure(f"cannot unpack layer: {answer['error']}")
    return Unpacked(diff_id, answer["bytes"], answer["entries"])
