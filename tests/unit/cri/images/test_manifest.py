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


_FLAGS = "cx16 lahf_lm popcnt pni sse4_1 sse4_2 ssse3"
_V3 = "abm avx avx2 bmi1 bmi2 f16c fma movbe xsave"


@pytest.mark.parametrize(
    ("own", "offered", "chosen"),
    [
        (("arm", "v7"), ["arm/v5", "arm/v7", "arm/v6"], "arm/v7"),
        (("arm", "v7"), ["arm/v5", "arm/v6", "arm/v8"], "arm/v6"),
        (("arm", "v6"), ["arm/v7", "arm"], None),
        (("arm", "v7"), ["arm"], "arm"),
        (("arm64", ""), ["arm/v7", "arm64/v8"], "arm64/v8"),
        (("arm64", ""), ["aarch64"], "aarch64"),
        (("amd64", ""), ["amd64/v3", "amd64"], "amd64"),
        (("amd64", ""), ["amd64/v3", "amd64/v1"], "amd64/v1"),
        (("amd64", ""), ["amd64/v2"], None),
        (("amd64", "v3"), ["amd64", "amd64/v4", "amd64/v2", "amd64/v3"], "amd64/v3"),
        (("amd64", "v3"), ["amd64", "amd64/strange"], "amd64"),
        (("amd64", "v4"), ["x86_64"], "x86_64"),
        (("amd64", ""), ["386", "windows"], None),
    ],
)
def test_nearest_variant_that_runs_is_chosen(
    own: tuple[str, str], offered: list[str], chosen: str | None
) -> None:
    entries = []
    for digest, name in zip(_D, offered, strict=False):
        architecture, _, variant = name.partition("/")
        entries.append(_entry(digest, os="linux", architecture=architecture, variant=variant))
    node = manifest.Platform("linux", *own)
    if chosen is None:
        with pytest.raises(errors.ImageError, match="no match for platform"):
            manifest.choose({"manifests": entries}, node)
    else:
        assert manifest.choose({"manifests": entries}, node).digest == _D[offered.index(chosen)]


@pytest.mark.parametrize(
    ("flags", "level"), [("fpu sse2", ""), (_FLAGS, "v2"), (f"{_FLAGS} {_V3}", "v3"), (_V3, "")]
)
def test_level_of_this_machine_is_read_from_its_flags(flags: str, level: str) -> None:
    local = manifest.Platform.local(f"processor : 0\nflags : {flags}\n")
    if local.architecture == "amd64":
        assert local.variant == level


def test_bare_index_of_one_image_is_that_image() -> None:
    assert manifest.choose({"manifests": [{"digest": _D[0], "size": 1}]}, _AMD64).digest == _D[0]


def test_encrypted_layers_are_refused() -> None:
    layer = {"digest": _D[0], "size": 1, "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip+encrypted"}
    with pytest.raises(errors.ImageError, match="encrypted"):
        manifest.parse({"config": {"digest": _D[0], "size": 1}, "layers": [layer]})
