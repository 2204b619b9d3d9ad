"""Header blocks as RFC 7541 shows them."""

import pytest

from cri.rpc import hpack, huffman

REQUEST = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "www.example.com")]


def test_three_requests_of_one_connection() -> None:  # appendix C.3
    decoder = hpack.Decoder()
    assert decoder.decode(bytes.fromhex("828684410f7777772e6578616d706c652e636f6d")) == REQUEST
    assert decoder.decode(bytes.fromhex("828684be58086e6f2d6361636865")) == [
        *REQUEST,
        ("cache-control", "no-cache"),
    ]
    third = decoder.decode(bytes.fromhex("828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565"))
    assert third[1:] == [
        (":scheme", "https"),
        (":path", "/index.html"),
        (":authority", "www.example.com"),
        ("custom-key", "custom-value"),
    ]


def test_huffman_strings() -> None:  # appendix C.4
    decoder = hpack.Decoder()
    assert decoder.decode(bytes.fromhex("828684418cf1e3c2e5f23a6ba0ab90f4ff")) == REQUEST
    assert huffman.decode(bytes.fromhex("25a849e95ba97d7f")) == b"custom-key"
    assert huffman.decode(b"") == b""


def test_what_is_evicted_is_unknown() -> None:
    decoder = hpack.Decoder()
    decoder.decode(b"\x40\x01a\x01b")
    assert decoder.decode(b"\xbe") == [("a", "b")]
    decoder.decode(b"\x20")  # a table of nothing
    with pytest.raises(ValueError, match="no entry"):
        decoder.decode(b"\xbe")


def test_what_is_encoded_is_read_back() -> None:
    headers = [("grpc-status", "5"), ("grpc-message", "x" * 300), ("a", "")]
    assert hpack.Decoder().decode(hpack.encode(headers)) == headers


@pytest.mark.parametrize(
    "block",
    [
        b"\x80",  # index 0
        b"\xff\xff\xff\xff\xff\xff",  # an integer without end
        b"\xff",  # cut off
        b"\x40\x05ab",  # a string cut off
        b"\x40",
        b"\x3f\xe1\xff\x03",  # a larger table than was agreed
        b"\x40\x81\xff\x00",  # Huffman padding of a whole octet
        b"\x40\x84\xff\xff\xff\xff\x00",  # end of string
        b"\xc6",  # no such entry
    ],
)
def test_malformed_blocks_are_refused(block: bytes) -> None:
    with pytest.raises(ValueError, match="cannot decode"):
        hpack.Decoder().decode(block)
