"""Headers of calls are remembered only as long as they mean the same."""

import hpack
import pytest

from cri.rpc.headers import Headers, is_indexed

_CALL = [(b":method", b"POST"), (b":path", b"/t.T/echo"), (b"te", b"trailers")]


def test_a_repeated_block_is_decoded_once() -> None:
    encoder, headers = hpack.Encoder(), Headers(1 << 14)
    first = encoder.encode(_CALL)
    assert headers.decode(first) == dict(_CALL)
    again = encoder.encode(_CALL)
    assert again != first
    assert is_indexed(again)
    known = headers.decode(again)
    assert known == dict(_CALL)
    assert headers.decode(encoder.encode(_CALL)) is known


def test_the_same_bytes_mean_another_thing_once_the_table_has_changed() -> None:
    encoder, headers = hpack.Encoder(), Headers(1 << 14)
    headers.decode(encoder.encode([(b"a", b"1")]))
    newest = b"\xbe"  # index 62, the last field that was added
    assert headers.decode(newest) == {b"a": b"1"}
    headers.decode(encoder.encode([(b"b", b"2")]))
    assert headers.decode(newest) == {b"b": b"2"}


def test_a_changed_table_size_is_noticed() -> None:
    encoder, headers = hpack.Encoder(), Headers(1 << 14)
    headers.decode(encoder.encode([(b"a", b"1")]))
    headers.decode(b"\xbe")
    headers.decode(b"\x20")  # RFC 7541, 6.3: the dynamic table has room for nothing
    with pytest.raises(hpack.HPACKError):
        headers.decode(b"\xbe")


def test_what_cannot_be_decoded_is_not_remembered() -> None:
    headers = Headers(1 << 14)
    for _ in range(2):
        with pytest.raises(hpack.HPACKError):
            headers.decode(b"\xfe")  # no such field


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (b"", False),
        (b"\x82\xbe", True),
        (b"\x80", False),  # index 0 is none
        (b"\x82\xff\x00", False),  # an index of more than one byte
        (b"\x82\x40\x01a\x01b", False),  # adds to the table
        (b"\x00\x01a\x01b", False),
        (b"\x3f\xe1\x1f\x82", False),  # changes its size
    ],
)
def test_blocks_of_plain_places_are_told_from_others(block: bytes, expected: bool) -> None:
    assert is_indexed(block) is expected


def test_what_is_remembered_is_bounded() -> None:
    headers = Headers(1 << 14)
    for number in range(200):
        headers.decode(b"\x82" + bytes([0x82]) * (number % 90))
    assert len(headers._known) <= 64
