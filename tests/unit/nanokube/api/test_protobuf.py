"""Protobuf bodies: one as kubectl sends it, zeros, and bytes that are none."""

from __future__ import annotations

import base64
import contextlib
import struct

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanokube.api import errors, protobuf

# kubectl create deployment web --image=nginx --replicas=2 --port=80
DEPLOYMENT = base64.b64decode(
    b"azhzAAoVCgdhcHBzL3YxEgpEZXBsb3ltZW50ErgBCh8KA3dlYhIAGgAiACoAMgA4AEIAWgoKA2FwcBIDd2ViEoYBCAISDAoK"
    b"CgNhcHASA3dlYhpsChwKABIAGgAiACoAMgA4AEIAWgoKA2FwcBIDd2ViEkwSLgoFbmdpbngSBW5naW54KgAyCgoAEAAYUCIA"
    b"KgBCAGoAcgCAAQCIAQCQAQCiAQAaADIAQgBKAFIAWABgAGgAggEAigEAmgEAwgEAIgIKACgAOAAaDAgAEAAYACAAKAA4ABoA"
    b"IgA="
)


def field(number: int, data: bytes) -> bytes:
    return bytes([number << 3 | 2, len(data)]) + data


def body(kind: str, raw: bytes, version: str = "v1") -> bytes:
    type_ = field(1, version.encode()) + field(2, kind.encode())
    return protobuf.MAGIC + field(1, type_) + field(2, raw)


def test_a_deployment_of_kubectl() -> None:
    found = protobuf.decode(DEPLOYMENT)
    assert (found["apiVersion"], found["kind"]) == ("apps/v1", "Deployment")
    assert (
        found["metadata"] == {"name": "web", "labels": {"app": "web"}} or found["metadata"]["name"] == "web"
    )
    spec = found["spec"]
    assert (spec["replicas"], spec["selector"]) == (2, {"matchLabels": {"app": "web"}})
    container = spec["template"]["spec"]["containers"][0]
    assert container == {"name": "nginx", "image": "nginx", "ports": [{"containerPort": 80}], "resources": {}}


def test_zeros_stay_where_go_has_pointers() -> None:
    # field 4 terminationGracePeriodSeconds is *int64, field 11 hostNetwork is a plain bool with omitempty
    spec = bytes([4 << 3, 0, 11 << 3, 0])
    assert protobuf.decode(body("Pod", field(2, spec)))["spec"] == {"terminationGracePeriodSeconds": 0}


def test_inlined_sources_bytes_and_texts() -> None:
    size = field(2, field(1, b"1Mi"))  # emptyDir.sizeLimit
    volume = field(1, b"v") + field(2, field(2, size))
    assert protobuf.decode(body("Pod", field(2, field(1, volume))))["spec"]["volumes"] == [
        {"name": "v", "emptyDir": {"sizeLimit": "1Mi"}}
    ]
    entry = field(1, b"k") + field(2, b"v")
    assert protobuf.decode(body("Secret", field(2, entry)))["data"] == {"k": "dg=="}
    duration = bytes([2 << 3, 15])
    renewed = field(4, bytes([1 << 3, 1, 2 << 3, 0xC0, 0x84, 0x3D]))
    lease = protobuf.decode(body("Lease", field(2, duration + renewed), "coordination.k8s.io/v1"))
    assert lease["spec"] == {"leaseDurationSeconds": 15, "renewTime": "1970-01-01T00:00:01.001000Z"}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        protobuf.MAGIC,
        body("Nope", b""),
        body("Pod", b"\x0a\x7f"),
        body("Pod", b"\xff" * 12),
        body("Pod", b"\x08\x01"),
    ],
)
def test_malformed(data: bytes) -> None:
    with pytest.raises(errors.ApiError) as caught:
        protobuf.decode(data)
    assert caught.value.code == 400


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=40))
def test_any_bytes_decode_or_are_refused(raw: bytes) -> None:
    with contextlib.suppress(errors.ApiError):  # anything else fails the test
        assert protobuf.decode(body("Pod", raw))["kind"] == "Pod"


@pytest.mark.parametrize(
    ("number", "text"),
    [(5.0, b"5"), (0.5, b"0.5"), (-3.0, b"-3"), (0.0, b"0"), (1e300, b"1e+300")],
)
def test_numbers_are_written_as_go_writes_them(number: float, text: bytes) -> None:
    maximum = bytes([9 << 3 | 1]) + struct.pack("<d", number)
    version = field(1, b"v1") + field(4, field(1, maximum))
    raw = field(2, field(7, version))
    found = protobuf.decode(body("CustomResourceDefinition", raw, "apiextensions.k8s.io/v1"))
    (served,) = found["spec"]["versions"]
    assert orjson.dumps(served["schema"]["openAPIV3Schema"]["maximum"]) == text
