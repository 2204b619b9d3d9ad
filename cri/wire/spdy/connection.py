"""One SPDY/3.1 connection as a state machine: bytes in, events out, bytes to send. Pure.

A stream's two directions close apart:

    open --fin received--> half closed (remote) --fin sent--> closed
    open --fin sent------> half closed (local)  --fin received--> closed
    any  --reset sent or received--> closed

Flow control. The specification gives each stream a 64 KiB window, but Go's spdystream, which every Kubernetes
client and runtime uses, neither sends WINDOW_UPDATE nor obeys it: a peer that waits for one would hang after
64 KiB. So `flow_control` is off by default, and TCP's back-pressure bounds both sides: drivers stop reading.

Source: SPDY protocol draft 3.1, sections 2.3 and 2.6; moby/spdystream connection.go.
"""

import dataclasses

from cri.wire.errors import LocalProtocolError, RemoteProtocolError
from cri.wire.spdy import frames
from cri.wire.spdy.headers import Headers

INITIAL_WINDOW = 64 * 1024
SETTINGS_INITIAL_WINDOW_SIZE = 7
MAX_STREAMS = 1024  # ours: each costs memory; a port-forward opens two a connection
MAX_OUTBOX = 1 << 20  # ours: answers to pings that nobody fetches


@dataclasses.dataclass(frozen=True, slots=True)
class StreamOpened:
    stream_id: int
    headers: Headers


@dataclasses.dataclass(frozen=True, slots=True)
class StreamReplied:
    stream_id: int
    headers: Headers


@dataclasses.dataclass(frozen=True, slots=True)
class DataReceived:
    stream_id: int
    data: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class StreamEnded:
    """The peer will send no more on this stream."""

    stream_id: int


@dataclasses.dataclass(frozen=True, slots=True)
class StreamReset:
    stream_id: int
    status: int


@dataclasses.dataclass(frozen=True, slots=True)
class WindowOpened:
    """More may be sent; stream 0 is the whole connection. Only with flow control."""

    stream_id: int


@dataclasses.dataclass(frozen=True, slots=True)
class PeerLeaving:
    """GOAWAY: the peer accepts no new streams."""

    last_stream_id: int


Event = StreamOpened | StreamReplied | DataReceived | StreamEnded | StreamReset | WindowOpened | PeerLeaving


@dataclasses.dataclass(slots=True)
class _Stream:
    window: int
    receiving: bool = True
    sending: bool = True


