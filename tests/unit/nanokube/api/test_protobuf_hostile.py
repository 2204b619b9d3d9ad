"""Protobuf bodies that nobody should send: each is refused as a bad request, at once, or read."""

from __future__ import annotations

import contextlib
import random
import struct

import pytest

from nanokube.api import errors, protobuf, protobuf_encoder, schema
from scripts.fuzz import seeds

POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, **seeds.BODIES["pods"]}
EVENT = {**POD, "kind": "Event", "count": 3, "firstTimestamp": "2026-01-01T00:00:00Z"}
CLAIM = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", **seeds.BODIES["persistentvolumeclaims"]}


def field(number: int, data: bytes) -> bytes:
    size, found = len(data), bytes([number << 3 | 2])
    while size > 127:
        found += bytes([size & 127 | 128])
        size >>= 7
    return found + bytes([size]) + data


def unknown(kind: str, raw: bytes, version: str = "v1") -> bytes:
    return protobuf.MAGIC + field(1, field(1, version.encode()) + field(2, kind.encode())) + field(2, raw)


def time_of(seconds: int) -> bytes:
    found = b"\x08"
    seconds &= (1 << 64) - 1
    while seconds > 127:
        found += bytes([seconds & 127 | 128])
        seconds >>= 7
    return field(6, found + bytes([seconds]))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"k8s",
        protobuf.MAGIC,
        protobuf.MAGIC + b"\x0a\xff\xff\xff\xff\x0f",
        protobuf.MAGIC + b"\xff" * 100,
        protobuf.MAGIC + b"\x0b\x0c",
        unknown("Nothing", b""),
        unknown("Pod", b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f"),
        unknown("Pod", b"\x08\x01"),
        unknown("Pod", field(1, field(1, b"\xff\xfe"))),
        unknown("Event", time_of((1 << 63) - 1)),
        unknown("Event", time_of(-(1 << 63))),
        unknown("Event", time_of(10**15)),
        unknown("PersistentVolumeClaim", field(2, field(2, field(1, b"\x08\x01")))),
        unknown("ControllerRevision", field(2, field(1, b"[" * 100_000)), "apps/v1"),
    ],
)
def test_bad_messages_are_bad_requests(body: bytes) -> None:
    with pytest.raises(errors.ApiError) as caught:
        protobuf.decode(body)
    assert caught.value.code == 400


def test_nesting_is_no_recursion() -> None:
    raw = b""
    for _ in range(20_000):
        raw = field(2, raw)
    with pytest.raises(errors.ApiError):
        protobuf.decode(unknown("Pod", raw))


@pytest.mark.parametrize("seed", range(4))
def test_spoiled_messages_are_refused_or_read(seed: int) -> None:
    rng = random.Random(seed)
    whole = [protobuf_encoder.encode(each) for each in (POD, EVENT, CLAIM)]
    for _ in range(1500):
        body = bytearray(rng.choice(whole))
        for _ in range(rng.choice((1, 1, 2, 8))):
            at = rng.randrange(4, len(body))
            match rng.randrange(4):
                case 0:
                    body[at] = rng.randrange(256)
                case 1:
                    del body[at : at + rng.randrange(1, 9)]
                case 2:
                    body[at:at] = body[at : at + rng.randrange(40)]
                case 3:
                    body[at : at + 8] = struct.pack(
                        "<d", rng.choice((float("nan"), float("inf"), -1.0, 1e300))
                    )
            if len(body) < 6:
                break
        with contextlib.suppress(errors.ApiError):  # what else is raised fails the test
            found = protobuf.decode(bytes(body))
            row = schema.get("", "v1", found["kind"])
            if row is not None:
                row.clean(found)
