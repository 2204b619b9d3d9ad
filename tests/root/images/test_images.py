"""The image store on a real filesystem: unpacking in its child process, sharing, removal, restart."""

import gzip
import hashlib
import io
import json
import os
import tarfile
import threading
from pathlib import Path
from typing import Any

import pytest
import zstandard

from cri.images import errors
from cri.images.image import Progress
from cri.images.service import Config, ImageService
from cri.snapshots.overlay import Snapshots
from nanokube.cli import demo_image

pytestmark = pytest.mark.root


def _layer(*members: tuple[str, bytes] | tarfile.TarInfo) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member)
                continue
            info = tarfile.TarInfo(member[0])
            info.size = len(member[1])
            tar.addfile(info, io.BytesIO(member[1]))
    return out.getvalue()


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _archive(path: Path, layers: list[bytes], name: str = "test/a:1", **changes: Any) -> Path:
    """Write a `docker save` archive."""
    config = {
        "os": "linux",
        "architecture": demo_image._MACHINES[os.uname().machine],
        "config": {"User": "1002"},
        "rootfs": {"type": "layers", "diff_ids": [_digest(layer) for layer in layers]},
        **changes,
    }
    data = json.dumps(config).encode()
    listed = [
        {"Config": "c.json", "RepoTags": [name], "Layers": [f"{n}/layer.tar" for n in range(len(layers))]}
    ]
    files = [("manifest.json", json.dumps(listed).encode()), ("c.json", data)]
    files += [(f"{n}/layer.tar", layer) for n, layer in enumerate(layers)]
    path.write_bytes(_layer(*files))
    return path


@pytest.fixture
def images(tmp_path: Path) -> ImageService:
    return ImageService(tmp_path / "images")


def _left(tmp_path: Path) -> dict[str, list[str]]:
    names = ("layers", "blobs/sha256", "tmp")
    return {name: os.listdir(tmp_path / "images" / name) for name in names}


_NOTHING: dict[str, list[str]] = {"layers": [], "blobs/sha256": [], "tmp": []}


def test_demonstration_image_is_imported(tmp_path: Path, images: ImageService) -> None:
    reference = demo_image.build(tmp_path / "demo.tar")
    steps: list[Progress] = []
    (image,) = images.import_archive(tmp_path / "demo.tar", steps.append)
    assert image.repo_tags == (reference,)
    assert image.process["Cmd"] == ["/bin/demo-server"]
    tree = images.layer_path(image.layers[0])
    assert (tree / "bin/sh").stat().st_ino == (tree / "bin/busybox").stat().st_ino
    assert (tree / "tmp").stat().st_mode & 0o7777 == 0o1777
    assert [step.action for step in steps][-1] == "done"
    assert images.status(reference) is images.status(image.id) is images.status(image.repo_digests[0])
    images.remove(image.id)
    assert images.list() == []
    assert _left(tmp_path) == _NOTHING


@pytest.mark.parametrize("pack", [gzip.compress, lambda data: zstandard.ZstdCompressor().compress(data)])
def test_compressed_archives_are_imported(tmp_path: Path, images: ImageService, pack: Any) -> None:
    plain = _archive(tmp_path / "a.tar", [_layer(("f", b"1"))])
    (tmp_path / "a.packed").write_bytes(pack(plain.read_bytes()))
    (image,) = images.import_archive(tmp_path / "a.packed")
    assert image.repo_tags == ("docker.io/test/a:1",)
    assert (images.layer_path(image.layers[0]) / "f").read_bytes() == b"1"


def test_whiteouts_and_opaque_directories_are_overlayfs_own(tmp_path: Path, images: ImageService) -> None:
    layers = [_layer(("d/a", b"1"), ("e/b", b"1")), _layer(("d/.wh.a", b""), ("e/.wh..wh..opq", b""))]
    (image,) = images.import_archive(_archive(tmp_path / "a.tar", layers))
    top = images.layer_path(image.layers[1])
    assert (top / "d/a").lstat().st_rdev == 0
    assert (top / "d/a").is_char_device()
    assert os.getxattr(top / "e", "trusted.overlay.opaque") == b"y"
    rootfs = Snapshots(tmp_path / "c", images).prepare("c1", image)
    assert rootfs.lowers == (top, images.layer_path(image.layers[0]))