class Connection:
    """Either end of a SPDY/3.1 connection. Call data_to_send() after every other method."""

    def __init__(self, *, server: bool, flow_control: bool = False) -> None:
        self._reader, self._writer = frames.Reader(), frames.Writer()
        self._server, self._flow_control = server, flow_control
        self._streams: dict[int, _Stream] = {}
        self._next_id, self._last_remote_id = (2, 0) if server else (1, 0)
        self._window = self._initial_window = INITIAL_WINDOW
        self._outbox: list[bytes] = []
        self._outbox_bytes = 0
        self._is_leaving = False

    def data_to_send(self) -> bytes:
        """Take the bytes that are due to the peer."""
        data = b"".join(self._outbox)
        self._outbox.clear()
        self._outbox_bytes = 0
        return data

    def open(self, headers: Headers, *, fin: bool = False) -> int:
        """Open a stream and return its id."""
        stream_id = self._next_id
        if stream_id > frames.MAX_STREAM_ID:
            raise LocalProtocolError("cannot open a stream: ids are used up")
        self._next_id += 2
        self._streams[stream_id] = _Stream(self._initial_window, sending=not fin)
        self._send(frames.SynStream(stream_id, headers, fin=fin))
        return stream_id

    def reply(self, stream_id: int, headers: Headers | None = None) -> None:
        """Accept a stream that the peer opened."""
        self._sendable(stream_id)
        self._send(frames.SynReply(stream_id, headers or {}))

    def send_data(self, stream_id: int, data: bytes, *, fin: bool = False) -> None:
        """Send bytes. Raises LocalProtocolError beyond `window(stream_id)`, or on a stream closed by us."""
        stream = self._sendable(stream_id)
        if len(data) > self.window(stream_id):
            raise LocalProtocolError(f"cannot send {len(data)} bytes on stream {stream_id}: window is closed")
        if self._flow_control:
            stream.window -= len(data)
            self._window -= len(data)
        self._send(frames.Data(stream_id, data, fin))
        if fin:
            stream.sending = False
            self._forget_if_closed(stream_id)

    def reset(self, stream_id: int, status: int = frames.Status.CANCEL) -> None:
        """End both directions at once; nothing happens on a stream that is closed."""
        if self._streams.pop(stream_id, None):
            self._send(frames.RstStream(stream_id, status))

    def acknowledge(self, stream_id: int, count: int) -> None:
        """Let the peer send `count` bytes more: they were consumed. Nothing happens without flow control."""
        if not self._flow_control or not count:
            return
        self._send(frames.WindowUpdate(0, count))
        stream = self._streams.get(stream_id)
        if stream and stream.receiving:
            self._send(frames.WindowUpdate(stream_id, count))

    def ping(self, ping_id: int) -> None:
        """Send a ping; ids are odd from a client, even from a server."""
        self._send(frames.Ping(ping_id))

    def leave(self) -> None:
        """Tell the peer that no new streams are accepted."""
        if not self._is_leaving:
            self._is_leaving = True
            self._send(frames.GoAway(self._last_remote_id))

    def window(self, stream_id: int) -> int:
        """Return how many bytes may be sent on a stream now."""
        if not self._flow_control:
            return frames.MAX_DATA_BYTES
        return max(0, min(self._window, self._sendable(stream_id).window))

    def is_sendable(self, stream_id: int) -> bool:
        """Tell whether our direction of a stream is open."""
        stream = self._streams.get(stream_id)
        return stream is not None and stream.sending

    def receive(self, data: bytes) -> list[Event]:
        """Take bytes from the peer. Raises RemoteProtocolError; the connection must then be dropped."""
        events: list[Event] = []
        for frame in self._reader.receive(data):
            self._handle(frame, events)
            if self._outbox_bytes > MAX_OUTBOX:
                raise RemoteProtocolError("cannot keep up with pings")
        return events

    def _handle(self, frame: frames.Frame, events: list[Event]) -> None:
        match frame:
            case frames.SynStream():
                self._opened(frame, events)
            case frames.SynReply():
                if frame.stream_id in self._streams:
                    events.append(StreamReplied(frame.stream_id, frame.headers))
                    self._finished(frame.stream_id, frame.fin, events)
            case frames.MoreHeaders():
                self._finished(frame.stream_id, frame.fin, events)
            case frames.Data():
                stream = self._streams.get(frame.stream_id)
                if stream is None or not stream.receiving:
                    return  # data may cross our reset on the way
                if frame.data:
                    events.append(DataReceived(frame.stream_id, frame.data))
                self._finished(frame.stream_id, frame.fin, events)
            case frames.RstStream():
                if self._streams.pop(frame.stream_id, None):
                    events.append(StreamReset(frame.stream_id, frame.status))
            case frames.Ping():
                if frame.ping_id % 2 == self._server:  # the peer's own; else the answer to ours
                    self._send(frame)
            case frames.GoAway():
                events.append(PeerLeaving(frame.last_stream_id))
            case frames.Settings():
                self._settings(frame, events)
            case frames.WindowUpdate():
                self._window_opened(frame, events)

    def _opened(self, frame: frames.SynStream, events: list[Event]) -> None:
        stream_id = frame.stream_id
        if stream_id % 2 != self._server or stream_id <= self._last_remote_id:
            raise RemoteProtocolError(f"cannot accept stream {stream_id}: ids must rise, clients' are odd")
        self._last_remote_id = stream_id
        if self._is_leaving or len(self._streams) >= MAX_STREAMS:
            self._send(frames.RstStream(stream_id, frames.Status.REFUSED_STREAM))
            return
        self._streams[stream_id] = _Stream(self._initial_window, sending=not frame.unidirectional)
        events.append(StreamOpened(stream_id, frame.headers))
        self._finished(stream_id, frame.fin, events)

    def _finished(self, stream_id: int, fin: bool, events: list[Event]) -> None:
        stream = self._streams.get(stream_id)
        if fin and stream and stream.receiving:
            stream.receiving = False
            self._forget_if_closed(stream_id)
            events.append(StreamEnded(stream_id))

    def _settings(self, frame: frames.Settings, events: list[Event]) -> None:
        for key, value in frame.values:
            if key == SETTINGS_INITIAL_WINDOW_SIZE and self._flow_control:
                for stream_id, stream in self._streams.items():
                    stream.window += value - self._initial_window
                    events.append(WindowOpened(stream_id))
                self._initial_window = value

    def _window_opened(self, frame: frames.WindowUpdate, events: list[Event]) -> None:
        if not self._flow_control:
            return
        if frame.stream_id == 0:
            self._window += frame.delta
        elif stream := self._streams.get(frame.stream_id):
            stream.window += frame.delta
        events.append(WindowOpened(frame.stream_id))

    def _sendable(self, stream_id: int) -> _Stream:
        stream = self._streams.get(stream_id)
        if stream is None or not stream.sending:
            raise LocalProtocolError(f"cannot send on stream {stream_id}: closed")
        return stream

    def _forget_if_closed(self, stream_id: int) -> None:
        stream = self._streams[stream_id]
        if not stream.receiving and not stream.sending:
            del self._streams[stream_id]

    def _send(self, frame: frames.Frame) -> None:
        data = self._writer.encode(frame)
        self._outbox.append(data)
        self._outbox_bytes += len(data)
