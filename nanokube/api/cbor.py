"""Objects as CBOR: JSON trees out, and back in. Pure.

Text goes out as byte strings, as upstream's: its decoder takes these for strings, for names of fields and,
read as base64, for bytes; a text string it refuses for bytes.
Source: RFC 8949, RFC 8742; apimachinery pkg/runtime/serializer/cbor/internal/modes.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from typing import Any, Final

import cbor2

from nanokube.api import errors

SELF_DESCRIBED: Final = b"\xd9\xd9\xf7"  # tag 55799, in front of each object
_DEPTH_MAX: Final = 500  # as other bodies: half of what Python's recursion limit lets construct
_MIN: Final = -(1 << 63)
_MAX: Final = (1 << 63) - 1
# "expected later encoding": how the bytes look as text (RFC 8949 3.4.5.2)
_TEXTS: Final[Mapping[int, Callable[[bytes], bytes]]] = {
    21: lambda data: base64.urlsafe_b64encode(data).rstrip(b"="),
    22: base64.b64encode,
    23: lambda data: data.hex().upper().encode(),
}


def _content(value: Any, _: bool) -> Any:
    return value


def _refused(value: Any, _: bool) -> Any:
    raise ValueError("a tag that is not accepted")


# Big numbers have no place in JSON; references to what was said before make a small body a big object.
# Of all other tags but "later encoding" and epoch time (1), the content counts.
_TAGS: Final = {
    **dict.fromkeys((0, 4, 5, 30, 35, 36, 37, 52, 54, 100, 258, 260, 261, 1004, 43000, 55799), _content),
    **dict.fromkeys((2, 3, 25, 28, 29, 256), _refused),
}


def encode(tree: Any) -> bytes:
    """Encode a JSON tree."""
    return SELF_DESCRIBED + cbor2.dumps(_native(tree))


def frame(type_: str, tree: Any) -> bytes:
    """Encode one event of a watch; a sequence of them needs no separators."""
    return b"%b\xa2%b%b%b%b" % (
        SELF_DESCRIBED,
        cbor2.dumps(b"type"),
        cbor2.dumps(type_.encode()),
        cbor2.dumps(b"object"),
        encode(tree),
    )


def _native(value: Any) -> Any:
    kind = type(value)
    if kind is str:
        return value.encode()
    if kind is dict:
        return {key.encode(): _native(member) for key, member in value.items()}
    return [_native(item) for item in value] if kind is list else value


def decode(body: bytes) -> Any:
    """Decode a body. Raises ApiError (400)."""
    try:
        source = io.BytesIO(body)
        found = _decoder(source).decode()
        if source.tell() != len(body):
            raise ValueError(f"{len(body) - source.tell()} bytes of extraneous data")
        return _tree(found)
    except (cbor2.CBORDecodeError, ValueError, TypeError, RecursionError, OverflowError) as error:
        raise errors.bad_request(f"cannot decode CBOR: {error.__cause__ or error}") from error


def decode_sequence(body: bytes) -> Iterator[Any]:
    """Decode one item after the other: what a watch sends. Raises as decode."""
    source = io.BytesIO(body)
    while source.tell() < len(body):
        yield _tree(_decoder(source).decode())


def _decoder(source: io.BytesIO) -> cbor2.CBORDecoder:
    return cbor2.CBORDecoder(
        source,
        semantic_decoders=_TAGS,
        read_size=1,
        max_depth=_DEPTH_MAX,
        allow_duplicate_keys=False,
        strict_hashable_types=True,
    )


def _tree(value: Any) -> Any:
    """Make a JSON tree of what was decoded. Raises ValueError for what JSON cannot say."""
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, Mapping):
        return {_text(key): _tree(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_tree(item) for item in value]
    if isinstance(value, cbor2.CBORTag):
        return _tree(_TEXTS.get(value.tag, bytes)(value.value) if type(value.value) is bytes else value.value)
    if isinstance(value, datetime | date):
        return value.isoformat().replace("+00:00", "Z")
    if value is None or isinstance(value, bool | str):
        return value
    if type(value) is int and _MIN <= value <= _MAX:
        return value
    if type(value) is float and math.isfinite(value):
        return value
    raise ValueError(f"a value of type {type(value).__name__} is not accepted")


def _text(key: Any) -> str:
    if isinstance(key, bytes):
        return key.decode()
    if isinstance(key, str):
        return key
    raise ValueError("a key is no string")
