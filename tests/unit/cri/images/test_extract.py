"""Tar reading and extraction: what layers may hold, and what hostile ones are refused for."""

import io
import os
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cri.images import extract, tar
from cri.images.extract import UnsafeError

_LIMITS = extract.Limits(entries=1000, bytes=1 << 24)


class Builder:
    """Writes a tar stream of members owned by whoever runs the test."""

    def __init__(self, format: int = tarfile.PAX_FORMAT) -> None:
        self._out = io.BytesIO()
        self._tar = tarfile.open(fileobj=self._out, mode="w", format=format)  # noqa: SIM115

    def add(
        self, name: str, kind: bytes = tarfile.REGTYPE, data: bytes = b"", link: str = "", mode: int = 0o644
    ) -> "Builder":
        info = tarfile.TarInfo(name)
        info.type, info.size, info.linkname, info.mode = kind, len(data), link, mode
        info.uid, info.gid, info.mtime = os.geteuid(), os.getegid(), 1_000_000
        self._tar.addfile(info, io.BytesIO(data))
        return self

    def stream(self) -> bytes:
        self._tar.close()
        return self._out.getvalue()


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    before = os.umask(0)
    (tmp_path / "root").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "victim").write_text("untouched")
    yield tmp_path / "root"
    os.umask(before)
    assert (tmp_path / "outside" / "victim").read_text() == "untouched"
    assert os.listdir(tmp_path / "outside") == ["victim"]


def _extract(root: Path, stream: bytes, limits: extract.Limits = _LIMITS, lower: Path | None = None) -> None:
    fds = [os.open(path, os.O_RDONLY | os.O_DIRECTORY) for path in (root, lower) if path]
    try:
        extract.Extractor(fds[0], limits, fds[1:]).run(tar.Reader(io.BytesIO(stream).read))
    finally:
        for fd in fds:
            os.close(fd)


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_files_links_and_times_arrive(root: Path, format: int) -> None:
    build = Builder(format)
    build.add("./d/", tarfile.DIRTYPE, mode=0o750).add("d/f", data=b"x" * 5000, mode=0o4755)
    build.add("d/h", tarfile.LNKTYPE, link="d/f").add("s", tarfile.SYMTYPE, link="/etc/passwd")
    build.add("p", tarfile.FIFOTYPE).add("d/" + "n" * 90 + "/f", data=b"deep")
    _extract(root, build.stream())
    assert (root / "d/f").read_bytes() == b"x" * 5000
    assert stat.S_IMODE((root / "d/f").stat().st_mode) == 0o4755
    assert (root / "d/h").stat().st_ino == (root / "d/f").stat().st_ino
    assert os.readlink(root / "s") == "/etc/passwd"
    assert (root / "d").stat().st_mtime == 1_000_000
    assert stat.S_IMODE((root / "d").stat().st_mode) == 0o750
    assert stat.S_ISFIFO((root / "p").stat().st_mode)
    assert (root / "d" / ("n" * 90) / "f").read_bytes() == b"deep"


@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_arrive(root: Path, format: int) -> None:
    name = "/".join(["d" * 60] * 5) + "/f"
    build = Builder(format).add(name, data=b"1").add("l", tarfile.SYMTYPE, link="t" * 300)
    _extract(root, build.stream())
    assert (root / name).read_bytes() == b"1"
    assert os.readlink(root / "l") == "t" * 300


