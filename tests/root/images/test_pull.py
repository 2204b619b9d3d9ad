"""Pulling from a real (loopback) registry into a real store: sharing, resuming, races, removal."""

import gzip
import hashlib
import io
import json
import os
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard

from cri.images import errors
from cri.images.image import Image, Progress
from cri.images.manifest import Platform
from cri.images.service import Config, ImageService
from cri.linux import mount
from cri.snapshots.overlay import Snapshots
from tests.unit.cri.images import registries
from tests.unit.cri.images.registries import Handler, Registry

pytestmark = pytest.mark.root


def _layer(*files: tuple[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


def _descriptor(data: bytes, media_type: str = "") -> dict[str, Any]:
    return {"digest": _digest(data), "size": len(data), **({"mediaType": media_type} if media_type else {})}


def push(
    registry: Registry,
    tag: str,
    layers: list[bytes],
    pack: Callable[[bytes], bytes] = gzip.compress,
    media_type: str = "application/vnd.oci.image.layer.v1.tar+gzip",
    **changes: Any,
) -> bytes:
    """Serve an image as a/b:tag and return its manifest. changes: of the manifest."""
    here = Platform.local()
    config = {
        "os": here.os,
        "architecture": here.architecture,
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [_digest(layer) for layer in layers]},
    }
    document = json.dumps(config).encode()
    packed = [pack(layer) for layer in layers]
    manifest = {
        "schemaVersion": 2,
        "config": _descriptor(document),
        "layers": [_descriptor(blob, media_type) for blob in packed],
        **changes,
    }
    registry.put("a/b", document, *packed)
    data = json.dumps(manifest).encode()
    registry.put_manifest("a/b", tag, data)
    return data


@pytest.fixture
def registry() -> Iterator[Registry]:
    with registries.serving() as server:
        yield server


@pytest.fixture
def images(tmp_path: Path) -> ImageService:
    return ImageService(tmp_path / "images")


def _left(images: ImageService) -> dict[str, list[str]]:
    names = ("layers", "blobs/sha256", "tmp", "downloads")
    return {name: os.listdir(images.fs_info().mountpoint / name) for name in names}


def _is_empty(images: ImageService) -> bool:
    return not any(_left(images).values())


def _file(images: ImageService, image: Image, name: str) -> bytes:
    return (images.layer_path(image.layers[-1]) / name).read_bytes()


@pytest.mark.parametrize(
    ("pack", "media_type"),
    [
        (gzip.compress, "application/vnd.oci.image.layer.v1.tar+gzip"),
        (gzip.compress, "application/vnd.docker.image.rootfs.diff.tar.gzip"),
        (_zstd, "application/vnd.oci.image.layer.v1.tar+zstd"),
        (bytes, "application/vnd.oci.image.layer.v1.tar"),
        (gzip.compress, ""),
        (gzip.compress, "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"),
    ],
)
def test_every_form_of_layer_is_pulled(
    registry: Registry, images: ImageService, pack: Callable[[bytes], bytes], media_type: str
) -> None:
    push(registry, "1", [_layer(("f", b"1"))], pack, media_type)
    image = images.pull(f"{registry.host}/a/b:1")
    assert _file(images, image, "f") == b"1"
    assert image.repo_tags == (f"{registry.host}/a/b:1",)
    images.remove(image.id)
    assert _is_empty(images)


def test_index_leads_to_this_machines_image(registry: Registry, images: ImageService) -> None:
    other, mine = push(registry, "x", [_layer(("f", b"x"))]), push(registry, "y", [_layer(("f", b"y"))])
    here = Platform.local()
    entries = [
        {**_descriptor(other), "platform": {"os": "linux", "architecture": "s390x"}},
        {**_descriptor(mine), "platform": {"os": "linux", "architecture": here.architecture}},
    ]
    index = json.dumps({"schemaVersion": 2, "manifests": entries}).encode()
    digest = registry.put_manifest("a/b", "1", index)
    image = images.pull(f"{registry.host}/a/b:1")
    assert _file(images, image, "f") == b"y"
    assert image.repo_digests == (f"{registry.host}/a/b@{digest}",)
    assert images.pull(f"{registry.host}/a/b@{digest}") == image


def test_schema_1_is_refused_clearly(registry: Registry, images: ImageService) -> None:
    registry.put_manifest("a/b", "1", json.dumps({"schemaVersion": 1, "fsLayers": []}).encode())
    with pytest.raises(errors.ImageError, match="schema 1 is not supported") as caught:
        images.pull(f"{registry.host}/a/b:1")
    assert caught.value.kind is errors.Kind.INVALID_ARGUMENT


def test_foreign_layer_elsewhere_is_not_followed(registry: Registry, images: ImageService) -> None:
    media_type = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
    layer = _layer(("f", b"1"))
    push(registry, "1", [layer], bytes, media_type)
    del registry.answers[f"/v2/a/b/blobs/{_digest(layer)}"]
    with pytest.raises(errors.ImageError, match="its URLs are not followed") as caught:
        images.pull(f"{registry.host}/a/b:1")
    assert caught.value.kind is errors.Kind.FAILED_PRECONDITION


def test_two_images_at_once_fetch_a_shared_layer_once(registry: Registry, images: ImageService) -> None:
    base = _layer(("base", os.urandom(300_000)))
    blob = gzip.compress(base, mtime=0)
    both = threading.Barrier(2)

    def pack(layer: bytes) -> bytes:
        return gzip.compress(layer, mtime=0)

    for tag in "12":
        push(registry, tag, [base, _layer((tag, b"x"))], pack)
    # The same blob over another parent: another layer to unpack, but the same download.
    push(registry, "3", [_layer(("first", b"x")), base], pack)

    def slow(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(blob)))
        handler.end_headers()
        for at in range(0, len(blob), 30_000):
            handler.wfile.write(blob[at : at + 30_000])
            time.sleep(0.02)

    registry.answers[f"/v2/a/b/blobs/{_digest(blob)}"] = slow
    failures: list[BaseException] = []
    actions: set[str] = set()

    def pull(tag: str) -> None:
        try:
            if tag != "3":
                both.wait()
            image = images.pull(f"{registry.host}/a/b:{tag}", progress=lambda p: actions.add(p.action))
            assert all(images.layer_path(layer).is_dir() for layer in image.layers)
        except BaseException as err:
            failures.append(err)

    threads = [threading.Thread(target=pull, args=(tag,)) for tag in "123"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert registry.count(_digest(blob)) == 1
    assert _left(images)["downloads"] == []


def test_pull_goes_on_where_a_killed_runtime_was(
    registry: Registry, images: ImageService, tmp_path: Path
) -> None:
    layer = _layer(("f", os.urandom(100_000)))
    push(registry, "1", [layer], bytes)
    path = f"/v2/a/b/blobs/{_digest(layer)}"
    whole = registry.answers[path]
    registry.answers[path] = lambda handler: handler.reply(200, layer[:40_000], length=len(layer))

    def give_up(progress: Progress) -> None:
        if progress.current >= 40_000:
            raise TimeoutError("client went away")

    with pytest.raises(TimeoutError):
        images.pull(f"{registry.host}/a/b:1", progress=give_up)
    registry.answers[path] = whole
    again = ImageService(tmp_path / "images")
    assert again.fs_info().used_bytes >= 40_000
    image = again.pull(f"{registry.host}/a/b:1")
    assert registry.asked[-1][2]["Range"] == "bytes=40000-"
    assert len(_file(again, image, "f")) == 100_000


def test_unchanged_tag_costs_one_request(registry: Registry, images: ImageService) -> None:
    push(registry, "1", [_layer(("f", b"1"))])
    image = images.pull(f"{registry.host}/a/b:1")
    registry.asked.clear()
    assert images.pull(f"{registry.host}/a/b:1") == image
    assert [asked[:2] for asked in registry.asked] == [("HEAD", "/v2/a/b/manifests/1")]
    push(registry, "1", [_layer(("f", b"2"))])
    changed = images.pull(f"{registry.host}/a/b:1")
    assert _file(images, changed, "f") == b"2"
    found = images.status(image.id)
    assert found is not None
    assert found.repo_tags == ()


def test_wrong_layer_is_refused_and_leaves_no_image(registry: Registry, images: ImageService) -> None:
    layer = _layer(("f", b"1" * 10_000))
    push(registry, "1", [layer], bytes)
    registry.answers[f"/v2/a/b/blobs/{_digest(layer)}"] = lambda h: h.reply(200, layer.replace(b"1", b"2"))
    with pytest.raises(errors.ImageError, match="content") as caught:
        images.pull(f"{registry.host}/a/b:1")
    assert caught.value.kind is errors.Kind.DATA_LOSS
    assert images.list() == []
    images.collect()
    assert _is_empty(images)


def test_waiting_pull_notices_that_its_client_gave_up(registry: Registry, images: ImageService) -> None:
    layer = _layer(("f", b"1"))
    push(registry, "1", [layer], bytes)
    release = threading.Event()

    def stuck(handler: Handler) -> None:
        release.wait(30)
        handler.reply(200, layer)

    registry.answers[f"/v2/a/b/blobs/{_digest(layer)}"] = stuck
    first = threading.Thread(target=images.pull, args=(f"{registry.host}/a/b:1",))
    first.start()
    while not registry.count(_digest(layer)):
        time.sleep(0.01)

    def give_up(progress: Progress) -> None:
        if progress.action == "waiting":
            raise TimeoutError("client went away")

    with pytest.raises(TimeoutError):
        images.pull(f"{registry.host}/a/b:1", progress=give_up)
    release.set()
    first.join()
    assert len(images.list()) == 1


def test_who_waits_takes_over_from_who_fails(registry: Registry, images: ImageService) -> None:
    layer = _layer(("f", os.urandom(50_000)))
    push(registry, "1", [layer], bytes)
    first_gives_up, second_waits = threading.Event(), threading.Event()

    def give_up(progress: Progress) -> None:
        if progress.action == "downloading":
            second_waits.wait(10)
            raise TimeoutError("client went away")

    def wait(progress: Progress) -> None:
        if progress.action == "waiting":
            second_waits.set()

    def fail() -> None:
        with pytest.raises(TimeoutError):
            images.pull(f"{registry.host}/a/b:1", progress=give_up)
        first_gives_up.set()

    first = threading.Thread(target=fail)
    first.start()
    while not registry.count(_digest(layer)):
        time.sleep(0.01)
    image = images.pull(f"{registry.host}/a/b:1", progress=wait)
    first.join()
    assert first_gives_up.is_set()
    assert len(_file(images, image, "f")) == 50_000


def test_pulls_and_removals_at_once_agree(registry: Registry, images: ImageService) -> None:
    base = _layer(("base", b"1" * 100_000))
    for number in range(4):
        push(registry, str(number), [base, _layer((f"f{number}", b"1"))])
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for _ in range(3):
                image = images.pull(f"{registry.host}/a/b:{number}")
                assert all(images.layer_path(layer).is_dir() for layer in image.layers)
                images.remove(image.repo_digests[0])
        except BaseException as err:
            failures.append(err)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    images.collect()
    assert _is_empty(images)


def test_image_of_130_layers_can_be_mounted(registry: Registry, images: ImageService, tmp_path: Path) -> None:
    push(registry, "1", [_layer((f"d/f{number}", b"%d" % number)) for number in range(130)])
    image = images.pull(f"{registry.host}/a/b:1")
    rootfs = Snapshots(tmp_path / "c", images).prepare("c1", image)
    assert len(rootfs.lowers) == 130
    context = mount.fsopen("overlay")
    for lower in rootfs.lowers:
        mount.fsconfig_string(context, "lowerdir+", str(lower))
    mount.fsconfig_string(context, "upperdir", str(rootfs.upper))
    mount.fsconfig_string(context, "workdir", str(rootfs.work))
    mount.fsconfig_create(context)
    root = mount.fsmount(context)  # never attached: it goes with its descriptor
    directory = os.open("d", os.O_RDONLY, dir_fd=root)
    assert len(os.listdir(directory)) == 130
    with open(os.open("f77", os.O_RDONLY, dir_fd=directory), "rb") as file:
        assert file.read() == b"77"
    for fd in (directory, root, context):
        os.close(fd)


def test_disk_use_is_true(registry: Registry, images: ImageService) -> None:
    before = images.fs_info()
    push(registry, "1", [_layer(("a", b"1" * 5000), ("d/b", b"1" * 100_000), ("e", b""))])
    image = images.pull(f"{registry.host}/a/b:1")
    tree = images.layer_path(image.layers[0])
    os.sync()
    paths = [tree, *tree.rglob("*")]
    used = images.fs_info()
    documents = 2 * 4096
    assert used.used_bytes - before.used_bytes == sum(p.stat().st_blocks * 512 for p in paths) + documents
    assert used.inodes_used - before.inodes_used == len(paths) + 2
    images.remove(image.id)
    assert images.fs_info() == before


def test_pinned_images_are_told_and_can_be_removed(registry: Registry, tmp_path: Path) -> None:
    push(registry, "1", [_layer(("f", b"1"))])
    push(registry, "2", [_layer(("f", b"2"))])
    images = ImageService(tmp_path / "images", Config(pinned=frozenset({f"{registry.host}/a/*:1"})))
    pinned, free = (images.pull(f"{registry.host}/a/b:{tag}") for tag in "12")
    assert (pinned.pinned, free.pinned) == (True, False)
    images.remove(f"{registry.host}/a/b:1")  # an explicit act, as in containerd
    assert images.list() == [free]
