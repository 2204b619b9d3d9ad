"""Manifests, indexes and chain IDs."""

import hashlib
from typing import Any

import pytest

from cri.images import errors, manifest

_AMD64 = manifest.Platform("linux", "amd64")
_D = ["sha256:" + c * 64 for c in "abcd"]


def _entry(digest: str, **platform: str) -> dict[str, Any]:
    return {"digest": digest, "size": 1, "platform": platform}


def test_first_fitting_platform_is_chosen() -> None:
    index = {
        "manifests": [
            _entry(_D[0], os="linux", architecture="arm64"),
            _entry(_D[1], os="linux", architecture="amd64"),
            _entry(_D[2], os="linux", architecture="amd64"),
        ]
    }
    assert manifest.choose(index, _AMD64).digest == _D[1]


def test_variant_counts_where_the_node_has_one() -> None:
    index = {
        "manifests": [
            _entry(_D[0], os="linux", architecture="arm", variant="v6"),
            _entry(_D[1], os="linux", architecture="arm", variant="v7"),
        ]
    }
    assert manifest.choose(index, manifest.Platform("linux", "arm", "v7")).digest == _D[1]


def test_no_fitting_platform_is_not_found() -> None:
    with pytest.raises(errors.ImageError, match="no match for platform in manifest: linux/amd64") as caught:
        manifest.choose({"manifests": [_entry(_D[0], os="linux", architecture="s390x")]}, _AMD64)
    assert caught.value.kind is errors.Kind.NOT_FOUND


def test_chain_ids_follow_the_image_spec() -> None:
    first, second = manifest.chain_ids(_D[:2])
    assert first == _D[0]
    assert second == "sha256:" + hashlib.sha256(f"{_D[0]} {_D[1]}".encode()).hexdigest()
    assert manifest.chain_ids([]) == ()


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"schemaVersion": 1, "fsLayers": []},
        {"config": {"digest": "x", "size": 1}, "layers": []},
        {"config": {"digest": _D[0], "size": -1}, "layers": []},
        {"config": {"digest": _D[0], "size": 1}, "layers": [7]},
        {"config": {"digest": _D[0], "size": 1}, "layers": [{"digest": _D[0], "size": 1}] * 300},
        {"config": {"digest": _D[0] + "/../x", "size": 1}, "layers": []},
    ],
)
def test_malformed_manifest_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(errors.ImageError):
        manifest.parse(document)


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"[" * 100_000, b"\xff", b" " * ((4 << 20) + 1)])
def test_what_is_no_json_object_is_refused(data: bytes) -> None:
    with pytest.raises(errors.ImageError):
        manifest.load(data, "x")


def test_config_for_another_machine_is_refused() -> None:
    parsed = manifest.Manifest(manifest.Descriptor(_D[0], 1), ())
    config = {"os": "linux", "architecture": "arm64", "rootfs": {"diff_ids": []}}
    with pytest.raises(errors.ImageError, match="linux/arm64"):
        manifest.check_config(config, parsed, _AMD64)


def test_layers_and_diff_ids_must_agree() -> None:
    parsed = manifest.Manifest(manifest.Descriptor(_D[0], 1), ())
    config = {"os": "linux", "architecture": "amd64", "rootfs": {"diff_ids": _D}}
    with pytest.raises(errors.ImageError, match="differ in number"):
        manifest.check_config(config, parsed, _AMD64)
