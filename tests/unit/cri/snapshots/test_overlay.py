"""Overlay options and names."""

import stat
from pathlib import Path

import pytest

from cri.images.image import Image
from cri.images.service import ImageService
from cri.snapshots import overlay


def _image(*layers: str) -> Image:
    return Image("sha256:" + "0" * 64, (), (), 0, {}, layers)


@pytest.mark.parametrize("key", ["", ".", "..", "a/b", "/a", ".hidden", "a" * 129, "a\n"])
def test_unsafe_container_ids_are_refused(tmp_path: Path, key: str) -> None:
    snapshots = overlay.Snapshots(tmp_path / "c", ImageService(tmp_path / "i"))
    with pytest.raises(ValueError, match="as the name"):
        snapshots.view(key, _image())


def test_image_without_layers_has_an_empty_lower(tmp_path: Path) -> None:
    snapshots = overlay.Snapshots(tmp_path / "c", ImageService(tmp_path / "i"))
    (lower,) = snapshots.view("k", _image())
    assert list(lower.iterdir()) == []
    assert snapshots.keys() == ["k"]
    snapshots.remove("k")
    snapshots.remove("k")
    assert snapshots.keys() == []


def test_usage_counts_blocks_and_inodes(tmp_path: Path) -> None:
    snapshots = overlay.Snapshots(tmp_path / "c", ImageService(tmp_path / "i"))
    home = tmp_path / "c" / "k" / "upper"
    home.mkdir(parents=True)
    (home / "f").write_bytes(b"x" * 10_000)
    (home / "l").symlink_to("/")
    (home / "d").mkdir()
    usage = snapshots.usage("k")
    assert usage.inodes == 4
    assert usage.bytes >= 10_000
    assert snapshots.usage("absent") == overlay.Usage(0, 0)


def test_the_lowest_layer_has_the_places_of_mounts(tmp_path: Path) -> None:
    for _ in range(2):  # the next server finds it
        snapshots = overlay.Snapshots(tmp_path / "c", ImageService(tmp_path / "i"))
    found = {
        str(path.relative_to(snapshots.places)): stat.filemode(path.stat().st_mode)
        for path in (snapshots.places, *snapshots.places.rglob("*"))
    }
    directories = dict.fromkeys((".", "dev", "etc", "proc", "sys"), "drwxr-xr-x")
    files = dict.fromkeys(("etc/hostname", "etc/hosts", "etc/resolv.conf"), "-rw-r--r--")
    assert found == directories | files
    assert snapshots.keys() == []
