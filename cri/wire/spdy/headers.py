"""SPDY/3 header blocks: name/value pairs inside one zlib stream per direction. Pure.

A stream's headers are a mapping of lower-case names to values; several values of one name are joined by NUL,
as on the wire. Source: SPDY protocol draft 3.1, section 2.6.10.
"""

import struct
import zlib
from collections.abc import Mapping

from cri.wire.errors import LocalProtocolError, RemoteProtocolError
from cri.wire.spdy.dictionary import DICTIONARY

MAX_BLOCK_BYTES = 64 * 1024  # decompressed; Kubernetes' streams carry three short headers
_COUNT = struct.Struct(">I")

Headers = Mapping[str, str]


class Compressor:
    """Compresses the header blocks of one direction of one connection, in the order they are sent."""

    def __init__(self) -> None:
        self._zlib = zlib.compressobj(zdict=DICTIONARY)

    def encode(self, headers: Headers) -> bytes:
        """Compress one block. Raises LocalProtocolError on a name with upper case."""
        parts = [_COUNT.pack(len(headers))]
        for name, value in headers.items():
            if name != name.lower() or not name:
                raise LocalProtocolError(f"cannot send header {name!r}: not lower case")
            for text in (name.encode(), value.encode()):
                parts += (_COUNT.pack(len(text)), text)
        return self._zlib.compress(b"".join(parts)) + self._zlib.flush(zlib.Z_SYNC_FLUSH)


class Decompressor:
    """Decompresses the header blocks of one direction of one connection, in the order they arrive."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(zdict=DICTIONARY)

    def decode(self, block: bytes) -> dict[str, str]:
        """Decompress one block. Raises RemoteProtocolError."""
        try:
            plain = self._zlib.decompress(block, MAX_BLOCK_BYTES)
        except zlib.error as err:
            raise RemoteProtocolError(f"cannot decompress header block: {err}") from err
        if self._zlib.unconsumed_tail or self._zlib.unused_data:
            raise RemoteProtocolError(f"cannot accept header block above {MAX_BLOCK_BYTES} bytes")
        return parse_pairs(plain)


def parse_pairs(plain: bytes) -> dict[str, str]:
    """Read a decompressed block: a count, then names and values with lengths. Raises RemoteProtocolError."""
    count, position = _number(plain, 0)
    headers: dict[str, str] = {}
    for _ in range(count):
        name, position = _text(plain, position)
        value, position = _text(plain, position)
        name = name.lower()  # older Go peers canonicalize; the names we look for are case-blind
        if not name or name in headers:
            raise RemoteProtocolError(f"cannot accept header {name!r}: empty or repeated")
        headers[name] = value
    if position != len(plain):
        raise RemoteProtocolError("cannot accept header block: bytes after the last pair")
    return headers


def _number(plain: bytes, position: int) -> tuple[int, int]:
    if position + 4 > len(plain):
        raise RemoteProtocolError("cannot accept header block: cut short")
    number: int = _COUNT.unpack_from(plain, position)[0]
    return number, position + 4


def _text(plain: bytes, position: int) -> tuple[str, int]:
    length, start = _number(plain, position)
    end = start + length
    if end > len(plain):
        raise RemoteProtocolError("cannot accept header block: cut short")
    return plain[start:end].decode("utf-8", "replace"), end
