"""Small files of volumes: read, and never from elsewhere."""

import os
from pathlib import Path

import pytest

from nanokube.kubelet.volumes import small_file
from nanokube.kubelet.volumes.errors import VolumeFault


def test_links_stay_within_the_volume(tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("secret")
    volume = tmp_path / "volume"
    (volume / "sub").mkdir(parents=True)
    (volume / "sub" / "a").write_text("A='1'")
    (volume / "absolute").symlink_to("/sub/a")
    (volume / "climbs").symlink_to("../outside")
    assert small_file.read(volume, "sub/a") == "A='1'"
    assert small_file.read(volume, "absolute") == "A='1'"
    assert small_file.read(volume, "climbs") is None
    assert small_file.read(volume, "sub/a/b") is None
    assert small_file.read(volume, "none") is None


def test_traps_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "large").write_bytes(b"x" * (small_file.LIMIT_BYTES + 1))
    (tmp_path / "binary").write_bytes(b"\xff")
    (tmp_path / "directory").mkdir()
    for name in ("fifo", "large", "binary", "directory"):
        with pytest.raises(VolumeFault, match=name):
            small_file.read(tmp_path, name)
