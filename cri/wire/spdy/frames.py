"""SPDY/3.1 frames: bytes to frames and back. Pure.

    control: 1 | version (15) = 3 | type (16) | flags (8) | length (24) | payload
    data:    0 | stream id (31)               | flags (8) | length (24) | payload

Source: SPDY protocol draft 3.1, section 2.2 and 2.6. Data frames are handed on piece by piece, so that a
peer's 16 MiB frame costs no memory; control frames are collected and bounded.
"""

import dataclasses
import enum
import struct
from collections.abc import Callable, Iterator

from cri.wire.errors import LocalProtocolError, RemoteProtocolError
from cri.wire.spdy.headers import Compressor, Decompressor, Headers

VERSION = 3
FIN, UNIDIRECTIONAL = 0x01, 0x02
MAX_CONTROL_BYTES = 64 * 1024  # ours; Go's spdystream accepts 16 MiB
MAX_DATA_BYTES = (1 << 24) - 1  # the length field
MAX_STREAM_ID = 0x7FFFFFFF


class Kind(enum.IntEnum):
    """Types of control frames."""

    SYN_STREAM, SYN_REPLY, RST_STREAM, SETTINGS = 1, 2, 3, 4
    PING, GOAWAY, HEADERS, WINDOW_UPDATE = 6, 7, 8, 9


class Status(enum.IntEnum):
    """RST_STREAM codes, section 2.6.3."""

    PROTOCOL_ERROR, INVALID_STREAM, REFUSED_STREAM, UNSUPPORTED_VERSION, CANCEL = 1, 2, 3, 4, 5
    INTERNAL_ERROR, FLOW_CONTROL_ERROR, STREAM_IN_USE, STREAM_ALREADY_CLOSED = 6, 7, 8, 9


@dataclasses.dataclass(frozen=True, slots=True)
class SynStream:
    stream_id: int
    headers: Headers
    fin: bool = False
    unidirectional: bool = False
    associated_id: int = 0
    priority: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class SynReply:
    stream_id: int
    headers: Headers
    fin: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class MoreHeaders:
    stream_id: int
    headers: Headers
    fin: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class RstStream:
    stream_id: int
    status: int


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    values: tuple[tuple[int, int], ...]  # (id, value); persistence flags are dropped


@dataclasses.dataclass(frozen=True, slots=True)
class Ping:
    ping_id: int


@dataclasses.dataclass(frozen=True, slots=True)
class GoAway:
    last_stream_id: int
    status: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class WindowUpdate:
    stream_id: int
    delta: int


@dataclasses.dataclass(frozen=True, slots=True)
class Data:
    """A data frame, or on receiving a part of one; fin is set on the last part only."""

    stream_id: int
    data: bytes
    fin: bool = False


Frame = SynStream | SynReply | MoreHeaders | RstStream | Settings | Ping | GoAway | WindowUpdate | Data


class Writer:
    """Encodes frames of one direction, in the order they are sent (header compression has state)."""

    def __init__(self) -> None:
        self._compressor = Compressor()

    def encode(self, frame: Frame) -> bytes:
        """Encode one frame. Raises LocalProtocolError on a value that does not fit."""
        try:
            return self._encode(frame)
        except struct.error as err:
            raise LocalProtocolError(f"cannot encode {type(frame).__name__}: {err}") from err

    def _encode(self, frame: Frame) -> bytes:
        fin = FIN if getattr(frame, "fin", False) else 0
        match frame:
            case Data():
                if len(frame.data) > MAX_DATA_BYTES:
                    raise LocalProtocolError(f"cannot send {len(frame.data)} bytes in one frame")
                return struct.pack(">II", frame.stream_id, fin << 24 | len(frame.data)) + frame.data
            case SynStream():
                fixed = struct.pack(">IIBB", frame.stream_id, frame.associated_id, frame.priority << 5, 0)
                flags = fin | (UNIDIRECTIONAL if frame.unidirectional else 0)
                return _control(Kind.SYN_STREAM, flags, fixed + self._compressor.encode(frame.headers))
            case SynReply() | MoreHeaders():
                kind = Kind.SYN_REPLY if isinstance(frame, SynReply) else Kind.HEADERS
                block = self._compressor.encode(frame.headers)
                return _control(kind, fin, struct.pack(">I", frame.stream_id) + block)
            case RstStream():
                return _control(Kind.RST_STREAM, 0, struct.pack(">II", frame.stream_id, frame.status))
            case Settings():
                pairs = b"".join(struct.pack(">II", *pair) for pair in frame.values)
                return _control(Kind.SETTINGS, 0, struct.pack(">I", len(frame.values)) + pairs)
            case Ping():
                return _control(Kind.PING, 0, struct.pack(">I", frame.ping_id))
            case GoAway():
                return _control(Kind.GOAWAY, 0, struct.pack(">II", frame.last_stream_id, frame.status))
            case WindowUpdate():
                return _control(Kind.WINDOW_UPDATE, 0, struct.pack(">II", frame.stream_id, frame.delta))