@pytest.mark.parametrize(
    "build",
    [
        Builder().add("../outside/victim", data=b"x"),
        Builder().add("a/../../outside/victim", data=b"x"),
        Builder().add("/outside/victim", data=b"x"),
        Builder().add(".", tarfile.SYMTYPE, link="../outside"),
        Builder().add("./", data=b"x"),
        Builder().add("e", tarfile.SYMTYPE, link="../outside").add("e/victim", data=b"x"),
        Builder().add("e", tarfile.SYMTYPE, link="../outside").add("e", tarfile.DIRTYPE).add("e/../x"),
        Builder().add("e", tarfile.SYMTYPE, link="../outside").add("e/.wh.victim"),
        Builder().add("h", tarfile.LNKTYPE, link="../outside/victim"),
        Builder().add("h", tarfile.LNKTYPE, link="/outside/victim"),
        Builder().add("e", tarfile.SYMTYPE, link="../outside").add("h", tarfile.LNKTYPE, link="e/victim"),
        Builder().add("h", tarfile.LNKTYPE, link="nothing"),
        Builder().add("d", tarfile.DIRTYPE).add("h", tarfile.LNKTYPE, link="d"),
        Builder().add("f").add("f/x"),
        Builder().add("d/.wh.."),
        Builder().add("d/.wh..."),
        Builder().add(".wh."),
        Builder().add("/".join("d" * 300)),
    ],
)
def test_hostile_layer_is_refused(root: Path, build: Builder) -> None:
    with pytest.raises(UnsafeError):
        _extract(root, build.stream())


def test_directory_replaces_a_link_instead_of_following_it(root: Path) -> None:
    build = Builder().add("e", tarfile.SYMTYPE, link="../outside").add("e", tarfile.DIRTYPE, mode=0o700)
    _extract(root, build.add("e/victim", data=b"x").stream())
    assert not (root / "e").is_symlink()
    assert (root / "e/victim").read_bytes() == b"x"


def test_device_nodes_are_left_out(root: Path) -> None:
    _extract(root, Builder().add("null", tarfile.CHRTYPE).add("sda", tarfile.BLKTYPE).stream())
    assert os.listdir(root) == []


def test_whiteout_becomes_a_0_0_device(root: Path) -> None:
    _extract(root, Builder().add("d/.wh.gone").add("d/.wh..wh.plnk").stream())
    status = (root / "d/gone").lstat()
    assert stat.S_ISCHR(status.st_mode)
    assert status.st_rdev == 0
    assert os.listdir(root / "d") == ["gone"]


def test_file_of_the_same_layer_survives_its_whiteout(root: Path) -> None:
    _extract(root, Builder().add("a", data=b"1").add(".wh.a").add(".wh.b").add("b", data=b"2").stream())
    assert (root / "a").read_bytes() == b"1"
    assert (root / "b").read_bytes() == b"2"


def test_later_member_replaces_earlier_one(root: Path) -> None:
    build = (
        Builder().add("x/a/b", data=b"1").add("x", data=b"2").add("y", data=b"1").add("y/", tarfile.DIRTYPE)
    )
    _extract(root, build.stream())
    assert (root / "x").read_bytes() == b"2"
    assert (root / "y").is_dir()


def test_implied_directory_takes_mode_from_the_layer_below(root: Path, tmp_path: Path) -> None:
    lower = tmp_path / "lower"
    (lower / "tmp").mkdir(parents=True)
    (lower / "tmp").chmod(0o1777)
    _extract(root, Builder().add("tmp/f").stream(), lower=lower)
    assert stat.S_IMODE((root / "tmp").stat().st_mode) == 0o1777


def test_many_directories_need_few_descriptors(root: Path) -> None:
    build = Builder()
    for number in range(450):
        build.add(f"d{number}/s/f", data=b"x")
    for number in range(0, 450, 50):
        build.add(f"d{number + 1}/h", tarfile.LNKTYPE, link=f"d{number}/s/f")
    _extract(root, build.stream(), extract.Limits(2000, 1 << 20))
    assert len(os.listdir(root)) == 450


@pytest.mark.parametrize("limits", [extract.Limits(2, 1 << 20), extract.Limits(100, 99)])
def test_limits_hold(root: Path, limits: extract.Limits) -> None:
    build = Builder().add("a", data=b"x" * 50).add("b", data=b"x" * 50).add("c")
    with pytest.raises(UnsafeError, match="layer"):
        _extract(root, build.stream(), limits)


@pytest.mark.parametrize("cut", [1, 100, 511, 513, 700])
def test_truncated_stream_is_refused(root: Path, cut: int) -> None:
    stream = Builder(tarfile.USTAR_FORMAT).add("a", data=b"x" * 500).stream()
    with pytest.raises(tar.TarError):
        _extract(root, stream[:cut])


