import os
from pathlib import Path

import pytest

from nanokube.kubelet.volumes import atomic_writer
from nanokube.kubelet.volumes.atomic_writer import File


def test_files_are_swapped_at_once_and_stale_ones_go(tmp_path: Path) -> None:
    assert atomic_writer.write(tmp_path, {"a": File(b"1", 0o644), "d/b": File(b"2", 0o400)})
    first = os.readlink(tmp_path / "..data")
    assert (tmp_path / "a").read_bytes() == b"1"
    assert (tmp_path / "d/b").stat().st_mode & 0o777 == 0o400
    assert os.readlink(tmp_path / "a") == "..data/a"
    assert atomic_writer.write(tmp_path, {"a": File(b"3", 0o644)})
    assert (tmp_path / "a").read_bytes() == b"3"
    assert not (tmp_path / "d").is_symlink()
    assert not (tmp_path / first).exists()


def test_equal_files_are_left_alone(tmp_path: Path) -> None:
    files = {"a": File(b"1", 0o644)}
    atomic_writer.write(tmp_path, files)
    before = os.readlink(tmp_path / "..data")
    assert not atomic_writer.write(tmp_path, files)
    assert os.readlink(tmp_path / "..data") == before


def test_no_files_still_make_a_volume(tmp_path: Path) -> None:
    assert atomic_writer.write(tmp_path, {})
    assert (tmp_path / "..data").is_dir()


@pytest.mark.parametrize("path", ["../x", "/x", "a/../../x", "..data", ""])
def test_paths_never_leave_the_volume(tmp_path: Path, path: str) -> None:
    with pytest.raises(ValueError, match="leaves the volume"):
        atomic_writer.write(tmp_path, {path: File(b"", 0o644)})
