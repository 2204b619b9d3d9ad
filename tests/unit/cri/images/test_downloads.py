"""Parts of blobs: shared, followed while they come, resumed, cleared away."""

import hashlib
import os
import threading
from pathlib import Path

import pytest

from cri.images import downloads, errors
from cri.images.downloads import Downloads
from cri.images.manifest import Descriptor

_DATA = b"0123456789" * 10
_BLOB = Descriptor("sha256:" + hashlib.sha256(_DATA).hexdigest(), len(_DATA))


def _nothing() -> None:
    pass


def _files(root: Path) -> list[str]:
    return os.listdir(root / "downloads")


def test_follower_reads_while_it_comes(tmp_path: Path) -> None:
    with Downloads(tmp_path).using(_BLOB) as part:
        stream = downloads.follow(part, _nothing)
        part.write(_DATA[:30])
        assert stream.read(1000) == _DATA[:30]

        def write() -> None:
            part.write(_DATA[30:])
            part.verify(_BLOB)

        writer = threading.Thread(target=write)
        writer.start()
        rest = b"".join(iter(lambda: stream.read(7), b""))
        writer.join()
        assert rest == _DATA[30:]
    assert _files(tmp_path) == []


def test_users_share_a_part_and_the_last_deletes_it(tmp_path: Path) -> None:
    parts = Downloads(tmp_path)
    with parts.using(_BLOB) as first:
        with parts.using(_BLOB) as second:
            assert first is second
            first.write(_DATA)
            assert first.verify(_BLOB)
        assert _files(tmp_path) == [_BLOB.digest[7:]]
    assert _files(tmp_path) == []


def test_broken_part_stays_for_the_next_and_is_hashed_again(tmp_path: Path) -> None:
    with Downloads(tmp_path).using(_BLOB) as part:
        part.write(_DATA[:30])
    with Downloads(tmp_path).using(_BLOB) as part:
        assert part.is_inherited
        part.take_up()
        assert part.size == 30
        part.write(_DATA[30:])
        assert part.verify(_BLOB)


def test_inherited_part_is_read_only_when_it_is_whole(tmp_path: Path) -> None:
    with Downloads(tmp_path).using(_BLOB) as part:
        part.write(_DATA[:30])
    with Downloads(tmp_path).using(_BLOB) as part:
        part.take_up()
        checks = 0

        def check() -> None:
            nonlocal checks
            checks += 1
            part.write(_DATA[30:])
            part.verify(_BLOB)

        assert downloads.follow(part, check).read(1000) == _DATA
        assert checks == 1


def test_follower_of_wrong_content_fails(tmp_path: Path) -> None:
    with Downloads(tmp_path).using(_BLOB) as part:
        stream = downloads.follow(part, _nothing)
        part.write(b"x" * len(_DATA))
        assert stream.read(10) == b"x" * 10
        assert not part.verify(_BLOB)
        part.write(_DATA)
        with pytest.raises(errors.ImageError, match="changed"):
            stream.read(10)


def test_follower_ends_with_the_error_of_the_download(tmp_path: Path) -> None:
    def check() -> None:
        raise errors.not_found("gone")

    with Downloads(tmp_path).using(_BLOB) as part, pytest.raises(errors.ImageError, match="gone"):
        downloads.follow(part, check).read(10)


def test_old_parts_are_purged_but_not_those_in_use(tmp_path: Path) -> None:
    parts = Downloads(tmp_path)
    with parts.using(_BLOB) as part:
        part.write(b"0")
        (tmp_path / "downloads" / ("a" * 64)).write_bytes(b"x")
        assert parts.usage()[1] == 2
        parts.purge(3600)
        assert len(_files(tmp_path)) == 2
        parts.purge(-3600)
        assert _files(tmp_path) == [_BLOB.digest[7:]]


def test_part_does_not_follow_a_link(tmp_path: Path) -> None:
    parts = Downloads(tmp_path)
    (tmp_path / "victim").touch()
    (tmp_path / "downloads" / _BLOB.digest[7:]).symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match="symbolic links"), parts.using(_BLOB):
        pass
