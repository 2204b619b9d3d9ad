"""Numbered channels inside WebSocket messages: [v4., v5.]channel.k8s.io and their base64 forms. Pure.

A binary message is a channel number (one byte) and that channel's bytes; a base64 message is text: the number
as a digit, then base64. Messages are read piece by piece, so that their size costs no memory.
Source: apimachinery pkg/util/remotecommand/constants.go; k8s.io/streaming pkg/httpstream/wsstream/conn.go.
"""

import base64
import binascii
import dataclasses
import enum
from collections.abc import Iterator, Sequence

from cri.wire.errors import RemoteProtocolError

CLOSE = 255  # v5 only: the peer finished writing the channel named by the next byte


class Channel(enum.IntEnum):
    """Channels of exec and attach. Port-forward numbers its own: port i has data 2i and error 2i + 1."""

    STDIN, STDOUT, STDERR, ERROR, RESIZE = range(5)


@dataclasses.dataclass(frozen=True, slots=True)
class Dialect:
    """One subprotocol.

    has_status: the error channel carries a Status as JSON (since v4), not a bare message.
    has_close: the client may close one channel (since v5).
    """

    name: str
    is_base64: bool = False
    has_status: bool = True
    has_close: bool = False


V5 = Dialect("v5.channel.k8s.io", has_close=True)
V4 = Dialect("v4.channel.k8s.io")
DIALECTS = (
    V5,
    V4,
    Dialect("v4.base64.channel.k8s.io", is_base64=True),
    Dialect("channel.k8s.io", has_status=False),
    Dialect("base64.channel.k8s.io", is_base64=True, has_status=False),
)
UNNAMED = Dialect("", has_status=False)  # a client that offers no subprotocol


@dataclasses.dataclass(frozen=True, slots=True)
class Data:
    channel: int
    data: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class HalfClosed:
    """The peer writes no more on this channel."""

    channel: int


def choose(offered: Sequence[str]) -> Dialect | None:
    """Pick the client's first subprotocol that we speak; None if it offers only others."""
    if not offered:
        return UNNAMED
    known = {dialect.name: dialect for dialect in DIALECTS}
    return next((known[name] for name in offered if name in known), None)


def encode(dialect: Dialect, channel: int, data: bytes) -> bytes:
    """Make one message's payload; it is text for a base64 dialect."""
    if dialect.is_base64:
        return b"%d" % channel + base64.b64encode(data)
    return bytes((channel,)) + data


class Decoder:
    """Reads the pieces of one connection's messages."""

    def __init__(self, dialect: Dialect, count: int = len(Channel)) -> None:
        """count: how many channels there are."""
        self._dialect, self._count = dialect, count
        self._channel: int | None = None
        self._rest = b""  # base64 characters short of a group of four
        self._closing = b""

    def receive(self, piece: bytes, *, is_last: bool) -> Iterator[Data | HalfClosed]:
        """Take a piece of a message and yield what it says. Raises RemoteProtocolError."""
        if self._channel is None:
            if not piece:
                if is_last:
                    raise RemoteProtocolError("cannot decode an empty channel message")
                return
            self._channel = self._number(piece[0])
            piece = piece[1:]
        channel = self._channel
        if is_last:
            self._channel = None
        if channel == CLOSE:
            yield from self._close(piece, is_last)
            return
        data = self._plain(piece, is_last)
        if data:
            yield Data(channel, data)

    def _number(self, first: int) -> int:
        number = first - ord("0") if self._dialect.is_base64 else first
        if 0 <= number < self._count or (number == CLOSE and self._dialect.has_close):
            return number
        raise RemoteProtocolError(f"cannot decode message for channel {number}")

    def _close(self, piece: bytes, is_last: bool) -> Iterator[HalfClosed]:
        self._closing += piece
        if len(self._closing) > 1 or (is_last and not self._closing):
            raise RemoteProtocolError("cannot decode close message: it names one channel")
        if is_last:
            channel, self._closing = self._closing[0], b""
            if channel >= self._count:
                raise RemoteProtocolError(f"cannot close channel {channel}")
            yield HalfClosed(channel)

    def _plain(self, piece: bytes, is_last: bool) -> bytes:
        if not self._dialect.is_base64:
            return piece
        text = self._rest + piece
        cut = len(text) if is_last else len(text) // 4 * 4
        self._rest = text[cut:]
        try:
            return base64.b64decode(text[:cut], validate=True)
        except binascii.Error as err:
            raise RemoteProtocolError(f"cannot decode base64 message: {err}") from err