def _header(**changes: bytes) -> bytes:
    info = tarfile.TarInfo("f")
    header = bytearray(info.tobuf(tarfile.USTAR_FORMAT))
    for at, value in ((124, changes.get("size")), (156, changes.get("flag")), (108, changes.get("uid"))):
        if value:
            header[at : at + len(value)] = value
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


@pytest.mark.parametrize(
    "header",
    [
        _header(flag=b"S", size=b"00000001000"),
        _header(flag=b"V"),
        _header(size=b"-1"),
        _header(size=b"zzz"),
        _header(size=b"\xff" * 12),
        _header(uid=b"\x80" + b"\xff" * 7),
        _header(flag=b"L", size=b"77777777777"),
        _header(flag=b"x", size=b"00000000010") + b"99 a=b".ljust(512, b"\0"),
        _header(flag=b"x", size=b"00000000010") + b"x".ljust(512, b"\0"),
        b"\1" + _header()[1:],
    ],
)
def test_malformed_header_is_refused(root: Path, header: bytes) -> None:
    with pytest.raises(tar.TarError):
        _extract(root, header + b"\0" * 1024)


def _sparse_header(pairs: list[tuple[int, int]], full_size: int) -> bytes:
    """Make GNU tar's type S header."""
    header = bytearray(_header(flag=b"S", size=b"%011o" % sum(length for _, length in pairs)))
    for number, (offset, length) in enumerate(pairs):
        header[386 + 24 * number : 410 + 24 * number] = b"%011o\0%011o\0" % (offset, length)
    header[483:495] = b"%011o\0" % full_size
    header[257:265] = b"ustar  \0"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


def _is_sparse(path: Path) -> bool:
    return path.stat().st_blocks * 512 < path.stat().st_size


def test_sparse_file_of_the_old_form_keeps_its_holes(root: Path) -> None:
    header = _sparse_header([(4096, 3), (1 << 20, 4), (2 << 20, 0)], 2 << 20)
    _extract(root, header + b"abcdefg".ljust(512, b"\0") + bytes(1024))
    data = (root / "f").read_bytes()
    assert len(data) == 2 << 20
    assert data.strip(b"\0") == b"abc" + bytes((1 << 20) - 4096 - 3) + b"defg"
    assert _is_sparse(root / "f")


@pytest.mark.parametrize("form", ["0.1", "1.0"])
def test_sparse_file_of_pax_forms_keeps_its_holes(root: Path, form: str) -> None:
    info = tarfile.TarInfo("GNUSparseFile.0/f")
    headers = {"GNU.sparse.name": "f"}
    if form == "1.0":
        headers |= {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "1048576"}
        content = b"2\n0\n2\n1000000\n3\n".ljust(512, b"\0") + b"abcde"
    else:
        headers |= {"GNU.sparse.map": "0,2,1000000,3", "GNU.sparse.size": "1048576"}
        content = b"abcde"
    info.size, info.pax_headers = len(content), headers
    info.uid, info.gid = os.geteuid(), os.getegid()
    _extract(root, info.tobuf(tarfile.PAX_FORMAT) + content.ljust(1024, b"\0") + bytes(1024))
    data = (root / "f").read_bytes()
    assert (data[:2], data[1_000_000:1_000_003], len(data)) == (b"ab", b"cde", 1 << 20)
    assert _is_sparse(root / "f")


@pytest.mark.parametrize(
    ("pairs", "full_size"),
    [([(0, 4), (2, 3)], 100), ([(0, 7)], 6), ([(100, 7)], 50), ([(9, 1), (0, 1)], 10)],
)
def test_sparse_map_that_does_not_fit_is_refused(
    root: Path, pairs: list[tuple[int, int]], full_size: int
) -> None:
    with pytest.raises(tar.TarError, match="sparse"):
        _extract(root, _sparse_header(pairs, full_size) + bytes(2048))


