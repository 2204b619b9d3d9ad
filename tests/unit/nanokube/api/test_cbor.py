"""CBOR in and out: what JSON can say, and nothing that makes a small body a big object."""

from __future__ import annotations

from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanokube.api import cbor, errors

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 63) - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
TREES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4)
)


@given(TREES)
def test_what_is_encoded_is_decoded(tree: Any) -> None:
    assert cbor.decode(cbor.encode(tree)) == tree


def test_text_goes_out_as_byte_strings_behind_the_tag() -> None:
    assert cbor.encode({"a": "hi"}) == b"\xd9\xd9\xf7\xa1\x41a\x42hi"


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ({"a": "b"}, {"a": "b"}),
        ({b"a": b"b"}, {"a": "b"}),
        (cbor2.CBORTag(22, b"hi"), "aGk="),
        (cbor2.CBORTag(21, b"\xff\xff"), "__8"),
        (cbor2.CBORTag(23, b"\xff"), "FF"),
        (cbor2.CBORTag(0, "2026-01-02T03:04:05Z"), "2026-01-02T03:04:05Z"),
        (cbor2.CBORTag(1, 0), "1970-01-01T00:00:00Z"),
        (cbor2.CBORTag(12345, {"a": 1}), {"a": 1}),
    ],
)
def test_what_others_send(sent: Any, read: Any) -> None:
    assert cbor.decode(cbor2.dumps(sent)) == read


SHARED: Any = [1, 1]
for _ in range(40):
    SHARED = [SHARED, SHARED]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"\xa2\x61a\x01\x61a\x02",
        b"\xa1\x01\x02",
        b"\x00\x00",
        b"\xf7",
        b"\xf8\x20",
        b"\x62\xff\xff",
        b"\x42\xff\xff",
        b"\x81" * 100_000,
        b"\x9b\x7f\xff\xff\xff\xff\xff\xff\xff",
        b"\x5b\x00\x00\x00\xff\xff\xff\xff\xff",
        b"\xd8\x1c\x81\xd8\x1d\x00",
        cbor2.dumps(float("nan")),
        cbor2.dumps(float("inf")),
        cbor2.dumps(1 << 63),
        cbor2.dumps(1 << 70),
        cbor2.dumps(SHARED, value_sharing=True),
        cbor2.dumps(["abcdefgh"] * 100, string_referencing=True),
    ],
    ids=[
        "nothing",
        "break",
        "duplicate key",
        "key that is no text",
        "two items",
        "undefined",
        "simple value",
        "text that is none",
        "bytes that are no text",
        "deep",
        "long list",
        "long string",
        "cycle",
        "not a number",
        "infinite",
        "too large",
        "big number",
        "references",
        "references to text",
    ],
)
def test_what_is_refused(body: bytes) -> None:
    with pytest.raises(errors.ApiError, match="cannot decode CBOR"):
        cbor.decode(body)


def test_events_follow_each_other() -> None:
    events = [{"type": "ADDED", "object": {"kind": "Pod"}}, {"type": "DELETED", "object": {}}]
    sent = b"".join(cbor.frame(event["type"], event["object"]) for event in events)  # type: ignore[arg-type]
    assert list(cbor.decode_sequence(sent)) == events
