"""What an emptyDir is made of."""

import os
from pathlib import Path
from typing import Any, cast

import pytest

from nanokube.kubelet.volumes import empty_dir, ownership
from nanokube.kubelet.volumes.mounter import Mounter


class Mounts:
    """Remembers the options of what would be mounted."""

    def __init__(self) -> None:
        self.options: list[str] = []

    def tmpfs(self, path: Path, options: str) -> None:
        self.options.append(options)


@pytest.mark.parametrize(
    ("source", "limit", "options"),
    [
        ({}, 0, []),
        ({"medium": "Memory"}, 0, ["mode=1777"]),  # as a tmpfs is by default: sticky
        ({"medium": "Memory", "sizeLimit": "1Mi"}, 0, ["size=1048576,mode=1777"]),
        ({"medium": "Memory", "sizeLimit": "1Mi"}, 4096, ["size=4096,mode=1777"]),
    ],
)
def test_memory_is_a_tmpfs_of_its_own(tmp_path: Path, source: Any, limit: int, options: list[str]) -> None:
    mounts = Mounts()
    empty_dir.set_up({"emptyDir": source}, tmp_path / "volume", limit, cast(Mounter, mounts), None)
    assert mounts.options == options


@pytest.mark.parametrize("medium", ["", "Memory"])
def test_what_a_pod_made_of_its_directory_stays(tmp_path: Path, medium: str) -> None:
    """A restarted agent makes the Pod's volumes ready again."""
    path, mounts = tmp_path / "volume", cast(Mounter, Mounts())
    empty_dir.set_up({"emptyDir": {"medium": medium}}, path, 0, mounts, os.getgid())
    assert path.stat().st_mode & 0o2070 == 0o2070
    for mode in (0o2700, 0o2777):
        path.chmod(mode)
        empty_dir.set_up({"emptyDir": {"medium": medium}}, path, 0, mounts, os.getgid())
        assert path.stat().st_mode & 0o7777 == mode


def test_a_directory_is_there_once_it_is_the_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("no")

    with monkeypatch.context() as killed:
        killed.setattr(ownership, "give", refuse)
        with pytest.raises(PermissionError):
            empty_dir.set_up({}, tmp_path / "volume", 0, cast(Mounter, Mounts()), 1)
    empty_dir.set_up({}, tmp_path / "volume", 0, cast(Mounter, Mounts()), os.getgid())
    assert (tmp_path / "volume").stat().st_mode & 0o7777 == 0o2777
    assert [each.name for each in tmp_path.iterdir()] == ["volume"]
