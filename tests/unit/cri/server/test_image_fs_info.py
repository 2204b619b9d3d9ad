"""What ImageFsInfo tells a kubelet about filesystems."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from cri.api import runtime_pb2 as pb
from cri.config import Config
from cri.images.image import FilesystemInfo
from cri.server import container_stats, image_fs_info
from cri.snapshots.overlay import Usage


def test_one_filesystem_has_one_mountpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = dataclasses.replace(Config(), lib_dir=tmp_path)
    for directory in (config.images_dir, config.snapshots_dir):
        directory.mkdir()
    monkeypatch.setattr(container_stats, "disk", lambda env, key: Usage(bytes=100, inodes=2))
    records = [SimpleNamespace(id="a"), SimpleNamespace(id="b")]
    env = SimpleNamespace(
        config=config,
        images=SimpleNamespace(fs_info=lambda: FilesystemInfo(config.images_dir, 5000, 7)),
        store=SimpleNamespace(containers=SimpleNamespace(all=lambda: records)),
        now=lambda: 1,
    )
    answer = image_fs_info.handle(cast(Any, env), pb.ImageFsInfoRequest(), cast(Any, None))
    (images,), (writable,) = answer.image_filesystems, answer.container_filesystems
    assert (images.used_bytes.value, images.inodes_used.value) == (5000, 7)
    assert (writable.used_bytes.value, writable.inodes_used.value) == (200, 4)
    assert images.fs_id.mountpoint == writable.fs_id.mountpoint == str(tmp_path)
