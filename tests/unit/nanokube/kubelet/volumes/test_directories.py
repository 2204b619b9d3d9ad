"""Directories that are volumes: made, kept, removed."""

from pathlib import Path

import pytest

from nanokube.kubelet.fake import FakeMounter
from nanokube.kubelet.volumes.directories import Directories
from nanokube.kubelet.volumes.errors import VolumeFault

NAME = "pvc-00000000-0000-4000-8000-000000000001"


def test_a_volume_is_made_once_and_removed_with_its_data(tmp_path: Path) -> None:
    directories = Directories(tmp_path / "volumes", tmp_path / "pods", FakeMounter())
    made = directories.make(NAME)
    assert (tmp_path / "volumes").stat().st_mode & 0o777 == 0o700
    assert made.stat().st_mode & 0o777 == 0o777
    (made / "file").write_text("data")
    assert (directories.make(NAME) / "file").read_text() == "data"
    directories.remove(NAME)
    directories.remove(NAME)
    assert list((tmp_path / "volumes").iterdir()) == []


def test_what_was_made_halfway_is_made_by_the_next_try(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir(mode=0o755)
    made = Directories(tmp_path, tmp_path / "pods", FakeMounter()).make(NAME)
    assert made.stat().st_mode & 0o777 == 0o777


def test_what_was_removed_halfway_is_removed_by_the_next_try(tmp_path: Path) -> None:
    directories = Directories(tmp_path, tmp_path / "pods", FakeMounter())
    (tmp_path / f".{NAME}.removed" / "sub").mkdir(parents=True)
    directories.make(NAME)
    directories.remove(NAME)
    assert list(tmp_path.iterdir()) == []


def test_a_volume_in_use_stays(tmp_path: Path) -> None:
    mounter = FakeMounter()
    directories = Directories(tmp_path / "volumes", tmp_path / "pods", mounter)
    made = directories.make(NAME)
    place = tmp_path / f"pods/uid/volumes/kubernetes.io~local-volume/{NAME}"
    mounter.bind(made, place, 0)
    with pytest.raises(VolumeFault, match="in use"):
        directories.remove(NAME)
    mounter.unmount(place)
    mounter.bind(Path("/dev"), made / "below", 0)
    with pytest.raises(VolumeFault, match="in use"):
        directories.remove(NAME)
    assert made.is_dir()


@pytest.mark.parametrize("name", ["", "..", "pvc-1", f"../{NAME}", f"{NAME}/x", f".{NAME}.removed", "data"])
def test_nothing_of_another_name_is_touched(tmp_path: Path, name: str) -> None:
    directories = Directories(tmp_path, tmp_path / "pods", FakeMounter())
    for work in (directories.make, directories.remove):
        with pytest.raises(VolumeFault, match="no name of a volume"):
            work(name)
