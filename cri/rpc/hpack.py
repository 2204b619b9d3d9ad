"""HPACK: header blocks decoded, and encoded without a table. Pure.

Source: RFC 7541.
"""

import collections
from collections.abc import Iterable

from cri.rpc import huffman

Header = tuple[str, str]

TABLE_BYTES = (
    4096  # of the decoder; the size in force when nothing else was agreed (section 6.5.2 of RFC 9113)
)
_ENTRY_BYTES = 32  # what an entry counts besides its octets (section 4.1)
_LIST_BYTES_MAX = 64 << 10
_INTEGER_MAX = 1 << 24

# Appendix A
STATIC: tuple[Header, ...] = (
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
)


class Decoder:
    """The receiving end of a connection's header blocks, in their order."""

    def __init__(self) -> None:
        self._dynamic: collections.deque[Header] = collections.deque()
        self._size = 0
        self._size_max = TABLE_BYTES

    def decode(self, block: bytes) -> list[Header]:
        """Read one block. Raises ValueError, after which the connection is of no use."""
        headers: list[Header] = []
        at = total = 0
        while at < len(block):
            first = block[at]
            if first & 0x80:
                index, at = _integer(block, at, 7)
                headers.append(self._entry(index))
            elif first & 0x40:
                header, at = self._literal(block, at, 6)
                self._add(header)
                headers.append(header)
            elif first & 0x20:
                size, at = _integer(block, at, 5)
                if size > TABLE_BYTES:
                    raise ValueError(f"cannot decode header block: table of {size} bytes")
                self._size_max = size
                self._evict()
            else:
                header, at = self._literal(block, at, 4)
                headers.append(header)
            total += sum(map(len, headers[-1])) if headers else 0
            if total > _LIST_BYTES_MAX:
                raise ValueError("cannot decode header block: too large")
        return headers

    def _entry(self, index: int) -> Header:
        if 0 < index <= len(STATIC):
            return STATIC[index - 1]
        try:
            return self._dynamic[index - len(STATIC) - 1] if index else self._dynamic[len(self._dynamic)]
        except IndexError:
            raise ValueError(f"cannot decode header block: no entry {index}") from None

    def _literal(self, block: bytes, at: int, bits: int) -> tuple[Header, int]:
        index, at = _integer(block, at, bits)
        if index:
            name = self._entry(index)[0]
        else:
            name, at = _string(block, at)
        value, at = _string(block, at)
        return (name, value), at

    def _add(self, header: Header) -> None:
        self._dynamic.appendleft(header)
        self._size += _bytes_of(header)
        self._evict()

    def _evict(self) -> None:
        while self._size > self._size_max:
            self._size -= _bytes_of(self._dynamic.pop())


def encode(headers: Iterable[Header]) -> bytes:
    """Write a block of literals that no table keeps. Names and values are ASCII."""
    parts = []
    for name, value in headers:
        parts.append(b"\x00" + _encoded(name) + _encoded(value))
    return b"".join(parts)


def _encoded(text: str) -> bytes:
    data = text.encode("ascii")
    length = len(data)
    if length < 127:
        return bytes((length,)) + data
    prefix, length = [127], length - 127
    while length >= 128:
        prefix.append(length & 127 | 128)
        length >>= 7
    return bytes([*prefix, length]) + data


def _bytes_of(header: Header) -> int:
    return len(header[0]) + len(header[1]) + _ENTRY_BYTES


def _integer(block: bytes, at: int, bits: int) -> tuple[int, int]:
    """Read an integer with a prefix of so many bits; it and where the next octet is (section 5.1)."""
    mask = (1 << bits) - 1
    value = block[at] & mask
    at += 1
    if value < mask:
        return value, at
    shift = 0
    while True:
        octet = _octet(block, at)
        at += 1
        value += (octet & 127) << shift
        shift += 7
        if value > _INTEGER_MAX:
            raise ValueError("cannot decode header block: integer too large")
        if octet < 128:
            return value, at


def _string(block: bytes, at: int) -> tuple[str, int]:
    is_huffman = _octet(block, at) & 0x80
    length, at = _integer(block, at, 7)
    data = block[at : at + length]
    if len(data) != length:
        raise ValueError("cannot decode header block: string cut off")
    return (huffman.decode(data) if is_huffman else data).decode("latin-1"), at + length


def _octet(block: bytes, at: int) -> int:
    if at >= len(block):
        raise ValueError("cannot decode header block: cut off")
    return block[at]
