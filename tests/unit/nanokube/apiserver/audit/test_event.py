"""Small parts of events."""

from __future__ import annotations

import pytest

from nanokube.apiserver.audit import event
from nanokube.kit.http.message import Headers, Peer, Request


@pytest.mark.parametrize(
    ("fields", "peer", "expected"),
    [
        ({}, "192.0.2.1", ["192.0.2.1"]),
        (
            {"X-Forwarded-For": "192.0.2.9, junk,2001:db8::1"},
            "192.0.2.1",
            ["192.0.2.9", "2001:db8::1", "192.0.2.1"],
        ),
        ({"X-Forwarded-For": "192.0.2.1"}, "192.0.2.1", ["192.0.2.1"]),
        ({"X-Real-Ip": "192.0.2.3"}, "::1", ["192.0.2.3", "::1"]),
        (
            {"X-Forwarded-For": "192.0.2.3", "X-Real-Ip": "192.0.2.3"},
            "::ffff:192.0.2.4",
            ["192.0.2.3", "192.0.2.4"],
        ),
    ],
)
def test_proxies_say_whom_they_speak_for(fields: dict[str, str], peer: str, expected: list[str]) -> None:
    assert event.source_ips(Headers(fields.items()), peer) == expected


@pytest.mark.parametrize(
    ("media", "body"),
    [
        ("application/json-patch+json", b'[{"a": 1}]'),
        ("application/merge-patch+json; charset=utf-8", b'[{"a":1}]'),
        ("application/apply-patch+yaml", b"- a: 1\n"),
        ("application/apply-patch+cbor", bytes.fromhex("81a1416101")),
    ],
)
def test_patches_are_read_as_what_they_are(media: str, body: bytes) -> None:
    request = Request("PATCH", "/x", Headers([("content-type", media)]), body, Peer("", 0))
    assert event.request_object(request, is_patch=True) == [{"a": 1}]


def test_garbage_is_no_object() -> None:
    request = Request("POST", "/x", Headers(), b"{", Peer("", 0))
    assert event.request_object(request, is_patch=False) is None