def test_hostile_layer_leaves_nothing(tmp_path: Path, images: ImageService) -> None:
    link = tarfile.TarInfo("e")
    link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path)
    archive = _archive(tmp_path / "a.tar", [_layer(("ok", b"1")), _layer(link, ("e/pwned", b"x"))])
    with pytest.raises(errors.ImageError, match="is not a directory, yet has members") as caught:
        images.import_archive(archive)
    assert caught.value.kind is errors.Kind.INVALID_ARGUMENT
    assert not (tmp_path / "pwned").exists()
    images.collect()
    assert _left(tmp_path) == _NOTHING


def test_overlay_attributes_of_an_image_are_not_obeyed(tmp_path: Path, images: ImageService) -> None:
    redirect = tarfile.TarInfo("d")
    redirect.type, redirect.mode = tarfile.DIRTYPE, 0o755
    redirect.pax_headers = {"SCHILY.xattr.trusted.overlay.redirect": "/etc", "SCHILY.xattr.user.x": "1"}
    (image,) = images.import_archive(_archive(tmp_path / "a.tar", [_layer(redirect)]))
    assert os.listxattr(images.layer_path(image.layers[0]) / "d") == ["user.x"]


def test_changed_layer_is_refused(tmp_path: Path, images: ImageService) -> None:
    rootfs = {"type": "layers", "diff_ids": [_digest(b"another")]}
    with pytest.raises(errors.ImageError, match="diff ID is"):
        images.import_archive(_archive(tmp_path / "a.tar", [_layer(("f", b"1"))], rootfs=rootfs))
    assert images.list() == []


def test_decompression_bomb_is_stopped(tmp_path: Path) -> None:
    images = ImageService(tmp_path / "images", Config(layer_bytes_max=1 << 20, layer_entries_max=10))
    bomb = gzip.compress(_layer(("f", bytes(8 << 20))))
    with pytest.raises(errors.ImageError):
        images.import_archive(_archive(tmp_path / "a.tar", [bomb]))


def test_image_for_another_machine_is_a_clear_error(tmp_path: Path, images: ImageService) -> None:
    with pytest.raises(errors.ImageError, match="no match for platform"):
        images.import_archive(_archive(tmp_path / "a.tar", [_layer(("f", b"1"))], architecture="s390x"))


def test_layers_outlive_their_image_while_a_container_holds_them(
    tmp_path: Path, images: ImageService
) -> None:
    (image,) = images.import_archive(_archive(tmp_path / "a.tar", [_layer(("f", b"1"))]))
    snapshots = Snapshots(tmp_path / "c", images)
    rootfs = snapshots.prepare("c1", image)
    images.remove(image.id)
    images.remove(image.id)
    assert (rootfs.lowers[0] / "f").exists()
    snapshots.remove("c1")
    images.collect()
    assert _left(tmp_path) == _NOTHING
    with pytest.raises(errors.ImageError, match="not found"):
        snapshots.prepare("c2", image)


def test_simultaneous_imports_and_removals_agree(tmp_path: Path, images: ImageService) -> None:
    base = _layer(("base", b"1" * 100_000))
    archives = [
        _archive(tmp_path / f"{n}.tar", [base, _layer((f"f{n}", b"1"))], f"test/a:{n}") for n in range(6)
    ]
    failures: list[BaseException] = []

    def work(path: Path) -> None:
        try:
            for _ in range(3):
                (image,) = images.import_archive(path)
                assert all(images.layer_path(layer).is_dir() for layer in image.layers)
                images.remove(image.id)
        except BaseException as err:
            failures.append(err)

    threads = [threading.Thread(target=work, args=(path,)) for path in archives]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    images.collect()
    assert _left(tmp_path) == _NOTHING


def test_restart_keeps_whole_images_and_drops_broken_ones(tmp_path: Path, images: ImageService) -> None:
    (whole,) = images.import_archive(_archive(tmp_path / "a.tar", [_layer(("a", b"1"))], "test/a:1"))
    (broken,) = images.import_archive(_archive(tmp_path / "b.tar", [_layer(("b", b"1"))], "test/b:1"))
    images.layer_path(broken.layers[0]).parent.rename(tmp_path / "images" / "tmp" / "half")
    again = ImageService(tmp_path / "images")
    assert again.list() == [whole]
    assert os.listdir(tmp_path / "images" / "tmp") == []
    (repaired,) = again.import_archive(tmp_path / "b.tar")
    assert repaired == broken
