"""The store after a crash at any step: an image is there and whole, or not there; nothing else stays."""

import gzip
import hashlib
import io
import json
import os
import random
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cri.images.image import Image
from cri.images.manifest import Platform
from cri.images.service import ImageService

pytestmark = pytest.mark.root

_STEPS = ("mkdir", "rename", "replace", "unlink", "rmdir", "fsync", "open", "write")
_CRASHED = 77


def _layer(name: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for number in range(3):
            info = tarfile.TarInfo(f"{name}/{number}")
            info.size = len(name) * 1000
            tar.addfile(info, io.BytesIO(name.encode() * 1000))
    return out.getvalue()


def _archive(path: Path, name: str) -> Path:
    """Write a `docker save` archive of two layers."""
    layers = [_layer(f"base{name}"), _layer(name)]
    config = {
        "os": "linux",
        "architecture": Platform.local().architecture,
        "rootfs": {"diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest() for layer in layers]},
    }
    listed = [{"Config": "c", "RepoTags": [f"t/{name}:1"], "Layers": ["0", "1"]}]
    files = {"manifest.json": json.dumps(listed).encode(), "c": json.dumps(config).encode()}
    files |= {str(number): gzip.compress(layer) for number, layer in enumerate(layers)}
    with tarfile.open(path, "w") as tar:
        for member, data in files.items():
            info = tarfile.TarInfo(member)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def _in_child(act: Callable[[], object], die_at: int) -> bool:
    """Do something in a process that dies, without any clean-up, before its die_at'th step on the disk.

    Tells whether it died. It is a fork, as the store's own threads and processes must die or end with it.
    """
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            _count_down(die_at)
            act()
            status = 0
        finally:
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert status in (0, _CRASHED), "the act failed by itself"
    return status == _CRASHED


def _count_down(steps: int) -> None:
    left = steps

    def dying(real: Callable[..., Any]) -> Callable[..., Any]:
        def step(*args: Any, **kwargs: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                os._exit(_CRASHED)
            return real(*args, **kwargs)

        return step

    for name in _STEPS:
        setattr(os, name, dying(getattr(os, name)))


def _check_whole(images: ImageService, image: Image) -> None:
    name = image.repo_tags[0].removeprefix("docker.io/t/").removesuffix(":1")
    for layer, top in zip(image.layers, (f"base{name}", name), strict=True):
        for number in range(3):
            path = images.layer_path(layer) / top / str(number)
            assert path.read_bytes() == top.encode() * 1000


def _check(root: Path) -> ImageService:
    images = ImageService(root)
    for image in images.list():
        _check_whole(images, image)
    assert os.listdir(root / "tmp") == []
    images.collect()
    layers = {layer for image in images.list() for layer in image.layers}
    assert set(images._layers.all()) == layers
    return images


def _until_done(act: Callable[[], object], check: Callable[[], None]) -> int:
    """Let act die at every step in turn, and check after each death."""
    for step in range(400):
        if not _in_child(act, step):
            return step
        check()
    raise AssertionError("no end of steps")


def test_import_that_dies_at_any_step_leaves_old_or_new(tmp_path: Path) -> None:
    root = tmp_path / "images"
    ImageService(root).import_archive(_archive(tmp_path / "a.tar", "a"))
    archive = _archive(tmp_path / "b.tar", "b")

    def check() -> None:
        images = _check(root)
        assert images.status("t/a:1") is not None
        if (new := images.status("t/b:1")) is not None:
            images.remove(new.id)

    steps = _until_done(lambda: ImageService(root).import_archive(archive), check)
    assert steps > 20
    assert {image.repo_tags[0] for image in _check(root).list()} == {"docker.io/t/a:1", "docker.io/t/b:1"}


def test_removal_that_dies_at_any_step_leaves_old_or_new(tmp_path: Path) -> None:
    root = tmp_path / "images"
    archive = _archive(tmp_path / "b.tar", "b")
    ImageService(root).import_archive(_archive(tmp_path / "a.tar", "a"))

    def check() -> None:
        images = _check(root)
        assert images.status("t/a:1") is not None
        images.import_archive(archive)

    check()
    steps = _until_done(lambda: ImageService(root).remove("t/b:1"), check)
    assert steps > 10
    assert [image.repo_tags[0] for image in _check(root).list()] == ["docker.io/t/a:1"]


def test_layers_of_another_boot_that_were_not_flushed_are_dropped(tmp_path: Path) -> None:
    root = tmp_path / "images"
    images = ImageService(root, boot_id="first")
    (flushed,) = images.import_archive(_archive(tmp_path / "a.tar", "a"))
    (lost,) = images.import_archive(_archive(tmp_path / "b.tar", "b"))
    (images.layer_path(lost.layers[1]).parent / "unsynced-first").touch()
    assert len(ImageService(root, boot_id="first").list()) == 2  # only the process died
    (images.layer_path(lost.layers[1]).parent / "unsynced-first").touch()
    after = ImageService(root, boot_id="second")
    assert after.list() == [flushed]
    (again,) = after.import_archive(tmp_path / "b.tar")
    assert again == lost
    assert not list((root / "layers").glob("*/unsynced-*"))


@pytest.mark.parametrize("seed", range(8))
def test_files_cut_or_zeroed_by_a_crash_of_the_host_cost_no_more_than_an_image(
    tmp_path: Path, seed: int
) -> None:
    root = tmp_path / "images"
    ImageService(root).import_archive(_archive(tmp_path / "a.tar", "a"))
    chance = random.Random(seed)
    files = [*root.glob("*.json"), *root.glob("blobs/sha256/*"), *root.glob("layers/*/size")]
    for path in chance.sample(files, 2):
        data = path.read_bytes()
        cut = chance.randrange(len(data))
        path.write_bytes(data[:cut] + bytes(chance.choice([0, len(data) - cut])))
    images = _check(root)
    (image,) = images.import_archive(tmp_path / "a.tar")
    _check_whole(images, image)
    assert _check(root).list() == [image]


def test_damaged_catalogue_falls_back_to_the_durable_one(tmp_path: Path) -> None:
    root = tmp_path / "images"
    images = ImageService(root).import_archive(_archive(tmp_path / "a.tar", "a"))
    (root / "images.json").write_bytes(b"")
    assert _check(root).list() == images