def test_holes_count_against_the_limit(root: Path) -> None:
    with pytest.raises(UnsafeError, match="larger than"):
        _extract(root, _sparse_header([(0, 1)], 1 << 30) + bytes(2048))


def _member(name: str, kind: bytes = tarfile.REGTYPE, **pax: str) -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.mode = kind, 0o755
    info.uid, info.gid = os.geteuid(), os.getegid()
    info.pax_headers = {key.replace("__", "."): value for key, value in pax.items()}
    return info.tobuf(tarfile.PAX_FORMAT, errors="surrogateescape")


_CAPABILITY = b"\1\0\0\2\0\4\0\0" + bytes(12)  # net_bind_service, effective


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_capabilities_stay_and_other_orders_to_the_kernel_do_not(root: Path) -> None:
    stream = _member(
        "ping",
        SCHILY__xattr__user__note="kept",
        SCHILY__xattr__security__capability=_CAPABILITY.decode("latin-1"),
        SCHILY__xattr__security__selinux="x",
        SCHILY__xattr__trusted__overlay__opaque="y",
        SCHILY__xattr__user__overlay__opaque="y",
    )
    _extract(root, stream + bytes(1024))
    assert sorted(os.listxattr(root / "ping")) == ["security.capability", "user.note"]
    assert os.getxattr(root / "ping", "security.capability") == _CAPABILITY


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_owner_comes_before_set_id_bits_and_ids_may_be_huge(root: Path) -> None:
    info = tarfile.TarInfo("su")
    info.mode, info.uid, info.gid = 0o6755, 4_000_000_000, 3_000_000_000
    _extract(root, info.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    status = (root / "su").stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (
        4_000_000_000,
        3_000_000_000,
        0o6755,
    )


def test_names_are_bytes(root: Path) -> None:
    name = b"caf\xe9-\xff\x01"
    stream = _member(os.fsdecode(name)) + _member("l\n" + "x" * 200 + "/\u00e9")
    _extract(root, stream + bytes(1024))
    assert name in os.listdir(os.fsencode(root))
    assert (root / ("l\n" + "x" * 200) / "\u00e9").exists()


def test_name_too_long_for_the_filesystem_is_an_error(root: Path) -> None:
    with pytest.raises(OSError, match="File name too long"):
        _extract(root, _member("x" * 256) + bytes(1024))


def test_global_headers_are_passed_over(root: Path) -> None:
    info = tarfile.TarInfo("f")
    info.uid, info.gid = os.geteuid(), os.getegid()
    record = tarfile.TarInfo.create_pax_global_header({"comment": "x" * 600})
    _extract(root, record + info.tobuf() + bytes(1024))
    assert os.listdir(root) == ["f"]


def test_usage_counts_inodes_once_and_whole_blocks(root: Path) -> None:
    build = Builder().add("d", tarfile.DIRTYPE, mode=0o755).add("d/a", data=b"x" * 5000).add("d/b", data=b"1")
    build.add("h", tarfile.LNKTYPE, link="d/a").add("s", tarfile.SYMTYPE, link="d").add("gone/x", data=b"1")
    build.add("gone", data=b"now a file").add("h2", tarfile.LNKTYPE, link="h")
    fd = os.open(root, os.O_RDONLY)
    totals = extract.Extractor(fd, _LIMITS).run(tar.Reader(io.BytesIO(build.stream()).read))
    os.close(fd)
    paths = [root, *root.rglob("*")]
    assert totals.inodes == len({path.lstat().st_ino for path in paths})
    assert totals.disk_bytes == 4096 * (2 + 2 + 1 + 1)  # directories, d/a, d/b, gone


@given(st.binary(max_size=2048))
def test_reader_fails_only_in_its_own_way(data: bytes) -> None:
    header = bytearray((data + b"\0" * 512)[:512])
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    try:
        for member in tar.Reader(io.BytesIO(bytes(header) + data[512:]).read):
            extract.split(member.name)
    except (tar.TarError, UnsafeError):
        pass
