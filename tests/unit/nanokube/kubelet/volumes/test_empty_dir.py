"""What an emptyDir is made of."""

from pathlib import Path
from typing import Any, cast

import pytest

from nanokube.kubelet.volumes import empty_dir
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
    empty_dir.set_up({"emptyDir": source}, tmp_path / "volume", limit, cast(Mounter, mounts))
    assert mounts.options == options
