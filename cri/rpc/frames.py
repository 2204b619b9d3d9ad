"""HTTP/2 frames as bytes, and what of gRPC is written in them. Pure.

Source: RFC 9113, sections 4 and 6; gRPC over HTTP2 (PROTOCOL-HTTP2.md of grpc/grpc).
"""

import enum
import struct
import urllib.parse
from collections.abc import Mapping

import hpack

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEAD_BYTES = 9
PAYLOAD_BYTES = 16384  # the most a frame carries unless the receiver allows more
WINDOW_BYTES = 65535  # what may be sent before the first WINDOW_UPDATE
WINDOW_BYTES_MAX = (1 << 31) - 1
MESSAGE_HEAD = struct.Struct(">BI")  # compressed or not, length


class Kind(enum.IntEnum):
    DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = (
        range(10)
    )


class Setting(enum.IntEnum):
    HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE = range(1, 6)
    MAX_HEADER_LIST_SIZE = 6


class Code(enum.IntEnum):
    """Why a stream or a connection ends."""

    NO_ERROR, PROTOCOL, INTERNAL, FLOW_CONTROL = range(4)
    STREAM_CLOSED, FRAME_SIZE, REFUSED_STREAM, CANCEL, COMPRESSION = range(5, 10)
    ENHANCE_YOUR_CALM = 11


END_STREAM = ACK = 1
END_HEADERS, PADDED, PRIORITY = 4, 8, 32


class FrameError(Exception):
    """The peer broke the protocol: the connection ends with this code."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code


def frame(kind: Kind, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One frame."""
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def settings(values: Mapping[Setting, int]) -> bytes:
    """A SETTINGS frame."""
    payload = b"".join([struct.pack(">HI", name, value) for name, value in values.items()])
    return frame(Kind.SETTINGS, 0, 0, payload)


def window_update(stream: int, count: int) -> bytes:
    """A WINDOW_UPDATE frame; stream 0 is the whole connection."""
    return frame(Kind.WINDOW_UPDATE, 0, stream, count.to_bytes(4, "big"))


def rst_stream(stream: int, code: Code) -> bytes:
    """The end of one stream."""
    return frame(Kind.RST_STREAM, 0, stream, code.to_bytes(4, "big"))


def go_away(last_stream: int, code: Code) -> bytes:
    """The end of a connection: streams above last_stream were not looked at."""
    return frame(Kind.GOAWAY, 0, 0, struct.pack(">II", last_stream, code))


def unpadded(flags: int, payload: bytes) -> bytes:
    """What a DATA or HEADERS frame carries without padding and priority. Raises FrameError."""
    start, end = 0, len(payload)
    if flags & PADDED:
        if not payload:
            raise FrameError(Code.FRAME_SIZE, "padded frame is empty")
        start, end = 1, end - payload[0]
    if flags & PRIORITY:
        start += 5
    if start > end:
        raise FrameError(Code.PROTOCOL, "padding is longer than its frame")
    return payload[start:end]


def headers(fields: Mapping[str, str]) -> bytes:
    """A block of headers which no table keeps: it may be written in any order with others."""
    literals = [hpack.NeverIndexedHeaderTuple(name, value) for name, value in fields.items()]
    return hpack.Encoder().encode(literals, huffman=False)


_HEADERS = headers({":status": "200", "content-type": "application/grpc"})
_OK = headers({"grpc-status": "0"})


def response_head(stream: int) -> bytes:
    """The headers that come before the first message."""
    return frame(Kind.HEADERS, END_HEADERS, stream, _HEADERS)


def data(stream: int, payload: bytes) -> bytes:
    """A piece of a message, which does not end the stream."""
    return frame(Kind.DATA, 0, stream, payload)


def trailers(stream: int, status: int = 0, message: str = "", *, is_only: bool = False) -> bytes:
    """The end of a call; is_only: no headers came before."""
    block = _OK
    if status:
        escaped = urllib.parse.quote(message, safe=_PLAIN)
        block = headers({"grpc-status": str(status), "grpc-message": escaped})
    return frame(Kind.HEADERS, END_HEADERS | END_STREAM, stream, _HEADERS + block if is_only else block)


# All printable characters but the percent sign.
_PLAIN = "".join([chr(code) for code in range(0x20, 0x7F) if code != 0x25])

_UNITS = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}


def timeout_s(text: str) -> float:
    """Read a grpc-timeout. Raises ValueError.

    >>> timeout_s("120S"), timeout_s("250m")
    (120.0, 0.25)
    """
    if not (1 < len(text) <= 9 and text[:-1].isdigit() and text[-1] in _UNITS):
        raise ValueError(f"cannot read timeout {text!r}")
    return int(text[:-1]) * _UNITS[text[-1]]