class Reader:
    """Decodes the frames of one direction from bytes cut anywhere."""

    def __init__(self) -> None:
        self._decompressor = Decompressor()
        self._buffer = bytearray()
        self._data: tuple[int, bool, int] | None = None  # stream, fin, bytes still to come

    def receive(self, data: bytes) -> Iterator[Frame]:
        """Take bytes and yield what they complete. Raises RemoteProtocolError."""
        self._buffer += data
        while True:
            frame = self._data_part() if self._data else self._next()
            if frame is not None:
                yield frame
            elif self._data is None or (not self._buffer and self._data[2]):
                return

    def _next(self) -> Frame | None:
        """Read a frame's head; a data frame's payload is then due, a control frame comes whole."""
        if len(self._buffer) < 8:
            return None
        first, second = struct.unpack_from(">II", self._buffer)
        flags, length = second >> 24, second & 0xFFFFFF
        if not first >> 31:
            if not first:
                raise RemoteProtocolError("cannot accept data on stream 0")
            del self._buffer[:8]
            self._data = (first, bool(flags & FIN), length)
            return None
        if first >> 16 & 0x7FFF != VERSION:
            raise RemoteProtocolError(f"cannot accept SPDY version {first >> 16 & 0x7FFF}")
        if length > MAX_CONTROL_BYTES:
            raise RemoteProtocolError(f"cannot accept a control frame of {length} bytes")
        if len(self._buffer) < 8 + length:
            return None
        payload = bytes(self._buffer[8 : 8 + length])
        del self._buffer[: 8 + length]
        return self._control(first & 0xFFFF, flags, payload)

    def _data_part(self) -> Data | None:
        assert self._data
        stream_id, fin, left = self._data
        if left and not self._buffer:
            return None
        part = bytes(self._buffer[:left])
        del self._buffer[: len(part)]
        left -= len(part)
        self._data = (stream_id, fin, left) if left else None
        return Data(stream_id, part, fin and not left)

    def _control(self, kind: int, flags: int, payload: bytes) -> Frame:
        decode = _DECODERS.get(kind)
        if decode is None:
            raise RemoteProtocolError(f"cannot accept control frame type {kind}")
        try:
            return decode(flags, payload, self._decompressor)
        except struct.error as err:
            raise RemoteProtocolError(f"cannot decode frame type {kind}: {err}") from err


def _control(kind: Kind, flags: int, payload: bytes) -> bytes:
    if len(payload) > MAX_CONTROL_BYTES:
        raise LocalProtocolError(f"cannot send a control frame of {len(payload)} bytes")
    return struct.pack(">HHI", 0x8000 | VERSION, kind, flags << 24 | len(payload)) + payload


def _stream_id(number: int) -> int:
    stream_id = number & MAX_STREAM_ID  # the top bit is reserved
    if not stream_id:
        raise RemoteProtocolError("cannot accept stream 0")
    return stream_id


def _syn_stream(flags: int, payload: bytes, decompressor: Decompressor) -> Frame:
    number, associated, priority, _slot = struct.unpack_from(">IIBB", payload)
    headers = decompressor.decode(payload[10:])
    uni = bool(flags & UNIDIRECTIONAL)
    return SynStream(
        _stream_id(number), headers, bool(flags & FIN), uni, associated & MAX_STREAM_ID, priority >> 5
    )


def _syn_reply(flags: int, payload: bytes, decompressor: Decompressor) -> Frame:
    number = struct.unpack_from(">I", payload)[0]
    return SynReply(_stream_id(number), decompressor.decode(payload[4:]), bool(flags & FIN))


def _more_headers(flags: int, payload: bytes, decompressor: Decompressor) -> Frame:
    number = struct.unpack_from(">I", payload)[0]
    return MoreHeaders(_stream_id(number), decompressor.decode(payload[4:]), bool(flags & FIN))


def _rst_stream(flags: int, payload: bytes, decompressor: Decompressor) -> Frame:
    number, status = struct.unpack(">II", payload)
    return RstStream(_stream_id(number), status)


def _settings(flags: int, payload: bytes, decompressor: Decompressor) -> Frame:
    count = struct.unpack_from(">I", payload)[0]
    if len(payload) != 4 + 8 * count:
        raise RemoteProtocolError(f"cannot accept {count} settings in {len(payload)} bytes")
    return Settings(tuple((key & 0xFFFFFF, value) for key, value in struct.iter_unpack(">II", payload[4:])))


def _ping(flags: int, payload: bytes, decompressor: Decompressor) -> Frame:
    return Ping(*struct.unpack(">I", payload))


def _goaway(flags: int, payload: bytes, decompressor: Decompressor) -> Frame:
    last, status = struct.unpack(">II", payload)
    return GoAway(last & MAX_STREAM_ID, status)


def _window_update(flags: int, payload: bytes, decompressor: Decompressor) -> Frame:
    number, delta = struct.unpack(">II", payload)
    return WindowUpdate(number & MAX_STREAM_ID, delta & MAX_STREAM_ID)  # stream 0: the session, 3.1


_DECODERS: dict[int, Callable[[int, bytes, Decompressor], Frame]] = {
    Kind.SYN_STREAM: _syn_stream,
    Kind.SYN_REPLY: _syn_reply,
    Kind.RST_STREAM: _rst_stream,
    Kind.SETTINGS: _settings,
    Kind.PING: _ping,
    Kind.GOAWAY: _goaway,
    Kind.HEADERS: _more_headers,
    Kind.WINDOW_UPDATE: _window_update,
}
