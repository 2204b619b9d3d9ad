"""Layers that attack the process that unpacks them. Names, links and whiteouts: tests/unit/cri/images."""

import gzip
import io
import os
import signal
import sys
import tarfile
import threading
from pathlib import Path
from typing import Any

import pytest
import zstandard

from cri.images import errors, extract, unpack

pytestmark = pytest.mark.root

_LIMITS = extract.Limits(entries=2000, bytes=4 << 20)


def _tar(*members: tuple[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o755
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def _unpack(target: Path, stream: bytes) -> unpack.Unpacked:
    unpacker = unpack.Unpacker()
    target.mkdir()
    with unpacker.running():
        return unpacker.unpack(io.BytesIO(stream), target, [], _LIMITS)


def test_modules_in_a_layer_are_not_run(tmp_path: Path) -> None:
    """The layer brings its own standard library, where an import would look, then makes the process fail."""
    code = b"open('/pwned', 'w').close()\n"
    places = ["", f"{sys.base_prefix[1:]}/lib/python3.11/", "usr/lib/python3.11/"]
    names = ["traceback", "linecache", "json/decoder", "encodings/idna", "encodings/punycode", "shutil", "os"]
    shadows = [(f"{place}{name}.py", code) for place in places for name in names]
    _unpack(tmp_path / "fine", _tar(*shadows, ("\udcff\udcfe", b"")))
    assert not (tmp_path / "fine" / "pwned").exists()
    with pytest.raises(errors.ImageError, match="leads out of the layer"):
        _unpack(tmp_path / "fails", _tar(*shadows, ("../x", b"")))
    assert not (tmp_path / "fails" / "pwned").exists()
    with pytest.raises(errors.ImageError, match="File name too long"):
        _unpack(tmp_path / "long", _tar(*shadows, ("x" * 256, b"")))
    assert not (tmp_path / "long" / "pwned").exists()


@pytest.mark.parametrize(
    "bomb",
    [
        gzip.compress(_tar(("f", bytes(64 << 20)))),
        zstandard.ZstdCompressor().compress(_tar(("f", bytes(64 << 20)))),
        gzip.compress(_tar(*((f"f{number}", b"") for number in range(3000)))),
        gzip.compress(bytes(64 << 20)),  # an end of archive that does not end
        gzip.compress(gzip.compress(bytes(64 << 20))),
        gzip.compress(_tar(("/".join("d" * 1000), b""))),
    ],
)
def test_bomb_is_stopped(tmp_path: Path, bomb: bytes) -> None:
    with pytest.raises(errors.ImageError, match="cannot unpack layer"):
        _unpack(tmp_path / "t", bomb)


def test_zstd_frame_that_claims_gigabytes_of_window_is_refused(tmp_path: Path) -> None:
    frame = b"\x28\xb5\x2f\xfd" + b"\x00" + b"\xa8" + b"\x01\x00\x00"  # window descriptor: 2^31
    with pytest.raises(errors.ImageError, match=r"cannot decompress layer: .*memory"):
        _unpack(tmp_path / "t", frame)


@pytest.mark.parametrize("cut", [10, 500, -9])
def test_stream_that_breaks_off_is_refused(tmp_path: Path, cut: int) -> None:
    packed = gzip.compress(_tar(*((f"f{number}", os.urandom(100)) for number in range(20))))
    with pytest.raises(errors.ImageError):
        _unpack(tmp_path / "t", packed[:cut])


def test_unpacking_survives_the_death_of_its_process(tmp_path: Path) -> None:
    unpacker = unpack.Unpacker()
    stream = _tar(("f", b"1"))
    with unpacker.running():
        assert unpacker._child is not None
        os.kill(unpacker._child.pid, signal.SIGKILL)
        unpacker._child.wait()
        (tmp_path / "t").mkdir()
        assert unpacker.unpack(io.BytesIO(stream), tmp_path / "t", [], _LIMITS).inodes == 2
    assert unpacker._child is None


def test_reader_that_fails_ends_the_fork(tmp_path: Path) -> None:
    class Failing(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, buffer: object) -> int:
            raise errors.not_found("connection is gone")

    unpacker = unpack.Unpacker()
    (tmp_path / "t").mkdir()
    before = threading.active_count()
    with unpacker.running(), pytest.raises(errors.ImageError, match="connection is gone"):
        unpacker.unpack(Failing(), tmp_path / "t", [], _LIMITS)  # type: ignore[arg-type]
    assert threading.active_count() == before


def test_process_has_namespaces_and_a_root_of_its_own(tmp_path: Path) -> None:
    unpacker = unpack.Unpacker()
    (tmp_path / "t").mkdir()
    out, into = os.pipe()
    layer = _tar(("f", b"1"), ("g", bytes(2 << 20)))

    class Slow(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            return os.readv(out, [buffer])

    with unpacker.running():
        work = threading.Thread(target=unpacker.unpack, args=(Slow(), tmp_path / "t", [], _LIMITS))
        work.start()
        with open(into, "wb", closefd=False) as half:
            half.write(layer[: 1 << 20])
        assert unpacker._child is not None
        pid = unpacker._child.pid
        while not (tmp_path / "t" / "f").exists():
            os.sched_yield()
        (fork,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        assert os.readlink(f"/proc/{fork}/root") == str(tmp_path / "t")
        assert os.listdir(f"/proc/{fork}/net/dev_snmp6") == ["lo"]
        for namespace in ("mnt", "net", "ipc", "uts"):
            theirs = os.readlink(f"/proc/{fork}/ns/{namespace}")
            assert theirs != os.readlink(f"/proc/self/ns/{namespace}"), namespace
        with open(into, "wb") as half:
            half.write(layer[1 << 20 :])
        work.join()
    os.close(out)
    assert sorted(os.listdir(tmp_path / "t")) == ["f", "g"]
